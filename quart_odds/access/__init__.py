"""Who may use the server: tokens, sessions of pages, tickets of live connections, and an issuer's JWTs."""
