"""Limits on the structure of JSON, checked before parsing.

A body that is small on the wire may take gigabytes once parsed: `[],` is three bytes, but a list object in memory.
Values and levels are counted on the raw bytes, which takes a fraction of the parsing time.
"""

import re

from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError

MAX_MEMBERS = 400_000
"""Maximum number of values in a body. The largest body seen has 16,000. This many empty objects take about 80 MB."""

MAX_DEPTH = 64
"""Maximum nesting. Real bodies have ten levels. Recursive Python code stays far below its own limit."""

_STRUCTURE = b'[]{},"'
_OTHERS = bytes(set(range(256)) - set(_STRUCTURE))
_AS_LISTS = bytes.maketrans(b"{}", b"[]")
_TEXT = re.compile(rb'"[^"]*"')


def refuse_costly(
    platform: Platform,
    plain: bytes,
    where: str | None,
    *,
    max_members: int = MAX_MEMBERS,
    max_depth: int = MAX_DEPTH,
) -> None:
    """Raise MalformedBodyError for JSON with too many values or levels. Does not check whether it is valid JSON."""
    left = plain.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in plain else plain
    # Strings without structural characters become `""` and are removed. Strings still left contain such characters and
    # are removed below.
    left = left.translate(_AS_LISTS, _OTHERS).replace(b'""', b"")
    too_many = MalformedBodyError(platform, f"JSON of more than {max_members} values", where=where)
    if left.count(b'"') > 4 * max_members:
        raise too_many
    left = _TEXT.sub(b"", left)
    if left.count(b",") + left.count(b"[") > max_members:
        raise too_many
    left = left.replace(b",", b"")
    # Each round removes the innermost level.
    for _ in range(max_depth):
        if b"[]" not in left:
            break
        left = left.replace(b"[]", b"")
    if b"[]" in left or left.count(b"[") > max_depth:
        raise MalformedBodyError(platform, f"JSON of more than {max_depth} levels", where=where)
