"""Numbers as users write them."""

import re
from typing import Final

__all__ = ["number"]

_MOST_DIGITS: Final = 100
"""Of a decimal number: more than any value has, less than what Python refuses to read."""


def number(text: str) -> int | None:
    """The number that a text is (0x..., or decimal), None where it is none."""
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
        return int(text, 16)
    return int(text) if re.fullmatch(rf"[0-9]{{1,{_MOST_DIGITS}}}", text) else None
