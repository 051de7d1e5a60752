"""The launcher: runs Hypercorn with the fast lane, socket options and a drain that always ends."""
