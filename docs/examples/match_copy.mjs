// @ts-check
// Keep a live copy of the odds of one match: node match_copy.mjs http://127.0.0.1:8000 12
import { watchOdds } from "./live.js";

const [base = "", event = ""] = process.argv.slice(2);
const watch = watchOdds({ event_id: [Number(event)] }, { base });
watch.addEventListener("refused", ({ detail }) => console.error(detail.detail));

function show() {
	/** @type {Record<string, number>} */
	const prices = {};
	for (const event of watch.copy.values())
		for (const book of event.markets_by_bookmaker)
			for (const { betpawa_market_id: market, line, promotion, outcomes } of book.markets)
				for (const { name, odds, available } of outcomes)
					if (available) prices[[book.bookmaker_slug, market, line, promotion, name].join("|")] = odds;
	console.log(JSON.stringify(prices));
}

watch.addEventListener("image", show);
watch.addEventListener("change", show);
watch.addEventListener("event", show);
