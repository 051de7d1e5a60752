/** Live progress of a run, from the server's view and its cursor. */
import { Grid } from "./grid.js";
import { BOOKMAKERS } from "./bookmakers.js";
import { all, byId, connect, duration, load, localise, number, paced, setText } from "./page.js";

const RATE_WINDOW_MS = 5000;
const NAMES = Object.fromEntries(BOOKMAKERS.map(({ slug, name }) => [slug, name]));
const isFinal = (phase) => phase === "completed" || phase === "failed";
/** The phase as the page names it: what was stopped with its run has not failed. */
const wordOf = ({ phase, error }) => (phase === "failed" && /cancelled|interrupted/.test(error?.error_type) ? error.error_type : phase);

let run; // the server's view: routes/pages/run.py
let lanes; // by platform, and "all"
let lastElapsed = 0;
let lastAt = 0;
let failedShown = 0;
let waiting = null; // messages that arrive while a newer view is fetched
let isDirty = false;

function begin() {
	const root = byId("run");
	run = { ...JSON.parse(root.dataset.run), follow: root.dataset.follow };
	const endOf = ({ remaining_ms: left }) => (left == null ? null : run.elapsed_ms + left);
	lanes = new Map(run.platforms.map((each) => [each.platform, { ...each, end: endOf(each), samples: [], rate: each.rate ?? "–" }]));
	lanes.set("all", { ...run, duration_ms: run.is_over ? run.elapsed_ms : null, end: endOf(run), samples: [], rate: byId("all-rate").textContent });
	lastElapsed = run.elapsed_ms ?? 0;
	lastAt = performance.now();
	failedShown = run.failed ?? 0;
	localise(root);
	byId("log").scrollTop = 1e6;
	title();
}

/** Replace the page with the server's newest view, then apply what arrived meanwhile. */
async function renew(id, isEnd = false) {
	if (waiting) return;
	waiting = [];
	let found;
	while (!(found = (await load(run.follow === "newest" ? "" : `runs/${id}`))?.getElementById("run"))) await new Promise((done) => setTimeout(done, 1000));
	const focused = document.activeElement?.id;
	const mine = byId("run");
	for (const { name, value } of found.attributes) mine.setAttribute(name, value);
	// The announcer stays: a replaced live region is silent.
	mine.replaceChildren(...[...found.children].filter((part) => part.id !== "announcer"), byId("announcer"));
	if (focused && document.activeElement === document.body) (byId(focused) ?? byId("start") ?? byId("cancel")).focus({ preventScroll: true });
	begin();
	if (isEnd) announce(`Run ${id} ${run.status}: ${run.message ?? ""}`);
	const told = waiting;
	waiting = null;
	told.forEach(take);
}

function take(progress) {
	const { scrape_run_id: id, platform, phase } = progress;
	if (waiting) return void waiting.push(progress);
	const isEnd = platform === null && isFinal(phase);
	if (isEnd) tellSlowed(progress.slowed ?? []);
	if (id !== run.id) {
		if (progress.mode === "sweep") return;
		if (run.follow === "newest" && id > (run.id ?? 0)) {
			announce(`Run ${id} has started`);
			renew(id);
		}
		return;
	}
	// Ignore what is not newer than the page.
	if (run.is_over || (!isEnd && progress.elapsed_ms < run.elapsed_ms)) return;
	apply(progress);
	if (!isEnd) return;
	run.is_over = true;
	renew(id, true);
}

/** Say which bookmakers get fewer requests than configured, as the server's view does. */
function tellSlowed(slowed) {
	const words = ({ platform, reason, requests_per_second: rate, configured_per_second: configured }) =>
		`${NAMES[platform]} ${reason === "refused" ? "refuses requests" : "answers slowly"} and gets ${rate.toFixed(1)} requests per second instead of ${configured}`;
	const root = byId("slowed");
	if (root) setText(root, slowed.map(words).join(" · "));
}

function apply(progress) {
	const { platform, elapsed_ms: at, current } = progress;
	const phase = wordOf(progress);
	const lane = lanes.get(platform ?? "all");
	if (at > lastElapsed) [lastElapsed, lastAt] = [at, performance.now()];
	const isTurn = phase !== lane.phase;
	Object.assign(lane, { current, phase, total: progress.total, duration_ms: progress.duration_ms });
	lane.failed = Math.max(0, current - (progress.events_count ?? current));
	lane.end = isFinal(progress.phase) || progress.remaining_ms == null ? null : at + progress.remaining_ms;
	lane.samples.push([at, current]);
	while (lane.samples.length > 2 && at - lane.samples[0][0] > RATE_WINDOW_MS) lane.samples.shift();
	const [since, from] = lane.duration_ms ? [at - lane.duration_ms, 0] : lane.samples[0];
	if (at - since >= 500) lane.rate = (((current - from) * 1000) / (at - since)).toFixed(1);
	if (isTurn && platform) {
		const last = run.phases.findLast((each) => each.platform === platform);
		if (last && last.end_ms === null) last.end_ms = at;
		if (!isFinal(progress.phase)) run.phases.push({ platform, phase, start_ms: at, end_ms: null });
		else announce(`${lane.name} ${phase}`);
	}
	if ((isTurn && platform) || lanes.get("all").failed > failedShown) tellMore();
	draw();
}

const announce = (text) => setText(byId("announcer"), text);

const tellMore = paced(async () => {
	const id = run.id;
	failedShown = lanes.get("all").failed;
	const found = await load(`runs/${id}`);
	if (!found || run.id !== id || run.is_over) return;
	localise(found);
	const log = byId("log");
	const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
	log.replaceChildren(...found.getElementById("log").children);
	if (isAtEnd) log.scrollTop = 1e6;
	byId("errors").replaceWith(found.getElementById("errors"));
	all(".fault", found).forEach((fault, place) => all(".fault")[place].replaceWith(fault));
}, 1000);

const elapsedNow = () => lastElapsed + (live.state === "live" && !run.is_over ? performance.now() - lastAt : 0);

/** Draw with the next frame. A hidden page draws nothing. */
function draw() {
	if (isDirty || !run.id) return;
	isDirty = true;
	requestAnimationFrame(() => {
		isDirty = false;
		const elapsed = elapsedNow();
		if (!run.is_over && lanes.get("all").end !== null) setText(byId("all-message"), "");
		for (const [name, lane] of lanes) drawLane(name, lane, elapsed);
		drawTimeline(Math.max(elapsed, 1));
		title();
	});
}

function drawLane(name, lane, elapsed) {
	const root = byId(`lane-${name}`);
	if (lane.phase === "left out") return;
	const words = {
		current: number(lane.current),
		total: number(lane.total),
		phase: lane.phase,
		rate: String(lane.rate),
		elapsed: duration(lane.duration_ms ?? elapsed),
		left: duration(lane.end && Math.max(0, lane.end - elapsed)),
		failed: number(lane.failed),
	};
	const part = (key) => (root ? root.querySelector(`.${key}`) : byId(`all-${key}`));
	for (const [key, text] of Object.entries(words)) setText(part(key), text);
	part("failed").classList.toggle("bad", lane.failed > 0);
	if (root) root.dataset.phase = lane.phase;
	const bar = byId(`bar-${name}`);
	const share = shareOf(lane, elapsed);
	if (share === null) bar.removeAttribute("value");
	else bar.value = 1000 * share;
	bar.nextElementSibling.value = (1000 * share * (lane.current - lane.failed)) / (lane.current || 1);
}

/** How far a lane is, as `_bar` in routes/pages/run.py. Null without an estimate. */
function shareOf({ duration_ms: took, current, total, end }, elapsed) {
	if (took != null) return total ? current / total : 0;
	return end === null ? null : Math.min(0.99, elapsed / Math.max(end, elapsed));
}

function drawTimeline(span) {
	setText(byId("axis-end"), duration(span));
	for (const strip of all(".strip")) {
		const mine = run.phases.filter((each) => each.platform === strip.dataset.platform);
		const svg = strip.firstElementChild;
		mine.forEach((phase, place) => {
			const rect = svg.children[place] ?? svg.appendChild(document.createElementNS(svg.namespaceURI, "rect"));
			const width = Math.max(3, (((phase.end_ms ?? span) - phase.start_ms) * 1000) / span);
			const shape = { class: phase.phase, height: 12, x: (phase.start_ms * 1000) / span, width };
			for (const [key, value] of Object.entries(shape)) rect.setAttribute(key, value);
		});
		const words = mine.map((each) => `${each.phase} ${duration((each.end_ms ?? span) - each.start_ms)}`);
		setText(strip.lastElementChild, words.join(" · ") || "–");
	}
}

function title() {
	const share = shareOf(lanes.get("all"), run.is_over ? 0 : elapsedNow());
	const name = `${run.mode === "sweep" ? "Sweep" : "Run"} ${run.id}`;
	const going = document.documentElement.dataset.lost ? `${name} not heard of` : share === null ? `${name} running` : `${Math.floor(100 * share)}% · ${name}`;
	const head = run.id ? (run.is_over ? `${name} ${run.status}` : going) : "No run yet";
	if (document.title !== `${head} · Quart Odds`) document.title = `${head} · Quart Odds`;
}

const live = connect([]);
begin();
const grid = new Grid(live, new URLSearchParams({ page_size: "12" }));
live.addEventListener("scrape_progress", ({ detail: { data } }) => {
	take(data);
	if (data.mode !== "sweep" && data.platform === null && isFinal(data.phase)) grid.staleAll();
});
live.addEventListener("gap", ({ detail }) => detail.reason !== "filter" && renew(run.id));
setInterval(() => run.is_over || document.hidden || draw(), 100);
document.addEventListener("submit", ({ target, submitter }) => target.method === "post" && setTimeout(() => (submitter.disabled = true)));
addEventListener("pageshow", () => all("button").forEach((button) => (button.disabled = false)));
