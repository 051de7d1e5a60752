/** A copy of odds, kept current by messages: docs/client.md. */

import type { ImageBookmaker, ImageEvent, ImageMarket, Message } from "./messages.js";

/** Makes fields optional: a change does not say them, only an image does. */
type Loose<Shape, Names extends keyof Shape> = Omit<Shape, Names> & Partial<Pick<Shape, Names>>;

/** A market and line at one bookmaker. One that has changed has no margin, and one that came with a change has no names. */
export type CopiedMarket = Loose<ImageMarket, "betpawa_market_name" | "market_groups" | "margin">;

/** A bookmaker's part of an event. */
export interface CopiedBookmaker
	extends Omit<Loose<ImageBookmaker, "bookmaker_name" | "event_url" | "snapshot_time" | "unavailable_since">, "markets"> {
	markets: CopiedMarket[];
}

/** An event with its prices. */
export interface CopiedEvent extends Omit<ImageEvent, "markets_by_bookmaker"> {
	markets_by_bookmaker: CopiedBookmaker[];
}

/** Events by id as `odds_image` has them, kept current by the messages of the topic `odds`. */
export declare class OddsCopy extends Map<number, CopiedEvent> {
	/** Apply any message, in the order of the stream. `connection_ack`, `subscription_update` and `error` have to be among them. */
	apply(message: Message): void;
}

/** A market and line at one bookmaker: its own offer, or the further one with a promotion. */
export declare function entryOf(
	markets: CopiedMarket[],
	market: string,
	line: number | null,
	further?: string | null,
): CopiedMarket | undefined;
