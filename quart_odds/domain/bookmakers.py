"""What a bookmaker is declared to be, and the registry of those that are installed.

A bookmaker is a module with two names: `BOOKMAKER`, its declaration, and `SITE`, its requests and JSON (see
`bookmakers.site.Site`). A package adds one by the entry-point group `quart_odds.bookmakers`; ours are declared in the
same way. docs/adding-a-bookmaker.md walks through it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

GROUP = "quart_odds.bookmakers"
"""The entry-point group. The name of an entry point is the slug, its value the module."""

MAX_SLUG = 16
"""Maximum length of a slug, in letters: the database stores that many."""

_SLUG = re.compile(rf"[a-z][a-z0-9]{{1,{MAX_SLUG - 1}}}")
_RESERVED = frozenset({"all"})
"""Slugs that mean something else where bookmakers are named."""

_COLOUR = re.compile(r"#[0-9a-f]{6}")
_LETTERS = re.compile(r"[A-Z0-9]{2}")

BACKGROUNDS = {"light": ("#f6f4ee", "#fffefb"), "dark": ("#15161a", "#1d1f24")}
"""The backgrounds that a bookmaker's colour is shown on, in light and in dark, as in static/style.css."""

MIN_CONTRAST = 4.5
"""Minimum contrast of text to its background: WCAG 2.2, success criterion 1.4.3."""


class BookmakerDeclarationError(Exception):
    """Raised when an installed bookmaker cannot be used. The message names the package and what is wrong."""


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many requests to a bookmaker may be open at once: the default, and the most that a setting may ask for."""

    default: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmaker:
    """The declaration of a bookmaker.

    `slug` is its name on the wire, in the database and in settings: 2 to 16 lowercase letters and digits. `name` and
    the two `letters` are for people, and `light` and `dark` its colours (`#2b7a3d`) on the two backgrounds. `country`
    is the ISO code of the market that it is scraped for. `url` is scheme and host of its API.

    `catalogue` is the TOML file with its ids of the markets. `lacking_in_lists` names main markets (by slug) that its
    lists lack among their prices, so that a sweep does not renew them. Lists without any prices lack none.

    `order` sorts bookmakers: the first that lists an event names it. `probability_rank` is its place among those whose
    probabilities are used as fair odds, None without them.
    """

    slug: str
    name: str
    letters: str
    light: str
    dark: str
    url: str
    catalogue: Path
    concurrency: Concurrency
    country: str = "NG"
    order: int = 100
    is_enabled: bool = True
    lacking_in_lists: tuple[str, ...] = ()
    probability_rank: int | None = None

    def __post_init__(self) -> None:
        """Check the declaration. Raises ValueError with what is wrong."""
        for text, pattern, wanted in (
            (self.slug, _SLUG, f"a slug has 2 to {MAX_SLUG} lowercase letters and digits, and begins with a letter"),
            (self.letters, _LETTERS, "the letters are two capitals or digits"),
            (self.light, _COLOUR, "a colour is written as #2b7a3d"),
            (self.dark, _COLOUR, "a colour is written as #2b7a3d"),
        ):
            if not pattern.fullmatch(text):
                raise ValueError(f"{wanted}, not {text!r}")
        for theme, colour in (("light", self.light), ("dark", self.dark)):
            if (found := min(contrast(colour, each) for each in BACKGROUNDS[theme])) < MIN_CONTRAST:
                raise ValueError(f"{colour} has a contrast of {found:.2f} in {theme}, and {MIN_CONTRAST} is the least")
        if self.slug in _RESERVED:
            raise ValueError(f"{self.slug!r} cannot be a slug, because it means something else")
        if not self.name.strip() or not 1 <= self.concurrency.default <= self.concurrency.most:
            raise ValueError("a bookmaker has a name, and a default concurrency from 1 to its maximum")


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (`#2b7a3d`), from 1 to 21, as WCAG defines it."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@dataclass(frozen=True, slots=True)
class Installed:
    """A bookmaker that is installed: its declaration, and the module that it comes from."""

    bookmaker: Bookmaker
    module: ModuleType


@cache
def installed() -> Mapping[str, Installed]:
    """Return the installed bookmakers by slug, in their order. Raises BookmakerDeclarationError."""
    return registry_of(entry_points(group=GROUP))


def registry_of(points: Iterable[EntryPoint]) -> Mapping[str, Installed]:
    """Load the modules of entry points. Raises BookmakerDeclarationError."""
    found: dict[str, Installed] = {}
    for point in points:
        each = _loaded(point)
        if point.name in found:
            reason = "another package has the same slug; uninstall one of them"
            raise BookmakerDeclarationError(f"{_named(point)}: {reason}")
        found[point.name] = each
    if not found:
        raise BookmakerDeclarationError("no bookmaker is installed, not even ours: install quart-odds again")
    _refuse_twins(found)
    ordered = sorted(found.values(), key=lambda each: (each.bookmaker.order, each.bookmaker.slug))
    return {each.bookmaker.slug: each for each in ordered}


def _loaded(point: EntryPoint) -> Installed:
    try:
        module = point.load()
        bookmaker, platform = module.BOOKMAKER, module.SITE.platform
    except Exception as exc:
        raise BookmakerDeclarationError(f"{_named(point)}: it cannot be loaded: {exc!r}") from exc
    if not isinstance(bookmaker, Bookmaker) or bookmaker.slug != point.name:
        reason = f"BOOKMAKER has to be a Bookmaker whose slug is the name of the entry point, {point.name!r}"
        raise BookmakerDeclarationError(f"{_named(point)}: {reason}")
    if platform != bookmaker.slug:
        raise BookmakerDeclarationError(f"{_named(point)}: SITE is of {platform!r}")
    return Installed(bookmaker, module)


def _refuse_twins(found: Mapping[str, Installed]) -> None:
    for field in ("name", "letters"):
        seen: dict[str, str] = {}
        for slug, each in found.items():
            if (other := seen.setdefault(getattr(each.bookmaker, field), slug)) != slug:
                raise BookmakerDeclarationError(f"the bookmakers {other} and {slug} have the same {field}")


def _named(point: EntryPoint) -> str:
    package = f" of the package {point.dist.name}" if point.dist is not None else ""
    return f"the bookmaker {point.name!r}{package} ({point.value})"
