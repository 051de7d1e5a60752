// @ts-check
/**
 * @typedef {import("./copy.js").CopiedEvent} CopiedEvent
 * @typedef {import("./copy.js").CopiedMarket} CopiedMarket
 */

/**
 * Events by id as `odds_image` has them, kept current by the messages of the topic `odds`: docs/client.md.
 *
 * @extends {Map<number, CopiedEvent>}
 */
export class OddsCopy extends Map {
	/** @type {Set<number> | null} */ #shown = null; // ids in an image of everything that is not complete yet

	/**
	 * Apply any message, in the order of the stream. `connection_ack`, `subscription_update` and `error` have to be among them.
	 *
	 * @param {import("./messages.js").Message} message
	 */
	apply({ type, data }) {
		if (type === "odds_image") this.#image(data);
		else if (type === "odds_change") this.#change(data);
		else if (type === "event_change") this.#event(data);
		// The rest of an image is not to be expected any more.
		else if (type === "connection_ack" || type === "subscription_update" || (type === "error" && data.code === "gap")) this.#shown = null;
	}

	/** @param {import("./messages.js").OddsImage} data */
	#image({ events, final, scope, removed = [] }) {
		for (const event of events) this.set(event.id, event);
		for (const id of removed) this.delete(id);
		if (scope !== "all") return;
		this.#shown ??= new Set();
		for (const { id } of events) this.#shown.add(id);
		if (!final) return;
		for (const id of this.keys()) if (!this.#shown.has(id)) this.delete(id);
		this.#shown = null;
	}

	/** @param {import("./messages.js").OddsChange} data */
	#change({ event_id: id, source, seen_at: at, source_changed_at: saidAt, changes }) {
		const event = this.get(id);
		if (!event) return;
		const { markets } = bookmakerOf(event, source);
		for (const { market_id: market, line, market_promotion: further, outcome: name, previous, ...fields } of changes) {
			let entry = entryOf(markets, market, line, further);
			if (!entry) markets.push((entry = newEntry(market, line, further, at)));
			const { outcomes } = entry;
			const fresh = { name, ...fields, changed_at: `${at.slice(0, 19)}.000Z`, last_seen_at: at };
			const place = outcomes.findIndex((each) => each.name === name);
			if (place < 0) outcomes.push(fresh);
			else outcomes[place] = fresh;
			// A further offer has no prices that are gone.
			if (further) entry.outcomes = outcomes.filter((each) => each.available);
			if (!entry.outcomes.length) markets.splice(markets.indexOf(entry), 1);
			entry.available = entry.outcomes.some((each) => each.available);
			entry.unavailable_since = entry.available ? null : at;
			entry.last_seen_at = at;
			entry.source_changed_at = saidAt ?? entry.source_changed_at ?? null;
			delete entry.margin;
		}
	}

	/** @param {import("./messages.js").EventChange} data */
	#event({ event_id: id, change, event, bookmakers }) {
		if (change === "removed") return void this.delete(id);
		let mine = this.get(id);
		if (!mine) {
			if (change !== "new") return;
			mine = /** @type {CopiedEvent} */ (/** @type {unknown} */ ({ markets_by_bookmaker: [] }));
			this.set(id, mine);
		}
		Object.assign(mine, event, { bookmakers });
		for (const { external_event_id, has_odds, ...fields } of bookmakers) Object.assign(bookmakerOf(mine, fields.bookmaker_slug), fields);
	}
}

/** @param {string} market @param {number | null} line @param {string | null} promotion @param {string} at @returns {CopiedMarket} */
function newEntry(market, line, promotion, at) {
	const times = { unavailable_since: null, last_seen_at: at, source_changed_at: null };
	return { betpawa_market_id: market, line, promotion, outcomes: [], available: true, ...times };
}

/** A bookmaker's part of an event; made if there is none. @param {CopiedEvent} event @param {string} slug */
function bookmakerOf(event, slug) {
	let found = event.markets_by_bookmaker.find((each) => each.bookmaker_slug === slug);
	if (!found) event.markets_by_bookmaker.push((found = { bookmaker_slug: slug, available: true, reversed: false, late: false, markets: [] }));
	return found;
}

/**
 * A market and line at one bookmaker: its own offer, or the further one with a promotion.
 *
 * @type {typeof import("./copy.js").entryOf}
 */
export function entryOf(markets, market, line, further = null) {
	return markets.find((each) => each.betpawa_market_id === market && each.line === line && each.promotion === further);
}
