"""The wire formats, one bookmaker in two modules each: its addresses, and its events."""
