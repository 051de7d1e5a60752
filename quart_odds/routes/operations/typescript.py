"""The messages as TypeScript, made from the schemas of `/asyncapi.json`: `static/messages.d.ts`.

To write it anew: `python -m quart_odds.routes.operations.typescript >static/messages.d.ts`.
A test fails while it is out of date.
"""

import json
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from quart_odds.domain.platforms import Platform
from quart_odds.routes.operations.asyncapi import document

Schema = Mapping[str, Any]

WIDTH = 120
REFERENCE = "#/components/schemas/"
PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}

HEAD = """\
// Generated from the schemas of /asyncapi.json by `python -m quart_odds.routes.operations.typescript`. Do not edit.

/** The slug of a bookmaker. A package can add more, so there is no list of them. */
export type Platform = string;
"""
TAIL = """\
/** A message of the server, with all that its type says about its data. */
export type Message = { [Type in keyof MessageData]: Envelope<Type> }[keyof MessageData];
"""


def declarations() -> str:
    """Return the text of `static/messages.d.ts`. Raises ValueError if a schema has something that is not known here."""
    described = document("")
    schemas, messages = described["components"]["schemas"], described["components"]["messages"]
    sent = [reference["$ref"].rpartition("/")[2] for reference in described["operations"]["tell"]["messages"]]
    said = [reference["$ref"].rpartition("/")[2] for reference in described["operations"]["hear"]["messages"]]
    parts = [HEAD, *(_named(name, schema) for name, schema in schemas.items())]
    payloads = {name: messages[name]["payload"]["properties"] for name in sent}
    data = _object({"properties": {name: each["data"] for name, each in payloads.items()}, "required": sent}, "")
    parts.append(f"/** The data of each type of message. */\nexport interface MessageData {data}\n")
    parts.append(_envelope(messages[name]["payload"] for name in sent))
    parts.append(TAIL)
    asked = "".join(f"\n\t| {_type(messages[name]['payload'], chr(9))}" for name in said)
    parts.append(f"/** What a client may send over WebSocket. */\nexport type ClientMessage ={asked};\n")
    return "\n".join(parts)


def _envelope(payloads: Iterable[Schema]) -> str:
    """Return what all messages have in common. Raises ValueError if they differ in more than type and data."""
    bare = []
    for payload in payloads:
        common = {name: each for name, each in payload["properties"].items() if name not in ("type", "data")}
        bare.append({"properties": common, "required": [each for each in payload["required"] if each in common]})
    if any(each != bare[0] for each in bare):
        raise ValueError("the messages have different envelopes")
    _, *fields = _object(bare[0], "").splitlines()
    fields = ["\ttype: Type;", *fields[:-1], "\tdata: MessageData[Type];", "}"]
    return "export interface Envelope<Type extends keyof MessageData> {\n" + "\n".join(fields) + "\n"


def _named(name: str, schema: Schema) -> str:
    """Return the declaration of a schema by its name."""
    head = "".join(f"{line}\n" for line in _comment(schema, ""))
    if "properties" in schema:
        return f"{head}export interface {name} {_object(schema, '')}\n"
    return f"{head}export type {name} = {_type(schema, '')};\n"


def _type(schema: Schema, indent: str) -> str:
    """Return a schema as a type. Raises ValueError if it has no known form."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(REFERENCE)
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        is_open = list(schema["enum"]) == list(Platform)
        return "Platform" if is_open else _union(json.dumps(each) for each in schema["enum"])
    if "anyOf" in schema:
        return _union(_type(each, indent) for each in schema["anyOf"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return _union(_type({**schema, "type": each}, indent) for each in kind)
    if kind == "array" and "items" in schema:
        item = _type(schema["items"], indent)
        return f"({item})[]" if " | " in item else f"{item}[]"
    if kind == "object":
        return _object(schema, indent)
    if kind in PLAIN:
        return PLAIN[kind]
    raise ValueError(f"no TypeScript is known for {json.dumps(schema)}")


def _union(types: Iterable[str]) -> str:
    return " | ".join(dict.fromkeys(types))


def _object(schema: Schema, indent: str) -> str:
    """Return an object's fields in braces."""
    further = schema.get("additionalProperties", False)
    fields = schema.get("properties", {})
    if not fields and not further:
        return "Record<string, never>"
    if not fields:
        return f"Record<string, {'unknown' if further is True else _type(further, indent)}>"
    inner = f"{indent}\t"
    lines = list(_fields(fields, schema.get("required", []), inner))
    if further:
        # It has to fit the named fields, too.
        lines.append(f"{inner}[name: string]: unknown;")
    return "\n".join(["{", *lines, f"{indent}}}"])


def _fields(fields: Mapping[str, Schema], required: Iterable[str], indent: str) -> Iterator[str]:
    for name, schema in fields.items():
        yield from _comment(schema, indent)
        mark = "" if name in required else "?"
        key = name if re.fullmatch(r"[A-Za-z_]\w*", name) else json.dumps(name)
        yield f"{indent}{key}{mark}: {_type(schema, indent)};"


def _comment(schema: Schema, indent: str) -> list[str]:
    """Return the lines of a comment with the description, or none."""
    text = " ".join(schema.get("description", "").replace("*/", "*\\/").split())
    if not text:
        return []
    lines = textwrap.wrap(text, WIDTH - len(indent.expandtabs(4)) - 7, break_long_words=False, break_on_hyphens=False)
    if len(lines) == 1:
        return [f"{indent}/** {lines[0]} */"]
    return [f"{indent}/**", *(f"{indent} * {line}" for line in lines), f"{indent} */"]


if __name__ == "__main__":
    sys.stdout.write(declarations())
