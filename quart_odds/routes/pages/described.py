"""What `/docs` shows of the OpenAPI and the AsyncAPI document, ready for a template."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import orjson

Schema = Mapping[str, Any]

METHODS = ("get", "post", "put", "delete")
MOST_VALUES = 12
"""The most allowed values that are listed."""
_TIMES = {"date-time": "time", "date": "day", "binary": "bytes"}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value is: words, and the model that they end with, which may be none."""

    words: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter or a property. `note` says whether it is needed, or what it is when left out."""

    name: str
    kind: Kind
    note: str
    description: str


@dataclass(frozen=True, slots=True)
class Model:
    """A shape of JSON with a name."""

    name: str
    description: str
    fields: tuple[Field, ...]
    kind: Kind


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. `kind` is that of its body, and `example` its text; both may be empty."""

    status: str
    description: str
    kind: Kind
    content_types: str
    example: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API. `scope` is what it needs, empty for nothing."""

    method: str
    path: str
    summary: str
    description: str
    scope: str
    parameters: tuple[Field, ...]
    body: Kind | None
    curl: str
    answers: tuple[Answer, ...]

    @property
    def anchor(self) -> str:
        """The id of the operation's element on the page."""
        return f"{self.method}{self.path}".replace("/", "-").replace("{", "").replace("}", "").lower()


@dataclass(frozen=True, slots=True)
class Group:
    """Operations about one subject."""

    name: str
    description: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a live stream. `fields` are those of its data, or of the whole where there is no envelope."""

    name: str
    summary: str
    fields: tuple[Field, ...]
    kind: Kind
    example: str


@dataclass(frozen=True, slots=True)
class Channel:
    """A live stream, with the names of the messages that it sends and takes."""

    name: str
    address: str
    description: str
    query: tuple[Field, ...]
    sent: tuple[str, ...]
    taken: tuple[str, ...]


def groups_of(openapi: Schema, base: str) -> list[Group]:
    """Return the operations by tag, in the order of the tags. `base` is where curl finds the server."""
    found: dict[str, list[Operation]] = {tag["name"]: [] for tag in openapi["tags"]}
    for path, methods in openapi["paths"].items():
        for method in METHODS:
            if method in methods:
                found[methods[method]["tags"][0]].append(_operation(openapi, base, method, path, methods[method]))
    return [Group(tag["name"], tag["description"], tuple(found[tag["name"]])) for tag in openapi["tags"]]


def models_of(*documents: Schema) -> list[Model]:
    """Return all models of the documents, by name."""
    schemas: dict[str, Schema] = {}
    for document in documents:
        schemas |= document["components"]["schemas"]
    return [
        Model(name, schema.get("description", ""), tuple(_properties(schema)), kind_of(schema))
        for name, schema in sorted(schemas.items())
    ]


def channels_of(asyncapi: Schema) -> list[Channel]:
    """Return the live streams."""
    found = []
    for name, channel in asyncapi["channels"].items():
        names: dict[str, list[str]] = {"send": [], "receive": []}
        for operation in asyncapi["operations"].values():
            if operation["channel"]["$ref"] == f"#/channels/{name}":
                names[operation["action"]] += [each["$ref"].rpartition("/")[2] for each in operation["messages"]]
        query = channel.get("bindings", {}).get("ws", {}).get("query", {})
        found.append(
            Channel(
                name,
                channel["address"],
                channel["description"],
                tuple(_properties(query, notes=False)),
                tuple(names["send"]),
                tuple(names["receive"]),
            )
        )
    return found


def messages_of(asyncapi: Schema) -> list[Message]:
    """Return the messages of the live streams, with an example each."""
    found = []
    for name, message in asyncapi["components"]["messages"].items():
        payload = message["payload"]
        data = payload.get("properties", {}).get("data", payload)
        example = _pretty(message["examples"][0]["payload"])
        found.append(Message(name, message["summary"], tuple(_properties(data)), kind_of(data), example))
    return found


def kind_of(schema: Schema) -> Kind:
    """Describe a schema in a few words: its type, its allowed values, and its limits."""
    if "$ref" in schema:
        return Kind("", schema["$ref"].rpartition("/")[2])
    for alternatives in ("anyOf", "oneOf", "allOf"):
        if alternatives in schema:
            kinds = [kind_of(each) for each in schema[alternatives] if each.get("type") != "null"]
            if len(kinds) == 1:
                return kinds[0]
            # Links to several models at once are not needed: each is in the list of models.
            return Kind(" or ".join(f"{each.words}{each.model}" for each in kinds))
    if "const" in schema:
        return Kind(str(schema["const"]))
    if "enum" in schema:
        values = [*map(str, schema["enum"])]
        rest = ", …" if len(values) > MOST_VALUES else ""
        return Kind(", ".join(values[:MOST_VALUES]) + rest)
    given = schema.get("type", "anything")
    kind = str(given if isinstance(given, str) else next(each for each in given if each != "null"))
    if kind == "array":
        items = kind_of(schema.get("items") or {})
        return Kind(f"list of {items.words}", items.model)
    if kind == "object" and isinstance(more := schema.get("additionalProperties"), dict):
        values_kind = kind_of(more)
        return Kind(f"by name: {values_kind.words}", values_kind.model)
    return Kind(_TIMES.get(schema.get("format", ""), {"string": "text"}.get(kind, kind)) + _limits(schema))


def _operation(openapi: Schema, base: str, method: str, path: str, operation: Schema) -> Operation:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    answers = []
    for status, response in operation["responses"].items():
        if "$ref" in response:
            response = openapi["components"]["responses"][response["$ref"].rpartition("/")[2]]
        answers.append(_answer(status, response))
    return Operation(
        method.upper(),
        path,
        operation.get("summary", ""),
        operation.get("description", "").strip(),
        next((scopes[0] for each in operation["security"] for scopes in each.values() if scopes), ""),
        tuple(_parameter(each) for each in operation["parameters"]),
        kind_of(body["schema"]) if body else None,
        _curl(f"{base}{path}", method, operation),
        tuple(answers),
    )


def _answer(status: str, response: Schema) -> Answer:
    content = response.get("content", {})
    is_problem = "application/problem+json" in content
    example, kind = "", Kind("")
    for each in content.values():
        if "json" in next(iter(content)):
            kind = kind_of(each["schema"])
        if "example" in each and not is_problem:
            example = each["example"] if isinstance(each["example"], str) else _pretty(each["example"])
    return Answer(
        "other" if status == "default" else status, response["description"], kind, ", ".join(content), example
    )


def _parameter(parameter: Schema) -> Field:
    schema = parameter["schema"]
    default = schema.get("default")
    note = "required" if parameter.get("required") else ""
    if default not in (None, [], False, ""):
        note = f"default {default}"
    where = {"path": "in the path", "header": "a header"}.get(parameter["in"], "")
    notes = ", ".join(each for each in (where, "" if parameter["in"] == "path" else note) if each)
    return Field(parameter["name"], kind_of(schema), notes, parameter.get("description", ""))


def _properties(schema: Schema, *, notes: bool = True) -> Iterator[Field]:
    required = schema.get("required", [])
    for name, each in schema.get("properties", {}).items():
        words = [] if name in required or not notes else ["optional"]
        if _is_nullable(each):
            words.append("may be null")
        yield Field(name, kind_of(each), ", ".join(words), each.get("description", ""))


def _is_nullable(schema: Schema) -> bool:
    given = schema.get("type", ())
    return "null" in ([given] if isinstance(given, str) else given) or any(
        each.get("type") == "null" for each in schema.get("anyOf", [])
    )


def _limits(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f", {least} to {most}"
    if least is not None:
        return f", at least {least}"
    if (above := schema.get("exclusiveMinimum")) is not None:
        return f", over {above}" if most is None else f", over {above}, at most {most}"
    return f", at most {most}" if most is not None else ""


def _curl(url: str, method: str, operation: Schema) -> str:
    """Return a command that sends an example of the request."""
    query = {}
    for each in operation["parameters"]:
        if each["in"] == "path":
            url = url.replace(f"{{{each['name']}}}", str(each["example"]))
        elif each["in"] == "query" and each.get("required"):
            query[each["name"]] = each["example"]
    url = f"{url}?{urlencode(query)}" if query else url
    words = ["curl"]
    if "text/event-stream" in operation["responses"].get("200", {}).get("content", {}):
        words.append("-N")
    if method != "get":
        words += ["-X", method.upper()]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        words += ["-H", "Content-Type: application/json", "-d", orjson.dumps(body["example"]).decode()]
    return shlex.join([*words, url])


def _pretty(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
