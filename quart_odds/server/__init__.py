"""The launcher: our way to run Hypercorn, with the fast lane, socket options and a drain that ends."""
