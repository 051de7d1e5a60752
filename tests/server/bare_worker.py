"""A worker without an app, for tests of the supervisor: `python bare_worker.py BEHAVIOUR-FILE PLACE`.

It answers each connection with its number and process id, and keeps it open. The first word in the file says what it
does: `serve`; `report` that it is alive, too; `fail` at its start; `wait` until the file says `serve`, and be ready
then; `die` once it is ready; or `stay`, though it is told to stop. The standard library is all that it uses, so that it
starts fast.
"""

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
from pathlib import Path


def main() -> None:
    """Be a worker until told to stop, or until the supervisor is gone."""
    number, channel_number, socket_numbers = sys.argv[2].split(":")
    behaviour = Path(sys.argv[1]).read_text().split()[0]
    channel = socket.socket(fileno=int(channel_number))
    sockets = {place: socket.socket(fileno=int(each)) for place, each in enumerate(socket_numbers.split(","), 1)}
    if behaviour == "fail":
        channel.sendall(b'{"reason": "the behaviour is to fail"}\n')
        sys.exit(1)
    if behaviour == "stay":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    selector = selectors.DefaultSelector()
    selector.register(channel, selectors.EVENT_READ)
    accepting: set[int] = set()

    def accept_on(wanted: set[int]) -> None:
        for each in accepting - wanted:
            selector.unregister(sockets[each])
        for each in wanted - accepting:
            sockets[each].listen(4096)
            selector.register(sockets[each], selectors.EVENT_READ)
        accepting.clear()
        accepting.update(wanted)

    def serve() -> None:
        accept_on({int(number)})
        channel.sendall(b'{"ready": true}\n')

    if behaviour != "wait":
        serve()
    if behaviour == "die":
        sys.exit(3)
    connections = []
    while True:
        if behaviour == "wait" and Path(sys.argv[1]).read_text() == "serve":
            behaviour = "serve"
            serve()
        if behaviour == "report":
            channel.sendall(b'{"alive": true}\n')
        for key, _ in selector.select(0.02 if behaviour in ("wait", "report") else None):
            if key.fileobj is channel:
                for line in channel.recv(4096).splitlines() or [b'{"stop": true}']:
                    message = json.loads(line)
                    if "accept" in message:
                        accept_on(set(message["accept"]))
                    if "stop" in message and behaviour != "stay":
                        return
            elif key.fd in {sockets[each].fileno() for each in accepting}:
                with contextlib.suppress(BlockingIOError):
                    connection, _ = key.fileobj.accept()  # type: ignore[union-attr]
                    connection.sendall(f"{number} {os.getpid()}\n".encode())
                    connections.append(connection)


if __name__ == "__main__":
    main()
