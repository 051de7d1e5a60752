/** The odds page: filters without reloading, endless scrolling, and live prices. */
import { Grid } from "./grid.js";
import { all, byId, connect, load, number, setText } from "./page.js";
import { reader } from "./reader.js";

const form = byId("filter");
const news = byId("news");
const choice = document.querySelector("#choose ol");
const isTicked = (item) => item?.querySelector("input").checked ?? false;
/** The chosen bookmakers, comma-separated; empty if they are all of them in their own order, which is no choice. */
const chosen = () => {
	const slugs = all("input:checked", choice).map(({ value }) => value);
	return slugs.join() === choice.dataset.bookmakers ? "" : slugs.join();
};
/** What says nothing in an address. */
const usual = { min_bookmakers: "1", date: "all", sort: "kickoff" };
const asked = () => {
	const isNews = ([name, value]) => value && name !== "bookmakers" && usual[name] !== value && (name !== "tz" || days.value !== "all");
	const query = new URLSearchParams([...new FormData(form)].filter(isNews));
	if (chosen()) query.set("bookmakers", chosen());
	return query;
};
const address = (query) => `?${query}`.replaceAll("%2C", ",");

const days = byId("date");
/** Mean days in the zone in which times are shown. Returns whether that is another one now. */
function takeZone() {
	const zone = reader.zone || new Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
	const isOther = byId("tz").value !== zone;
	byId("tz").value = zone;
	setText(byId("days-in"), zone.replaceAll("_", " "));
	return isOther;
}
// An address that names days has the zone that they are meant in.
if (days.value === "all") takeZone();
document.addEventListener("preferred", () => takeZone() && days.value !== "all" && show());

const live = connect([]);
const grid = new Grid(live, asked());
let page = Number(new URLSearchParams(location.search).get("page") || 1);

live.addEventListener("scrape_progress", async ({ detail: { data } }) => {
	if (data.mode === "sweep" || (data.phase !== "completed" && data.phase !== "failed")) return;
	grid.staleAll();
	if (data.platform !== null) return;
	// Offer the changed list instead of letting the page jump.
	const total = (await load(`odds/rows?${grid.query}`))?.querySelector("[data-total]").dataset.total;
	news.hidden = !total || number(total) === byId("total").textContent;
});

news.addEventListener("click", () => {
	news.hidden = true;
	show();
	scrollTo({ top: 0 });
});

async function show() {
	const before = grid.query.get("bookmakers");
	const query = (grid.query = asked());
	page = 1;
	history.replaceState(null, "", address(query));
	for (const link of all(".switch a")) {
		const query = new URLSearchParams(grid.query);
		query.delete("line");
		for (const [name, value] of new URL(link.href).searchParams) if (name === "market" || name === "line") query.set(name, value);
		link.href = address(query);
	}
	const loading = load(`odds?${query}`).then((found) => found && query === grid.query && renew(found));
	if (query.get("bookmakers") !== before && !(await showColumns(query, loading))) return;
	await grid.list();
	more();
}

/** Show what another page says of its filters. Returns that page. */
function renew(found) {
	for (const id of ["chips", "nothing", "export-links", "placed-count", "place-list"]) {
		const part = byId(id);
		if (!part.contains(document.activeElement)) part.replaceWith(found.getElementById(id));
	}
	find();
	return found;
}

/** Show other columns. Returns false if the reader has chosen something else meanwhile. */
async function showColumns(query, loading) {
	keep(query.get("bookmakers"));
	const found = await loading;
	if (query !== grid.query) return false;
	// Without the columns, no row would fit.
	if (!found) return void location.reload();
	grid.choose(found);
	for (const id of ["least", "chosen"]) byId(id).replaceWith(found.getElementById(id));
	return true;
}

/** Show the competitions and countries whose names have the words that the reader looks for. */
const finder = byId("find-place");
finder.parentElement.hidden = false;
function find() {
	const words = finder.value.trim().toLowerCase();
	const has = (label) => label.querySelector("bdi").textContent.toLowerCase().includes(words);
	for (const group of all("fieldset", byId("place-list"))) {
		const [country, ...others] = all("label", group);
		for (const each of others) each.hidden = !has(country) && !has(each);
		group.hidden = !has(country) && others.every(({ hidden }) => hidden);
	}
}

/** Keep a choice for the next visit: static/choice.js. */
function keep(bookmakers) {
	try {
		if (bookmakers) localStorage.setItem("bookmakers", bookmakers);
		else localStorage.removeItem("bookmakers");
	} catch {} // the browser keeps nothing for this site; the address still has it
}

choice.addEventListener("change", ({ target }) => {
	const items = all("li", choice);
	if (!items.some(isTicked)) for (const each of all("input", choice)) each.checked = true;
	choice.append(...items.filter(isTicked), ...items.filter((item) => !isTicked(item)));
	target.focus();
});
choice.addEventListener("click", (event) => {
	const button = event.target.closest("button");
	if (!button) return;
	event.preventDefault();
	const item = button.closest("li");
	const [before, after] = [item.previousElementSibling, item.nextElementSibling];
	// The neighbour moves: the button would lose the focus.
	if (button.name === "earlier") before && item.after(before);
	else if (isTicked(after)) item.before(after);
	const ticked = all("li", choice).filter(isTicked);
	setText(byId("placed"), `${item.querySelector(".name").textContent} is ${ticked.indexOf(item) + 1} of ${ticked.length}`);
	show();
});

let typing = 0;
form.addEventListener("input", ({ target }) => {
	if (target === finder) return find();
	clearTimeout(typing);
	typing = setTimeout(show, 250);
});
form.addEventListener("submit", (event) => {
	event.preventDefault();
	clearTimeout(typing);
	show();
});

// Load rows before the reader reaches the end. Links are for browsers without scripts.
const end = document.createElement("p");
byId("grid").after(end);
byId("pages")?.setAttribute("hidden", "");
let isLoading = false;
async function more() {
	if (isLoading || page >= grid.pages || end.getBoundingClientRect().top > innerHeight + 1500) return;
	isLoading = true;
	await grid.append(++page);
	isLoading = false;
	requestAnimationFrame(more);
}
new IntersectionObserver(more, { rootMargin: "1500px" }).observe(end);
