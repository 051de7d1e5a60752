"""What the stand-in bookmakers know: events, markets, and prices that move."""
