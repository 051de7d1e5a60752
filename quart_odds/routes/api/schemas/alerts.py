"""Models of alerts: targets, rules and what fired, and what requests about them contain."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from quart_odds.alerts.rule_book import DEFAULT_COOLDOWN_SECONDS, MOST_COOLDOWN_SECONDS
from quart_odds.alerts.rules import OfferedSpec
from quart_odds.alerts.values import DeliveryState, TargetKind
from quart_odds.routes.api.requests import Query, WholeNumber
from quart_odds.routes.api.schemas.odds import Shape

TargetName = Annotated[str, Field(description="what people call it")]
TargetURL = Annotated[str, Field(description="https://… for a webhook, otherwise an Apprise URL; never shown again")]
Secret = Annotated[
    str | None, Field(description="what requests are signed with, null for Apprise; shown this once and never again")
]


RuleName = Annotated[str, Field(description="what people call it")]
When = Annotated[OfferedSpec, Field(description="what it is about; the fields depend on the kind")]
TargetId = Annotated[int, Field(gt=0, le=2**31 - 1)]
TargetIds = Annotated[tuple[TargetId, ...], Field(max_length=20, description="the ids of the targets that it tells")]
Cooldown = Annotated[
    int, Field(ge=0, le=MOST_COOLDOWN_SECONDS, description="how long a subject is silent after it fired")
]


class Body(BaseModel):
    """A body without other fields than these."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class NewTarget(Body):
    """A target to add."""

    kind: TargetKind
    name: TargetName
    url: TargetURL


class TargetChanges(Body):
    """What to change of a target; the rest stays as it is."""

    name: TargetName | None = None
    url: TargetURL | None = None
    new_secret: Annotated[bool, Field(description="true to sign with a new secret from now on")] = False


class TargetRow(Shape):
    """A target."""

    id: int
    kind: TargetKind
    name: str
    url: Annotated[str, Field(description="the scheme, and the host if it is no secret; the rest is masked")]
    created_at: AwareDatetime


class AddedTarget(TargetRow):
    """A target that was added or changed."""

    secret: Secret


class TargetRows(Shape):
    """All targets."""

    targets: list[TargetRow]


class Removed(Shape):
    """What was removed."""

    id: int
    removed: bool


class TestAnswer(Shape):
    """How a test message went."""

    __test__ = False

    delivered: bool
    reason: Annotated[str | None, Field(description="why it was not delivered")]


class NewRule(Body):
    """A rule to add."""

    name: RuleName
    when: When
    targets: TargetIds = ()
    cooldown_seconds: Cooldown = DEFAULT_COOLDOWN_SECONDS
    enabled: bool = True


class RuleChanges(Body):
    """What to change of a rule; the rest stays as it is."""

    name: RuleName | None = None
    when: When | None = None
    targets: TargetIds | None = None
    cooldown_seconds: Cooldown | None = None
    enabled: bool | None = None


class RuleRow(Shape):
    """A rule."""

    id: int
    name: str
    when: When
    targets: list[int]
    cooldown_seconds: int
    enabled: bool
    created_at: AwareDatetime
    changed_at: AwareDatetime


class RuleRows(Shape):
    """All rules."""

    rules: list[RuleRow]


WholeId = Annotated[int, WholeNumber(1, 2**31 - 1)]


class AlertsQuery(Query):
    """Which alerts to list."""

    limit: Annotated[int, WholeNumber(1, 200)] = 50
    before: Annotated[WholeId | None, Field(description="only those before this id")] = None
    rule_id: Annotated[WholeId | None, Field(description="only those of this rule")] = None


class DeliveryRow(Shape):
    """How a delivery is."""

    target_id: Annotated[int | None, Field(description="null if the target was removed")]
    target: str
    state: DeliveryState
    attempts: int
    reason: Annotated[str | None, Field(description="why the last attempt failed")]
    next_at: Annotated[AwareDatetime | None, Field(description="when the next attempt is due; null once it has ended")]
    ended_at: AwareDatetime | None


class AlertRow(Shape):
    """An alert that fired."""

    id: int
    rule_id: Annotated[int | None, Field(description="null if the rule was removed")]
    rule: str
    kind: str
    title: str
    text: str
    data: dict[str, object]
    fired_at: AwareDatetime
    deliveries: list[DeliveryRow]


class AlertRows(Shape):
    """Alerts, newest first."""

    alerts: list[AlertRow]
