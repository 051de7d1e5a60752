"""For operators and integrators: health, and machine-readable descriptions of the API and the streams."""
