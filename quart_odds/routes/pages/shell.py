"""Shared by all pages: templates, static files addressed by their content hash, and security headers."""

import asyncio
import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from hashlib import blake2b
from math import ceil
from pathlib import Path

import orjson
import rcssmin
import rjsmin
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from quart import Response, request
from werkzeug.http import quote_etag

from quart_odds import __version__
from quart_odds.domain.bookmakers import installed
from quart_odds.domain.clock import iso_z
from quart_odds.domain.outcomes import outcome_words
from quart_odds.domain.platforms import Platform
from quart_odds.odds.stored_data import size_words
from quart_odds.routes.access.gate import is_anybody
from quart_odds.routes.access.root_path import public_path
from quart_odds.routes.access.sessions import CSRF_FIELD, csrf_token
from quart_odds.routes.api.cooperative_yield import CooperativeYield
from quart_odds.routes.pages.assets import asset_folder
from quart_odds.services import services

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
    # A page contains the cursor of its moment. If the browser keeps the page, it resumes from there and misses nothing.
    "Cache-Control": "no-cache",
}

DASHES = ("", "7 3", "2 3", "12 3 2 3", "7 3 2 3 2 3")
"""How the lines of the bookmakers in a chart differ, besides in colour."""

FEW = 3
"""Up to this many bookmakers, a price and its age are beside each other in wide windows."""

MANY = 5
"""More bookmakers than this are never all visible in a window of 1280 pixels."""

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

PAGES = (
    ("progress", "/", "Progress"),
    ("odds", "/odds", "Odds"),
    ("opportunities", "/opportunities", "Opportunities"),
    ("alerts", "/alerts", "Alerts"),
    ("coverage", "/coverage", "Coverage"),
    ("runs", "/runs", "Runs"),
    ("health", "/health", "Health"),
    ("settings", "/settings", "Settings"),
    ("docs", "/docs", "API"),
)
"""The pages in the navigation: name, path, and words."""

KINDS = {".js": "text/javascript", ".ts": "text/plain"}
"""Content types by suffix. Elsewhere `.ts` is a video; as plain text, browsers show a declaration."""

STATIC_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


SMALLER: Mapping[str, Callable[[str], str]] = {".js": rjsmin.jsmin, ".css": rcssmin.cssmin}
"""What leaves the comments and indentation out of a file, by suffix."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of static/, ready to send: as pages load it. Scripts and styles are without comments and indentation.

    `/static/NAME` sends the file as it is.
    """

    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class StaticFiles:
    """All files of static/, read once. `version` is one hash for all, so that modules can import each other by it."""

    version: str
    files: Mapping[str, StaticFile]


@cache
def static_files() -> StaticFiles:
    """Return the static files as they were at the first call, and those that are made from the installed bookmakers."""
    folder = asset_folder("static")
    files = {}
    digest = blake2b(digest_size=8)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            content = path.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
            kind = KINDS.get(path.suffix) or mimetypes.guess_type(name)[0]
            text = "; charset=utf-8" if kind is None or kind.startswith("text/") else ""
            files[name] = StaticFile(_smaller(content, path.suffix), (kind or "text/plain") + text)
    for name, made, kind in (
        ("bookmakers.css", bookmakers_css().encode(), "text/css"),
        ("bookmakers.js", bookmakers_js().encode(), "text/javascript"),
    ):
        digest.update(made)
        files[name] = StaticFile(made, f"{kind}; charset=utf-8")
    return StaticFiles(digest.hexdigest(), files)


def _smaller(content: bytes, suffix: str) -> bytes:
    make = SMALLER.get(suffix)
    return content if make is None else make(content.decode()).encode()


def static_answer(version: str, name: str) -> Response | None:
    """Return the response with a static file, which browsers may cache forever, or None for an unknown file."""
    kept = static_files()
    file = kept.files.get(name)
    if file is None or version != kept.version:
        return None
    headers = {**STATIC_HEADERS, "ETag": quote_etag(kept.version)}
    if request.if_none_match.contains_weak(kept.version):
        return Response(b"", 304, headers)
    return Response(file.content, 200, headers, content_type=file.content_type)


def bookmakers_css() -> str:
    """Return the style of each bookmaker: its colour, its letters, and how its line in a chart is dashed.

    Also of each number of bookmakers beside each other, which no page may write into a `style` attribute.
    """
    lines = [f".of{count}{{--books:{count}}}\n" for count in range(1, len(Platform) + 1)]
    for place, each in enumerate(installed().values()):
        slug, dashes = each.bookmaker.slug, DASHES[place % len(DASHES)]
        colours = f"light-dark({each.bookmaker.light},{each.bookmaker.dark})"
        lines.append(f'.{slug}{{--tone:{colours};--letters:"{each.bookmaker.letters}"}}\n')
        if dashes:
            lines.append(f".{slug}:is(.line,.key){{stroke-dasharray:{dashes}}}\n")
    return "".join(lines)


def bookmakers_js() -> str:
    """Return a module that tells the scripts which bookmakers there are."""
    listed = [{"slug": slug, "name": name, "letters": letters} for slug, name, letters in _bookmakers()]
    return f"/** The bookmakers, in their order. */\nexport const BOOKMAKERS = {orjson.dumps(listed).decode()};\n"


def _bookmakers() -> list[tuple[str, str, str]]:
    """Return slug, name and letters of each bookmaker, for templates."""
    return [(each.value, each.display_name, each.letters) for each in Platform]


def columns_class(count: int) -> str:
    """Return the classes of something with a column for each of so many bookmakers. Templates call it `columns_of`."""
    return f"of{count}{' many' if count > FEW else ''}{' crowd' if count > MANY else ''}"


def asset_path(name: str) -> str:
    """Return the path of a static file, without the root path. It changes with the content of any static file."""
    return f"/assets/{static_files().version}/{name}"


@pass_context
def _asset(context: Context, name: str) -> str:
    """Return the address of a static file, for a template."""
    return f"{context['root']}{asset_path(name)}"


def _csrf_field() -> Markup:
    """Return the hidden field that each form needs which changes something; nothing for a page without a session."""
    token = csrf_token()
    return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, token) if token else Markup()


@cache
def _environment(overrides: Path | None) -> Environment:
    """Return the environment of our templates. Those in the folder `overrides` replace ours of the same name.

    They extend or include ours as `quart_odds/NAME`.
    """
    ours = FileSystemLoader(asset_folder("templates"))
    theirs = [] if overrides is None else [FileSystemLoader(overrides)]
    # Quart's own environment is asynchronous, which makes rendering a page of odds several times slower.
    environment = Environment(
        loader=ChoiceLoader([*theirs, ours, PrefixLoader({"quart_odds": ours})]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        auto_reload=False,
    )
    environment.globals["asset"] = _asset
    environment.globals["version"] = __version__
    environment.globals["bookmakers"] = _bookmakers
    environment.globals["pages_of"] = lambda: PAGES
    environment.globals["columns_of"] = columns_class
    environment.globals["outcome_words"] = outcome_words
    environment.globals["csrf_token"] = csrf_token
    environment.globals["csrf_field"] = _csrf_field
    environment.globals["is_anybody"] = is_anybody
    environment.filters |= {
        "bytes": size_words,
        "z": iso_z,
        "clock": clock,
        "day": day,
        "duration": duration,
        "number": number,
        "trigger": trigger_words,
        "within": within,
        "words": words,
    }
    return environment


async def rendered(template: str, values: Mapping[str, object]) -> str:
    """Render a template. A long one yields to the event loop: all other clients' messages wait behind it.

    Besides `values`, it has `root`, with which every address of ours begins.
    """
    parts = []
    turn = CooperativeYield()
    environment = _environment(services().templates)
    for part in environment.get_template(template).generate(values, root=public_path("")):
        parts.append(part)
        if turn.is_due:
            await asyncio.sleep(0)
    return "".join(parts)


def rendered_now(template: str, values: Mapping[str, object], overrides: Path | None = None) -> Markup:
    """Render a short template for use in others, without yielding. One in the folder `overrides` replaces ours."""
    return Markup(_environment(overrides).get_template(template).render(values))  # noqa: S704


async def page(template: str, values: Mapping[str, object], *, status: int = 200) -> Response:
    """Return a whole page as a response."""
    return Response(await rendered(template, values), status, HEADERS, content_type="text/html; charset=utf-8")


async def fragment(template: str, values: Mapping[str, object]) -> Response:
    """Return part of a page as a response, for a script to insert."""
    headers = {**HEADERS, "Cache-Control": "no-store"}
    return Response(await rendered(template, values), 200, headers, content_type="text/html; charset=utf-8")


def clock(moment: datetime) -> str:
    """Format a time of day: `14:03:22`."""
    return f"{moment:%H:%M:%S}"


def day(moment: datetime) -> str:
    """Format a day: `Sat 22 Nov`."""
    return f"{moment:%a} {moment.day} {moment:%b}"


def number(value: int) -> str:
    """Format a count: `1,300`."""
    return f"{value:,}"


def words(count: int) -> str:
    """Format a count of few things for a sentence: `three`, or `12` for more than nine."""
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def duration(milliseconds: float | None) -> str:
    """Format a duration: `4.2 s`, `2 min 05 s`, `1 h 02 min`, or a dash for None. The same as in static/page.js."""
    if milliseconds is None:
        return "–"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def within(seconds: float) -> str:
    """Format a duration that is not exceeded: `9 s`, `5 min`, `3 h`."""
    for size, unit in ((1, "s"), (60, "min")):
        if ceil(seconds / size) < 120:
            return f"{ceil(seconds / size)} {unit}"
    return f"{ceil(seconds / 3600)} h"


def trigger_words(trigger: str) -> str:
    """Return what started a run, as text."""
    if trigger.startswith("retry:"):
        return f"a retry of run {trigger.removeprefix('retry:')}"
    return {
        "api": "the API",
        "api-stream": "the API's stream",
        "page": "the page",
        "scheduled": "the schedule",
        "cli": "the command line",
    }.get(trigger, trigger)
