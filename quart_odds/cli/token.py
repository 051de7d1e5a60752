"""`quart-odds token`: who may use a server, in the database itself, so a server may be running or not."""

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import click

from quart_odds.cli.database import with_store
from quart_odds.cli.options import examples
from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.domain.scopes import Scope

if TYPE_CHECKING:
    from quart_odds.access.tokens import AccessTokens

T = TypeVar("T")


@click.group(
    "token",
    epilog=examples("quart-odds token create --name laptop --scope run --expires 30d", "quart-odds token list"),
)
def token_command() -> None:
    """Make, list and revoke the tokens that let others use a server. See docs/cli.md."""


@token_command.command(
    "create",
    epilog=examples(
        "quart-odds token create --name dashboard --scope read",
        "quart-odds token create --name laptop --scope run --expires 30d",
    ),
)
@click.option("--name", required=True, help="What it is for; only people read it.")
@click.option(
    "--scope",
    required=True,
    type=click.Choice([each.value for each in Scope]),
    help="read: everything is shown. run: also starts work. admin: also changes settings.",
)
@click.option("--expires", metavar="TIME", help="When it ends, such as 12h, 30d or 8w from now. Never by default.")
def create_command(name: str, scope: str, expires: str | None) -> None:
    """Make a token. It is printed now and never again."""
    from quart_odds.access.tokens import lifetime_of

    lifetime = None if expires is None else lifetime_of(expires)
    token, text = _with_tokens(lambda tokens: tokens.create(name, Scope(scope), lifetime=lifetime))
    click.echo(text)
    until = "does not expire" if token.expires_at is None else f"expires at {iso_z(token.expires_at)}"
    click.echo(f"This is token {token.id}, which {until}. It is not shown again. Servers take it at once.", err=True)


@token_command.command("list", epilog=examples("quart-odds token list --json | jq -r .name"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
def list_command(as_json: bool) -> None:
    """List the tokens, those that are over as well for some time."""
    now = utc_now()
    for token in _with_tokens(lambda tokens: tokens.all()):
        state = token.end_reason(now) or "usable"
        row = {
            "id": token.id,
            "name": token.name,
            "scope": token.scope.value,
            "state": state,
            "created_at": iso_z(token.created_at),
            "expires_at": _shown(token.expires_at),
            "last_used_at": _shown(token.last_used_at),
        }
        if as_json:
            click.echo(json.dumps(row))
        else:
            used = "never used" if token.last_used_at is None else f"used {row['last_used_at']}"
            until = "" if token.expires_at is None else f", until {row['expires_at']}"
            click.echo(f"{token.id}  {token.scope.value:<5}  {state:<7}  {token.name}  ({used}{until})")


@token_command.command("revoke", epilog=examples("quart-odds token revoke ID"))
@click.argument("token_id")
def revoke_command(token_id: str) -> None:
    """Revoke a token by its id. Servers refuse it, and end its connections, within seconds."""
    _with_tokens(lambda tokens: tokens.revoke(token_id))
    click.echo(f"Token {token_id} was revoked.")


def _shown(moment: datetime | None) -> str | None:
    return None if moment is None else iso_z(moment)


def _with_tokens(work: "Callable[[AccessTokens], Awaitable[T]]") -> T:
    """Return the result of some work on the tokens in the database of the settings."""
    from quart_odds.access.tokens import AccessTokens

    return with_store(lambda store, _: work(AccessTokens(store)))
