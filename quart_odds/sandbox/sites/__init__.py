"""The three wire formats."""
