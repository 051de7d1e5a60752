"""Detection of network file systems: SQLite's locks and its write-ahead log do not work on them."""

from pathlib import Path

from quart_odds.errors import StorageError
from quart_odds.storage.engines import async_url

MOUNTS = Path("/proc/self/mountinfo")
"""The mounted file systems of this process, on Linux."""

NETWORK_FILE_SYSTEMS = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.cephfs", "fuse.davfs2", "fuse.gcsfuse",
        "fuse.glusterfs", "fuse.juicefs", "fuse.nfs", "fuse.rclone", "fuse.s3fs", "fuse.smbnetfs", "fuse.sshfs",
        "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb2", "smb3", "smbfs",
    }
)  # fmt: skip
"""Types of file systems that other machines can change, as `/proc/self/mountinfo` names them."""


def refuse_network_file(database_url: str) -> None:
    """Raise StorageError if this is the URL of a SQLite file on a network file system.

    Where the mounts cannot be read, nothing is refused.
    """
    url = async_url(database_url)
    if not url.drivername.startswith("sqlite") or url.database in (None, "", ":memory:"):
        return
    found = mount_of(Path(str(url.database)))
    if found is None or found[1] not in NETWORK_FILE_SYSTEMS:
        return
    place, kind = found
    reason = (
        f"its file is on a network file system ({kind}), where SQLite's locks and write-ahead log do not work: use a "
        "file on a local disk, or PostgreSQL (QUART_ODDS_DATABASE_URL=postgresql://…)"
    )
    raise StorageError(f"the database: {reason}", for_operator=f"{url.database}, mounted at {place}: {reason}")


def mount_of(path: Path) -> tuple[str, str] | None:
    """Return where the file system of a path is mounted, and its type; None if that cannot be found out."""
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:
        return None
    folder = path.resolve().parent
    best: tuple[str, str] | None = None
    for line in lines:
        head, _, tail = line.partition(" - ")
        fields, kind = head.split(" "), tail.split(" ")[0]
        if len(fields) < 5 or not kind:
            continue
        place = _unescaped(fields[4])
        # Of several file systems mounted at one place, the last one counts.
        if folder.is_relative_to(place) and (best is None or len(place) >= len(best[0])):
            best = place, kind
    return best


def _unescaped(place: str) -> str:
    r"""Return a path without the escapes of mountinfo, such as `\040` for a space."""
    for code in ("040", "011", "012"):
        place = place.replace(f"\\{code}", chr(int(code, 8)))
    return place.replace("\\134", "\\")
