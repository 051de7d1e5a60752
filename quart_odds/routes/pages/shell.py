"""What every page stands in: its template, the static files by the hash of their content, and the security headers."""

import asyncio
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import blake2b

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from quart import Response, request
from werkzeug.http import quote_etag

from quart_odds import __version__
from quart_odds.domain.clock import iso_z
from quart_odds.routes.api.cooperative_yield import CooperativeYield
from quart_odds.routes.pages.assets import asset_folder

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # A page holds the cursor of its moment: kept by the browser, it goes on from there, and misses nothing.
    "Cache-Control": "no-cache",
}

STATIC_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of static/, ready to be sent."""

    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class StaticFiles:
    """All of static/, read once. `version` names their content: one for all, so that modules find each other by it."""

    version: str
    files: Mapping[str, StaticFile]


@cache
def static_files() -> StaticFiles:
    """The static files as they were when first asked for."""
    folder = asset_folder("static")
    files = {}
    digest = blake2b(digest_size=8)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            content = path.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
            kind = "text/javascript" if path.suffix == ".js" else mimetypes.guess_type(name)[0]
            text = "; charset=utf-8" if kind is None or kind.startswith("text/") else ""
            files[name] = StaticFile(content, (kind or "text/plain") + text)
    return StaticFiles(digest.hexdigest(), files)


def static_answer(version: str, name: str) -> Response | None:
    """A static file under its version's address, kept by browsers for ever; None for one that there is not."""
    kept = static_files()
    file = kept.files.get(name)
    if file is None or version != kept.version:
        return None
    headers = {**STATIC_HEADERS, "ETag": quote_etag(kept.version)}
    if request.if_none_match.contains_weak(kept.version):
        return Response(b"", 304, headers)
    return Response(file.content, 200, headers, content_type=file.content_type)


def asset_url(name: str) -> str:
    """The address of a static file, which changes with the content of any of them."""
    return f"/assets/{static_files().version}/{name}"


@cache
def _environment() -> Environment:
    # Quart's own environment is asynchronous, which makes a page of odds several times slower to render.
    environment = Environment(
        loader=FileSystemLoader(asset_folder("templates")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        auto_reload=False,
    )
    environment.globals["asset"] = asset_url
    environment.globals["version"] = __version__
    environment.filters |= {
        "z": iso_z,
        "clock": clock,
        "day": day,
        "duration": duration,
        "number": number,
        "trigger": trigger_words,
    }
    return environment


async def rendered(template: str, values: Mapping[str, object]) -> str:
    """The text of a template. A long one gives the loop its turns: everyone else's messages wait behind it."""
    parts = []
    turn = CooperativeYield()
    for part in _environment().get_template(template).generate(values):
        parts.append(part)
        if turn.is_due:
            await asyncio.sleep(0)
    return "".join(parts)


def rendered_now(template: str, values: Mapping[str, object]) -> Markup:
    """The text of a short template, to be put into others."""
    return Markup(_environment().get_template(template).render(values))  # noqa: S704


async def page(template: str, values: Mapping[str, object], *, status: int = 200) -> Response:
    """A whole page."""
    return Response(await rendered(template, values), status, HEADERS, content_type="text/html; charset=utf-8")


async def fragment(template: str, values: Mapping[str, object]) -> Response:
    """A part of a page, for a script to put in its place."""
    headers = {**HEADERS, "Cache-Control": "no-store"}
    return Response(await rendered(template, values), 200, headers, content_type="text/html; charset=utf-8")


def clock(moment: datetime) -> str:
    """`14:03:22`."""
    return f"{moment:%H:%M:%S}"


def day(moment: datetime) -> str:
    """`Sat 22 Nov`."""
    return f"{moment:%a} {moment.day} {moment:%b}"


def number(value: int) -> str:
    """`1,300`."""
    return f"{value:,}"


def duration(milliseconds: float | None) -> str:
    """`4.2 s`, `2 min 05 s`, `1 h 02 min`; a dash for none. static/words.js has its twin."""
    if milliseconds is None:
        return "–"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def trigger_words(trigger: str) -> str:
    """Who started a run, for a person."""
    if trigger.startswith("retry:"):
        return f"a retry of run {trigger.removeprefix('retry:')}"
    return {
        "api": "the API",
        "api-stream": "the API's stream",
        "page": "the page",
        "scheduled": "the schedule",
        "cli": "the command line",
    }.get(trigger, trigger)
