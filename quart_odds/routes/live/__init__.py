"""Streams that stay open: SSE and WebSocket, and what begins them."""
