// @ts-check
/**
 * A client for Quart Odds: one ordered stream of messages over WebSocket, with SSE as a fallback.
 * Both use the same cursor. No dependencies; docs/client.md says how to use it.
 *
 * @typedef {{type: string, timestamp: string, data: any, id?: string}} Message
 * @typedef {"websocket" | "sse"} Transport
 * @typedef {"connecting" | "live" | "waiting" | "closed"} State
 * @typedef {{state: State, transport: Transport | null, retryInMs: number | null, reason: string}} StateDetail
 * @typedef {{missed: number | null, reason: "restart" | "slow"}} GapDetail
 *
 * @typedef {object} Options
 * @property {string} [base] address of the server; the page's own origin by default
 * @property {string[]} [topics] "scrape_progress", "odds_updates"; none means all
 * @property {number[]} [watch] ids of events to fetch more often
 * @property {string | null} [since] the cursor to resume after; null begins with the newest state
 * @property {number} [pingMs] silence after which a WebSocket is pinged
 * @property {number} [answerMs] maximum wait for the answer to a ping
 * @property {number} [silenceMs] silence after which an SSE stream is given up
 * @property {number} [openMs] maximum wait for the first message of a connection
 * @property {number} [leastWaitMs] first wait before a new attempt; doubles, with jitter
 * @property {number} [mostWaitMs] maximum wait before a new attempt
 * @property {number} [upgradeMs] first wait on SSE before WebSocket is tried again; doubles, up to 20 times this
 *
 * @typedef {{retryMs?: number | null, reason: string}} End
 * @typedef {{message: (message: Message) => void, end: (end: End) => void}} Listener
 */

/** Messages to all clients. Other types are for this connection only. */
const TOPIC_TYPES = new Set(["scrape_progress", "odds_update"]);

/** A connection that lasts less than this counts as a failure. */
const STABLE_MS = 5000;

/** @type {Required<Options>} */
const DEFAULTS = {
	base: "",
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
};

/**
 * Dispatches CustomEvents:
 * `message`, and an event named after the message's type (`scrape_progress`, `odds_update`), detail a Message;
 * `state`, detail a StateDetail; `gap`, detail a GapDetail: messages were missed, so read your data from the API again.
 */
export class LiveClient extends EventTarget {
	#options;
	/** @type {string | null} */ #cursor;
	/** @type {State} */ #state = "closed";
	/** @type {Link | null} */ #link = null;
	/** @type {Link | null} */ #probe = null;
	/** @type {Transport} */ #preferred = "websocket";
	/** @type {Set<Transport>} */ #tried = new Set();
	/** @type {Set<string>} */ #seen = new Set();
	#failures = 0;
	#upgrades = 0;
	#timer = 0;
	#upgradeTimer = 0;
	#abort = new AbortController();

	/** @param {Options} [options] */
	constructor(options = {}) {
		super();
		this.#options = { ...DEFAULTS, ...options };
		this.#cursor = this.#options.since;
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
		this.#abort = new AbortController();
		const { signal } = this.#abort;
		document.addEventListener("visibilitychange", () => document.hidden || this.#wake(), { signal });
		addEventListener("online", () => this.#wake(), { signal });
		// The back-forward cache rejects pages with open connections.
		addEventListener("pagehide", () => this.#drop("page hidden"), { signal });
		addEventListener("pageshow", (event) => event.persisted && this.#connect(), { signal });
		this.#connect();
		return this;
	}

	/** Disconnect for good. */
	close() {
		this.#abort.abort();
		this.#drop("closed");
	}

	/** @param {string} reason */
	#drop(reason) {
		clearTimeout(this.#timer);
		clearTimeout(this.#upgradeTimer);
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
		this.#tried.clear();
		this.#attempt(this.#preferred);
	}

	/** @param {Transport} transport */
	#attempt(transport) {
		this.#tried.add(transport);
		this.#tell("connecting", null, "");
		this.#link = this.#start(transport);
	}

	/** @param {Transport} transport */
	#start(transport) {
		/** @type {Link} */
		const link = new (transport === "websocket" ? WebSocketLink : StreamLink)(this.#address(transport), this.#options, {
			message: (message) => this.#take(link, message),
			end: (end) => this.#ended(link, end),
		});
		return link;
	}

	/** @param {Transport} transport */
	#address(transport) {
		const url = new URL(transport === "websocket" ? "/api/ws" : "/api/sse", this.#options.base || location.href);
		if (transport === "websocket") url.protocol = url.protocol.replace("http", "ws");
		if (this.#options.topics.length) url.searchParams.set("topics", this.#options.topics.join(","));
		if (this.#options.watch.length) url.searchParams.set("watch", this.#options.watch.join(","));
		if (this.#cursor) url.searchParams.set("since", this.#cursor);
		else if (transport === "websocket") url.searchParams.set("cursor", "1");
		return url;
	}

	/** @param {Link} link @param {Message} message */
	#take(link, message) {
		if (link !== this.#link && link !== this.#probe) return;
		if (message.type === "connection_ack") this.#acknowledged(link, message);
		else if (link === this.#probe) return;
		if (TOPIC_TYPES.has(message.type) && message.id) {
			if (link.transport === "websocket" && this.#seen.size) {
				// Messages that SSE delivered meanwhile arrive again, in order.
				if (this.#seen.has(message.id)) return;
				this.#seen.clear();
			} else if (this.#probe) this.#seen.add(message.id);
		}
		if (message.id) this.#cursor = message.id;
		if (!message.type) return;
		if (message.type === "error" && message.data.code === "gap") this.#gap(message.data.missed ?? null, "slow");
		this.#dispatch("message", message);
		if (TOPIC_TYPES.has(message.type)) this.#dispatch(message.type, message);
	}

	/** @param {Link} link @param {Message} message */
	#acknowledged(link, message) {
		if (link === this.#probe) {
			this.#link?.close();
			this.#probe = null;
			this.#link = link;
		}
		link.liveSince = performance.now();
		this.#preferred = link.transport;
		if (link.transport === "sse") this.#planUpgrade();
		this.#tell("live", null, "");
		if (message.data.recovered === false) this.#gap(message.data.missed ?? null, "restart");
	}

	/** @param {number | null} missed @param {GapDetail["reason"]} reason */
	#gap(missed, reason) {
		this.#dispatch("gap", { missed, reason });
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
		/** @type {Transport} */
		const other = link.transport === "websocket" ? "sse" : "websocket";
		if (end.retryMs != null) {
			this.#preferred = "websocket";
			this.#wait(end.retryMs, end.reason);
		} else if (link.liveSince === null && !this.#tried.has(other)) {
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
		this.#dispatch("state", { state, transport: this.transport, retryInMs, reason });
	}

	/** @param {string} name @param {object} detail */
	#dispatch(name, detail) {
		this.dispatchEvent(new CustomEvent(name, { detail }));
	}
}

/** One connection. It ends once, and reports nothing after that. */
class Link {
	/** @type {number | null} */ liveSince = null;
	heardAt = performance.now();
	#isOver = false;
	#listener;
	#openTimer;

	/** @param {Transport} transport @param {Required<Options>} options @param {Listener} listener */
	constructor(transport, options, listener) {
		this.transport = transport;
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

	close() {
		this.#isOver = true;
		clearTimeout(this.#openTimer);
		clearInterval(this.watch);
	}

	/** Check whether the peer is still alive. */
	check() {}
}

class WebSocketLink extends Link {
	#socket;
	#askedAt = 0;

	/** @param {URL} url @param {Required<Options>} options @param {Listener} listener */
	constructor(url, options, listener) {
		super("websocket", options, listener);
		this.#socket = new WebSocket(url);
		this.#socket.onmessage = (event) => {
			this.heardAt = performance.now();
			this.#askedAt = 0;
			this.heard(JSON.parse(event.data));
		};
		this.#socket.onclose = (event) => {
			const told = /retry_ms=(\d+)/.exec(event.reason);
			this.end({ retryMs: told ? Number(told[1]) : null, reason: event.reason || `code ${event.code}` });
		};
	}

	close() {
		super.close();
		const socket = this.#socket;
		socket.onmessage = socket.onclose = null;
		// Closing it before it is open would log a warning to the console.
		if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
		else socket.close();
	}

	check() {
		if (this.#socket.readyState !== WebSocket.OPEN) return;
		const now = performance.now();
		if (this.#askedAt) {
			if (now - this.#askedAt > this.options.answerMs) this.end({ reason: "no answer to a ping" });
		} else if (now - this.heardAt > this.options.pingMs) {
			this.#askedAt = now;
			this.#socket.send('{"type":"ping"}');
		}
	}
}

/** SSE read with fetch, which exposes comments: signs of life. */
class StreamLink extends Link {
	#abort = new AbortController();
	/** @type {number | null} */ #retryMs = null;

	/** @param {URL} url @param {Required<Options>} options @param {Listener} listener */
	constructor(url, options, listener) {
		super("sse", options, listener);
		this.#read(url).then(
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
		const headers = { Accept: "text/event-stream" };
		const response = await fetch(url, { headers, cache: "no-store", signal: this.#abort.signal });
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

	/** @param {string} block */
	#block(block) {
		const data = [];
		let id = "";
		for (const line of block.split("\n")) {
			const [, field, value] = /** @type {RegExpExecArray} */ (/^([^:]*):? ?([^]*)$/.exec(line));
			if (field === "data") data.push(value);
			else if (field === "id") id = value;
			// Only a later `retry:` announces a restart.
			else if (field === "retry" && this.liveSince !== null) this.#retryMs = Number(value);
		}
		if (data.length) this.heard({ ...JSON.parse(data.join("\n")), ...(id && { id }) });
		else if (id) this.heard({ type: "", timestamp: "", data: null, id });
	}
}
