"""What /metrics exposes: the name, the type and the labels of each metric, without parsing its text."""

import re
from dataclasses import dataclass
from pathlib import Path

from quart_odds.domain.processes import ClusterReport
from quart_odds.routes.api.freshness import AgeMetrics, measured_ages
from quart_odds.routes.operations.metrics import ClusterMetrics, ProcessMetrics
from quart_odds.services import Services

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
ROW = re.compile(r"\| `(quart_odds_\w+)` \| (\w+) \|([^|]*)\|")
SUFFIXES = {"counter": "_total", "info": "_info"}


@dataclass(frozen=True)
class Exposed:
    """A metric, under the name that queries use."""

    name: str
    kind: str
    labels: frozenset[str]

    @property
    def series(self) -> dict[str, frozenset[str]]:
        """The names of its series, with their labels."""
        if self.kind != "histogram":
            return {self.name: self.labels}
        plain = {f"{self.name}{end}": self.labels for end in ("_sum", "_count")}
        return plain | {f"{self.name}_bucket": self.labels | {"le"}}


async def exposed(parts: Services) -> list[Exposed]:
    """Return all metrics of a started app, those of a cluster included."""
    ages = AgeMetrics(await measured_ages(parts.served), parts.odds_service.delays)
    found = []
    for family in (*ProcessMetrics(parts, ages).collect(), *ClusterMetrics(ClusterReport((), None)).collect()):
        labels = set(getattr(family, "_labelnames", ()))
        if family.type == "info":
            labels |= {name for sample in family.samples for name in sample.labels}
        found.append(Exposed(family.name + SUFFIXES.get(family.type, ""), family.type, frozenset(labels)))
    return found


def documented() -> list[Exposed]:
    """Return the metrics in the table of docs/metrics.md."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    return [Exposed(name, kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows]
