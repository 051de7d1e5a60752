"""The registry of bookmakers: what a declaration has to be, and what an installed one is as a value."""

import pickle
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from itertools import count
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from pydantic import TypeAdapter, ValidationError

from quart_odds.domain.bookmakers import (
    BACKGROUNDS,
    GROUP,
    MIN_CONTRAST,
    Bookmaker,
    BookmakerDeclarationError,
    Concurrency,
    contrast,
    installed,
    registry_of,
)
from quart_odds.domain.platforms import STORED, Platform

EXAMPLE = EntryPoint("lagosbets", "tests.lagos_bets.lagos_bets", GROUP)
DECLARED = Bookmaker(
    slug="somebets",
    name="Some Bets",
    letters="S1",
    light="#1d1c19",
    dark="#e9e7e1",
    url="https://some.example",
    catalogue=Path("somebets.toml"),
    concurrency=Concurrency(1, 1),
)

_numbers = count()


def point(bookmaker: object, name: str = "somebets", site: object = SimpleNamespace(platform="somebets")) -> EntryPoint:
    """Return an entry point of a module with this declaration."""
    module = ModuleType(f"declares_{name}_{next(_numbers)}")
    module.__dict__.update(BOOKMAKER=bookmaker, SITE=site)
    sys.modules[module.__name__] = module
    return EntryPoint(name, module.__name__, GROUP)


def test_bookmakers_have_an_order_and_colours_that_can_be_read() -> None:
    """Names and letters differ, and each colour has enough contrast in light and dark."""
    assert [each.value for each in Platform][:3] == ["betpawa", "sportybet", "bet9ja"]
    declared = [each.bookmaker for each in installed().values()]
    assert len({each.letters for each in declared}) == len({each.name for each in declared}) == len(declared)
    for each in declared:
        assert all(contrast(each.light, background) >= MIN_CONTRAST for background in BACKGROUNDS["light"])
        assert all(contrast(each.dark, background) >= MIN_CONTRAST for background in BACKGROUNDS["dark"])


def test_backgrounds_are_those_of_the_pages() -> None:
    """Contrast is computed against the colours of the style sheet."""
    style = (Path(__file__).parents[2] / "static" / "style.css").read_text()
    for name, light, dark in zip(("paper", "sheet"), *BACKGROUNDS.values(), strict=True):
        assert f"--{name}:light-dark({light},{dark});" in style


def test_contrast_is_that_of_the_guidelines() -> None:
    """Black on white has 21, a colour on itself 1."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ae550a", "#ae550a") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slug": "Some"}, "a slug has 2 to 16 lowercase letters and digits"),
        ({"slug": "some-bets"}, "not 'some-bets'"),
        ({"slug": "s" * 17}, "a slug has 2 to 16"),
        ({"slug": "all"}, "'all' cannot be a slug"),
        ({"letters": "Sb"}, "two capitals or digits, not 'Sb'"),
        ({"light": "red"}, "a colour is written as #2b7a3d, not 'red'"),
        ({"light": "#aaaaaa"}, "#aaaaaa has a contrast of 2.[0-9]+ in light, and 4.5 is the least"),
        ({"dark": "#333333"}, "#333333 has a contrast of 1.[0-9]+ in dark"),
        ({"name": " "}, "a bookmaker has a name"),
        ({"concurrency": Concurrency(3, 2)}, "default concurrency from 1 to its maximum"),
    ],
)
def test_a_wrong_declaration_says_what_is_allowed(changes: dict[str, object], message: str) -> None:
    """It is refused before anything starts."""
    with pytest.raises(ValueError, match=message):
        replace(DECLARED, **changes)  # type: ignore[arg-type]


def test_a_package_adds_a_bookmaker() -> None:
    """The example comes after ours, whatever the order in which packages are found."""
    found = registry_of([EXAMPLE, point(replace(DECLARED, order=20))])
    assert list(found) == ["somebets", "lagosbets"]
    assert found["lagosbets"].bookmaker.name == "Lagos Bets"


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (
            [EntryPoint("none", "no_such_module", GROUP)],
            r"'none' \(no_such_module\): it cannot be loaded: ModuleNotFound",
        ),
        ([EntryPoint("none", "json", GROUP)], "no attribute 'BOOKMAKER'"),
        ([point("text")], "BOOKMAKER has to be a Bookmaker"),
        ([point(DECLARED, "other")], "whose slug is the name of the entry point, 'other'"),
        ([point(DECLARED, site=SimpleNamespace(platform="betpawa"))], "SITE is of 'betpawa'"),
        ([point(DECLARED, site=SimpleNamespace())], "'somebets' .*no attribute 'platform'"),
        ([], "no bookmaker is installed, not even ours: install quart-odds again"),
        ([EXAMPLE, EXAMPLE], "'lagosbets' .*: another package has the same slug"),
        ([EXAMPLE, point(replace(DECLARED, letters="LB"))], "lagosbets and somebets have the same letters"),
        ([EXAMPLE, point(replace(DECLARED, name="Lagos Bets"))], "the same name"),
    ],
)
def test_a_bookmaker_that_cannot_be_used_is_named(points: list[EntryPoint], message: str) -> None:
    """Nothing is left out in silence: the package has to be mended or uninstalled."""
    with pytest.raises(BookmakerDeclarationError, match=message):
        registry_of(points)


def test_a_platform_is_the_slug_of_an_installed_bookmaker() -> None:
    """There is one object for each, and others are refused with what there is."""
    assert Platform("betpawa") is Platform.BETPAWA is Platform.of("betpawa")
    assert (Platform.BET9JA, Platform.BET9JA.display_name, Platform.BET9JA.letters) == ("bet9ja", "Bet9ja", "B9")
    assert "betpawa" in Platform
    assert "lagosbets" not in Platform
    assert pickle.loads(pickle.dumps(Platform.BETPAWA)) is Platform.BETPAWA
    with pytest.raises(ValueError, match="'lagosbets' is no installed bookmaker; there are betpawa, sportybet"):
        Platform("lagosbets")
    with pytest.raises(AttributeError, match="no bookmaker 'LAGOSBETS'"):
        _ = Platform.LAGOSBETS


def test_models_take_installed_bookmakers_only() -> None:
    """Their schema lists them."""
    adapter = TypeAdapter(Platform)
    assert adapter.validate_python("bet9ja") is Platform.BET9JA
    assert adapter.dump_json(Platform.BET9JA) == b'"bet9ja"'
    assert adapter.json_schema() == {"enum": [each.value for each in Platform], "type": "string"}
    with pytest.raises(ValidationError, match="Input should be 'betpawa'"):
        adapter.validate_python("lagosbets")


def test_a_bookmaker_that_is_no_longer_installed_is_shown_as_such() -> None:
    """What is stored of it has a name, letters and a place after all others."""
    gone = Platform.of("gonebets")
    assert (gone.display_name, gone.letters, gone.declaration) == ("gonebets (not installed)", "GO", None)
    assert sorted([gone, *Platform], key=lambda each: each.place) == [*Platform, gone]
    assert pickle.loads(pickle.dumps(gone)) is gone


def test_what_is_stored_may_be_of_a_bookmaker_that_is_no_longer_installed() -> None:
    """Only in that context."""
    adapter = TypeAdapter(list[Platform])
    assert adapter.validate_json(b'["betpawa","gonebets"]', context=STORED) == ["betpawa", "gonebets"]
    with pytest.raises(ValidationError, match="Input should be 'betpawa'"):
        adapter.validate_json(b"[3]", context=STORED)
