"""What specs/ says of each rule: its title, its page, and whether Arm leaves a choice.

The specs are not installed with the package: there, rules have their ids alone.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["SPECS", "Rule", "read_rules"]

SPECS: Final = Path(__file__).parents[3] / "specs"
"""Beside the source."""

CHOICE: Final = "modelled, implementation defined choice"

_HEADING: Final = re.compile(r"### ([A-Z][A-Z0-9]*-\d+) (\S.*)")
_SOURCE: Final = re.compile(r"Source: *(.*)")
_STATUS: Final = re.compile(r"Status: *(.*)")


class Rule(NamedTuple):
    """A rule, as its page has it."""

    id: str
    title: str = ""
    page: str = ""
    """The file, without its folder."""
    status: str = ""
    source: str = ""

    @property
    def is_choice(self) -> bool:
        """Whether Arm leaves a choice: to differ is no fault then."""
        return self.status == CHOICE


def read_rules(folder: Path = SPECS) -> dict[str, Rule]:
    """Every rule by its id; none where the folder is not there."""
    rules = (rule for path in sorted(folder.glob("*.md")) for rule in _rules_in(path))
    return {rule.id: rule for rule in rules}


def _rules_in(path: Path) -> Iterator[Rule]:
    rule, source = None, ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if heading := _HEADING.fullmatch(line):
            rule, source = Rule(heading[1], heading[2], path.name), ""
        elif rule is not None and (status := _STATUS.fullmatch(line)):
            yield rule._replace(status=status[1], source=source)
            rule = None
        elif told := _SOURCE.fullmatch(line):
            source = told[1]
        elif source:
            source += f" {line}"
