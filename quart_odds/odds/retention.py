"""What a clean-up removes, and when the database was last cleaned up."""

from dataclasses import dataclass

from pydantic import AwareDatetime, BaseModel, ConfigDict


@dataclass(frozen=True, slots=True)
class Removal:
    """How many rows were, or would be, removed. `events` go with all their odds, which `history_rows` includes."""

    events: int = 0
    history_rows: int = 0
    openings: int = 0
    runs: int = 0


class CleanUpState(BaseModel):
    """When the database was last cleaned up, and at which revision of its tables.

    `first_at` is when the first clean-up after an upgrade is due, once that has been announced.
    """

    model_config = ConfigDict(frozen=True)

    revision: str
    last_at: AwareDatetime | None = None
    first_at: AwareDatetime | None = None
