"""Domain values: bookmakers, events, markets, prices and runs. Plain values, standard library only."""
