"""For Hypercorn's own command: `--config python:quart_odds.server.hypercorn_config`.

Hypercorn has no setting that switches HTTP/2 off where it is not negotiated by TLS. A configuration may be a module,
though, and this one puts the hardened parts in Hypercorn's place.
"""

from quart_odds.server.hardening import install


def harden() -> None:
    """Harden Hypercorn, in this process. That this stands here matters: Hypercorn keeps it with the configuration, and
    hands that to its workers by name, so that each of them imports this module, too.
    """
    install()


alpn_protocols = ["http/1.1"]
websocket_max_message_size = 64 * 1024
keep_alive_timeout = 30.0

harden()
