"""Models of request and response bodies, for documentation and validation."""
