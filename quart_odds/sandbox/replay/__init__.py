"""Recorded bodies, served again."""
