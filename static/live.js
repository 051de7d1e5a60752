// @ts-check
/**
 * A client for Quart Odds: one ordered stream of messages over WebSocket, with SSE as a fallback.
 * Both use the same cursor. For browsers and Node: docs/client.md.
 *
 * @typedef {import("./live.js").GapDetail} GapDetail
 * @typedef {import("./live.js").Transport} Transport
 * @typedef {import("./live.js").State} State
 * @typedef {import("./live.js").Filter} Filter
 * @typedef {import("./live.js").Options} Options
 * @typedef {import("./messages.js").Message} Message
 * @typedef {import("./messages.js").MessageData} MessageData
 * @typedef {ReturnType<typeof setTimeout> | undefined} Timer
 * @typedef {{url: URL, isLater: boolean, isAnew: boolean}} Plan
 * @typedef {{retryMs?: number | null, reason: string}} End
 * @typedef {{message: (message: Message) => void, end: (end: End) => void}} Listener
 */

import { OddsCopy } from "./copy.js";

/** Messages of the topic `odds`, and the events of a watch. */
const ODDS_EVENTS = /** @type {Record<string, string>} */ ({ odds_image: "image", odds_change: "change", event_change: "event" });

/** Types for this connection only. All others are of a topic. */
const OF_CONNECTION = new Set(["connection_ack", "subscription_update", "pong", "error"]);

/** Codes of errors that are about a filter. */
const REFUSALS = new Set(["invalid_filter", "too_large"]);

const DEFAULT_TOPICS = ["scrape_progress", "odds_updates"];
const NOWHERE = "0-0"; // a cursor that cannot be resumed

/** Node's requests look like a browser's, so they need an origin. A browser sends its own. @param {URL} url */
const ofProgram = (url) => globalThis.process?.versions?.node ? { headers: { Origin: url.origin.replace(/^ws/, "http") } } : undefined;

/** @param {EventTarget} target @param {string} name @param {unknown} detail */
const dispatch = (target, name, detail) => target.dispatchEvent(new CustomEvent(name, { detail }));

const STABLE_MS = 5000; // a shorter connection counts as a failure
const ASK_AGAIN_MS = 1000; // after too many filters at once

/** @type {Required<Options>} */
const DEFAULTS = {
	base: "",
	token: "",
	topics: [],
	watch: [],
	since: null,
	pingMs: 20_000,
	answerMs: 8_000,
	silenceMs: 40_000,
	openMs: 5_000,
	leastWaitMs: 500,
	mostWaitMs: 30_000,
	upgradeMs: 15_000,
	WebSocket: globalThis.WebSocket,
};

/**
 * Dispatches CustomEvents: `message`, and one named after the message's type (`odds_update`, …), detail a Message;
 * `state`, detail a StateDetail; `gap`, detail a GapDetail: messages were missed, so read your data from the API again.
 */
export class LiveClient extends EventTarget {
	/** @type {Required<Options>} */ #options;
	/** @type {string | null} */ #cursor;
	/** @type {State} */ #state = "closed";
	/** @type {Link | null} */ #link = null;
	/** @type {Link | null} */ #probe = null;
	/** @type {Transport} */ #preferred;
	/** @type {OddsWatch | null} */ #watched = null;
	#isRefused = false; // the query, as it is
	#isWhole = false; // the copy needs only what comes after the cursor
	#owed = 0; // filters without an answer yet
	#isFilterBad = false; // the last answer was a refusal: what comes is for the filter before
	/** @type {Set<Transport>} */ #tried = new Set();
	/** @type {Set<string>} */ #seen = new Set();
	#failures = 0;
	#upgrades = 0;
	/** @type {Timer} */ #timer;
	/** @type {Timer} */ #upgradeTimer;
	/** @type {Timer} */ #askTimer;
	#abort = new AbortController();

	/** @param {Options} [options] */
	constructor(options = {}) {
		super();
		this.#options = { ...DEFAULTS, ...Object.fromEntries(Object.entries(options).filter(([, given]) => given !== undefined)) };
		this.#cursor = this.#options.since;
		this.#preferred = this.#best;
	}

	get #best() {
		return this.#options.WebSocket ? "websocket" : "sse";
	}

	/** Pass it as `since` to resume from here. */
	get cursor() {
		return this.#cursor;
	}

	get state() {
		return this.#state;
	}

	/** The transport in use. @returns {Transport | null} */
	get transport() {
		return this.#link && this.#state === "live" ? this.#link.transport : null;
	}

	/** Connect, and stay connected until `close`. */
	open() {
		if (this.#state !== "closed") return this;
		this.#abort.abort();
		this.#abort = new AbortController();
		const { signal } = this.#abort;
		/** @type {(target: any, name: string, act: (event: any) => void) => void} */
		const on = (target, name, act) => target?.addEventListener?.(name, act, { signal });
		on(globalThis.document, "visibilitychange", () => document.hidden || this.#wake());
		on(globalThis, "online", () => this.#wake());
		// The back-forward cache rejects pages with open connections.
		on(globalThis, "pagehide", () => this.#drop("page hidden"));
		on(globalThis, "pageshow", (event) => event.persisted && this.#connect());
		this.#connect();
		return this;
	}

	/** Disconnect. */
	close() {
		this.#abort.abort();
		this.#drop("closed");
	}

	/** Watch the odds that a filter selects, and keep a copy. A client has one watch: a new one ends the former. @param {Filter} filter */
	watchOdds(filter) {
		const watch = new OddsWatch(filter, () => {
			if (watch === this.#watched) this.#refilter();
		});
		if (this.#watched) this.#watched.filter = null;
		this.#watched = watch;
		this.#refilter();
		return watch;
	}

	#refilter() {
		const link = this.#link;
		if (!this.#watched?.filter) this.#watched = null;
		this.#isWhole = false;
		this.#probe?.end({ reason: "" });
		if (!link) return void (this.#isRefused && this.#connect());
		if (link.transport === "websocket" && link.liveSince !== null) this.#ask(link);
		// An SSE stream cannot be changed.
		else if (!link.plan.isLater) {
			link.close();
			this.#connect();
		}
	}

	/** @param {Link} link */
	#ask(link) {
		const filter = this.#watched?.filter;
		clearTimeout(this.#askTimer);
		this.#owed++;
		link.send({ type: filter ? "subscribe" : "unsubscribe", topics: ["odds"], ...(filter && { filter: { image: true, ...filter } }) });
	}

	/** @param {string} reason */
	#drop(reason) {
		clearTimeout(this.#timer);
		clearTimeout(this.#upgradeTimer);
		clearTimeout(this.#askTimer);
		this.#link?.close();
		this.#probe?.close();
		this.#link = this.#probe = null;
		this.#tell("closed", null, reason);
	}

	#wake() {
		if (this.#state === "waiting") this.#connect();
		else this.#link?.check();
	}

	#connect() {
		clearTimeout(this.#timer);
		clearTimeout(this.#upgradeTimer);
		this.#tried.clear();
		this.#isRefused = false;
		this.#attempt(this.#preferred);
	}

	/** @param {Transport} transport */
	#attempt(transport) {
		this.#tried.add(transport);
		this.#link = this.#start(transport);
		this.#tell("connecting", null, "");
	}

	/** @param {Transport} transport @returns {Link} */
	#start(transport) {
		/** @type {Link} */
		const link = new (transport === "websocket" ? WebSocketLink : StreamLink)(this.#plan(transport), this.#options, {
			message: (message) => this.#take(link, message),
			end: (end) => this.#ended(link, end),
		});
		return link;
	}

	/** How to connect. isLater: the filter is sent after the acknowledgement; isAnew: the newest state comes first. @param {Transport} transport @returns {Plan} */
	#plan(transport) {
		const { base, topics, watch } = this.#options;
		const isSocket = transport === "websocket";
		const filter = this.#watched?.filter;
		const others = topics.length ? topics.filter((each) => each !== "odds") : DEFAULT_TOPICS;
		// A new filter needs an image. Asked for after the acknowledgement, it costs no message of the other topics.
		const isNew = Boolean(filter) && !this.#isWhole;
		const isLater = isNew && isSocket && others.length > 0;
		const address = base || globalThis.location?.origin;
		if (!address) throw new TypeError("set the option base: the address of the server");
		const url = new URL(String(address).replace(/\/?$/, isSocket ? "/api/ws" : "/api/sse"));
		/** @type {(name: string, value: unknown) => unknown} */
		const set = (name, value) => String(value ?? "") && url.searchParams.set(name, String(value));
		if (isSocket) url.protocol = url.protocol.replace("http", "ws");
		set("topics", filter ? (isLater ? others : [...others, "odds"]) : topics);
		set("watch", watch);
		if (filter && !isLater) for (const [name, value] of Object.entries({ ...filter, image: filter.image === false ? 0 : 1 })) set(name, value);
		const since = isNew && !isLater ? this.#cursor && others.length && NOWHERE : this.#cursor;
		if (since) set("since", since);
		else if (isSocket) set("cursor", 1);
		return { url, isLater, isAnew: since === NOWHERE };
	}

	/** @param {Link} link @param {Message} message */
	#take(link, message) {
		if (link !== this.#link && link !== this.#probe) return;
		const { type, data } = message;
		const isOfTopic = Boolean(type) && !OF_CONNECTION.has(type);
		if (type === "connection_ack") this.#acknowledged(link, data);
		else if (link === this.#probe) return;
		if (type === "subscription_update") {
			this.#owed = Math.max(0, this.#owed - 1);
			this.#isFilterBad = false;
			this.#seen.clear();
		}
		const isImage = type === "odds_image" || this.#watched?.filter?.image === false;
		if (isOfTopic && message.id) {
			if (link.transport === "websocket" && this.#seen.size) {
				// Messages that SSE delivered meanwhile arrive again, in order.
				if (this.#seen.has(message.id)) return;
				this.#seen.clear();
			} else if (this.#probe) this.#seen.add(message.id);
		}
		// Not within an image. An ack may be behind SSE.
		const isPage = type === "odds_image" && !data.final;
		const isInside = (type === "connection_ack" && this.#seen.size) || type === "subscription_update" || isPage;
		if (message.id && !isInside) this.#cursor = message.id;
		if (!type) return;
		if (isImage && !isPage && !this.#owed && !this.#isFilterBad) this.#isWhole = true;
		if (type === "error") this.#erred(link, data);
		this.#watched?.take(message);
		dispatch(this, "message", message);
		if (isOfTopic) dispatch(this, type, message);
	}

	/** @param {Link} link @param {MessageData["connection_ack"]} data */
	#acknowledged(link, { recovered, missed, epoch }) {
		if (link === this.#probe) {
			this.#link?.close();
			this.#probe = null;
			this.#link = link;
		}
		link.liveSince = performance.now();
		this.#preferred = link.transport;
		if (link.transport === "sse") this.#planUpgrade();
		this.#owed = 0;
		this.#isFilterBad = false;
		if (link.plan.isLater && this.#watched) this.#ask(link);
		this.#tell("live", null, "");
		if (recovered !== false) return;
		this.#seen.clear();
		const isOurs = link.plan.isAnew && this.#cursor?.startsWith(`${epoch}-`);
		this.#gap(missed ?? null, isOurs ? "filter" : "restart");
	}

	/** @param {Link} link @param {MessageData["error"]} data */
	#erred(link, { code, missed }) {
		if (code === "gap") this.#gap(missed ?? null, "slow");
		// The other transport would say the same.
		if (link.liveSince === null) this.#isRefused = true;
		if (!this.#owed || (!REFUSALS.has(code) && code !== "rate_limited")) return;
		// The answer to a filter.
		this.#owed--;
		if (REFUSALS.has(code)) this.#isFilterBad = true;
		else this.#askTimer = setTimeout(() => link === this.#link && this.#ask(link), ASK_AGAIN_MS);
	}

	/** @param {GapDetail["missed"]} missed @param {GapDetail["reason"]} reason */
	#gap(missed, reason) {
		if (reason !== "filter" && this.#watched) dispatch(this.#watched, "gap", { missed, reason });
		dispatch(this, "gap", { missed, reason });
	}

	/** @param {Link} link @param {End} end */
	#ended(link, end) {
		if (link === this.#probe) {
			this.#probe = null;
			this.#seen.clear();
			this.#planUpgrade();
			return;
		}
		if (link !== this.#link) return;
		this.#link = null;
		clearTimeout(this.#upgradeTimer);
		this.#probe?.close();
		this.#probe = null;
		this.#seen.clear();
		const lived = link.liveSince === null ? 0 : performance.now() - link.liveSince;
		if (lived >= STABLE_MS) {
			this.#failures = 0;
			if (link.transport === "websocket") this.#upgrades = 0;
		}
		const other = link.transport === "websocket" ? "sse" : this.#best;
		if (end.retryMs != null) {
			this.#preferred = this.#best;
			this.#wait(end.retryMs, end.reason);
		} else if (link.liveSince === null && !this.#isRefused && !this.#tried.has(other)) {
			this.#attempt(other);
		} else {
			if (link.liveSince !== null && lived < STABLE_MS && this.#failures > 1) this.#preferred = other;
			const most = Math.min(this.#options.mostWaitMs, this.#options.leastWaitMs * 2 ** this.#failures++);
			this.#wait(most * (0.5 + Math.random() / 2), end.reason);
		}
	}

	/** @param {number} ms @param {string} reason */
	#wait(ms, reason) {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => this.#connect(), ms);
		this.#tell("waiting", ms, reason);
	}

	#planUpgrade() {
		clearTimeout(this.#upgradeTimer);
		if (this.#best === "sse") return;
		const wait = this.#options.upgradeMs * Math.min(20, 2 ** this.#upgrades) * (0.75 + Math.random() / 2);
		this.#upgradeTimer = setTimeout(() => {
			this.#upgrades++;
			this.#seen.clear();
			this.#probe = this.#start("websocket");
		}, wait);
	}

	/** @param {State} state @param {number | null} retryInMs @param {string} reason */
	#tell(state, retryInMs, reason) {
		this.#state = state;
		dispatch(this, "state", { state, transport: this.transport, retryInMs, reason });
	}
}

/**
 * The odds that a filter selects; `copy` has them by event id. Dispatches CustomEvents: `image`, `change` and `event`
 * after the copy was updated, detail the message's data; `gap`, detail a GapDetail; `refused`, detail an error's data.
 */
class OddsWatch extends EventTarget {
	copy = new OddsCopy();
	#changed;

	/** @param {Filter} filter @param {() => void} changed */
	constructor(filter, changed) {
		super();
		/** @type {Filter | null} */
		this.filter = filter;
		this.#changed = changed;
	}

	/** Watch something else. The next image leaves nothing else in the copy. @param {Filter} filter */
	update(filter) {
		this.filter = filter;
		this.#changed();
	}

	/** Stop watching. */
	close() {
		this.filter = null;
		this.#changed();
	}

	/** @param {Message} message */
	take(message) {
		const { type, data } = message;
		this.copy.apply(message);
		const name = type === "error" && REFUSALS.has(data.code) ? "refused" : ODDS_EVENTS[type];
		if (name) dispatch(this, name, data);
	}
}

/** A watch with a client of its own, open until `watch.close()`. @param {Filter} filter @param {Options} [options] */
export function watchOdds(filter, options) {
	const client = new LiveClient({ ...options, topics: ["odds"] });
	const watch = Object.assign(client.watchOdds(filter), { client, close: () => client.close() });
	client.open();
	return watch;
}

/** A ticket for one WebSocket, which can send no token. @param {URL} url @param {string} token @param {AbortSignal} signal */
async function ticketFor(url, token, signal) {
	const address = new URL(url);
	address.protocol = url.protocol.replace("ws", "http");
	address.pathname = url.pathname.replace(/ws$/, "tickets");
	address.search = "";
	const headers = { Authorization: `Bearer ${token}`, ...ofProgram(url)?.headers };
	const response = await fetch(address, { method: "POST", headers, cache: "no-store", signal });
	if (!response.ok) throw new Error(`status ${response.status}`);
	return (await response.json()).ticket;
}

/** One connection. It ends once, and reports nothing after that. */
class Link {
	/** @type {number | null} */ liveSince = null;
	heardAt = performance.now();
	#isOver = false;
	#listener;
	#openTimer;

	/** @param {Transport} transport @param {Plan} plan @param {Required<Options>} options @param {Listener} listener */
	constructor(transport, plan, options, listener) {
		this.transport = transport;
		this.plan = plan;
		this.options = options;
		this.#listener = listener;
		this.#openTimer = setTimeout(() => this.end({ reason: "no answer" }), options.openMs);
		this.watch = setInterval(() => this.check(), Math.min(2000, options.answerMs / 2));
	}

	/** @param {Message} message */
	heard(message) {
		clearTimeout(this.#openTimer);
		if (!this.#isOver) this.#listener.message(message);
	}

	/** @param {End} end */
	end(end) {
		if (this.#isOver) return;
		this.close();
		this.#listener.end(end);
	}

	get isOver() {
		return this.#isOver;
	}

	close() {
		this.#isOver = true;
		clearTimeout(this.#openTimer);
		clearInterval(this.watch);
	}

	/** Check whether the peer is still alive. */
	check() {}

	/** @param {import("./messages.js").ClientMessage} _message */
	send(_message) {}
}

class WebSocketLink extends Link {
	/** @type {import("./live.js").Socket | null} */ #socket = null;
	#askedAt = 0;
	#abort = new AbortController();

	/** @param {Plan} plan @param {Required<Options>} options @param {Listener} listener */
	constructor(plan, options, listener) {
		super("websocket", plan, options, listener);
		// It throws for `ws:` on a page of `https:`.
		this.#begin(plan.url, options.token).catch((error) => this.end({ reason: String(error.message || error) }));
	}

	/** @param {URL} url @param {string} token */
	async #begin(url, token) {
		if (token) url.searchParams.set("ticket", await ticketFor(url, token, this.#abort.signal));
		if (!this.isOver) this.#open(url);
	}

	/** @param {URL} url */
	#open(url) {
		this.#socket = new /** @type {import("./live.js").SocketClass} */ (this.options.WebSocket)(url, ofProgram(url));
		this.#socket.onmessage = (event) => {
			this.heardAt = performance.now();
			this.#askedAt = 0;
			this.heard(JSON.parse(event.data));
		};
		// Node's WebSocket may fail without a close.
		this.#socket.onerror = () => setTimeout(() => this.end({ reason: "no connection" }));
		this.#socket.onclose = (event) => {
			const told = /retry_ms=(\d+)/.exec(event.reason);
			this.end({ retryMs: told ? Number(told[1]) : null, reason: event.reason || `code ${event.code}` });
		};
	}

	close() {
		super.close();
		this.#abort.abort();
		const socket = this.#socket;
		if (!socket) return;
		socket.onmessage = socket.onclose = null;
		if (socket.readyState !== 0) return socket.close();
		// Closed before it is open, it would log a warning. One that never opens is closed nevertheless.
		const late = setTimeout(() => socket.close(), this.options.openMs);
		socket.onerror = () => clearTimeout(late);
		socket.onopen = () => {
			clearTimeout(late);
			socket.close();
		};
	}

	check() {
		if (this.#socket?.readyState !== 1) return;
		const now = performance.now();
		if (this.#askedAt) {
			if (now - this.#askedAt > this.options.answerMs) this.end({ reason: "no answer to a ping" });
		} else if (now - this.heardAt > this.options.pingMs) {
			this.#askedAt = now;
			this.send({ type: "ping" });
		}
	}

	/** @param {import("./messages.js").ClientMessage} message */
	send(message) {
		if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message));
	}
}

/** SSE read with fetch, which exposes comments: signs of life. */
class StreamLink extends Link {
	#abort = new AbortController();
	/** @type {number | null} */ #retryMs = null;

	/** @param {Plan} plan @param {Required<Options>} options @param {Listener} listener */
	constructor(plan, options, listener) {
		super("sse", plan, options, listener);
		this.#read(plan.url).then(
			() => this.end({ retryMs: this.#retryMs, reason: "the stream ended" }),
			(error) => this.end({ reason: String(error.message || error) }),
		);
	}

	close() {
		super.close();
		this.#abort.abort();
	}

	check() {
		if (performance.now() - this.heardAt > this.options.silenceMs) this.end({ reason: "silence" });
	}

	/** @param {URL} url */
	async #read(url) {
		const { token } = this.options;
		const headers = { Accept: "text/event-stream", ...(token && { Authorization: `Bearer ${token}` }), ...ofProgram(url)?.headers };
		const response = await fetch(url, { headers, cache: "no-store", signal: this.#abort.signal });
		if (response.status === 400) this.#refused(await response.json().catch(() => ({})));
		if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
		const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
		let rest = "";
		for (;;) {
			const { value, done } = await reader.read();
			if (done) return;
			this.heardAt = performance.now();
			const text = (rest + value).replace(/\r\n/g, "\n");
			const end = text.lastIndexOf("\n\n");
			rest = text.slice(end < 0 ? 0 : end + 2);
			if (end >= 0) for (const block of text.slice(0, end).split("\n\n")) this.#block(block);
		}
	}

	/** Say what is wrong as WebSocket does. @param {{errors?: {field: string, message: string}[]}} problem */
	#refused({ errors: [first] = [] }) {
		if (!first) return;
		const { field, message } = first;
		const code = field === "topics" ? "invalid_topic" : field === "watch" ? "invalid_watch" : "invalid_filter";
		this.heard({ type: "error", timestamp: new Date().toISOString(), data: { code, detail: `${field}: ${message}` } });
	}

	/** @param {string} block */
	#block(block) {
		const data = [];
		let id = "";
		for (const line of block.split("\n")) {
			const [, field, value = ""] = /** @type {RegExpExecArray} */ (/^([^:]*):? ?([^]*)$/.exec(line));
			if (field === "data") data.push(value);
			else if (field === "id") id = value;
			else if (field === "retry") this.#retryMs = Number(value);
		}
		// Only the last `retry:` says when to come back. One that messages follow is for EventSource.
		if (data.length || id) this.#retryMs = null;
		if (data.length) this.heard({ ...JSON.parse(data.join("\n")), ...(id && { id }) });
		else if (id) this.heard(/** @type {any} */ ({ type: "", timestamp: "", data: null, id }));
	}
}
