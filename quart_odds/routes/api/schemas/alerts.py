"""Models of alerts: targets, and what requests about them contain."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from quart_odds.alerts.values import TargetKind
from quart_odds.routes.api.schemas.odds import Shape

TargetName = Annotated[str, Field(description="what people call it")]
TargetURL = Annotated[str, Field(description="https://… for a webhook, otherwise an Apprise URL; never shown again")]
Secret = Annotated[
    str | None, Field(description="what requests are signed with, null for Apprise; shown this once and never again")
]


class Body(BaseModel):
    """A body without other fields than these."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
