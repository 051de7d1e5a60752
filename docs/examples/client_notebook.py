"""Cells of a notebook: the API, a copy that moves by itself, data frames: python client_notebook.py ADDRESS"""

import sys

from quart_odds_client.sync import Client, watch_odds

url = sys.argv[1]

# The events that are compared at three bookmakers, and the history of one of them.
client = Client(url)
event = next(client.events(min_bookmakers=3))
history = client.history(event.id, "3743").to_dataframe()
print(history.groupby("bookmaker").odds.agg(["first", "last"]))

# Arbitrage, value bets and middles, with stakes for a bank of 100.
opportunities = client.opportunities("all", bank=100).to_dataframe()
print(opportunities[["kind", "bookmaker", "market", "outcome", "odds", "margin"]])

# A copy that stays current until it is closed. Look at it in any later cell.
watch = watch_odds(url, event_id=event.id).open()
odds = watch.copy.to_dataframe()
main = odds[(odds.market_id == "3743") & odds.available & odds.promotion.isna()]
print(main.pivot(index="outcome", columns="bookmaker", values="odds"))

# Wait up to ten seconds for a change.
watch.wait(timeout=10)
print(watch.copy.events[event.id].best("3743"))

watch.close()
client.close()
