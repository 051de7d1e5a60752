/** The live table of events: visible rows are fetched again and patched in place. */
import { aging, byId, load, localise, number, paced, patchPrices, setText, tickAges } from "./page.js";

const MOST_ROWS = 60;
const PACE_MS = 400;
const idOf = (row) => row.id.slice(1);

export class Grid {
	#root = byId("grid");
	#rows = byId("rows");
	#stale = new Set();
	#inSight = new Set();
	#sight = new IntersectionObserver(
		(entries) => {
			for (const { isIntersecting, target } of entries) this.#inSight[isIntersecting ? "add" : "delete"](target);
			tickAges();
			if (this.#stale.size) this.#pump();
		},
		{ rootMargin: "300px 0px" },
	);
	#pump = paced(() => this.#freshen(), PACE_MS);
	#relist = paced(() => this.list(), 1500);

	/** `query` selects the rows, with the parameters of the odds page. */
	constructor(live, query) {
		this.query = query;
		aging.roots = () => this.#inSight;
		aging.oldAfter = this.#root.dataset.staleAfter * 1000;
		for (const row of this.#rows.children) this.#sight.observe(row);
		live.addEventListener("odds_update", ({ detail: { data } }) => this.#changed(data.event_ids));
		live.addEventListener("gap", () => this.staleAll());
		document.addEventListener("visibilitychange", this.#pump);
		// Prices that were seen again unchanged are not announced.
		setInterval(() => this.staleAll(), 30_000);
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
		this.#pump();
		if (this.#hasRoom) this.#relist();
	}

	#changed(ids) {
		let isUnknown = false;
		for (const id of ids) {
			if (byId(`e${id}`)) this.#stale.add(String(id));
			else isUnknown = true;
		}
		if (isUnknown && this.#hasRoom) this.#relist();
		if (this.#stale.size) this.#pump();
	}

	async #freshen() {
		const wanted = [...this.#inSight].map(idOf).filter((id) => this.#stale.has(id));
		if (document.hidden || !wanted.length) return;
		const ids = wanted.slice(0, MOST_ROWS);
		for (const id of ids) this.#stale.delete(id);
		const { market, line } = this.#root.dataset;
		const found = await load(`/odds/rows?ids=${ids.join()}&market=${market}&line=${line}`);
		if (found) this.#patch(found);
		else for (const id of ids) this.#stale.add(id);
		if (!found || wanted.length > ids.length) this.#pump();
	}

	#patch(found) {
		byId("freshness")?.replaceWith(found.getElementById("freshness"));
		const pairs = [...found.querySelectorAll(".r")].map((fresh) => [byId(fresh.id), fresh]).filter(([old]) => old);
		tickAges(pairs.map(([, fresh]) => fresh));
		const prices = (side) => pairs.flatMap((pair) => [...pair[side].querySelectorAll(".p")]);
		patchPrices(prices(0), prices(1));
		for (const [old, fresh] of pairs) patchRest(old, fresh);
	}

	/** Show a page of the list. Rows already shown keep their elements. */
	async list() {
		const found = await load(`/odds/rows?${this.query}`);
		if (!found) return;
		this.#patch(found);
		const fresh = [...found.querySelectorAll(".r")];
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
		const query = new URLSearchParams(this.query);
		query.set("page", page);
		const found = await load(`/odds/rows?${query}`);
		if (!found) return;
		for (const row of [...found.querySelectorAll(".r")]) if (!byId(row.id)) this.#rows.append(this.#adopt(row));
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

	#adopt(row) {
		localise(row);
		tickAges([row]);
		this.#sight.observe(row);
		return row;
	}

	#drop(row) {
		this.#sight.unobserve(row);
		this.#inSight.delete(row);
		this.#stale.delete(idOf(row));
		row.remove();
	}
}

function patchRest(old, fresh) {
	for (const part of [".g", ".g b", ".meta", ".b", ".m"]) {
		const from = fresh.querySelectorAll(part);
		old.querySelectorAll(part).forEach((element, place) => {
			const now = from[place];
			if (element.className !== now.className) element.className = now.className;
			if (part !== ".g" && element.innerHTML !== now.innerHTML) element.innerHTML = now.innerHTML;
		});
	}
	const [was, is] = [old, fresh].map((row) => row.querySelector(".k time"));
	if (was.dateTime === is.dateTime) return;
	localise(fresh);
	was.replaceWith(is);
}
