/** Shared by all pages: the connection, times, number formats. */
import { LiveClient } from "./live.js";
import { oddsText, prefer, reader } from "./reader.js";

export const byId = (id) => document.getElementById(id);
export const all = (what, root = document) => [...root.querySelectorAll(what)];
let serverAhead = 0;
const LOST_MS = 3000; // a connection that is back by then was not lost
const LEAST_STAY_MS = 5000; // a page is never reloaded again and again
const root = new URL("../..", import.meta.url); // above assets/<version>/

/** Connect. `live.odds` watches the filter. */
export function connect(topics, filter) {
	const live = new LiveClient({ base: root, topics, since: document.body.dataset.cursor || null });
	if (filter) live.odds = live.watchOdds(filter);
	const sign = byId("connection");
	let later = 0;
	let heardAt = Date.now();
	let lostAt = heardAt; // 0 while connected
	live.addEventListener("state", ({ detail: { state, transport, reason } }) => {
		// The session has ended: the server leads to the login, and from there back here.
		if (/the token is over|status 401/.test(reason) && performance.now() > LEAST_STAY_MS) location.reload();
		const words = {
			live: `Live over ${transport === "sse" ? "SSE" : "WebSocket"}`,
			connecting: "Connecting…",
			waiting: navigator.onLine ? "Reconnecting…" : "Offline",
			closed: "Not connected",
		};
		if (state === "live") tellLost((lostAt = 0));
		else lostAt ||= reason === "silence" ? heardAt : Date.now();
		clearTimeout(later);
		// A connection restored at once is not worth showing.
		later = setTimeout(() => {
			sign.dataset.state = state;
			setText(sign.lastElementChild, words[state]);
		}, state === "live" ? 0 : 400);
	});
	live.addEventListener("message", ({ detail: { type, timestamp } }) => {
		heardAt = Date.now();
		if (type === "connection_ack") serverAhead = Date.parse(timestamp) - Date.now();
	});
	setInterval(async () => {
		if (!lostAt || Date.now() - lostAt < LOST_MS) return;
		const answer = await fetch(new URL("healthz", root), { cache: "no-store" }).catch(() => null);
		if (lostAt) tellLost(lostAt, answer?.ok);
	}, LOST_MS);
	return live.open();
}

/** Say since when there is no connection, and take the buttons away if the server does not answer at all. 0 ends it. */
function tellLost(since, isThere) {
	const { dataset } = document.documentElement;
	if (since) dataset.lost = isThere ? "stream" : "server";
	else delete dataset.lost;
	const sign = byId("lost");
	sign.hidden = !since;
	const words = isThere ? "The server answers, but tells nothing new: reload the page to see what has changed." : "What you see is as it was then, and the buttons are away. The page goes on by itself when the server is back.";
	setText(sign, since ? `Nothing heard from the server since ${forms.full(since)}. ${words}` : "");
}

const isServerLost = () => document.documentElement.dataset.lost === "server";
addEventListener("submit", (event) => isServerLost() && event.target.method === "post" && (event.preventDefault(), event.stopImmediatePropagation()), true);

/** The same as `duration` in routes/pages/shell.py. */
export function duration(ms) {
	if (ms == null) return "–";
	if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
	const s = Math.round(ms / 1000);
	const two = (n) => `${Math.floor(n)}`.padStart(2, "0");
	return s < 3600 ? `${Math.floor(s / 60)} min ${two(s % 60)} s` : `${Math.floor(s / 3600)} h ${two((s % 3600) / 60)} min`;
}

const counts = new Intl.NumberFormat("en");
export const number = (n) => counts.format(n);

function age(ms) {
	const s = Math.max(0, ms / 1000);
	const [size, unit] = s < 60 ? [1, "s"] : s < 3600 ? [60, "min"] : s < 172_800 ? [3600, "h"] : [86_400, "d"];
	return `${Math.floor(s / size)} ${unit}`;
}

const formatter = (options) => {
	let zone, format;
	return (at) => {
		if (zone !== reader.zone) format = new Intl.DateTimeFormat("en-GB", { hour12: false, ...options, timeZone: (zone = reader.zone) || undefined });
		return format.format(at).replaceAll(",", "");
	};
};
const day = { weekday: "short", day: "numeric", month: "short" };
const minute = { hour: "2-digit", minute: "2-digit" };
const second = { ...minute, second: "2-digit" };
const named = { timeZoneName: "short" };
const dayOf = formatter(day);
const minuteOf = formatter(minute);
const clockOf = formatter(second);
const zonedClockOf = formatter({ ...second, ...named });
const forms = { full: formatter({ ...day, ...second, ...named }), when: formatter({ ...day, ...minute, ...named }) };

/** Show times in the reader's zone, and odds in the reader's form; `withOdds` also if that is the server's. */
export function localise(root, withOdds = reader.odds) {
	for (const time of all("time[data-form]", root)) {
		const at = new Date(time.dateTime);
		const { form } = time.dataset;
		if (form === "kickoff") {
			time.firstElementChild.textContent = dayOf(at);
			time.lastChild.data = ` ${minuteOf(at)}`;
		} // A time of day that names its zone keeps a name; the others are below a heading that has it.
		else if (form === "clock") time.textContent = (/[A-Z]/.test(time.textContent) ? zonedClockOf : clockOf)(at);
		else if (forms[form]) time.textContent = forms[form](at);
	}
	const zone = zonedClockOf(Date.now()).split(" ")[1];
	for (const place of all(".zone", root)) place.textContent = zone;
	if (!withOdds) return;
	for (const price of all("[data-odds], .p[data-v]", root)) {
		const odds = price.dataset.odds ?? price.dataset.v;
		const text = [...price.childNodes].find((node) => /\d/.test(node.data));
		if (text && odds > 1000) text.data = text.data.replace(/\S*\d\S*/, oddsText(odds / 1000));
	}
}

/** Elements whose ages are updated. Prices older than `oldAfter` ms are marked. */
export const aging = { roots: () => [document], oldAfter: Infinity };

export function tickAges(roots = document.hidden ? [] : aging.roots()) {
	const now = Date.now() + serverAhead;
	for (const root of roots)
		for (const time of all("time[data-form^=ag]", root)) {
			const ms = now - Date.parse(time.dateTime);
			setText(time, age(ms) + (time.dataset.form === "ago" ? " ago" : ""));
			const flag = time.previousElementSibling;
			if (flag?.matches(".old")) flag.closest(".g").classList.toggle("stale", !(flag.hidden = ms <= aging.oldAfter));
		}
}

export function setText(element, text) {
	if (element.textContent !== text) element.textContent = text;
}

/** What a request needs that changes something, if this page belongs to a session. @returns {Record<string, string>} */
export function csrf() {
	const meta = /** @type {HTMLMetaElement | null} */ (document.querySelector('meta[name="csrf-token"]'));
	return meta ? { "X-CSRF-Token": meta.content } : {};
}

/** Fetch a page; `change` is done to its HTML first. Returns null if it cannot be had. */
export async function load(address, change = (html) => html) {
	try {
		const response = await fetch(new URL(address, root), { headers: { Accept: "text/html" } });
		return response.ok ? new DOMParser().parseFromString(change(await response.text()), "text/html") : null;
	} catch {
		return null;
	}
}

/** Run `work` now, or `ms` after the previous run. Never twice at once, and always once after the last call. */
export function paced(work, ms) {
	let isBusy = false;
	let isWanted = false;
	const run = async () => {
		isWanted = isBusy;
		if (isBusy) return;
		isBusy = true;
		await work();
		setTimeout(() => {
			isBusy = false;
			if (isWanted) run();
		}, ms);
	};
	return run;
}

const frame = () => new Promise(requestAnimationFrame);

/** Do work with each item, in slices of some `ms` with a frame between them. A hidden page has no frames. */
export async function sliced(items, ms, work) {
	let end = performance.now() + ms;
	for (const item of items) {
		if (performance.now() > end) {
			await frame();
			end = performance.now() + ms;
		}
		work(item);
	}
}

/** Draw in a frame, at most five times a second. A hidden page has no frames. */
export const framed = (draw) => paced(() => frame().then(draw), 200);

/** Let the reader choose. Whoever shows odds or times that `localise` does not know listens for `preferred`. */
function offerPreferences(display) {
	const fields = all("select", display);
	display.querySelector("[hidden]").hidden = false;
	display.addEventListener(
		"toggle",
		() => {
			byId("reads-zone").append(...Intl.supportedValuesOf("timeZone").map((zone) => new Option(zone)));
			for (const field of fields) field.value = reader[field.name];
		},
		{ once: true },
	);
	for (const field of fields)
		field.addEventListener("change", () => {
			prefer(field.name, field.value);
			document.documentElement.dataset.reads = reader.odds;
			localise(document, true);
			document.dispatchEvent(new Event("preferred"));
		});
	document.addEventListener("click", ({ target }) => display.contains(target) || (display.open = false));
}

document.documentElement.dataset.reads = reader.odds;
localise(document);
tickAges();
setInterval(() => tickAges(), 5000);
const display = byId("display");
if (display) offerPreferences(display);
