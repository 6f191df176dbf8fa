"""Mutants that have no effect, each with the reason: equivalent.toml beside this file.

An entry is known by the file, the function, the text of the line and what it becomes, so that it holds while lines
above it come and go. `line` and `becomes` are without indentation; several lines are joined by one space.
"""

import tomllib
from pathlib import Path
from typing import Final, NamedTuple

from mutants.errors import MutantsError
from mutants.mutations import Mutation, Source

__all__ = ["LISTED", "Change", "change_of", "equivalents"]

LISTED: Final = Path(__file__).with_name("equivalent.toml")


class Change(NamedTuple):
    """A change, whatever its line number is now."""

    file: str
    function: str
    line: str
    becomes: str


def change_of(source: Source, mutation: Mutation) -> Change:
    """What an entry has to say to mean this mutation."""
    return Change(mutation.file, mutation.function, *source.lines(mutation))


def equivalents(path: Path = LISTED) -> dict[Change, str]:
    """All entries, with the reason of each."""
    try:
        entries = tomllib.loads(path.read_text()).get("equivalent", [])
        listed = {
            Change(entry["file"], entry.get("function", ""), entry["line"], entry["becomes"]): str(entry["why"])
            for entry in entries
        }
    except tomllib.TOMLDecodeError as error:
        raise MutantsError(f"{path.name}: {error}") from error
    except KeyError as error:
        raise MutantsError(f"{path.name}: an entry has no {error}") from error
    if len(listed) != len(entries):
        raise MutantsError(f"{path.name}: {len(entries) - len(listed)} entries are there twice")
    return listed
