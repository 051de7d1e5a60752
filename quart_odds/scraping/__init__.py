"""Scraping: what a run is, how it goes, and who is told."""
