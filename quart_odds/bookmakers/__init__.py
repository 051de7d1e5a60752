"""Bookmakers: each site's addresses and JSON, turned into domain values."""
