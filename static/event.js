/** One event: live prices and their worth, market search, the past of one market, stakes, and refreshing. */
import { all, byId, connect, csrf, framed, load, localise, paced, setText, tickAges } from "./page.js";
import { columnsOf, compare, made, markMoved, oddsText, percent, platformsOf, show } from "./prices.js";

const root = byId("event");
const eventId = Number(root.dataset.event);
const slugs = columnsOf(root);
const live = connect(["odds"], { event_id: [eventId], market: "all", ...platformsOf(root) });
const { copy } = live.odds;
const find = byId("find");
let worth = {}; // probabilities by the key of a table's body
let turns = 0; // of asking for the past: an earlier answer may come later

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
	follow();
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
	drawWorth(rows, cells, worth[keyOf(shown.market, shown.line, shown.further)]);
	if (margins) {
		setText(margins.cells[0], best === null ? "margin" : `margin, best ${percent(best)}`);
		margins.hidden = cells.every(({ margin }) => margin === null);
	}
	tickAges([body]);
}

/** Fair odds, and the value of the best price: the same as in routes/pages/worth.py. */
function drawWorth(rows, cells, known) {
	rows.forEach((row, place) => {
		const cell = row.querySelector(".worth");
		const fair = known?.[place];
		if (!cell || (!fair && !cell.firstChild)) return;
		if (!fair) return cell.replaceChildren();
		const [odds, win, refund] = fair;
		if (!cell.firstChild) cell.append(made("b"), " ", made("small"));
		const [price, value] = cell.children;
		price.dataset.odds = odds;
		setText(price, oddsText(odds / 1000));
		const best = cells.map(({ prices }) => prices[place]).find(({ isBest }) => isBest);
		const gain = best && ((best.value / 1000) * win + refund - 1) * 100;
		setText(value, best ? (gain < 0 ? "" : "+") + percent(gain) : "");
	});
}

const renew = paced(async () => {
	const wasTorn = isTorn;
	isTorn = false;
	const found = document.hidden ? null : await load(location.href);
	if (!found) return void (isTorn ||= wasTorn);
	if (wasTorn) {
		byId("markets").replaceChildren(...found.getElementById("markets").children);
		search();
	}
	byId("sources").replaceWith(found.getElementById("sources"));
	swap(found);
}, 1000);
document.addEventListener("visibilitychange", renew);
setInterval(renew, 30_000); // for ages, which are not announced

/** Show the past, the stakes and the worth of a page. A field that is being filled in stays. */
function swap(found) {
	localise(found);
	const { id } = document.activeElement;
	for (const part of all("[data-region]")) {
		const fresh = found.getElementById(part.id);
		if (fresh && !part.isEqualNode(fresh) && !part.matches("form:focus-within")) part.replaceWith(fresh);
	}
	if (id && document.activeElement === document.body) byId(id)?.focus({ preventScroll: true });
	readWorth();
	draw(new Set(["all"]), []);
}

function readWorth() {
	worth = JSON.parse(byId("worth").dataset.worth);
}

async function renewPast() {
	const turn = ++turns;
	const found = document.hidden ? null : await load(`${location.pathname}/history${location.search}`);
	if (found && turn === turns) swap(found);
}
const follow = paced(renewPast, 2000);
const turnTo = paced(renewPast, 250);

function go(address) {
	history.replaceState(null, "", address);
	turnTo();
}

const isPlain = ({ ctrlKey, metaKey, shiftKey }) => !(ctrlKey || metaKey || shiftKey);
byId("history").addEventListener("click", (event) => {
	const link = event.target.closest(".switch a");
	if (!link || !isPlain(event)) return;
	event.preventDefault();
	go(link.href);
});

byId("stakes").addEventListener("input", ({ target: { form } }) => {
	if (form.checkValidity()) go(`?${new URLSearchParams(new FormData(form))}${location.hash}`);
});

byId("markets").addEventListener("click", (event) => {
	const link = event.target.closest("a");
	if (!link || !isPlain(event)) return;
	event.preventDefault();
	go(link.href);
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
readWorth();
