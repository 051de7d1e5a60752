/** One event: live prices, market search, the history of one market, and refreshing. */
import { drawChart } from "./chart.js";
import { all, byId, connect, csrf, framed, load, localise, momentOf, paced, setText, tickAges } from "./page.js";
import { columnsOf, compare, made, markMoved, oddsText, percent, platformsOf, promo, show } from "./prices.js";

const root = byId("event");
const eventId = Number(root.dataset.event);
const slugs = columnsOf(root);
const live = connect(["odds"], { event_id: [eventId], market: "all", ...platformsOf(root) });
const { copy } = live.odds;
const find = byId("find");
let outcome = "";
let past = null; // what the chart shows
const redraw = framed(() => drawChart(byId("chart"), past, outcome));

const keyOf = (market, line, further) => `${market}|${line ?? ""}|${further ?? ""}`;
const changed = new Set(); // keys of tables' bodies; "all" for all of them
let isTorn = false; // a market or a row came or went

const tear = () => {
	isTorn = true;
	renew();
};
const drawChanged = framed(() => {
	const moved = [];
	if (!draw(changed, moved)) tear();
	changed.clear();
	markMoved(moved);
});
live.odds.addEventListener("change", ({ detail }) => {
	for (const { market_id: market, line, market_promotion: further, previous, available } of detail.changes) {
		changed.add(keyOf(market, line, further));
		if (further && (previous === null || !available)) tear();
	}
	note(detail);
	drawChanged();
});
live.odds.addEventListener("image", () => {
	changed.add("all");
	drawChanged();
});
for (const name of ["event", "gap"]) live.odds.addEventListener(name, tear);

/** Draw tables' bodies with these keys. Returns whether the page has the right bodies. */
function draw(keys, moved) {
	const event = copy.get(eventId);
	if (!event) return true;
	const missing = new Set(event.markets_by_bookmaker.flatMap(({ markets }) => markets.map((each) => keyOf(each.betpawa_market_id, each.line, each.promotion))));
	let isRight = true;
	for (const body of all(".market tbody")) {
		const { market, winners } = body.parentElement.dataset;
		const { line, promotion: further } = body.dataset;
		const key = keyOf(market, line, further);
		if (!missing.delete(key)) isRight = false;
		else if (keys.has(key) || keys.has("all")) drawBody(body, event, { market, line: line ? Number(line) : null, further, winners: further ? 0 : Number(winners), slugs }, moved);
	}
	return isRight && !missing.size;
}

function drawBody(body, event, shown, moved) {
	const margins = body.querySelector(".margins");
	const rows = [...body.rows].filter((row) => row !== margins);
	const names = rows.map((row) => row.querySelector("a").dataset.outcome);
	const { cells, best } = compare(event, { ...shown, names });
	cells.forEach(({ prices, margin }, column) => {
		prices.forEach((price, place) => {
			const cell = rows[place].cells[column + 1];
			const [element, time = made("time")] = cell.children;
			show(element, price, moved);
			if (!price.since) return time.remove();
			time.dateTime = price.since;
			time.dataset.form = "age";
			time.isConnected || cell.append(time);
		});
		const cell = margins?.cells[column + 1];
		if (margin !== null) setText(cell, percent(margin));
		else if (cell) cell.innerHTML = '<span class="vh">none</span>';
	});
	if (margins) {
		setText(margins.cells[0], best === null ? "margin" : `margin, best ${percent(best)}`);
		margins.hidden = cells.every(({ margin }) => margin === null);
	}
	tickAges([body]);
}

const renew = paced(async () => {
	const wasTorn = isTorn;
	isTorn = false;
	const found = document.hidden ? null : await load(location.href);
	if (!found) return void (isTorn ||= wasTorn);
	if (wasTorn) {
		byId("markets").replaceChildren(...found.getElementById("markets").children);
		draw(new Set(["all"]), []); // the copy may be newer
		search();
	}
	byId("sources").replaceWith(found.getElementById("sources"));
	swapHistory(found);
}, 1000);
document.addEventListener("visibilitychange", renew);
setInterval(renew, 30_000); // for ages, which are not announced

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

/** Add a change of the market whose history is shown. */
function note({ source, seen_at: at, changes }) {
	const { market, line, promotion } = byId("chart").dataset;
	const shown = keyOf(market, line);
	if (!past || !changes.some((each) => keyOf(each.market_id, each.line) === shown)) return;
	const isSource = (each) => each.bookmaker_slug === source;
	const mine = copy.get(eventId)?.markets_by_bookmaker.find(isSource)?.markets ?? [];
	const outcomes = mine
		.filter((each) => keyOf(each.betpawa_market_id, each.line) === shown && (promotion || !each.promotion))
		.flatMap((each) => each.outcomes.filter((one) => !promotion || one.promotion === promotion));
	const found = past.bookmakers.find(isSource);
	if (!found) return void chartNow();
	if (found.history.at(-1)?.confirmed) found.history.pop();
	found.history.push({ captured_at: at, outcomes, available: outcomes.some((each) => each.available) });
	redraw();
	const cells = all("#history th").map(({ textContent: name }, place) => {
		if (place < 2) return [place ? found.bookmaker_name : momentOf(new Date(at))];
		const one = outcomes.find((each) => each.available && each.name === name);
		return [!one ? "gone" : one.is_active ? oddsText(one.odds) : "suspended", ...(one?.promotion ? [" ", promo(one.promotion)] : [])];
	});
	document.querySelector("#history tbody").prepend(made("tr", {}, ...cells.map((parts) => made("td", {}, ...parts))));
}

async function chartNow() {
	const chart = byId("chart");
	chart.hidden = false;
	const { market, line, promotion } = chart.dataset;
	const asked = new URLSearchParams({ market, ...(line && { line }), ...(promotion && { promotion }) });
	const response = await fetch(`../api/events/${eventId}/history?${asked}`).catch(() => null);
	if (!response?.ok) return;
	past = await response.json();
	past.bookmakers = slugs.flatMap((slug) => past.bookmakers.filter((each) => each.bookmaker_slug === slug));
	const names = [...new Set(past.bookmakers.flatMap((each) => each.history.flatMap((point) => point.outcomes.map((one) => one.name))))];
	if (!names.includes(outcome)) outcome = names[0] ?? "";
	const group = byId("history-outcomes");
	const hadFocus = group.contains(document.activeElement);
	const buttons = names.map((name) => made("button", { type: "button", onclick: () => choose(name) }, name));
	const choose = (name) => {
		outcome = name;
		for (const each of buttons) each.setAttribute("aria-pressed", each.textContent === name);
		redraw();
	};
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
	const groups = all(".group");
	for (const group of groups) {
		const tables = all(".market", group);
		for (const table of tables) {
			for (const body of table.tBodies) {
				const names = all("a", body).map((link) => link.textContent).join(" ");
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
	const response = await fetch(`../api/events/${eventId}/refresh`, { method: "POST", headers: csrf() }).catch(() => null);
	const answer = await response?.json().catch(() => null);
	const bad = answer?.platform_results?.find((each) => each.error);
	said.textContent = response?.ok ? (bad?.error ?? "Fetched.") : (answer?.detail ?? "No response from the server.");
	refresh.disabled = false;
	renew();
});
chartNow();
