"""What the stand-in bookmakers offer: events, markets and moving prices."""
