"""Routes: blueprints that turn requests into calls, and results into answers."""
