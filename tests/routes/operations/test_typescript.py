"""static/messages.d.ts: the schemas of /asyncapi.json as TypeScript."""

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.routes.operations.asyncapi import document
from quart_odds.routes.operations.typescript import Schema, _object, _type, declarations
from quart_odds.routes.pages.assets import asset_folder

COMMAND = "python -m quart_odds.routes.operations.typescript >static/messages.d.ts"


def test_committed_declarations_are_those_of_the_schemas() -> None:
    """A change of a schema needs the file to be made anew."""
    assert (asset_folder("static") / "messages.d.ts").read_text() == declarations(), f"run {COMMAND}"


def test_each_message_and_each_schema_is_declared() -> None:
    """Nothing of the document is left out, and each message has data."""
    described = document("")
    text = declarations()
    for name in described["components"]["schemas"]:
        assert f"export interface {name} {{" in text or f"export type {name} = " in text, name
    for reference in described["operations"]["tell"]["messages"]:
        assert f"\n\t{reference['$ref'].rpartition('/')[2]}: " in text, reference


def test_types_do_not_depend_on_what_is_installed() -> None:
    """A bookmaker is any text: another package can add one."""
    text = declarations()
    assert not [platform for platform in Platform if f'"{platform}"' in text]
    assert "source: Platform;" in text


def test_schema_without_a_known_form_is_refused() -> None:
    """A type that says less than the schema would be wrong without a notice."""
    unknown: tuple[Schema, ...] = ({}, {"type": "array"}, {"type": "array", "prefixItems": []}, {"allOf": []})
    for schema in unknown:
        with pytest.raises(ValueError, match="no TypeScript is known"):
            _type(schema, "")


def test_objects_have_their_fields_and_comments() -> None:
    """Optional fields, unions in lists, names that need quotes, free fields, and texts that would end a comment."""
    schema = {
        "properties": {
            "a": {"type": ["integer", "null"], "description": "ends */ here"},
            "b-c": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"const": 1}]}},
        },
        "required": ["a"],
        "additionalProperties": True,
    }
    assert _object(schema, "").splitlines() == [
        "{",
        "\t/** ends *\\/ here */",
        "\ta: number | null;",
        '\t"b-c"?: (string | 1)[];',
        "\t[name: string]: unknown;",
        "}",
    ]
    assert _object({"additionalProperties": {"type": "number"}}, "") == "Record<string, number>"
    assert _object({"properties": {}}, "") == "Record<string, never>"
