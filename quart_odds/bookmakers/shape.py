"""How much JSON a body may hold, found out before it is parsed.

A body that is small on the wire may cost gigabytes once it is parsed: `[],` is three bytes, and a list of its own. What
counts are members and levels. They are counted on the bytes, which takes a fraction of the time of parsing.
"""

import re

from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError

MAX_MEMBERS = 400_000
"""Values in one body: the largest body that was seen holds 16,000. So many empty objects are about 80 MB."""

MAX_DEPTH = 64
"""Levels of lists and objects: a real body has ten. Python code that walks a body a level at a time stays far from its
own limit."""

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
    """Raises MalformedBodyError for JSON of too many members or levels. Says nothing of what is no JSON."""
    left = plain.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in plain else plain
    # Texts without structure inside become `""`: with them gone, what still is in quotes is a text to leave out.
    left = left.translate(_AS_LISTS, _OTHERS).replace(b'""', b"")
    too_many = MalformedBodyError(platform, f"JSON of more than {max_members} values", where=where)
    if left.count(b'"') > 4 * max_members:
        raise too_many
    left = _TEXT.sub(b"", left)
    if left.count(b",") + left.count(b"[") > max_members:
        raise too_many
    left = left.replace(b",", b"")
    # Each round takes away the innermost level.
    for _ in range(max_depth):
        if b"[]" not in left:
            break
        left = left.replace(b"[]", b"")
    if b"[]" in left or left.count(b"[") > max_depth:
        raise MalformedBodyError(platform, f"JSON of more than {max_depth} levels", where=where)
