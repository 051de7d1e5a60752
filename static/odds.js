/** The odds page: filters without reloading, endless scrolling, live prices, and shortcuts. */
import { Grid } from "./grid.js";
import { all, byId, connect, load, number, setText } from "./page.js";

const form = byId("filter");
const news = byId("news");
const choice = document.querySelector("#choose ol");
const isTicked = (item) => item?.querySelector("input").checked ?? false;
/** The chosen bookmakers, comma-separated; empty if they are all of them in their own order, which is no choice. */
const chosen = () => {
	const slugs = all("input:checked", choice).map(({ value }) => value);
	return slugs.join() === choice.dataset.bookmakers ? "" : slugs.join();
};
const asked = () => {
	const query = new URLSearchParams([...new FormData(form)].filter(([name, value]) => value && name !== "bookmakers" && !(name === "min_bookmakers" && value === "1")));
	if (chosen()) query.set("bookmakers", chosen());
	return query;
};
const address = (query) => `?${query}`.replaceAll("%2C", ",");

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
		for (const [name, value] of new URL(link.href).searchParams) if (name === "market" || name === "line") query.set(name, value);
		link.href = address(query);
	}
	if (query.get("bookmakers") !== before && !(await showColumns(query))) return;
	await grid.list();
	more();
}

/** Show other columns. Returns false if the reader has chosen something else meanwhile. */
async function showColumns(query) {
	keep(query.get("bookmakers"));
	const found = await load(`odds?${query}`);
	if (query !== grid.query) return false;
	// Without the columns, no row would fit.
	if (!found) return void location.reload();
	grid.choose(found);
	for (const id of ["least", "chosen"]) byId(id).replaceWith(found.getElementById(id));
	return true;
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
form.addEventListener("input", () => {
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

document.addEventListener("keydown", (event) => {
	const { key, target } = event;
	if (event.altKey || event.ctrlKey || event.metaKey || target.matches("input, select")) return;
	const way = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[key];
	const next = key === "/" ? byId("search") : way && target.closest(".rows .r")?.[way]?.querySelector("a");
	if (!next) return;
	event.preventDefault();
	next.focus();
});
