"""What the house talks about: platforms, events, markets, prices. Plain values; the standard library only."""
