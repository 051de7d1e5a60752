"""Replay of recorded bodies."""
