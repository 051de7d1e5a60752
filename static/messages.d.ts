// Generated from the schemas of /asyncapi.json by `python -m quart_odds.routes.operations.typescript`. Do not edit.

/** The slug of a bookmaker. A package can add more, so there is no list of them. */
export type Platform = string;

/**
 * What a run reads: every event with all its prices, or the lists and the main markets in them. A scheduled sweep
 * also fetches the events that are most urgent, as far as the budget of requests allows.
 */
export type RunMode = "full" | "sweep";

/** An error: its type for programs, a message for people, the platform, and whether trying again could help. */
export interface ScrapeErrorContext {
	error_type: string;
	error_message: string;
	platform: string | null;
	recoverable: boolean;
}

/** The phase of a platform, or of the run as a whole. */
export type ScrapePhase = "initializing" | "discovering" | "scraping" | "mapping" | "storing" | "completed" | "failed";

/** A bookmaker that gets fewer requests per second than configured, because it refuses them or answers slowly. */
export interface SlowedBookmaker {
	platform: string;
	reason: "refused" | "slow";
	requests_per_second: number;
	configured_per_second: number;
}

/**
 * One step of a run. If `platform` is None, it concerns the run as a whole. Durations are in milliseconds.
 * `current` events of `total` found ones have been processed. `events_count` is cumulative, None if unknown.
 * `duration_ms` is set when a platform or the run ends. `remaining_ms` is an estimate, None while there is no basis
 * for one. `mode` is that of the run: a sweep publishes only its start and its end. `slowed` is set in the terminal
 * progress: all bookmakers that are asked less than configured at this time, None if there are none. `message` is a
 * sentence for people.
 */
export interface ScrapeProgress {
	platform: string | null;
	phase: ScrapePhase;
	current: number;
	total: number;
	events_count: number | null;
	duration_ms: number | null;
	message: string;
	timestamp: string;
	scrape_run_id: number | null;
	elapsed_ms: number | null;
	remaining_ms: number | null;
	error: ScrapeErrorContext | null;
	mode: RunMode;
	slowed: SlowedBookmaker[] | null;
}

/** The markets of an event at one bookmaker, as far as the filter selects them. */
export interface ImageBookmaker {
	bookmaker_slug: string;
	bookmaker_name: string;
	/** the event's page at the bookmaker's own site; null where it cannot be known from the id */
	event_url: string | null;
	/**
	 * when the event itself was last fetched, with all its markets, or first listed if only lists have had it;
	 * lists may have had some markets since
	 */
	snapshot_time: string;
	available: boolean;
	/** since when it is unavailable; null while it is available */
	unavailable_since: string | null;
	/** the bookmaker names home and away the other way round; prices follow its own order */
	reversed: boolean;
	/** the prices were fetched after the kick-off */
	late: boolean;
	markets: ImageMarket[];
}

/** An event as `/api/events/{id}` returns it, restricted to a filter, and without what repeats prices. */
export interface ImageEvent {
	id: number;
	/** null for an event that is not matched */
	sportradar_id: string | null;
	name: string;
	home_team: string;
	away_team: string;
	kickoff: string;
	tournament_id: number;
	tournament_name: string;
	tournament_country: string;
	sport_name: string;
	created_at: string;
	changed_at: string;
	bookmakers: ListedBookmaker[];
	markets_by_bookmaker: ImageBookmaker[];
}

/** A market and line at one bookmaker. Ids and names are as in the API. */
export interface ImageMarket {
	betpawa_market_id: string;
	betpawa_market_name: string;
	/** the total, or the handicap of the home side */
	line: number | null;
	/** null for the market's own prices; set for a further entry with promoted prices, which follows it */
	promotion: string | null;
	outcomes: ImageOutcome[];
	/** percent; null unless every outcome is active */
	margin: number | null;
	market_groups: string[];
	available: boolean;
	/** since when it is unavailable; null while it is available */
	unavailable_since: string | null;
	/** when the bookmaker was last asked for this market and line, in a list or for the whole event */
	last_seen_at: string;
	/** when the bookmaker changed this market and line, as it says itself; null if it does not */
	source_changed_at: string | null;
}

/** An outcome with the age of its price. It has no probabilities: no `odds_change` would renew them. */
export interface ImageOutcome {
	name: string;
	odds: number;
	is_active: boolean;
	/** one_up, two_up, boosted or the bookmaker's own word; null for a plain price */
	promotion: string | null;
	available: boolean;
	changed_at: string;
	last_seen_at: string;
}

/** A bookmaker's entry for an event, without prices. */
export interface ListedBookmaker {
	bookmaker_slug: string;
	bookmaker_name: string;
	external_event_id: string;
	/** the event's page at the bookmaker's own site; null where it cannot be known from the id */
	event_url: string | null;
	has_odds: boolean;
	/**
	 * when the event itself was last fetched, with all its markets, or first listed if only lists have had it;
	 * lists may have had some markets since
	 */
	snapshot_time: string;
	available: boolean;
	/** since when it is unavailable; null while it is available */
	unavailable_since: string | null;
	/** the bookmaker names home and away the other way round; prices follow its own order */
	reversed: boolean;
	/** the prices were fetched after the kick-off */
	late: boolean;
}

/** A page of the state that a filter selects. */
export interface OddsImage {
	events: ImageEvent[];
	/** true on the last page */
	final: boolean;
	/** all: everything that the filter selects; changed: what may have changed since */
	scope: "all" | "changed";
	/** ids of events that are no longer there; on the last page */
	removed: number[];
}

/** A price that moved, appeared or disappeared. */
export interface PriceChange {
	market_id: string;
	line: number | null;
	outcome: string;
	odds: number;
	/** the odds before; null if the price was not there */
	previous: number | null;
	is_active: boolean;
	available: boolean;
	/** the promotion of the outcome's price */
	promotion: string | null;
	/** the promotion of the market entry it belongs to */
	market_promotion: string | null;
}

/** What one fetch changed in an event at one bookmaker. */
export interface OddsChange {
	event_id: number;
	sportradar_id: string | null;
	source: string;
	seen_at: string;
	source_changed_at: string | null;
	changes: PriceChange[];
}

/** A match. */
export interface EventFields {
	id: number;
	/** null for an event that is not matched */
	sportradar_id: string | null;
	name: string;
	home_team: string;
	away_team: string;
	kickoff: string;
	tournament_id: number;
	tournament_name: string;
	tournament_country: string;
	sport_name: string;
	created_at: string;
	changed_at: string;
}

/** What changed of an event itself. */
export interface EventChange {
	event_id: number;
	sportradar_id: string | null;
	change: "new" | "kickoff" | "gone" | "back" | "changed" | "removed";
	source: string | null;
	/** null if the event was removed */
	event: EventFields | null;
	bookmakers: ListedBookmaker[];
}

/**
 * Prices that are worth more than they cost. `margin` is in percent of the stake: the guaranteed gain of an
 * arbitrage, the expected gain of a value bet, and what a middle gains or loses in the worst case. Its `best_case`
 * is when the result is between its lines.
 */
export interface Opportunity {
	id: number;
	/** null for an event that is not matched */
	sportradar_id: string | null;
	name: string;
	home_team: string;
	away_team: string;
	kickoff: string;
	tournament_id: number;
	tournament_name: string;
	tournament_country: string;
	sport_name: string;
	created_at: string;
	changed_at: string;
	kind: "arbitrage" | "value" | "middle";
	market_id: string;
	market_name: string;
	line: number | null;
	margin: number;
	best_case: number | null;
	/** why it is listed apart; empty if it is not */
	reasons: ("stale" | "in_play" | "reversed_sides" | "one_bookmaker" | "outlier" | "too_good")[];
	fair_odds: number | null;
	fair_source: string | null;
	/** share of the bank, of a value bet */
	kelly_fraction: number | null;
	/**
	 * when this process found it first; null if the event has kicked off, and if the chosen bookmakers have it at
	 * other prices than all have
	 */
	first_seen_at: string | null;
	lifetime_seconds: number | null;
	/** the greatest margin since then; the margin if that is null */
	best_margin: number;
	oldest_age_seconds: number;
	outcomes: OpportunityOutcome[];
	/** null without a bank in the query */
	stakes: OpportunityStakes | null;
}

/** The price of one outcome to back, the bookmaker that offers it, and its age. */
export interface OpportunityOutcome {
	name: string;
	line: number | null;
	odds: number;
	/** one_up, two_up, boosted or the bookmaker's own word; null for a plain price */
	promotion: string | null;
	bookmaker_slug: string;
	bookmaker_name: string;
	changed_at: string;
	last_seen_at: string;
	/** seconds since the price was last seen */
	age_seconds: number;
}

/** An outcome that an opportunity backs, and its line. */
export interface OpportunityPlace {
	name: string;
	line: number | null;
}

/**
 * The bank in the query, shared in the order of the outcomes. Profits count no refunds, except those of a middle.
 * `worst_profit` is what is left whatever happens, below 0 for a loss. Of a value bet, Kelly's fraction is staked.
 */
export interface OpportunityStakes {
	rounding: number;
	stakes: number[];
	total: number;
	worst_profit: number;
	best_profit: number;
	/** whether the worst case is a profit, after rounding */
	is_profitable: boolean;
}

/** What happened to an opportunity. Event, kind, market and outcomes say which one it is. */
export interface OpportunityChange {
	change: "appeared" | "changed" | "gone";
	event_id: number;
	sportradar_id: string | null;
	kind: "arbitrage" | "value" | "middle";
	market_id: string;
	outcomes: OpportunityPlace[];
	margin: number;
	best_margin: number;
	first_seen_at: string;
	lifetime_seconds: number;
	/** as in /api/opportunities; null if it is gone */
	opportunity: Opportunity | null;
}

/** An alert that fired. Its other fields depend on the kind: they are those of `data` in `/api/alerts`. */
export interface AlertMessage {
	id: number;
	title: string;
	text: string;
	rule_id: number;
	rule: string;
	kind: string;
	[name: string]: unknown;
}

/** The filter of a connection. */
export interface AppliedFilter {
	event_id: number[];
	tournament_id: number[];
	/** main, all, or ids of markets */
	market: "main" | "all" | string[];
	platform: string[];
	/** percent */
	min_move: number;
	image: boolean;
}

/** The data of each type of message. */
export interface MessageData {
	connection_ack: {
		topics: ("alerts" | "odds" | "odds_updates" | "opportunities" | "scrape_progress")[];
		epoch: string;
		/** whether no message of these topics is missing */
		recovered: boolean;
		cursor: string;
		/** names this connection: /api/hub/explain */
		connection_id: string;
		/** how many messages of these topics; null if that is unknown */
		missed?: number | null;
		filter?: AppliedFilter;
	};
	scrape_progress: ScrapeProgress;
	odds_update: {
		event_ids: number[];
		source: Platform;
		/** events whose odds were recorded since the last one from this bookmaker */
		snapshot_count: number;
		/** how many of these had first prices alone: nothing changed that was there before */
		opening_count: number;
	};
	odds_image: OddsImage;
	odds_change: OddsChange;
	event_change: EventChange;
	alert: AlertMessage;
	opportunity: OpportunityChange;
	pong: Record<string, never>;
	subscription_update: {
		topics: ("alerts" | "odds" | "odds_updates" | "opportunities" | "scrape_progress")[];
		filter?: AppliedFilter;
	};
	error: {
		code: "degraded" | "gap" | "invalid_filter" | "invalid_json" | "invalid_message" | "invalid_topic" | "invalid_watch" | "rate_limited" | "too_large" | "unknown_type";
		detail: string;
		/** how many messages of these topics; null if that is unknown */
		missed?: number | null;
	};
}

export interface Envelope<Type extends keyof MessageData> {
	type: Type;
	timestamp: string;
	/** the cursor, for a client that asked for it */
	id?: string;
	data: MessageData[Type];
}

/** A message of the server, with all that its type says about its data. */
export type Message = { [Type in keyof MessageData]: Envelope<Type> }[keyof MessageData];

/** What a client may send over WebSocket. */
export type ClientMessage =
	| {
		type: "ping";
	}
	| {
		type: "subscribe";
		topics: ("alerts" | "odds" | "odds_updates" | "opportunities" | "scrape_progress")[];
		/** for the topic odds, in place of the filter before; every property may be left out */
		filter?: {
			event_id?: number[];
			tournament_id?: number[];
			market?: string | string[];
			platform?: Platform[];
			min_move?: number;
			image?: boolean;
		};
	}
	| {
		type: "unsubscribe";
		topics: ("alerts" | "odds" | "odds_updates" | "opportunities" | "scrape_progress")[];
	};
