"""Benchmarks. Each prints a table and, as its last line, the same figures as one line of JSON."""
