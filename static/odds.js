/** The odds page: filters without reloading, endless scrolling, live prices, and shortcuts. */
import { Grid } from "./grid.js";
import { all, byId, connect, load, number } from "./page.js";

const form = byId("filter");
const news = byId("news");
const asked = () => new URLSearchParams([...new FormData(form)].filter(([name, value]) => value && !(name === "min_bookmakers" && value === "1")));

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
	grid.query = asked();
	page = 1;
	history.replaceState(null, "", `?${grid.query}`);
	for (const link of all(".switch a")) {
		const query = new URLSearchParams(grid.query);
		for (const [name, value] of new URL(link.href).searchParams) if (name === "market" || name === "line") query.set(name, value);
		link.href = `?${query}`;
	}
	await grid.list();
	more();
}

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
