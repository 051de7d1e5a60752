"""Limits on JSON: values and levels are counted on the raw bytes, ignoring the contents of strings."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.bookmakers import RawBody, decode
from quart_odds.bookmakers.bodies import read_json
from quart_odds.bookmakers.shape import MAX_DEPTH, MAX_MEMBERS, refuse_costly
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError
from tests.bookmakers.wire import asked

TEXTS = st.text(st.sampled_from('[]{},":\\ab\n'), max_size=6)
JSON = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=40,
)


def members_of(value: Any) -> int:
    """Count the commas and opening brackets needed to write a value."""
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(0, len(value) - 1) + sum(map(members_of, inner))


def levels_of(value: Any) -> int:
    """Count the levels of lists and objects."""
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(levels_of, value.values() if isinstance(value, dict) else value), default=0)


def is_refused(plain: bytes, **limits: int) -> bool:
    """Return whether a body exceeds these limits."""
    try:
        refuse_costly(Platform.BETPAWA, plain, None, **limits)
    except MalformedBodyError:
        return True
    return False


@given(JSON, st.booleans())
def test_members_and_levels_are_counted_as_they_are(value: Any, is_ascii: bool) -> None:
    """The count is exact: the contents of strings do not matter, however they are escaped."""
    plain = json.dumps(value, ensure_ascii=is_ascii).encode()
    members, levels = members_of(value), levels_of(value)
    assert not is_refused(plain, max_members=max(1, members), max_depth=levels)
    assert members < 2 or is_refused(plain, max_members=members - 1)
    assert not levels or is_refused(plain, max_depth=levels - 1)


@pytest.mark.parametrize(
    ("plain", "reason"),
    [
        (b'{"x":[' + b"[]," * MAX_MEMBERS + b"1]}", "more than 400000 values"),
        (b"[" + b'"[",' * MAX_MEMBERS + b"1]", "more than 400000 values"),
        (b"{" + b'"":{},' * MAX_MEMBERS + b'"a":1}', "more than 400000 values"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "more than 64 levels"),
        (b'{"a":' * (MAX_DEPTH + 1), "more than 64 levels"),
        (b'["]",' * (MAX_DEPTH + 1) + b"1" + b"]" * (MAX_DEPTH + 1), "more than 64 levels"),
        (b'["\\"]",' * (MAX_DEPTH + 1) + b"1" + b"]" * (MAX_DEPTH + 1), "more than 64 levels"),
        (b'["\\\\",' * (MAX_DEPTH + 1) + b"1" + b"]" * (MAX_DEPTH + 1), "more than 64 levels"),
    ],
    ids=["lists", "texts", "objects", "closed", "cut", "hidden by texts", "by quotes", "by backslashes"],
)
def test_a_body_beyond_the_limits_is_refused_before_it_is_parsed(
    plain: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This applies to events and to all other JSON. The error names the limit."""
    monkeypatch.setattr("orjson.loads", lambda _: pytest.fail("parsed"))
    with pytest.raises(MalformedBodyError, match=reason):
        read_json(Platform.BET9JA, plain, None)
    with pytest.raises(MalformedBodyError, match=reason) as caught:
        decode(RawBody(Platform.SPORTYBET, plain, None, asked(Platform.SPORTYBET, "1")))
    assert caught.value.where == "event 1"


def test_a_long_text_of_brackets_and_commas_is_no_structure() -> None:
    """A string is a single value."""
    assert not is_refused(b'["' + b"[,{," * MAX_MEMBERS + b'"]')
