"""The dashboard and the alert rules: each query is PromQL about metrics and labels that the server exposes."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml  # type: ignore[import-untyped]

from tests.apps import running_app
from tests.deploy.proxies import SHIPPED
from tests.routes.operations.exposition import exposed

DASHBOARD = SHIPPED / "grafana-dashboard.json"
RULES = SHIPPED / "prometheus-alerts.yml"
ROOT = SHIPPED.parents[1]
OF_PROMETHEUS = frozenset({"instance", "job", "worker"})
"""Labels that Prometheus adds, and the one of workers."""

Known = dict[str, frozenset[str]]


@pytest.fixture
async def known(tmp_path: Path) -> AsyncIterator[Known]:
    """The series that a server exposes, with their labels."""
    async with running_app(tmp_path, "http://127.0.0.1:9") as running:
        yield {name: labels for each in await exposed(running.parts) for name, labels in each.series.items()}


def panels() -> list[dict[str, Any]]:
    """Return the panels of the dashboard that show something."""
    return [each for each in json.loads(DASHBOARD.read_text())["panels"] if each["type"] != "row"]


def rules() -> list[dict[str, Any]]:
    """Return the alert rules."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def queries() -> list[str]:
    """Return all queries, with values in place of Grafana's variables."""
    found = [target["expr"] for panel in panels() for target in panel["targets"]]
    found = [each.replace("$__rate_interval", "5m").replace("$instance", ".*") for each in found]
    assert not [each for each in found if "$" in each]
    return found + [rule["expr"] for rule in rules()]


def selectors(node: object) -> Iterator[Any]:
    """Yield the selectors in a query or in a part of it."""
    match node:
        case promql_parser.VectorSelector():
            yield node
        case promql_parser.MatrixSelector():
            yield node.vector_selector
        case promql_parser.Call():
            for each in node.args:
                yield from selectors(each)
        case promql_parser.BinaryExpr():
            yield from selectors(node.lhs)
            yield from selectors(node.rhs)
        case promql_parser.AggregateExpr() | promql_parser.ParenExpr() | promql_parser.UnaryExpr():
            yield from selectors(node.expr)
        case promql_parser.SubqueryExpr():
            yield from selectors(node.expr)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            return
        case _:
            raise AssertionError(f"an unknown part of a query: {type(node)}")


def parts(node: Any) -> Iterator[Any]:
    """Yield a query and everything in it."""
    yield node
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        if (inner := getattr(node, name, None)) is not None:
            yield from parts(inner)
    for each in getattr(node, "args", ()):
        yield from parts(each)


def problems(query: str, known: Known) -> list[str]:
    """Return what a query asks for that there is not."""
    tree = promql_parser.parse(query)
    found = []
    for each in selectors(tree):
        if each.name not in known:
            found.append(f"no metric {each.name}")
            continue
        labels = known[each.name] | OF_PROMETHEUS
        found += [f"{each.name} has no {one.name}" for one in each.matchers.matchers if one.name not in labels]
    for part in parts(tree):
        if isinstance(part, promql_parser.AggregateExpr) and part.modifier is not None:
            there = [known.get(each.name, frozenset()) | OF_PROMETHEUS for each in selectors(part.expr)]
            found += [f"no {label}" for label in part.modifier.labels if not all(label in each for each in there)]
    return found


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ('sum by (topic) (quart_odds_subscribers{instance=~".*"})', []),
        ("rate(quart_odds_nothing[5m])", ["no metric quart_odds_nothing"]),
        ('quart_odds_subscribers{topics="odds"}', ["quart_odds_subscribers has no topics"]),
        ("max by (lane) (quart_odds_subscribers) > quart_odds_none", ["no metric quart_odds_none", "no lane"]),
        ("histogram_quantile(0.5, sum by (le) (quart_odds_flush_latency_seconds))",
         ["no metric quart_odds_flush_latency_seconds", "no le"]),
    ],
)  # fmt: skip
def test_a_wrong_query_is_found(query: str, wrong: list[str], known: Known) -> None:
    """Otherwise the tests below would say nothing."""
    assert problems(query, known) == wrong


def test_every_query_asks_for_what_there_is(known: Known) -> None:
    """Every metric and label of the dashboard and the rules exists."""
    found = queries()
    assert len(found) > 40
    assert {query: wrong for query in found if (wrong := problems(query, known))} == {}


def test_every_metric_that_is_counted_is_on_the_dashboard_or_in_a_rule(known: Known) -> None:
    """Except those that say who a process is, and what others show as well."""
    asked = {each.name for query in queries() for each in selectors(promql_parser.parse(query))}
    base = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    left = {re.sub(r"_(bucket|sum|count)$", "", name) for name in known} - base
    assert left == {
        "quart_odds_process_info",
        "quart_odds_listeners",
        "quart_odds_draining",
        "quart_odds_run_active",
        "quart_odds_log_entries",
        "quart_odds_cluster_subscribers",
        "quart_odds_cluster_watched_events",
    }


def test_the_dashboard_can_be_imported() -> None:
    """It names no data source of ours, and no two panels have one number or overlap."""
    dashboard = json.loads(DASHBOARD.read_text())
    assert {each["name"] for each in dashboard["templating"]["list"]} == {"datasource", "instance"}
    numbers = [each["id"] for each in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for each in dashboard["panels"]:
        place = each["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, each["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_every_alert_says_what_to_do() -> None:
    """Its runbook is a section that exists. Names are unique."""
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) >= 10
    for rule in rules():
        assert re.fullmatch(r"QuartOdds[A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        path, _, section = rule["annotations"]["runbook"].partition("#")
        assert path in ("docs/metrics.md", "docs/deploy.md")
        titles = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
        assert section in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in titles}, rule["alert"]
