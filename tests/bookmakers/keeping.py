"""What an object keeps in memory: errors must not keep bodies."""

import gc
import types
from collections.abc import Iterable

_LIVES_ANYWAY = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType)


def kept_bytes(roots: Iterable[object], least: int = 10_000) -> list[int]:
    """Return the sizes of all bytes and texts, of at least `least`, that are reachable from these objects."""
    seen: dict[int, object] = {}
    left = list(roots)
    while left:
        each = left.pop()
        if id(each) in seen or isinstance(each, _LIVES_ANYWAY):
            continue
        seen[id(each)] = each
        if isinstance(each, types.FrameType):
            left += each.f_locals.values()
        left += gc.get_referents(each)
    return [len(each) for each in seen.values() if isinstance(each, bytes | bytearray | str) and len(each) >= least]
