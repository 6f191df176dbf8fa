"""specs/implementations.md says of every judge what the judge itself says now."""

import re
from pathlib import Path

import pytest

from vgic_tools.judges.agent import missing_tool
from vgic_tools.judges.errors import MissingJudgeError
from vgic_tools.rules.book import SPECS, read_rules
from vgic_tools.rules.checks import CHECKS
from vgic_tools.rules.engine import ask_all
from vgic_tools.rules.judges import USUAL, opened
from vgic_tools.rules.pages import markdown_page
from vgic_tools.rules.table import column_of, table_of

if not SPECS.is_dir():
    pytest.skip("the specs are not installed with the package", allow_module_level=True)

PAGE = SPECS / "implementations.md"
_CELL = re.compile(r"(?<!\\)\|")


def cells(page: str) -> dict[str, dict[str, str]]:
    """What a page says of each rule, by the name and release of the judge: "QEMU 7.2"."""
    found: dict[str, dict[str, str]] = {}
    judges: list[str] = []
    for line in page.splitlines():
        row = [cell.strip(" *") for cell in _CELL.split(line)[1:-1]]
        if row and row[0] == "rule":
            judges = [release(title) for title in row[2:]]
        elif row and judges and not line.startswith("|---"):
            found[row[0].partition(" ")[0]] = dict(zip(judges, row[2:], strict=True))
    return found


def release(title: str) -> str:
    """A judge without what changes from one package to the next."""
    name, _, version = title.replace("\\", "").partition(" ")
    return f"{name} {'.'.join(version.split('.')[:2])}"


def test_the_page_has_every_rule_that_can_be_asked() -> None:
    assert set(cells(PAGE.read_text())) == {check.rule for check in CHECKS}


def test_at_least_sixty_rules_were_asked_of_each() -> None:
    said = cells(PAGE.read_text())
    asked: dict[str, int] = {}
    for row in said.values():
        for judge, word in row.items():
            asked[judge] = asked.get(judge, 0) + (word in ("obeys", "differs"))
    assert {"QEMU 7.2", "KVM 6.1"} <= set(asked)
    assert len([judge for judge in asked if judge.startswith("QEMU")]) >= 2
    assert len([judge for judge in asked if judge.startswith("KVM")]) >= 2
    assert all(number >= 60 for number in asked.values()), asked


@pytest.mark.slow
@pytest.mark.parametrize("word", USUAL)
def test_the_page_is_what_the_judge_says(word: str) -> None:
    missing = missing_tool()
    if not word.startswith("model") and missing is not None:
        pytest.skip(missing)
    try:
        judge = opened(word, fetch=False)
    except MissingJudgeError as error:
        pytest.skip(str(error))
    with judge:
        column = column_of(judge, ask_all(judge, CHECKS))
    said, name = cells(PAGE.read_text()), release(column.title)
    if all(name not in row for row in said.values()):
        pytest.skip(f"{PAGE.name} has no column of {name}; `make rules-table` makes it anew")
    now = cells(markdown_page(table_of([column], CHECKS, read_rules())))
    assert {rule: row[name] for rule, row in said.items() if row[name]} == {
        rule: row[name] for rule, row in now.items()
    }


def test_the_words_of_a_page_are_found() -> None:
    page = "| rule |  | QEMU 7.2.22 |\n|---|---|---|\n| CPU-2 a \\| b | choice | **differs** |\n"
    assert cells(page) == {"CPU-2": {"QEMU 7.2": "differs"}}
    assert release("vgic arch") == "vgic arch"
    assert Path(PAGE).name == "implementations.md"
