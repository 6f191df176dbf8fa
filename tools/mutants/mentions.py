"""Where the code mentions the same words as a line: what a constant or a choice, set once, has its effect on."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

__all__ = ["Mentions"]

_WORD: Final = re.compile(r"[A-Za-z_]\w{2,}")

_COMMON: Final = 60
"""A word that more lines have tells nothing."""


class Mentions:
    """The words of some files, with the lines that have them, a bit for each, by file."""

    def __init__(self, root: Path, files: Iterable[str]) -> None:
        self._lines: dict[str, dict[str, int]] = {}
        for file in files:
            for number, line in enumerate((root / file).read_text().splitlines(), 1):
                for word in set(_WORD.findall(line)):
                    places = self._lines.setdefault(word, {})
                    places[file] = places.get(file, 0) | 1 << number

    def of(self, text: str) -> Mapping[str, int]:
        """The lines with a word of this text."""
        found: dict[str, int] = {}
        for word in set(_WORD.findall(text)):
            places = self._lines.get(word, {})
            if sum(lines.bit_count() for lines in places.values()) <= _COMMON:
                for file, lines in places.items():
                    found[file] = found.get(file, 0) | lines
        return found
