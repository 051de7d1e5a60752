/** One event: live prices, market search, the chart of one market's history, and refresh on request. */
import { drawChart } from "./chart.js";
import { byId, connect, load, localise, paced, patchPrices } from "./page.js";

const eventId = Number(byId("event").dataset.event);
const live = connect(["odds_updates"], [eventId]);
const find = byId("find");
let outcome = "";

live.addEventListener("odds_update", ({ detail: { data } }) => data.event_ids.includes(eventId) && !document.hidden && renew());
live.addEventListener("gap", () => renew());
document.addEventListener("visibilitychange", () => document.hidden || renew());

const shape = (root) => [...root.querySelectorAll(".market, .market tbody, .margins")].map((each) => [each.dataset.market ?? each.dataset.line, each.dataset.promotion, each.rows?.length]).join();

const renew = paced(async () => {
	const found = await load(location.href);
	if (!found) return;
	if (shape(document) === shape(found)) {
		const all = (what) => [document, found].map((root) => [...root.querySelectorAll(what)]);
		const [times, freshTimes] = all(".market .p + time, .margins td");
		if (times.length === freshTimes.length) times.forEach((time, place) => time.replaceWith(freshTimes[place]));
		patchPrices(...all(".market .p"));
	} else {
		byId("markets").replaceChildren(...found.getElementById("markets").children);
		search();
	}
	byId("sources").replaceWith(found.getElementById("sources"));
	swapHistory(found);
}, 1000);

function swapHistory(found) {
	localise(found);
	const part = (what) => [document, found].map((root) => root.querySelector(`#history ${what}`));
	const [title, newTitle] = part("h2");
	title.replaceWith(newTitle);
	const [table, newTable] = part("details");
	table.replaceChildren(...newTable.childNodes);
	const [chart, newChart] = part("#chart");
	Object.assign(chart.dataset, newChart.dataset);
	chartNow();
}

async function chartNow() {
	const chart = byId("chart");
	chart.hidden = false;
	const { market, line, promotion } = chart.dataset;
	const asked = new URLSearchParams({ market, ...(line && { line }), ...(promotion && { promotion }) });
	const response = await fetch(`/api/events/${eventId}/history?${asked}`).catch(() => null);
	if (!response?.ok) return;
	const past = await response.json();
	const names = [...new Set(past.bookmakers.flatMap((each) => each.history.flatMap((point) => point.outcomes.map((one) => one.name))))];
	if (!names.includes(outcome)) outcome = names[0] ?? "";
	const group = byId("history-outcomes");
	const hadFocus = group.contains(document.activeElement);
	const buttons = names.map((name) => Object.assign(document.createElement("button"), { type: "button", textContent: name }));
	const choose = (name) => {
		outcome = name;
		for (const each of buttons) each.setAttribute("aria-pressed", each.textContent === name);
		drawChart(chart, past, name);
	};
	for (const button of buttons) button.addEventListener("click", () => choose(button.textContent));
	group.hidden = !names.length;
	group.replaceChildren(...buttons);
	choose(outcome);
	if (hadFocus) buttons[names.indexOf(outcome)]?.focus();
}

byId("markets").addEventListener("click", async (event) => {
	const link = event.target.closest("a");
	if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
	event.preventDefault();
	outcome = link.dataset.outcome;
	history.replaceState(null, "", link.href);
	const found = await load(link.href);
	if (found) swapHistory(found);
	byId("history").scrollIntoView();
});

function search() {
	const spell = (_, side, digit) => `${side === "o" ? "over" : "under"} ${digit}`;
	const words = find.value.toLowerCase().replace(/\b([ou])(\d)/g, spell).split(/\s+/).filter(Boolean);
	const isShown = (part) => !part.hidden;
	const groups = [...document.querySelectorAll(".group")];
	for (const group of groups) {
		const tables = [...group.querySelectorAll(".market")];
		for (const table of tables) {
			for (const body of table.tBodies) {
				const names = [...body.querySelectorAll("a")].map((link) => link.textContent).join(" ");
				const text = `${group.dataset.group} ${table.caption.textContent} ${names}`.toLowerCase();
				body.hidden = !words.every((word) => text.includes(word));
			}
			table.hidden = ![...table.tBodies].some(isShown);
		}
		group.hidden = !tables.some(isShown);
	}
	byId("nothing").textContent = groups.some(isShown) ? "" : "No market contains all these words.";
}

find.closest("p").hidden = false;
find.addEventListener("input", search);
document.addEventListener("keydown", (event) => {
	if (event.key !== "/" || event.target === find) return;
	event.preventDefault();
	find.focus();
});

const refresh = byId("refresh");
refresh.hidden = false;
refresh.addEventListener("click", async () => {
	const said = byId("refresh-said");
	refresh.disabled = true;
	said.textContent = "Fetching…";
	const response = await fetch(`/api/events/${eventId}/refresh`, { method: "POST" }).catch(() => null);
	const answer = await response?.json().catch(() => null);
	const bad = answer?.platform_results?.find((each) => each.error);
	said.textContent = response?.ok ? (bad?.error ?? "Fetched.") : (answer?.detail ?? "No response from the server.");
	refresh.disabled = false;
	renew();
});
chartNow();
