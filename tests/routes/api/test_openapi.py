"""The OpenAPI document: valid by the official schema, complete, and with examples that fit."""

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from quart import Quart

from quart_odds.app import create_app
from quart_odds.routes.access.forwarding import CARRIED_OUT_BY_WRITER
from quart_odds.routes.access.same_origin import CHECKED
from quart_odds.routes.api.openapi import TAGS
from quart_odds.settings import load_settings
from tests.traffic import traffic

Json = Any


@pytest.fixture(scope="module")
def app() -> Quart:
    """An app that is not open."""
    return create_app(load_settings({}))


@pytest.fixture(scope="module")
def document() -> Json:
    """The OpenAPI document, as a client reads it."""
    return traffic().openapi


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    """Yield each operation with its name."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_it_is_valid_by_the_official_schema(document: Json) -> None:
    """That of OpenAPI 3.1, with all schemas in it, defaults and examples included."""
    assert document["openapi"] == "3.1.0"
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_each_operation_says_what_it_is(document: Json) -> None:
    """It has an id of its own, a sentence as its summary, and one of the tags."""
    found = dict(operations(document))
    assert len(found) > 40
    ids = [operation["operationId"] for operation in found.values()]
    assert len(ids) == len(set(ids))
    assert [tag["name"] for tag in document["tags"]] == list(TAGS)
    assert {tag for operation in found.values() for tag in operation["tags"]} == TAGS.keys()
    for name, operation in found.items():
        assert operation["summary"].endswith("."), name
        assert len(operation["tags"]) == 1, name
        for status, response in operation["responses"].items():
            assert "$ref" in response or response["description"], (name, status)


def test_each_parameter_is_described_and_has_limits(document: Json) -> None:
    """Text has a greatest length, a format or a list of values, whole numbers have bounds, lists a greatest length."""
    checked = 0
    for name, operation in operations(document):
        for parameter in operation["parameters"]:
            schema = parameter["schema"]
            for each in [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]:
                where = f"{name} {parameter['name']}: {each}"
                limits = {*each, *schema}
                match each.get("type"):
                    case "string":
                        assert limits & {"maxLength", "format", "enum", "const", "pattern"}, where
                    case "integer":
                        assert limits >= {"minimum", "maximum"}, where
                    case "array":
                        assert "maxItems" in limits or "enum" in each["items"], where
                checked += 1
    assert checked > 100


def test_every_example_fits_its_schema(document: Json) -> None:
    """Those of parameters, of bodies, and of responses; each JSON body has one."""
    checked = 0
    for name, operation in operations(document):
        holders = [operation.get("requestBody", {}), *operation["responses"].values()]
        contents = [content for holder in holders for content in holder.get("content", {}).items()]
        for kind, content in contents:
            assert not kind.endswith("json") or "example" in content, name
        for each in [*operation["parameters"], *(content for _, content in contents)]:
            if "example" in each:
                assert traffic().faults(each["example"], each["schema"], document) == [], name
                checked += 1
            else:
                assert not each.get("required"), (name, each["name"])
    for response in document["components"]["responses"].values():
        [content] = response["content"].values()
        assert traffic().faults(content["example"], content["schema"], document) == []
    assert checked > 150


def test_a_name_has_one_schema(app: Quart) -> None:
    """A model looks the same in every route, in requests and in responses."""
    provider = app.extensions["QUART_SCHEMA"].openapi_provider
    found: dict[str, Json] = {}
    for rule in provider.generate_rules():
        for name, schema in provider.build_paths(rule)[1].items():
            assert found.setdefault(name, schema) == schema, (name, rule.rule)


def test_refusals_that_decorators_imply_are_documented(app: Quart, document: Json) -> None:
    """403 where a page of another site is refused, 503 where the writer is needed, 404 where something is named."""
    checked = 0
    for rule in app.extensions["QUART_SCHEMA"].openapi_provider.generate_rules():
        view = app.view_functions[rule.endpoint]
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        operations = document["paths"][path].items()
        for operation in [each for method, each in operations if method.upper() in (rule.methods or ())]:
            if getattr(view, CHECKED, False):
                assert "403" in operation["responses"], path
                checked += 1
            if getattr(view, CARRIED_OUT_BY_WRITER, False):
                assert "503" in operation["responses"], path
            if "{" in path:
                assert "404" in operation["responses"], path
            if "requestBody" in operation or any(each["in"] == "query" for each in operation["parameters"]):
                assert "400" in operation["responses"], path
    assert checked > 10


def test_problems_are_one_component(document: Json) -> None:
    """With the fields of RFC 9457, the bad fields, and no others."""
    problem = document["components"]["schemas"]["Problem"]
    body = {"type": "about:blank", "title": "x", "status": 400, "detail": "y", "instance": "/"}
    compiled = jsonschema_rs.Draft202012Validator(problem | {"components": document["components"]})
    assert compiled.is_valid(body)
    assert compiled.is_valid(body | {"errors": [{"field": "limit", "message": "is required"}]})
    assert not compiled.is_valid(body | {"more": 1})
    assert not compiled.is_valid({"status": 400})
