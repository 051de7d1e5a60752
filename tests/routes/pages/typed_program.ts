// A program that uses the client as it is declared. Each line below a @ts-expect-error has a mistake that tsc must find.
import { LiveClient, watchOdds } from "./live.js";
import type { Filter, GapDetail, Message, Options, OddsChange, ScrapePhase, State, Topic, Transport } from "./live.js";
import { OddsCopy, entryOf } from "./copy.js";

const options: Options = { base: new URL("http://127.0.0.1:8000"), topics: ["scrape_progress", "alerts"], since: null };
const live = new LiveClient(options).open();
const alone: Options = { WebSocket: null };

// Events of the client
live.addEventListener("scrape_progress", ({ detail }) => {
	const current: number = detail.data.current;
	const phase: ScrapePhase = detail.data.phase;
	const left: number | null = detail.data.remaining_ms;
	const cursor: string | undefined = detail.id;
	// @ts-expect-error there is no such field
	detail.data.currrent;
	// @ts-expect-error a number is not text
	const wrong: string = detail.data.total;
	// @ts-expect-error there is no such phase
	if (detail.data.phase === "done") return;
	// @ts-expect-error it may be null
	detail.data.error.recoverable;
});
live.addEventListener("alert", ({ detail }) => detail.data.title.toUpperCase());
live.addEventListener("opportunity", ({ detail }) => detail.data.opportunity?.margin.toFixed(1));
live.addEventListener("odds_update", { handleEvent: ({ detail }) => detail.data.event_ids.map((id) => id + 1) }, { once: true });
live.addEventListener("state", ({ detail }) => {
	const state: State = detail.state;
	const transport: Transport | null = detail.transport;
	// @ts-expect-error there is no such state
	if (state === "open") return;
});
live.addEventListener("gap", ({ detail }: { detail: GapDetail }) => (detail.missed ?? 0) + 1);
live.addEventListener("message", ({ detail }) => told(detail));
// @ts-expect-error there is no such event
live.addEventListener("scrape_progres", () => {});
// @ts-expect-error this one is for the connection only: it comes as `message`
live.addEventListener("pong", () => {});

function told(message: Message): number | string | undefined {
	switch (message.type) {
		case "odds_change":
			return message.data.changes[0]?.odds;
		case "error":
			// @ts-expect-error there is no such code
			if (message.data.code === "gone") return 1;
			return message.data.detail;
		case "connection_ack":
			return message.data.filter?.min_move;
	}
	// @ts-expect-error data depends on the type
	return message.data.changes;
}

// What is read and called
const cursor: string | null = live.cursor;
// @ts-expect-error it cannot be set
live.cursor = "0-0";
// @ts-expect-error there is no such option
new LiveClient({ pingMS: 1 });
// @ts-expect-error there is no such topic
const topic: Topic = "scores";
// @ts-expect-error a watch has its topic
watchOdds({ event_id: [1] }, { topics: ["odds"] });

// Watches
const filter: Filter = { event_id: [12], market: "all", min_move: 2 };
// @ts-expect-error ids are numbers
live.watchOdds({ event_id: ["12"] });
// @ts-expect-error there is no such parameter
live.watchOdds({ league: 3 });
const watch = watchOdds(filter, options);
const client: LiveClient = watch.client;
watch.addEventListener("image", ({ detail }) => detail.events.length + detail.removed.length);
watch.addEventListener("change", ({ detail }: { detail: OddsChange }) => {
	for (const book of watch.copy.get(detail.event_id)?.markets_by_bookmaker ?? []) {
		const market = entryOf(book.markets, "3743", null);
		const odds: number | undefined = market?.outcomes[0]?.odds;
		// @ts-expect-error a market that has changed has no margin
		const margin: number | null = market!.margin;
	}
});
watch.addEventListener("event", ({ detail }) => detail.change === "removed" && detail.event?.home_team);
watch.addEventListener("refused", ({ detail }) => detail.detail.length);
// @ts-expect-error a watch has other events than a client
watch.addEventListener("state", () => {});
watch.update({ tournament_id: [3] });
watch.close();

// A copy of one's own
const copy: Map<number, { home_team: string }> = new OddsCopy();
new OddsCopy().apply({ type: "pong", timestamp: "", data: {} });
// @ts-expect-error data does not belong to the type
new OddsCopy().apply({ type: "odds_image", timestamp: "", data: {} });

export { alone, client, copy, cursor, topic };
