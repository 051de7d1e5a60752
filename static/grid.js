/** The live table of events. Prices on the screen follow a copy; rows are fetched for what is not announced. */
import { aging, all, byId, framed, load, localise, number, paced, setText, sliced, tickAges } from "./page.js";
import { columnsOf, compare, platformsOf, markMoved, percent, show } from "./prices.js";

const MOST_ROWS = 60;
const MOST_WATCHED = 100;
/** What drawing a row did. */
const [SAME, DRAWN] = [1, 2];
/** A row of templates/row.html: its kick-off and match, its id, and its other cells. */
const ROW = /(<div role="row" class="r" id="(e\d+)">(?:(?!<\/div>)[^])*?)(<span role="cell" class="g [^]*?)(?=<\/div>)/g;
const idOf = (row) => row.id.slice(1);

export class Grid {
	#root = byId("grid");
	#shown;
	#parts = byId("rows"); // each page of the list is a part of its own: the browser lays out those near
	#rows = this.#parts.getElementsByClassName("r");
	#stale = new Set();
	#inSight = new Set();
	#unlisted = new Set(); // not in the list when it was last fetched
	#gone = new Set(); // left out because nobody lists them any more: they may come back
	#far = new WeakSet(); // parts that the browser does not lay out
	#parked = new WeakMap(); // the cells of their rows, as HTML
	#sight = new IntersectionObserver(
		(entries) => {
			for (const { isIntersecting, target } of entries) {
				this.#inSight[isIntersecting ? "add" : "delete"](target);
				if (isIntersecting) this.#fill(target);
			}
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
		for (const row of this.#rows) this.#sight.observe(row);
		this.#parts.addEventListener("contentvisibilityautostatechange", ({ target, skipped }) => {
			if (!target.matches(".part")) return;
			this.#far[skipped ? "add" : "delete"](target);
			skipped ? this.#park(target) : this.#unpark(target);
		});
		addEventListener("beforeprint", () => [...this.#rows].forEach((row) => this.#fill(row)));
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
		return this.#rows.length < Number(this.query.get("page_size") || 50);
	}

	/** Mark every row as stale: it may have changed. */
	staleAll() {
		for (const row of this.#rows) this.#stale.add(idOf(row));
		this.#unlisted.clear();
		this.#pump();
		if (this.#hasRoom) this.#relist();
	}

	#hide(row) {
		this.#sight.unobserve(row);
		this.#inSight.delete(row);
	}

	/**
	 * Keep the cells of rows that the browser does not lay out as text. A collection of garbage visits every node of a
	 * page, in one go: with those of a thousand rows it would hold the page for some 200 ms. The match stays, to be found.
	 */
	#park(part) {
		for (const row of part.children) this.#hide(row);
		if (!part.previousElementSibling || [...part.children].every((row) => this.#parked.has(row))) return;
		// The layout of an element that is not laid out again keeps what it was made of, so this takes another one.
		const other = part.cloneNode();
		other.style.containIntrinsicHeight = `auto ${part.offsetHeight}px`;
		for (const row of part.children) {
			const [kickoff, match, ...cells] = row.children;
			for (const price of all("[data-move]", row)) delete price.dataset.move;
			const far = row.cloneNode();
			far.append(kickoff.cloneNode(true), match.cloneNode(true));
			this.#parked.set(far, this.#parked.get(row) ?? cells.map((cell) => cell.outerHTML).join(""));
			other.append(far);
		}
		part.replaceWith(other);
	}

	#unpark(part) {
		// What a row costs is mostly its layout, which comes with the frame.
		return sliced([...part.children], 2, (row) => {
			if (this.#far.has(part)) return;
			this.#fill(row);
			this.#sight.observe(row);
		});
	}

	#fill(row) {
		if (!this.#parked.has(row)) return;
		row.insertAdjacentHTML("beforeend", this.#parked.get(row));
		this.#parked.delete(row);
		// The reader may have chosen another form of odds since.
		this.#ready(row, true);
	}

	#watchRows() {
		const rows = [...this.#rows];
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
		await sliced(ids, 6, (id) => {
			const row = byId(`e${id}`);
			if (!row) return;
			if (this.#isGone(id)) return this.#leaveOut(row, id);
			const drawn = this.#drawRow(row, moved);
			if (drawn !== SAME) this.#stale.add(idOf(row));
			isTorn ||= !drawn;
		});
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
	#load(query, change) {
		const asked = new URLSearchParams(query);
		if (!asked.get("bookmakers")) asked.set("columns", this.#root.dataset.bookmakers);
		return load(`odds/rows?${asked}`, change);
	}

	async #freshen() {
		const wanted = [...this.#inSight].map(idOf).filter((id) => this.#stale.has(id));
		if (document.hidden || !wanted.length) return;
		const ids = wanted.slice(0, MOST_ROWS);
		for (const id of ids) this.#stale.delete(id);
		const { market, line, choice = "" } = this.#root.dataset;
		const { query } = this;
		const found = await this.#load({ ids, market, ...(line && { line }), bookmakers: choice });
		if (found && query === this.query) await this.#patch(found);
		else for (const id of ids) this.#stale.add(id);
		if (!found || wanted.length > ids.length) this.#pump();
	}

	/** Show fetched rows where they stand already. `found` stays whole. */
	async #patch(found) {
		byId("freshness")?.replaceWith(found.getElementById("freshness"));
		const moved = [];
		await sliced(all(".r", found), 6, (fresh) => {
			const old = byId(fresh.id);
			if (!old) return;
			const drawn = this.#drawRow(old, moved);
			// The copy is newer than what was fetched, and so is what prices are worth.
			if (drawn === DRAWN) this.#stale.add(idOf(old));
			if (drawn) {
				const [times, news] = [old, fresh].map((row) => all(".meta time", row));
				times.forEach((time, place) => (time.dateTime = news[place]?.dateTime ?? time.dateTime));
				const [worth, now] = [old, fresh].map((row) => row.querySelector(".f"));
				localise(now);
				if (!worth.isEqualNode(now)) worth.replaceWith(now.cloneNode(true));
				tickAges([old]);
				return;
			}
			const hadFocus = old.contains(document.activeElement);
			this.#parked.delete(old);
			old.replaceChildren(...this.#ready(fresh).cloneNode(true).childNodes);
			if (hadFocus) old.querySelector("a").focus({ preventScroll: true });
		});
		markMoved(moved);
		if (this.#stale.size) this.#follow();
	}

	/** Show a page of the list. Rows already shown keep their elements. */
	async list() {
		const { query } = this;
		const found = await this.#load(query);
		// What was asked for before the reader chose something else is late.
		if (!found || query !== this.query) return;
		await this.#patch(found);
		if (query !== this.query) return;
		const fresh = all(".r", found);
		const [part] = this.#parts.children;
		let place = part.firstElementChild;
		for (const row of fresh) {
			const here = byId(row.id) ?? this.#adopt(row);
			if (here === place) place = place.nextElementSibling;
			else part.insertBefore(here, place);
		}
		const kept = new Set(fresh.map((row) => row.id));
		for (const row of [...this.#rows]) if (!kept.has(row.id)) this.#drop(row);
		this.#counted(found);
	}

	/** Append a page. Its rows are parked: without their cells, no document of all of them is built. */
	async append(page) {
		const { query } = this;
		const cells = new Map();
		const found = await this.#load([...query, ["page", page]], (html) => html.replace(ROW, (_, start, id, rest) => (cells.set(id, rest), start)));
		if (!found || query !== this.query) return;
		const part = this.#parts.firstElementChild.cloneNode();
		for (const row of all(".r", found)) {
			if (byId(row.id)) continue;
			if (cells.has(row.id)) this.#parked.set(row, cells.get(row.id));
			part.append(this.#adopt(row));
		}
		part.style.setProperty("--size", part.childElementCount);
		if (part.firstChild) this.#parts.append(part);
		this.#counted(found);
	}

	#counted(found) {
		const { total, pages } = found.querySelector("[data-total]").dataset;
		this.#root.dataset.pages = pages;
		setText(byId("total"), number(total));
		const empty = this.#root.querySelector(".empty");
		empty.hidden = this.#rows.length > 0;
		setText(empty, "No events here. Nothing matches.");
	}

	/** Make a fetched row ready to be shown; `withOdds` as in `localise`. The copy may be newer. */
	#ready(row, withOdds) {
		localise(row, withOdds);
		tickAges([row]);
		if (this.#drawRow(row, []) === DRAWN) this.#stale.add(idOf(row));
		return row;
	}

	#adopt(row) {
		this.#gone.delete(Number(idOf(row)));
		this.#sight.observe(row);
		return this.#ready(row);
	}

	#drop(row) {
		this.#hide(row);
		this.#stale.delete(idOf(row));
		const part = row.parentElement;
		row.remove();
		if (!part.firstElementChild && part.previousElementSibling) part.remove();
	}
}
