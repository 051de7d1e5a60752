/** A client for Quart Odds, for browsers and Node: docs/client.md. */

import type { OddsCopy } from "./copy.js";
import type { ClientMessage, Envelope, EventChange, Message, MessageData, OddsChange, OddsImage } from "./messages.js";

export type { CopiedBookmaker, CopiedEvent, CopiedMarket } from "./copy.js";
export type * from "./messages.js";

export type Transport = "websocket" | "sse";
export type State = "connecting" | "live" | "waiting" | "closed";
export type Topic = MessageData["connection_ack"]["topics"][number];

/** Which odds to watch: docs/protocol.md describes the names. */
export type Filter = NonNullable<Extract<ClientMessage, { type: "subscribe" }>["filter"]>;

/** `reason` says why the state is not live, in words for a log. */
export interface StateDetail {
	state: State;
	transport: Transport | null;
	retryInMs: number | null;
	reason: string;
}

/** `missed` counts the messages that were lost for good, null if nobody knows. */
export interface GapDetail {
	missed: number | null;
	reason: "restart" | "slow" | "filter";
}

/** What the client needs of a WebSocket. */
export interface Socket {
	readonly readyState: number;
	onopen: ((event: any) => void) | null;
	onmessage: ((event: any) => void) | null;
	onerror: ((event: any) => void) | null;
	onclose: ((event: any) => void) | null;
	send(text: string): void;
	close(): void;
}

/** A class of WebSocket connections: a browser's, Node's, or that of the package `ws`. */
export type SocketClass = new (url: URL, options?: any) => Socket;

/** All may be left out: docs/client.md has the defaults. Times are in milliseconds. */
export interface Options {
	base?: string | URL;
	token?: string;
	topics?: readonly Topic[];
	watch?: readonly number[];
	since?: string | null;
	pingMs?: number;
	answerMs?: number;
	silenceMs?: number;
	openMs?: number;
	leastWaitMs?: number;
	mostWaitMs?: number;
	upgradeMs?: number;
	WebSocket?: SocketClass | null;
}

/** A CustomEvent. */
export interface DetailEvent<Detail> extends Event {
	readonly detail: Detail;
}

type Listener<Detail> = ((event: DetailEvent<Detail>) => void) | { handleEvent(event: DetailEvent<Detail>): void } | null;

/** An EventTarget whose events are known by name. */
interface Target<Events> extends EventTarget {
	addEventListener<Name extends keyof Events & string>(
		name: Name,
		listener: Listener<Events[Name]>,
		options?: Parameters<EventTarget["addEventListener"]>[2],
	): void;
	removeEventListener<Name extends keyof Events & string>(
		name: Name,
		listener: Listener<Events[Name]>,
		options?: Parameters<EventTarget["removeEventListener"]>[2],
	): void;
}

/** Messages for one connection only, which have no event of their own. */
type OfConnection = "connection_ack" | "subscription_update" | "pong" | "error";

/** The events of a client by name, each with its detail. */
export type LiveEvents = { message: Message; state: StateDetail; gap: GapDetail } & {
	[Type in Exclude<keyof MessageData, OfConnection>]: Envelope<Type>;
};

/** The events of a watch by name, each with its detail. */
export interface WatchEvents {
	image: OddsImage;
	change: OddsChange;
	event: EventChange;
	gap: GapDetail;
	refused: MessageData["error"];
}

/** One ordered stream of messages, over WebSocket or SSE. */
export interface LiveClient extends Target<LiveEvents> {
	/** Pass it as `since` to resume from here. */
	readonly cursor: string | null;
	readonly state: State;
	/** The transport in use. */
	readonly transport: Transport | null;
	/** Connect, and stay connected until `close`. */
	open(): this;
	/** Disconnect. */
	close(): void;
	/** Watch the odds that a filter selects, and keep a copy. A client has one watch: a new one ends the former. */
	watchOdds(filter: Filter): OddsWatch;
}

export declare const LiveClient: new (options?: Options) => LiveClient;

/** The odds that a filter selects; `copy` has them by event id. */
export interface OddsWatch extends Target<WatchEvents> {
	readonly copy: OddsCopy;
	/** What is watched; null once the watch has ended. */
	readonly filter: Filter | null;
	/** Watch something else. The next image leaves nothing else in the copy. */
	update(filter: Filter): void;
	/** Stop watching. */
	close(): void;
}

/** A watch with a client of its own, open until `watch.close()`. */
export declare function watchOdds(filter: Filter, options?: Omit<Options, "topics">): OddsWatch & { client: LiveClient };
