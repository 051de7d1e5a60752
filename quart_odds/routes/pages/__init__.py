"""The bundled pages: views of the same data, rendered on the server."""
