"""Why a connection failed: the stage that it had reached, told from the error of whatever library raised it."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum


class Stage(StrEnum):
    """The stages of a connection, in order."""

    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    PROXY = "proxy"
    ANSWER = "answer"


ADVICE = {
    Stage.DNS: "check the name in {setting}, and that this machine can resolve names",
    Stage.TCP: "check the host and the port in {setting}, that the server runs, and the firewalls in between",
    Stage.TLS: "renew the certificate, or make this machine trust who signed it; check the clock, too ({setting})",
    Stage.PROXY: "check the address, the user and the password of the proxy in {setting}",
    Stage.ANSWER: "try again; if it stays so, look at the log of the server that {setting} names",
}
"""What to do about a connection that fails at a stage."""


def stage_of(error: BaseException) -> Stage | None:
    """Return the stage at which a connection failed; None if the error does not tell."""
    for each in _chain(error):
        if isinstance(each, socket.gaierror):
            return Stage.DNS
        if isinstance(each, ssl.SSLError | ssl.CertificateError):
            return Stage.TLS
        if isinstance(each, ConnectionResetError | BrokenPipeError | EOFError):
            return Stage.ANSWER
        if isinstance(each, ConnectionRefusedError | FileNotFoundError | PermissionError):
            return Stage.TCP
    if any(isinstance(each, OSError) and not isinstance(each, TimeoutError) for each in _chain(error)):
        return Stage.TCP  # no route to the host, for example
    return None


def certificate_fault(error: BaseException) -> str | None:
    """Return what is wrong with a certificate, such as that it has expired; None if that is not what failed."""
    for each in _chain(error):
        # aiohttp's own error is of this type, too, and has not its attributes.
        if isinstance(each, ssl.SSLCertVerificationError) and (message := getattr(each, "verify_message", None)):
            return str(message)
    return None


def is_timeout(error: BaseException) -> bool:
    """Return whether something took too long."""
    return any(isinstance(each, TimeoutError | asyncio.TimeoutError) for each in _chain(error))


_CAUSES = ("__cause__", "__context__", "os_error", "certificate_error", "orig")
"""Attributes in which Python, aiohttp and SQLAlchemy keep what caused an error."""


def advice_for(stage: Stage | None, setting: str) -> str:
    """Return what to do about a connection that failed at a stage."""
    return ADVICE[stage or Stage.ANSWER].format(setting=setting)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what caused it, however a library keeps that."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        kept = (getattr(each, name, None) for name in _CAUSES)
        waiting += [found for found in (*kept, *getattr(each, "exceptions", ())) if isinstance(found, BaseException)]
