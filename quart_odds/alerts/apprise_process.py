"""`python -m quart_odds.alerts.apprise_process`: reads one order from standard input, and answers on standard output.

Apprise has its own connections for every service. In a process of its own, all of them can be checked, and none of it
can hold up the server: an audit hook sees each connection before it is made, also those of libraries, and cannot be
removed. This module imports nothing of the package but what needs the standard library only.
"""

import json
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from quart_odds.alerts.addresses import is_public, refused

LIMIT_SECONDS = 30
"""After this time the process is over, also if the server that started it is gone."""

STARTS_PROCESS = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"})
CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


class Guard:
    """Refuses connections to addresses that are not public, and to anything that is not an address; starts nothing.

    `reason` says what was refused last.
    """

    def __init__(self, *, allow_private: bool) -> None:
        self.reason: str | None = None
        self._allow_private = allow_private

    def close_off(self) -> None:
        """Check everything that this process does from now on."""
        resolve = socket.getaddrinfo

        def resolved(*args: Any, **named: Any) -> Any:
            found = resolve(*args, **named)
            for *_, address in found:
                self._check(address)
            return found

        socket.getaddrinfo = resolved
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in CONNECTS:
            sock, address = arguments[:2]
            if address is not None:
                if sock.family not in (socket.AF_INET, socket.AF_INET6):
                    self._refuse("only connections over TCP and UDP are made")
                self._check(address)
        elif event in STARTS_PROCESS:
            self._refuse("no other program is started")

    def _check(self, address: Any) -> None:
        host = str(address[0])
        if not is_public(host) and not (self._allow_private and _is_address(host)):
            self._refuse(refused(host))

    def _refuse(self, reason: str) -> None:
        self.reason = reason
        raise PermissionError(reason)


def _is_address(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])
    except OSError:
        return False
    return True


def carry_out(order: dict[str, Any], guard: Guard) -> str | None:
    """Read the URL of an order with Apprise, and send its message if it has one. Returns what failed, None if nothing.

    Apprise's own words stay here: they may repeat parts of the URL.
    """
    import apprise
    import requests

    apprise.logger.disabled = True
    asset = apprise.AppriseAsset(
        async_mode=False,
        http_redirects=False,
        pgp_autogen=False,
        pem_autogen=False,
        storage_mode="memory",
        allow_templates=False,
        app_id="Quart Odds",
    )
    service = apprise.Apprise.instantiate(order["url"], asset=asset, suppress_exceptions=True)
    if service is None:
        return "Apprise cannot read this URL"
    if order.get("text") is None:
        return None
    statuses: list[int] = []
    send = requests.Session.send

    def noting(session: requests.Session, *args: Any, **named: Any) -> requests.Response:
        # A service may ask for redirects by itself.
        answer = send(session, *args, **{**named, "allow_redirects": False})
        statuses.append(answer.status_code)
        return answer

    requests.Session.send = noting  # type: ignore[method-assign, assignment]
    if service.notify(body=order["text"], title=order["title"], notify_type=apprise.NotifyType.INFO):
        return None
    if guard.reason is not None:
        return guard.reason
    return f"the service answered {statuses[-1]}" if statuses else "the service could not be reached"


def main(read: Callable[[], str] = sys.stdin.read) -> None:
    """Carry out one order: `{"url", "allow_private", "title", "text"}`. Answers `{"reason"}`, null if all went well."""
    signal.alarm(LIMIT_SECONDS)
    answer_to, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints is no answer
    order = json.loads(read())
    guard = Guard(allow_private=order["allow_private"])
    guard.close_off()
    json.dump({"reason": carry_out(order, guard)}, answer_to)


if __name__ == "__main__":
    main()
