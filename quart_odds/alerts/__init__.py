"""Alerts: rules on what changes, the targets that are told, and the queue that delivers to them."""
