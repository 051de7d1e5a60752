"""A SQLite file on a network file system is refused by `serve`, before anything starts."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from quart_odds.cli import main
from quart_odds.errors import StorageError
from quart_odds.storage import network_files
from quart_odds.storage.network_files import mount_of, refuse_network_file


def mounts(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: tuple[str | Path, str]) -> None:
    """Make these the mounted file systems: where, and of which type."""
    table = folder / "mountinfo"
    root = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"
    table.write_text(
        "\n".join([root, *(f"30 22 0:40 / {place} rw shared:9 master:1 - {kind} a:/b rw" for place, kind in lines)])
    )
    monkeypatch.setattr(network_files, "MOUNTS", table)


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph"])
def test_a_file_on_a_network_file_system_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file system and what to use instead. Only the operator sees the path."""
    mounts(tmp_path, monkeypatch, (tmp_path, kind))
    with pytest.raises(StorageError, match=rf"network file system \({kind}\).*local disk, or PostgreSQL") as refused:
        refuse_network_file(f"sqlite:///{tmp_path / 'odds.db'}")
    assert str(tmp_path) not in str(refused.value)
    assert str(tmp_path / "odds.db") in refused.value.for_operator


def test_the_innermost_and_last_mount_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local disk below a network mount is fine, and so is a path that only begins with the same letters."""
    (tmp_path / "net" / "a disk").mkdir(parents=True)
    (tmp_path / "network").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "net")
    escaped = str(tmp_path / "net" / "a disk").replace(" ", "\\040")
    mounts(tmp_path, monkeypatch, (tmp_path / "net", "ext4"), (tmp_path / "net", "nfs4"), (escaped, "xfs"))
    refuse_network_file(f"sqlite:///{tmp_path / 'net' / 'a disk' / 'odds.db'}")
    refuse_network_file(f"sqlite:///{tmp_path / 'network' / 'odds.db'}")
    refuse_network_file("sqlite:///:memory:")
    refuse_network_file("postgresql://host/database")
    assert mount_of(tmp_path / "link" / "odds.db") == (str(tmp_path / "net"), "nfs4")
    with pytest.raises(StorageError, match="network file system"):
        refuse_network_file(f"sqlite:///{tmp_path / 'link' / 'odds.db'}")


def test_this_machine_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real table names a file system for a folder of this test. Without a table, nothing is refused."""
    if network_files.MOUNTS.exists():
        assert mount_of(tmp_path / "odds.db") is not None
    monkeypatch.setattr(network_files, "MOUNTS", tmp_path / "none")
    refuse_network_file(f"sqlite:///{tmp_path / 'odds.db'}")


def test_serve_refuses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with 1 and one sentence, and creates no database."""
    (tmp_path / "net").mkdir()
    mounts(tmp_path, monkeypatch, (tmp_path / "net", "cifs"))
    file = tmp_path / "net" / "odds.db"
    monkeypatch.setenv("QUART_ODDS_DATABASE_URL", f"sqlite:///{file}")
    done = CliRunner().invoke(main, ["serve", "--bind", "127.0.0.1:0"])
    assert done.exit_code == 1
    assert "network file system (cifs)" in done.output
    assert not file.exists()
