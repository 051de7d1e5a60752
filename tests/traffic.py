"""All traffic of the tests, checked against the OpenAPI and the AsyncAPI document.

`checked` makes a client of Quart's check each response that it gets, each request that was accepted, and each message
of a WebSocket or an event stream. What the documents do not say is collected here; `tests.conftest` fails the test for
it. A test that sends nonsense on purpose has the marker `odd_input`: then requests are not checked, only their answers.
"""

import gzip
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import jsonschema_rs
import orjson
import structlog
from quart.testing import QuartClient
from quart.testing.connections import TestHTTPConnection as HTTPConnection
from quart.testing.connections import TestWebsocketConnection as WebsocketConnection
from quart.typing import TestClientProtocol
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from quart_odds.app import create_app
from quart_odds.routes.api.openapi import document_of
from quart_odds.routes.operations.asyncapi import document
from quart_odds.services import EXTENSION
from quart_odds.settings import load_settings

Json = Any
Document = Mapping[str, Any]
Client = TypeVar("Client", bound=QuartClient | TestClientProtocol)

BEFORE_ROUTES = frozenset({405, 408, 413, 421, 500, 505})
"""Statuses with which a request may be refused before it reaches its route, and those of faults."""

STREAM = "text/event-stream"
BOOLEANS = {"1": True, "true": True, "0": False, "false": False}
MOST_SHOWN = 10


@dataclass
class Watch:
    """What the traffic of the current test has that the documents do not say."""

    violations: list[str] = field(default_factory=list)
    is_odd: bool = False

    def begin(self, *, is_odd: bool) -> None:
        """Begin with a test. With `is_odd`, its requests are not checked."""
        self.violations.clear()
        self.is_odd = is_odd

    def taken(self) -> list[str]:
        """Return what there is, each once, and forget it."""
        found = list(dict.fromkeys(self.violations))
        self.violations.clear()
        return found

    def check(self) -> None:
        """Raise an AssertionError if there is anything."""
        found = self.taken()
        assert not found, "\n".join(["traffic that the documents do not describe:", *found[:MOST_SHOWN]])


WATCH = Watch()


class Traffic:
    """The documents, compiled. A schema is compiled when it is needed first."""

    def __init__(self, openapi: Document, asyncapi: Document, routes: MapAdapter) -> None:
        self.openapi = openapi
        self.asyncapi = asyncapi
        self._routes = routes
        self._compiled: dict[tuple[int, bool], jsonschema_rs.Draft202012Validator] = {}
        self._strict = {id(each): _strict(each["components"]) for each in (openapi, asyncapi)}

    def route(self, method: str, path: str) -> str | None:
        """Return the documented path that a path is of, None if there is none."""
        try:
            rule, _ = self._routes.match(path, method=method, return_rule=True)
        except HTTPException:
            return None
        template = re.sub(r"<(?:[^:<>]+:)?([a-z_]+)>", r"{\1}", str(rule.rule))
        return template if template in self.openapi["paths"] else None

    def faults(self, value: Json, schema: Document, whole: Document, *, is_asked: bool = False) -> list[str]:
        """Return what is wrong with a value, each with its JSON pointer. `whole` is the document of the schema.

        Requests (`is_asked`) may have more than the schema names, and times in more forms.
        """
        key = id(schema), is_asked
        compiled = self._compiled.get(key)
        if compiled is None:
            of_all = {"components": whole["components"] if is_asked else self._strict[id(whole)]}
            own = schema if is_asked else _strict(schema)
            compiled = jsonschema_rs.Draft202012Validator({**own, **of_all}, validate_formats=not is_asked)
            self._compiled[key] = compiled
        if compiled.is_valid(value):
            return []
        return [
            f"{'/'.join(['', *map(str, each.instance_path)]) or '/'}: {each.message[:300]}"
            for each in compiled.iter_errors(value)
        ]

    def message(self, message: Json, where: str) -> None:
        """Check a message that the server has sent on a WebSocket."""
        kind = message.get("type") if isinstance(message, dict) else None
        self._message(message, self.asyncapi["channels"]["hub"]["messages"], kind, where)

    def block(self, path: str, block: str, where: str) -> None:
        """Check a block of an event stream."""
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" not in fields:
            return
        is_hub = path == "/api/sse"
        channel = self.asyncapi["channels"]["hubEvents" if is_hub else "run"]
        name = fields.get("event", None if is_hub else "progress")
        self._message(orjson.loads(fields["data"]), channel["messages"], name, where)

    def _message(self, message: Json, messages: Document, name: Any, where: str) -> None:
        if name not in messages:
            WATCH.violations.append(f"{where}: no message {name!r} is documented")
            return
        schema = self.asyncapi["components"]["messages"][name]["payload"]
        WATCH.violations.extend(f"{where} {name} {fault}" for fault in self.faults(message, schema, self.asyncapi))

    def answer(self, method: str, path: str, status: int, content_type: str, body: bytes) -> None:
        """Check the whole response of a real server to a request that was meant to make sense."""
        own, _, query = path.partition("?")
        exchange = Exchange(self, {"method": method, "path": own, "query_string": query.encode()}, "")
        headers = [(b"content-type", content_type.encode())]
        exchange.take({"type": "http.response.start", "status": status, "headers": headers})
        exchange.take({"type": "http.response.body", "body": body})

    def progress(self, progress: Json, where: str) -> None:
        """Check a step that the stream of a run has sent."""
        self._message(progress, self.asyncapi["channels"]["run"]["messages"], "progress", where)

    def said(self, message: Json) -> bool:
        """Return whether the document has a message of a client."""
        if not isinstance(message, dict) or message.get("type") not in ("ping", "subscribe", "unsubscribe"):
            return False
        schema = self.asyncapi["components"]["messages"][message["type"]]["payload"]
        return not self.faults(message, schema, self.asyncapi)


class Exchange:
    """One request and its response, which are checked when the response is complete; a stream block by block."""

    def __init__(self, traffic: Traffic, scope: Any, root_path: str) -> None:
        self._traffic = traffic
        self._method: str = scope["method"]
        path: str = scope["path"]
        self._path = path.removeprefix(root_path) if path.startswith(f"{root_path}/") else path
        self._query: bytes = scope["query_string"]
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = b""
        self.sent = b""

    @property
    def _where(self) -> str:
        return f"{self._method} {self._route or self._path} {self._status}"

    @cached_property
    def _route(self) -> str | None:
        return self._traffic.route("GET" if self._method == "HEAD" else self._method, self._path)

    @property
    def _type(self) -> str:
        return self._headers.get("content-type", "").partition(";")[0].strip()

    def take(self, message: Any) -> None:
        """Take an ASGI message of the response."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if self._type == STREAM:
                *blocks, rest = self._body.split(b"\n\n")
                self._body = rest
                for block in blocks:
                    self._traffic.block(self._route or self._path, block.decode(), self._where)
            if not message.get("more_body", False):
                self._check()

    def _check(self) -> None:
        operation = self._operation()
        if operation is None:
            if self._status >= 400 and self._path.startswith("/api/"):
                self._check_content(self._traffic.openapi["components"]["responses"]["Problem"])
            return
        response = self._response(operation)
        if response is None:
            WATCH.violations.append(f"{self._where}: this status is not documented")
            return
        self._check_content(response)
        if self._status < 400 and not WATCH.is_odd:
            self._check_request(operation)

    def _operation(self) -> Document | None:
        if self._route is None or self._method == "OPTIONS":
            return None
        method = "get" if self._method == "HEAD" else self._method.lower()
        found: Document | None = self._traffic.openapi["paths"][self._route].get(method)
        return found

    def _response(self, operation: Document) -> Document | None:
        responses = operation["responses"]
        found: Document | None = responses.get(str(self._status))
        if found is None and self._status in BEFORE_ROUTES:
            found = responses["default"]
        if found is not None and "$ref" in found:
            found = self._traffic.openapi["components"]["responses"][found["$ref"].rpartition("/")[2]]
        return found

    def _check_content(self, response: Document) -> None:
        content = {kind.partition(";")[0]: each for kind, each in response.get("content", {}).items()}
        if not content:
            if self._body:
                WATCH.violations.append(f"{self._where}: no body is documented")
            return
        if self._type not in content:
            WATCH.violations.append(f"{self._where}: the content type {self._type!r} is not documented")
        elif self._method != "HEAD" and self._type.endswith("json"):
            zipped = self._headers.get("content-encoding") == "gzip"
            body = orjson.loads(gzip.decompress(self._body) if zipped else self._body)
            schema = content[self._type]["schema"]
            faults = self._traffic.faults(body, schema, self._traffic.openapi)
            WATCH.violations.extend(f"{self._where} {fault}" for fault in faults)

    def _check_request(self, operation: Document) -> None:
        """Check an accepted request: its query, of which unknown names are ignored, and its body."""
        where = f"the accepted request {self._method} {self._route}"
        given: dict[str, list[str]] = {}
        for name, value in parse_qsl(self._query.decode("latin-1"), keep_blank_values=True):
            given.setdefault(name, []).append(value)
        for parameter in operation["parameters"]:
            name = parameter["name"]
            if parameter["in"] == "query" and name in given:
                value = _value(given[name], parameter)
                schema = parameter["schema"]
                faults = self._traffic.faults(value, schema, self._traffic.openapi, is_asked=True)
                WATCH.violations.extend(f"{where} ?{name}={value!r} {fault}" for fault in faults)
            elif parameter["in"] == "query" and parameter.get("required"):
                WATCH.violations.append(f"{where}: {name} is missing")
        if self.sent.strip():
            if "requestBody" not in operation:
                return
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            faults = self._traffic.faults(orjson.loads(self.sent), schema, self._traffic.openapi, is_asked=True)
            WATCH.violations.extend(f"{where} body {fault}" for fault in faults)


@cache
def traffic() -> Traffic:
    """Return what checks the traffic of this process. The documents depend on the installed bookmakers alone."""
    config, root = structlog.get_config(), logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    app = create_app(load_settings({}))
    structlog.configure(**config)
    root.setLevel(level)
    root.handlers[:] = handlers
    # As a client reads them.
    openapi, asyncapi = (orjson.loads(orjson.dumps(each)) for each in (document_of(app), document("")))
    return Traffic(openapi, asyncapi, app.url_map.bind(""))


class CheckedHTTP(HTTPConnection):
    """A request through Quart's test client."""

    def __init__(self, app: Any, scope: Any, _preserve_context: bool = False) -> None:
        super().__init__(app, scope, _preserve_context)
        self._exchange = Exchange(traffic(), scope, _root_path(app))

    async def send(self, data: bytes) -> None:
        """Send a part of the body."""
        self._exchange.sent += data
        await super().send(data)

    async def _asgi_send(self, message: Any) -> None:
        self._exchange.take(message)
        await super()._asgi_send(message)


class CheckedWebsocket(WebsocketConnection):
    """A WebSocket through Quart's test client."""

    def __init__(self, app: Any, scope: Any) -> None:
        super().__init__(app, scope)
        self._unanswered: list[Json] = []

    async def send(self, data: str | bytes) -> None:
        """Send a message, and remember it until it is answered."""
        with suppress(orjson.JSONDecodeError):
            self._unanswered.append(orjson.loads(data))
        await super().send(data)

    async def _asgi_send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            self._check(orjson.loads(message.get("bytes") or message.get("text")))
        elif message["type"] == "websocket.http.response.body" and message.get("body"):
            schema = traffic().openapi["components"]["schemas"]["Problem"]
            faults = traffic().faults(orjson.loads(message["body"]), schema, traffic().openapi)
            WATCH.violations.extend(f"refused WebSocket {fault}" for fault in faults)
        await super()._asgi_send(message)

    def _check(self, message: Json) -> None:
        traffic().message(message, "/api/ws")
        kind = message.get("type") if isinstance(message, dict) else None
        if kind not in ("pong", "subscription_update") or WATCH.is_odd:
            return
        kinds = ("ping",) if kind == "pong" else ("subscribe", "unsubscribe")
        asked = [each for each in self._unanswered if isinstance(each, dict) and each.get("type") in kinds]
        if not any(traffic().said(each) for each in asked):
            WATCH.violations.append(f"/api/ws {kind}: the accepted message is not documented: {asked}")


def checked(client: Client) -> Client:
    """Return a client that checks all its traffic."""
    client.http_connection_class = CheckedHTTP
    client.websocket_connection_class = CheckedWebsocket
    return client


def _root_path(app: Any) -> str:
    settings = getattr(app.extensions.get(EXTENSION), "settings", None)
    return settings.root_path if settings is not None else ""


def _value(texts: list[str], parameter: Document) -> Json:
    """Return the value of a parameter as its schema has it, as far as its text allows."""
    schema = parameter["schema"]
    options = schema.get("anyOf", [schema])
    arrays = [each for each in options if each.get("type") == "array"]
    if arrays:
        separated = [part for text in texts for part in text.split(",") if part]
        parts = separated if parameter.get("explode") is False else texts
        return [_scalar(each, [arrays[0].get("items", {})]) for each in parts]
    return _scalar(texts[0], options)


def _scalar(text: str, options: list[Document]) -> Json:
    kinds = {each.get("type") for each in options}
    if "boolean" in kinds and text.lower() in BOOLEANS:
        return BOOLEANS[text.lower()]
    for kind, number in (("integer", int), ("number", float)):
        if kind in kinds:
            with suppress(ValueError):
                return number(text)
    return None if text == "" and "null" in kinds else text


def _strict(schema: Json) -> Json:
    """Return a schema that allows no property that it does not name, unless it says that there may be others."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        name: each if name in ("example", "examples", "default") else _strict(each) for name, each in schema.items()
    }
    if isinstance(made.get("properties"), dict) and made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made
