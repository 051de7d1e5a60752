"""Streams that stay open: SSE and WebSocket, and how they start."""
