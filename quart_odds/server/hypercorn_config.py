"""For Hypercorn's own command: `--config python:quart_odds.server.hypercorn_config`.

Hypercorn has no setting that disables HTTP/2 where it is not negotiated by TLS. But a configuration may be a module,
and this one installs the hardened classes.
"""

from quart_odds.server.hardening import install


def harden() -> None:
    """Harden Hypercorn in this process.

    This function has to be defined in this module. Hypercorn keeps it as part of the configuration and passes it to its
    workers by name, so each worker imports this module, too.
    """
    install()


alpn_protocols = ["http/1.1"]
websocket_max_message_size = 64 * 1024
keep_alive_timeout = 30.0

harden()
