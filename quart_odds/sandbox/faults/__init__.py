"""Faults: what can go wrong, and how to request it."""
