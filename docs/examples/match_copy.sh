#!/bin/sh
# Keep a live copy of the odds of one match: sh match_copy.sh http://127.0.0.1:8000 12
while :; do
	curl -sN "$1/api/sse?topics=odds&event_id=$2" | sed -un 's/^data: //p' | jq -cn --unbuffered '
		foreach inputs as {$type, $data} ({};
			if $type == "odds_image" then
				[$data.events[].markets_by_bookmaker[] | .bookmaker_slug as $book | .markets[] | . as $market
					| .outcomes[] | select(.available)
					| {key: "\($book)|\($market.betpawa_market_id)|\($market.line)|\($market.promotion)|\(.name)", value: .odds}]
				| from_entries
			elif $type == "odds_change" then
				reduce $data.changes[] as $new (.;
					"\($data.source)|\($new.market_id)|\($new.line)|\($new.market_promotion)|\($new.outcome)" as $key
					| if $new.available then .[$key] = $new.odds else del(.[$key]) end)
			else . end)'
	sleep 0.5 # A new connection begins with the whole state.
done
