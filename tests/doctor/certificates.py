"""Certificates for 127.0.0.1 that no client should accept as they are: self-signed, and one of them has expired."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.proxies import program

NAMES = "subjectAltName=IP:127.0.0.1"


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key. A client that trusts `path` accepts it, unless it has expired."""

    path: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        """Return the context of a server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key)
        return context


def self_signed(folder: Path) -> Certificate:
    """Make a certificate that is valid and that nobody knows."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    files = ["-keyout", str(made.key), "-out", str(made.path)]
    _openssl("req", "-x509", *_new_key(), "-days", "2", "-subj", "/CN=test", "-addext", NAMES, *files)
    return made


def expired(folder: Path) -> Certificate:
    """Make a certificate that has expired. A client has to trust it to get as far as noticing that."""
    made = Certificate(folder / "expired.pem", folder / "expired-key.pem")
    request, names = folder / "request.csr", folder / "names"
    names.write_text(f"{NAMES}\n")
    _openssl("req", "-new", *_new_key(), "-subj", "/CN=test", "-keyout", str(made.key), "-out", str(request))
    files = ["-in", str(request), "-signkey", str(made.key), "-extfile", str(names), "-out", str(made.path)]
    try:
        _openssl("x509", "-req", "-days", "-1", *files)
    except subprocess.CalledProcessError:  # OpenSSL 3.4 and later
        _openssl("x509", "-req", "-not_before", "20200101000000Z", "-not_after", "20200102000000Z", *files)
    return made


def _new_key() -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def _openssl(*words: str) -> None:
    subprocess.run([program("openssl"), *words], check=True, capture_output=True, timeout=30)
