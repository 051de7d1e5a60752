/** Prices on a page, computed from a copy as routes/pages/odds.py does for the first paint. */
import { entryOf } from "./copy.js";
import { oddsText } from "./reader.js";

export { oddsText };

const PROMOTIONS = {
	one_up: ["1UP", "one goal up pays early"],
	two_up: ["2UP", "two goals up pays early"],
	boosted: ["boost", "boosted price"],
};
export const wordsOf = (promotion) => PROMOTIONS[promotion]?.[1] ?? promotion.replaceAll("_", " ");
const PERKS = [null, "one_up", "two_up"];

const isPrice = (outcome) => outcome?.is_active && outcome.odds > 1;
const isComparable = (outcome) => isPrice(outcome) && PERKS.includes(outcome.promotion);
const PAYS_NOTHING = 1000; // suspended prices have such odds
const thousandths = (odds) => Math.round(odds * 1000);

/** The margin of a full set of odds, in percent. */
const marginOf = (odds, winners) => Number(((odds.reduce((sum, each) => sum + 1000 / thousandths(each), 0) / winners - 1) * 100).toFixed(2));

/** One decimal. The server rounds halves to the even digit. */
export const percent = (value) => `${(Math.abs(4 * value) % 2 === 1 ? (2 * Math.round(5 * value)) / 10 : value).toFixed(1)}%`;

/** The bookmakers that a part of the page shows, in the order of its columns. */
export const columnsOf = ({ dataset }) => dataset.bookmakers.split(",");

/** The part of a filter for live odds that selects them, if they were chosen. */
export const platformsOf = (root) => root.dataset.choice && { platform: columnsOf(root) };

/**
 * A market and line of an event at the bookmakers `slugs`. `winners` is the number of outcomes that win at once, 0 if
 * nothing may be compared. Returns a cell for each bookmaker, and the margin of the best prices or null.
 */
export function compare(event, { market, line, further = null, names, winners, slugs }) {
	const books = slugs.map((slug) => event.markets_by_bookmaker.find((each) => each.bookmaker_slug === slug));
	const rows = books.map((book) => {
		const offer = book && entryOf(book.markets, market, line, further);
		return { book, offer, outcomes: names.map((name) => offer?.outcomes.find((each) => each.name === name)) };
	});
	const sides = winners ? books.filter((book) => book?.available && !book.reversed) : [];
	const early = sides.filter((book) => !book.late);
	const compared = early.length ? early : sides;
	const best = names.map((_, place) => {
		const odds = rows.filter(({ book }) => compared.includes(book)).map(({ outcomes }) => outcomes[place]);
		const here = odds.filter(isComparable).map((each) => each.odds);
		return here.length > 1 ? Math.max(...here) : null;
	});
	const isSet = (odds) => winners && names.length > 1 && !odds.includes(null);
	const cells = rows.map(({ book, offer, outcomes }) => {
		const odds = outcomes.map((each) => (isComparable(each) ? each.odds : null));
		return {
			state: !book ? "absent" : book.available ? "listed" : "gone",
			flags: book ? book.reversed + book.late : 0,
			canAge: outcomes.some((each) => each?.available),
			seenAt: offer?.last_seen_at ?? book?.snapshot_time,
			margin: book?.available && isSet(odds) ? marginOf(odds, winners) : null,
			prices: outcomes.map((each, place) => {
				if (!each) return { value: 0, state: "none" };
				return {
					value: thousandths(each.odds),
					state: !each.available ? "gone" : isPrice(each) ? "active" : "suspended",
					isBest: compared.includes(book) && isComparable(each) && each.odds === best[place],
					since: each.changed_at,
					promotion: further ? null : each.promotion,
				};
			}),
		};
	});
	return { cells, best: isSet(best) ? marginOf(best, winners) : null };
}

/** `Sun 22 Nov 10:00:00 UTC` */
const utc = (at) => new Date(at).toUTCString().replace(/,? 0?(\d+ \w+) \d+ (\S+) GMT/, " $1 $2 UTC");

export const made = (name, values, ...parts) => {
	const element = Object.assign(document.createElement(name), values);
	element.append(...parts);
	return element;
};
const hidden = (text) => made("span", { className: "vh" }, text);

/** The mark of a promotion, as in parts.html. */
export function promo(promotion) {
	const [mark, words] = PROMOTIONS[promotion] ?? ["promo", `the bookmaker’s “${wordsOf(promotion)}”`];
	const title = words + (PERKS.includes(promotion) ? "" : ", not compared");
	return made("abbr", { className: "promo", title }, mark, hidden(`: ${title}`));
}

/** Show a price in its element. If it moved, the element and the direction go to `moved`. Returns whether it differed. */
export function show(element, { value, state, isBest, since, promotion }, moved) {
	const key = [value, state, isBest, since, promotion].join();
	if (element.shown === key) return false;
	element.shown = key;
	const className = `p ${state}${isBest ? " best" : ""}`;
	const title = since ? `${state} since ${utc(since)}` : "";
	const text = value > PAYS_NOTHING ? oddsText(value / 1000) : "–";
	const mark = promotion && promo(promotion);
	const before = Number(element.dataset.v);
	const isAlike = element.className === className && element.querySelector("abbr")?.title === mark?.title;
	if (before > PAYS_NOTHING && value > PAYS_NOTHING && before !== value) moved.push([element, value > before ? "up" : "down"]);
	element.title = title;
	element.dataset.v = value;
	const label = element.querySelector("small");
	const differs = !isAlike || before !== value;
	if (isAlike && !mark) return ((label?.nextSibling ?? element.firstChild).data = text), differs;
	element.className = className;
	const word = isBest ? "best" : state === "suspended" || state === "gone" ? state : "";
	const off = word === "suspended" ? [made("span", { className: "off", ariaHidden: "true" }, "susp.")] : [];
	element.replaceChildren(...(label ? [label] : []), text, ...off, ...(word ? [hidden(` ${word}`)] : []), ...(mark ? [" ", mark] : []));
	return differs;
}

/** Prices that moved get a mark that fades. */
export function markMoved(moved) {
	if (!moved.length) return;
	const at = performance.now();
	for (const [price, way] of moved) {
		price.dataset.move = way;
		price.movedAt = at;
	}
	setTimeout(() => moved.forEach(([price]) => price.movedAt === at && delete price.dataset.move), 8000);
}
