"""Scraping: runs, how they are started and ended, and how their progress is published."""
