"""The bundled pages: server-rendered views of the same data that the API serves."""
