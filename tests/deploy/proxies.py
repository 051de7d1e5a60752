"""Real proxies with the configurations of docs/deploy, in which only ports, paths and certificates are replaced."""

import asyncio
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.server.harness import Peer
from tests.tokens import HEADERS

SHIPPED = Path(__file__).parents[2] / "docs" / "deploy"
HOST = "odds.example.com"
SITE = "www.example.com"
"""The site below whose path /odds the sub-path configurations serve."""
START_SECONDS = 20.0
AUTHORIZED = tuple(f"{name}: {value}" for name, value in HEADERS.items())

ONE_LINE = {"nginx": "    server 127.0.0.1:8001 max_fails=0;\n", "caddy": " 127.0.0.1:8001"}
"""What is left out of a configuration for one port."""

NGINX_MAIN = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""

CADDY_GLOBAL = """{{
	admin off
	auto_https disable_redirects
	default_bind 127.0.0.1
	http_port {http}
	https_port {https}
	storage file_system {folder}/storage
}}
"""


@dataclass(frozen=True)
class Certificate:
    """A certificate for both names, its key, and a context of clients that trust it."""

    path: Path
    key: Path

    @property
    def context(self) -> ssl.SSLContext:
        """Trust this certificate alone."""
        return ssl.create_default_context(cafile=str(self.path))


@dataclass(frozen=True)
class Proxy:
    """A running proxy on 127.0.0.1. Its clients have the token of the tests, which all servers behind proxies know."""

    name: str
    port: int
    host: str
    certificate: Certificate
    log: Path

    @property
    def url(self) -> str:
        """The address by which browsers reach it."""
        return f"https://{self.host}:{self.port}"

    async def connect(self, source: str = "127.0.0.1") -> Peer:
        """Open a TLS connection for HTTP/1.1 from an address of this machine."""
        async with asyncio.timeout(START_SECONDS):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1",
                self.port,
                ssl=self.certificate.context,
                server_hostname=self.host,
                local_addr=(source, 0),
            )
        return Peer(reader, writer)

    async def websocket(self, query: str = "", *more: str, path: str = "/api/ws", source: str = "127.0.0.1") -> Peer:
        """Send the handshake of a WebSocket. The peer has the head of the response."""
        peer = await self.connect(source)
        lines = [
            f"GET {path}{query} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13",
            *AUTHORIZED,
            *more,
        ]
        await peer.request("\r\n".join(lines) + "\r\n\r\n")
        return peer

    async def stream(self, path: str = "/api/sse") -> Peer:
        """Open an event stream over HTTP/1.1, which the server has to end: there is no other response after it."""
        peer = await self.connect()
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.host}:{self.port}", "Connection: close", *AUTHORIZED]
        await peer.request("\r\n".join(lines) + "\r\n\r\n")
        return peer

    def curl(self, path: str, *options: str) -> list[str]:
        """Return a curl command that asks for a path over HTTP/2."""
        to = ["--resolve", f"{self.host}:{self.port}:127.0.0.1", "--cacert", str(self.certificate.path)]
        sent = ("--header", *AUTHORIZED)
        return [program("curl"), "--http2", "-sSN", "--max-time", "30", *to, *sent, *options, f"{self.url}{path}"]


def program(name: str) -> str:
    """Return the path of a program. Without it, the test is skipped, or fails in CI."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        message = f"no {name} in the PATH: install Debian's package to run the tests of docs/deploy"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    return found


def make_certificate(folder: Path) -> Certificate:
    """Make a self-signed certificate for the names in docs/deploy."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    names = f"subjectAltName=DNS:{HOST},DNS:{SITE}"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", str(made.key), "-out", str(made.path)]
    subprocess.run(
        [program("openssl"), *words, "-subj", "/CN=test", "-addext", names, *files],
        check=True,
        capture_output=True,
        timeout=30,
    )
    return made


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def replaced(text: str, pairs: Mapping[str, str]) -> str:
    """Return a configuration with these parts replaced. Each of them has to be there."""
    for old, new in pairs.items():
        assert old in text, f"the configuration has no {old!r}"
        text = text.replace(old, new)
    return text


@contextmanager
def running_proxy(
    name: str,
    folder: Path,
    certificate: Certificate,
    upstreams: Sequence[int],
    *,
    below_path: bool = False,
    changes: Mapping[str, str] | None = None,
) -> Iterator[Proxy]:
    """Run `nginx` or `caddy` in front of the servers at one or two ports, until the end of the block."""
    http, https = free_port(), free_port()
    text = (SHIPPED / shipped_file(name, below_path=below_path)).read_text()
    if len(upstreams) == 1:
        text = replaced(text, {ONE_LINE[name]: ""})
    ports = {
        f"127.0.0.1:{shipped}": f"127.0.0.1:{port}"
        for shipped, port in zip((8000, 8001)[: len(upstreams)], upstreams, strict=True)
    }
    # A first pass, so that no port is mistaken for one of the configuration's.
    marks = {old: f"127.0.0.1:upstream-{place}" for place, old in enumerate(ports)}
    text = replaced(replaced(text, marks), dict(zip(marks.values(), ports.values(), strict=True)))
    text = replaced(text, changes or {})
    host = SITE if below_path else HOST
    if name == "nginx":
        command = _nginx(folder, text, host, certificate, http, https)
    else:
        command = _caddy(folder, text, host, certificate, http, https)
    log = folder / "proxy.log"
    environ = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environ, cwd=folder)
    try:
        _until_it_listens(process, https, log)
        yield Proxy(name, https, host, certificate, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def shipped_file(name: str, *, below_path: bool) -> str:
    """Return the name of a configuration in docs/deploy."""
    if name == "nginx":
        return "nginx-sub-path.conf" if below_path else "nginx.conf"
    return "Caddyfile-sub-path" if below_path else "Caddyfile"


def _nginx(folder: Path, text: str, host: str, certificate: Certificate, http: int, https: int) -> list[str]:
    pairs = {
        "listen 443 ": f"listen 127.0.0.1:{https} ",
        f"/etc/ssl/certs/{host}.pem": str(certificate.path),
        f"/etc/ssl/private/{host}.key": str(certificate.key),
    }
    if "listen 80;" in text:
        pairs["listen 80;"] = f"listen 127.0.0.1:{http};"
    # This machine may have no IPv6.
    text = re.sub(r"listen \[::\]:.*;", "", replaced(text, pairs))
    (folder / "site.conf").write_text(text)
    # A worker of another user could not read the folder of a test.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX_MAIN.format(folder=folder, user=user))
    return [program("nginx"), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]


def _caddy(folder: Path, text: str, host: str, certificate: Certificate, http: int, https: int) -> list[str]:
    site = f"\n{host} {{\n"
    text = replaced(text, {site: f"{site}\ttls {certificate.path} {certificate.key}\n"})
    path = folder / "Caddyfile"
    path.write_text(CADDY_GLOBAL.format(folder=folder, http=http, https=https) + text)
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(path)]


def _until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, f"the proxy did not start: {log.read_text()}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < end, f"the proxy does not listen: {log.read_text()}"
            time.sleep(0.02)
        else:
            return
