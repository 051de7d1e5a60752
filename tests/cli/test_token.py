"""`quart-odds token`: made, listed and revoked from a terminal."""

import json
from pathlib import Path

from tests.cli.test_cli import run


def test_a_token_is_made_listed_and_revoked(tmp_path: Path) -> None:
    """Its text is the only line on standard output, so a script can keep it; no other command tells it."""
    made = run(["token", "create", "--name", "grafana", "--scope", "read", "--expires", "30d"], {}, tmp_path)
    (text,) = made.stdout.splitlines()
    token_id = text.split("_")[1]
    assert f"token {token_id}" in made.stderr
    assert "not shown again" in made.stderr
    (row,) = map(json.loads, run(["token", "list", "--json"], {}, tmp_path).stdout.splitlines())
    assert (row["id"], row["name"], row["scope"], row["state"]) == (token_id, "grafana", "read", "usable")
    assert row["expires_at"] is not None
    assert row["last_used_at"] is None
    listed = run(["token", "list"], {}, tmp_path).stdout
    assert "grafana" in listed
    assert text not in listed
    assert "revoked" in run(["token", "revoke", token_id], {}, tmp_path).stdout
    assert "revoked" in run(["token", "list"], {}, tmp_path).stdout
    assert "no token" in run(["token", "revoke", token_id], {}, tmp_path, 1).stderr


def test_a_token_needs_a_name_and_a_scope(tmp_path: Path) -> None:
    """And a lifetime that can be read."""
    run(["token", "create", "--name", "x"], {}, tmp_path, 2)
    run(["token", "create", "--name", "x", "--scope", "root"], {}, tmp_path, 2)
    refused = run(["token", "create", "--name", "x", "--scope", "read", "--expires", "soon"], {}, tmp_path, 1)
    assert "give one such as 45m" in refused.stderr


def test_the_token_of_a_client_is_no_unknown_setting(tmp_path: Path) -> None:
    """A shell may have it for `watch`."""
    run(["token", "list"], {"token": "qo_x"}, tmp_path)
