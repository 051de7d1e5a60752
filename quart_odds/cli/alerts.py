"""`quart-odds alerts`: targets and rules of alerts, in the database itself, so a server may be running or not."""

import json
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from quart_odds.cli.database import with_store
from quart_odds.cli.options import examples
from quart_odds.cli.runner import exit_with

if TYPE_CHECKING:
    from quart_odds.alerts.rule_book import RuleBook
    from quart_odds.alerts.service import AlertTargets

T = TypeVar("T")

json_rows = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")


@click.group(
    "alerts",
    epilog=examples(
        'quart-odds alerts targets add "my server" https://odds.example.com/hook',
        """quart-odds alerts rules add "failed runs" --target 1 '{"kind": "run"}'""",
    ),
)
def alerts_command() -> None:
    """Say what alerts are about and where they are sent. See docs/alerts.md."""


@alerts_command.group("targets", epilog=examples("quart-odds alerts targets list"))
def targets_group() -> None:
    """Add, list, remove and test the targets of alerts."""


@targets_group.command(
    "add",
    epilog=examples(
        'quart-odds alerts targets add "my server" https://odds.example.com/hook',
        'quart-odds alerts targets add "my phone" -    # reads the URL',
    ),
)
@click.argument("name")
@click.argument("url")
def add_command(name: str, url: str) -> None:
    """Add a target: https://… for a webhook, any other URL is one of Apprise's. Give - to read it from the input.

    A webhook's secret is printed now and never again.
    """
    from quart_odds.alerts.targets import WEBHOOK_SCHEMES, scheme_of
    from quart_odds.alerts.values import TargetKind

    if url == "-":
        url = sys.stdin.readline().strip()
    kind = TargetKind.WEBHOOK if scheme_of(url) in WEBHOOK_SCHEMES else TargetKind.APPRISE
    target = _with_targets(lambda targets: targets.add(kind, name, url))
    click.echo(f"Target {target.id} was added. Test it: quart-odds alerts targets test {target.id}")
    if target.secret is not None:
        click.echo(f"Its secret, which is not shown again: {target.secret}")


@targets_group.command("list", epilog=examples("quart-odds alerts targets list --json | jq -r .url"))
@json_rows
def list_command(as_json: bool) -> None:
    """List the targets. Secrets in their URLs are masked."""
    from quart_odds.alerts.targets import shown

    for each in _with_targets(lambda targets: targets.all()):
        row = {"id": each.id, "kind": each.kind.value, "name": each.name, "url": shown(each.url)}
        click.echo(json.dumps(row) if as_json else f"{each.id:>4}  {each.kind.value:<8} {row['url']}  {each.name}")


@targets_group.command("remove", epilog=examples("quart-odds alerts targets remove 1"))
@click.argument("target_id", type=int)
def remove_command(target_id: int) -> None:
    """Remove a target, and cancel what waits for it."""
    _with_targets(lambda targets: targets.remove(target_id))
    click.echo(f"Target {target_id} was removed.")


@targets_group.command("test", epilog=examples("quart-odds alerts targets test 1"))
@click.argument("target_id", type=int)
def test_command(target_id: int) -> None:
    """Send a test message to a target now. Exits with 3 if it is not delivered."""
    reason = _with_targets(lambda targets: targets.test(target_id))
    if reason is None:
        click.echo("The test message was delivered.")
        return
    click.echo(f"The test message was not delivered: {reason}", err=True)
    exit_with(3)


@alerts_command.group("rules", epilog=examples("quart-odds alerts rules list"))
def rules_group() -> None:
    """Add, list and remove the rules of alerts."""


@rules_group.command(
    "add",
    epilog=examples(
        """quart-odds alerts rules add "failed runs" --target 1 '{"kind": "run"}'""",
        """quart-odds alerts rules add runs '{"kind": "run"}' --cooldown 60""",
    ),
)
@click.argument("name")
@click.argument("when")
@click.option("--target", "targets", multiple=True, type=int, help="Id of a target that it tells; may be repeated.")
@click.option("--cooldown", default=300, show_default=True, type=click.IntRange(0, 604_800), help="Seconds of silence.")
def add_rule_command(name: str, when: str, targets: tuple[int, ...], cooldown: int) -> None:
    """Add a rule. WHEN is JSON, such as '{"kind": "run"}': see docs/alerts.md."""
    from quart_odds.alerts.rules import offered_spec

    spec = offered_spec(when)
    rule = _with_rules(lambda rules: rules.add(name, spec, targets, cooldown_seconds=cooldown))
    click.echo(f"Rule {rule.id} was added.")


@rules_group.command("list", epilog=examples("quart-odds alerts rules list --json | jq .when"))
@json_rows
def list_rules_command(as_json: bool) -> None:
    """List the rules, with what they are about and the targets that they tell."""
    for each in _with_rules(lambda rules: rules.all()):
        when = each.spec.model_dump(mode="json", exclude_none=True)
        row = {"id": each.id, "name": each.name, "when": when, "targets": each.target_ids, "enabled": each.is_enabled}
        told = ", ".join(map(str, each.target_ids)) or "none"
        click.echo(json.dumps(row) if as_json else f"{each.id:>4}  {each.name}  {json.dumps(when)}  targets: {told}")


@rules_group.command("remove", epilog=examples("quart-odds alerts rules remove 1"))
@click.argument("rule_id", type=int)
def remove_rule_command(rule_id: int) -> None:
    """Remove a rule. What has fired is still delivered."""
    _with_rules(lambda rules: rules.remove(rule_id))
    click.echo(f"Rule {rule_id} was removed.")


def _with_targets(work: "Callable[[AlertTargets], Awaitable[T]]") -> T:
    """Return the result of some work on the targets in the database of the settings."""
    from quart_odds.alerts.service import AlertTargets, Senders

    return with_store(
        lambda store, settings: work(AlertTargets(store, Senders(allow_private=settings.alerts_allow_private)))
    )


def _with_rules(work: "Callable[[RuleBook], Awaitable[T]]") -> T:
    """Return the result of some work on the rules in the database of the settings."""
    from quart_odds.alerts.rule_book import RuleBook

    return with_store(lambda store, _: work(RuleBook(store)))
