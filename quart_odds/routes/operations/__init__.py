"""For whoever runs the server: health, and descriptions of the API and the streams."""
