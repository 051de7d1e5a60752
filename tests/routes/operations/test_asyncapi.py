"""The AsyncAPI document: valid by the official schema, with every message, and with examples that fit."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

import quart_odds
from quart_odds.broadcast import TOPICS
from quart_odds.routes.operations.asyncapi import ERROR_CODES, document
from tests.routes.pages.conftest import missing
from tests.traffic import traffic

Json = Any

PACKAGE = Path(quart_odds.__file__).parent
OFFICIAL = Path(__file__).parents[3] / ".make" / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"


@pytest.mark.parametrize("root_path", ["", "/odds"])
def test_it_is_valid_by_the_official_schema(root_path: str) -> None:
    """That of AsyncAPI 3.0, which npm installs."""
    if not OFFICIAL.is_file():
        missing(f"no schema at {OFFICIAL}: npm install --no-save --prefix .make @asyncapi/specs@6")
    official = jsonschema_rs.validator_for(json.loads(OFFICIAL.read_text()))
    faults = [f"{each.instance_path}: {each.message[:300]}" for each in official.iter_errors(document(root_path))]
    assert faults == []


def test_every_reference_leads_somewhere() -> None:
    """Those between channels, operations, messages and schemas."""
    described = document("")
    references = re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(described))
    assert len(references) > 40
    for reference in references:
        found: Json = described
        for part in reference.split("/"):
            found = found[part]


def test_every_message_has_a_summary_and_an_example_that_fits() -> None:
    """The payloads allow nothing that they do not name, alerts apart."""
    described = traffic().asyncapi
    messages = described["components"]["messages"]
    assert len(messages) == 16
    for name, message in messages.items():
        assert message["summary"].endswith("."), name
        [example] = message["examples"]
        assert traffic().faults(example["payload"], message["payload"], described) == [], name


def test_every_operation_is_that_of_a_channel() -> None:
    """All messages of a channel are sent or taken, and each channel has an address below the root path."""
    described = document("/odds")
    for name, channel in described["channels"].items():
        assert channel["address"].startswith("/odds/api/")
        told = [
            message["$ref"].rpartition("/")[2]
            for operation in described["operations"].values()
            if operation["channel"]["$ref"] == f"#/channels/{name}"
            for message in operation["messages"]
        ]
        assert sorted(told) == sorted(channel["messages"]), name


def test_every_code_of_an_error_is_documented() -> None:
    """Those that the code has, and no others."""
    text = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    assert set(re.findall(r'error_message\(\s*"(\w+)"', text)) == set(ERROR_CODES)


def test_the_topics_are_those_of_the_broadcast() -> None:
    """A client may subscribe to each."""
    [example] = document("")["components"]["messages"]["subscribe"]["examples"]
    assert set(example["payload"]["topics"]) <= TOPICS
