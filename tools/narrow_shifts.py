"""Looks for what mypyc makes wrong, in the C code that it generates; setup.py fails where it is found."""

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["narrow_shifts"]

_FUNCTION: Final = re.compile(r"^\w.* \**CPyDef_(\w+)\(.*\{$")
_NARROW: Final = re.compile(r"= (-?[0-9]+ << \w+);$")


def narrow_shifts(source: str) -> Iterator[str]:
    """What mypyc 2.4 makes wrong: it shifts a literal by a native integer in 32 bits, as C does with an int.

    In the C code that it generates, and only there, such a shift is seen for what it is: the literal may have been
    a constant of another module, and the integer an attribute of any object. Yields where, and what.
    """
    function = "?"
    for line in source.splitlines():
        if begins := _FUNCTION.match(line):
            function = begins[1].replace("___", ".")
        elif found := _NARROW.search(line):
            yield f"{function}: {found[1]}"
