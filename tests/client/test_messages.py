"""The client's shapes beside the server's: every message and every field that the server tells is typed."""

from collections.abc import Iterator
from types import UnionType
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from quart_odds.routes.api.schemas import live, odds, opportunities, scrape
from quart_odds.routes.operations.asyncapi import document
from quart_odds.scraping.schemas import ScrapeProgress
from quart_odds_client import messages, resources
from quart_odds_client.messages import UnknownMessage, message_of

AT = "2026-11-22T10:00:00.123Z"
UNTYPED = {"pong", "subscription_update"}
"""Answers to what clients say."""

PAIRS: list[tuple[type[BaseModel], type[BaseModel]]] = [
    (ScrapeProgress, messages.ProgressData),
    (live.OddsImage, messages.ImageData),
    (live.OddsChange, messages.ChangeData),
    (live.EventChange, messages.EventChangeData),
    (live.OpportunityChange, messages.OpportunityChangeData),
    (live.AlertMessage, messages.AlertData),
    (odds.EventItem, resources.ListedEvent),
    (odds.EventDetail, resources.EventDetail),
    (odds.EventHistory, resources.EventHistory),
    (opportunities.Opportunity, resources.Opportunity),
    (scrape.RunRow, resources.Run),
    (scrape.Accepted, resources.StartedRun),
]


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models in an annotation, such as that of a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not None or isinstance(annotation, UnionType):
        for each in get_args(annotation):
            yield from models_in(each)


def untold(server: type[BaseModel], client: type[BaseModel]) -> set[str]:
    """Return the fields of the server's model that the client's lacks, those of nested models included."""
    found = {f"{client.__name__}.{name}" for name in server.model_fields.keys() - client.model_fields.keys()}
    for name in server.model_fields.keys() & client.model_fields.keys():
        theirs = list(models_in(server.model_fields[name].annotation))
        ours = list(models_in(client.model_fields[name].annotation))
        if theirs and ours:
            found |= untold(theirs[0], ours[0])
    return found


@pytest.mark.parametrize(("server", "client"), PAIRS, ids=[client.__name__ for _, client in PAIRS])
def test_every_field_is_typed(server: type[BaseModel], client: type[BaseModel]) -> None:
    """A field that is added to the wire is added here. `phase_logs` is always null."""
    assert untold(server, client) - {"Run.phase_logs"} == set()


def test_every_type_has_a_model() -> None:
    """All that /asyncapi.json describes for those who listen to topics."""
    data: dict[str, Any] = {"type": "", "timestamp": AT, "data": {}}
    [described] = [each["messages"] for each in document("")["channels"].values() if each["address"] == "/api/sse"]
    assert {"odds_image", "scrape_progress", "alert"} <= described.keys()
    for kind in described.keys() - UNTYPED:
        try:
            message = message_of(data | {"type": kind})
        except ValueError:
            continue
        assert not isinstance(message, UnknownMessage), kind
