/** The live table of events. Prices on the screen follow a copy; rows are fetched for what is not announced. */
import { aging, all, byId, frame, framed, load, localise, number, paced, setText, tickAges } from "./page.js";
import { columnsOf, compare, platformsOf, markMoved, percent, show } from "./prices.js";

const MOST_ROWS = 60;
const MOST_WATCHED = 100;
/** What drawing a row did. */
const [SAME, DRAWN] = [1, 2];
const idOf = (row) => row.id.slice(1);

export class Grid {
	#root = byId("grid");
	#shown;
	#rows = byId("rows");
	#stale = new Set();
	#inSight = new Set();
	#unlisted = new Set(); // not in the list when it was last fetched
	#gone = new Set(); // left out because nobody lists them any more: they may come back
	#sight = new IntersectionObserver(
		(entries) => {
			for (const { isIntersecting, target } of entries) this.#inSight[isIntersecting ? "add" : "delete"](target);
			tickAges();
			this.#watchSight();
			if (this.#stale.size) this.#pump();
		},
		{ rootMargin: "300px 0px" },
	);
	#pump = paced(() => this.#freshen(), 400);
	#relist = paced(() => this.list(), 1500);
	#follow = paced(() => this.#freshen(), 1000);
	#watch = null;
	#watched = new Set();
	#changed = new Set();
	#draw = framed(() => this.#drawChanged());
	#watchSight = paced(() => this.#watchRows(), 500);

	/** `query` selects the rows, with the parameters of the odds page. */
	constructor(live, query) {
		this.query = query;
		this.live = live;
		const { marketId, winners, names, line } = this.#root.dataset;
		this.#shown = { market: marketId, line: line ? Number(line) : null, names: names.split("|"), winners: Number(winners), slugs: columnsOf(this.#root) };
		aging.roots = () => this.#inSight;
		aging.oldAfter = this.#root.dataset.staleAfter * 1000;
		for (const row of this.#rows.children) this.#sight.observe(row);
		for (const link of all(".switch [aria-current]")) link.scrollIntoView({ block: "nearest", inline: "center" });
		live.addEventListener("odds_update", ({ detail: { data } }) => {
			const news = data.event_ids.filter((id) => !byId(`e${id}`) && (!this.#unlisted.has(id) || this.#gone.has(id)));
			for (const id of news) this.#unlisted.add(id);
			if (news.length && this.#hasRoom) this.#relist();
		});
		live.addEventListener("gap", ({ detail }) => detail.reason !== "filter" && this.staleAll());
		document.addEventListener("visibilitychange", this.#pump);
		// Prices that were seen again unchanged are not announced.
		setInterval(() => this.staleAll(), 30_000);
	}

	/** Show the bookmakers of another page of odds. Its rows are not taken over: they come with the next list. */
	choose(page) {
		const [mine, other] = [this.#root, page.getElementById("grid")];
		for (const name of ["class", "data-bookmakers", "data-choice"]) {
			if (other.hasAttribute(name)) mine.setAttribute(name, other.getAttribute(name));
			else mine.removeAttribute(name);
		}
		localise(other);
		mine.querySelector(".grid-head").replaceWith(other.querySelector(".grid-head"));
		this.#shown.slugs = columnsOf(mine);
		// The copy does not have all of them.
		this.#watch?.close();
		this.#watch = null;
		this.#watched.clear();
		this.#watchSight();
	}

	get pages() {
		return Number(this.#root.dataset.pages);
	}

	/** Whether the first page has room for more rows. */
	get #hasRoom() {
		return this.#rows.childElementCount < Number(this.query.get("page_size") || 50);
	}

	/** Mark every row as stale: it may have changed. */
	staleAll() {
		for (const row of this.#rows.children) this.#stale.add(idOf(row));
		this.#unlisted.clear();
		this.#pump();
		if (this.#hasRoom) this.#relist();
	}

	#watchRows() {
		const rows = [...this.#rows.children];
		const isSeen = (row) => this.#inSight.has(row);
		const [first, last] = [rows.findIndex(isSeen), rows.findLastIndex(isSeen)];
		if (first < 0 || rows.slice(first, last + 1).every((row) => this.#watched.has(idOf(row)))) return;
		const around = Math.max(0, Math.min(15, (MOST_WATCHED - 1 - last + first) >> 1));
		const ids = rows.slice(Math.max(0, first - around), last + around + 1).slice(0, MOST_WATCHED).map(idOf);
		this.#watched = new Set(ids);
		const filter = { event_id: ids.map(Number), market: [this.#shown.market], ...platformsOf(this.#root) };
		if (this.#watch) return this.#watch.update(filter);
		this.#watch = this.live.watchOdds(filter);
		for (const name of ["image", "change", "event"])
			this.#watch.addEventListener(name, ({ detail: { events, event_id: id, change } }) => {
				for (const each of events ?? [{ id }]) this.#changed.add(each.id);
				this.#draw();
				if (change !== "removed") return;
				const row = byId(`e${id}`);
				if (row) this.#drop(row);
				if (this.#hasRoom) this.#relist();
			});
	}

	async #drawChanged() {
		const moved = [];
		let isTorn = false;
		const ids = [...this.#changed];
		this.#changed.clear();
		let end = performance.now() + 6;
		for (const id of ids) {
			if (performance.now() > end) {
				await frame();
				end = performance.now() + 6;
			}
			const row = byId(`e${id}`);
			if (row && this.#isGone(id)) {
				this.#leaveOut(row, id);
				continue;
			}
			const drawn = row && this.#drawRow(row, moved);
			if (row && drawn !== SAME) this.#stale.add(idOf(row));
			isTorn ||= row && !drawn;
		}
		markMoved(moved);
		// What prices are worth comes from the server, and may be a little later than the prices.
		if (isTorn) this.#pump();
		else if (this.#stale.size) this.#follow();
	}

	/** Whether none of the bookmakers shown lists an event any more, and the reader did not ask for such events. */
	#isGone(id) {
		const books = this.#watch?.copy.get(id)?.markets_by_bookmaker;
		const isListed = (slug) => books.some((each) => each.bookmaker_slug === slug && each.available);
		return books && this.query.get("gone") !== "1" && !this.#shown.slugs.some(isListed);
	}

	#leaveOut(row, id) {
		this.#gone.add(id);
		if (row.contains(document.activeElement)) (row.nextElementSibling ?? row.previousElementSibling)?.querySelector("a").focus({ preventScroll: true });
		this.#drop(row);
		if (this.#hasRoom) this.#relist();
	}

	#hasColumns(row) {
		const { slugs } = this.#shown;
		const parts = all(".g", row);
		return parts.length === slugs.length && parts.every((part, place) => part.classList.contains(slugs[place]));
	}

	/** Show what the copy has of a row. Returns 0 if the copy lacks something, SAME if there was nothing to draw. */
	#drawRow(row, moved) {
		const event = this.#watch?.copy.get(Number(idOf(row)));
		if (!event || !this.#hasColumns(row)) return 0;
		let drawn = SAME;
		const { cells, best } = compare(event, this.#shown);
		let isWhole = row.querySelector(".k time").dateTime === event.kickoff && row.querySelector(".m a").textContent === `${event.home_team} – ${event.away_team}`;
		all(".g", row).forEach((part, place) => {
			const cell = cells[place];
			all(".p", part).forEach((price, index) => show(price, cell.prices[index], moved) && (drawn = DRAWN));
			const meta = part.querySelector(".meta");
			const words = cell.margin !== null ? percent(cell.margin) : cell.state === "gone" ? "gone" : "–";
			if (meta.firstChild.data !== words) meta.firstChild.data = words;
			const time = meta.querySelector("time");
			if (time && cell.seenAt > time.dateTime) time.dateTime = cell.seenAt;
			isWhole &&= part.classList.contains(cell.state) && all(".flag", meta).length === cell.flags && !meta.querySelector(".old") === !cell.canAge;
		});
		const part = row.querySelector(".b");
		const isProfit = best !== null && best < 0;
		part.classList.toggle("value", isProfit);
		const words = isProfit ? `<small>profit</small> ${percent((-100 * best) / (100 + best))}` : best !== null ? percent(best) : '<span class="vh">no comparison</span>–';
		if (part.innerHTML !== words) part.innerHTML = words;
		tickAges([row]);
		return isWhole && drawn;
	}

	/** Fetch rows, with the columns of the page. */
	#load(query) {
		const asked = new URLSearchParams(query);
		if (!asked.get("bookmakers")) asked.set("columns", this.#root.dataset.bookmakers);
		return load(`odds/rows?${asked}`);
	}

	async #freshen() {
		const wanted = [...this.#inSight].map(idOf).filter((id) => this.#stale.has(id));
		if (document.hidden || !wanted.length) return;
		const ids = wanted.slice(0, MOST_ROWS);
		for (const id of ids) this.#stale.delete(id);
		const { market, line, choice = "" } = this.#root.dataset;
		const { query } = this;
		const found = await this.#load({ ids, market, ...(line && { line }), bookmakers: choice });
		if (found && query === this.query) this.#patch(found);
		else for (const id of ids) this.#stale.add(id);
		if (!found || wanted.length > ids.length) this.#pump();
	}

	#patch(found) {
		byId("freshness")?.replaceWith(found.getElementById("freshness"));
		const moved = [];
		for (const fresh of all(".r", found)) {
			const old = byId(fresh.id);
			if (!old) continue;
			if (this.#drawRow(old, moved)) {
				const [times, news] = [old, fresh].map((row) => all(".meta time", row));
				times.forEach((time, place) => (time.dateTime = news[place]?.dateTime ?? time.dateTime));
				const [worth, now] = [old, fresh].map((row) => row.querySelector(".f"));
				localise(now);
				if (!worth.isEqualNode(now)) worth.replaceWith(now);
				tickAges([old]);
				continue;
			}
			const hadFocus = old.contains(document.activeElement);
			old.replaceChildren(...this.#ready(fresh).childNodes);
			if (hadFocus) old.querySelector("a").focus({ preventScroll: true });
		}
		markMoved(moved);
	}

	/** Show a page of the list. Rows already shown keep their elements. */
	async list() {
		const { query } = this;
		const found = await this.#load(query);
		// What was asked for before the reader chose something else is late.
		if (!found || query !== this.query) return;
		this.#patch(found);
		const fresh = all(".r", found);
		let place = this.#rows.firstElementChild;
		for (const row of fresh) {
			const here = byId(row.id) ?? this.#adopt(row);
			if (here === place) place = place.nextElementSibling;
			else this.#rows.insertBefore(here, place);
		}
		const kept = new Set(fresh.map((row) => row.id));
		for (const row of [...this.#rows.children]) if (!kept.has(row.id)) this.#drop(row);
		this.#counted(found);
	}

	/** Append a page. */
	async append(page) {
		const { query } = this;
		const found = await this.#load([...query, ["page", page]]);
		if (!found || query !== this.query) return;
		for (const row of all(".r", found)) if (!byId(row.id)) this.#rows.append(this.#adopt(row));
		this.#counted(found);
	}

	#counted(found) {
		const { total, pages } = found.querySelector("[data-total]").dataset;
		this.#root.dataset.pages = pages;
		setText(byId("total"), number(total));
		const empty = this.#root.querySelector(".empty");
		empty.hidden = this.#rows.childElementCount > 0;
		setText(empty, "No events here. Nothing matches.");
	}

	/** Make a fetched row ready to be shown. The copy may be newer. */
	#ready(row) {
		localise(row);
		tickAges([row]);
		this.#drawRow(row, []);
		return row;
	}

	#adopt(row) {
		this.#gone.delete(Number(idOf(row)));
		this.#sight.observe(row);
		return this.#ready(row);
	}

	#drop(row) {
		this.#sight.unobserve(row);
		this.#inSight.delete(row);
		this.#stale.delete(idOf(row));
		row.remove();
	}
}
