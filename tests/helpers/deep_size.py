"""How much memory everything takes that can be reached from an object."""

import gc
import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Final

_SHARED: Final = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
"""What does not belong to an object, although it can be reached from it."""


def deep_size(root: object) -> int:
    """Bytes, each object counted once."""
    seen: dict[int, object] = {}
    waiting = [root]
    total = 0
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, _SHARED):
            continue
        seen[id(item)] = item
        total += sys.getsizeof(item)
        waiting += gc.get_referents(item)
    return total
