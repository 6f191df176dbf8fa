"""`vgic rules`: the table on a terminal, as JSON, as pages, and how it ends."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vgic_tools.cli import main
from vgic_tools.rules.book import SPECS, Rule, read_rules
from vgic_tools.rules.checks import CHECKS
from vgic_tools.rules.engine import Answer, Verdict
from vgic_tools.rules.judges import opened
from vgic_tools.rules.pages import html_page, markdown_page
from vgic_tools.rules.table import Column, Table, column_of, table_of

needs_specs = pytest.mark.skipif(not SPECS.is_dir(), reason="the specs are not installed with the package")

FEW = [word for rule in ("CPU-2", "DIST-13", "DIST-7", "DIST-8") for word in ("--rule", rule)]


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["rules", *words])


@needs_specs
def test_the_table_says_who_obeys_and_who_differs() -> None:
    result = run("model:arch", "model:qemu", *FEW)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].split() == ["rule", "vgic", "arch", "vgic", "qemu", "title"]
    rows = {line.split()[0]: line.split()[1:4] for line in lines[1:] if line.startswith(("CPU", "DIST"))}
    assert rows["CPU-2"] == ["obeys", "differs", "choice"]
    assert rows["DIST-13"][:3] == ["obeys", "not", "asked"]
    assert rows["DIST-7"] == ["obeys", "of", "QEMU"]
    assert "  CPU-2  vgic qemu: vCPU 0: FIQ 0, not 1, after vCPU 0 writes GICD_ISPENDR2" in result.output
    assert "  DIST-13  vgic qemu: it has no message-based SPIs: GICD_TYPER.MBIS is 0" in result.output


def test_the_table_as_json() -> None:
    result = run("model:arch", "model:qemu", *FEW, "--json")
    told = json.loads(result.output)
    assert [judge["version"] for judge in told["judges"]] == ["arch", "qemu"]
    rules = {rule["id"]: rule for rule in told["rules"]}
    obeys, differs = rules["CPU-2"]["answers"]
    assert obeys == {"verdict": "obeys", "how": "", "operations": []}
    assert differs["verdict"] == "differs"
    assert differs["operations"][-1] == "vCPU 0 reads ISR_EL1"
    assert (rules["DIST-7"]["of"], rules["DIST-7"]["answers"][0]) == ("QEMU", None)


@needs_specs
def test_pages_are_written(tmp_path: Path) -> None:
    html, markdown = tmp_path / "rules.html", tmp_path / "rules.md"
    assert run("model:arch", *FEW, "--html", str(html), "--markdown", str(markdown)).exit_code == 0
    assert "<b>CPU-2</b>" in html.read_text()
    assert "| CPU-2 The candidate is the best" in markdown.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model:none"], "there is no judge 'model:none'; there are model:arch"),
        (["kvm"], "there is no judge 'kvm'"),
        (["model:arch", "--rule", "CPU-999"], "no rule 'CPU-999' can be asked"),
        (
            ["model:arch", "--rule", "CPU-2", "--html", "/nowhere/x.html"],
            "/nowhere/x.html cannot be written: No such",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_said(words: list[str], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.output


def test_a_judge_that_is_missing_is_left_out_with_a_sentence() -> None:
    result = run("model:arch", "qemu:/no/such/qemu", "--rule", "CPU-2")
    assert result.exit_code == 0
    assert "qemu:/no/such/qemu is left out: there is no /no/such/qemu" in result.output
    assert "vgic arch" in result.output


def test_without_any_judge_there_is_no_table() -> None:
    result = run("qemu:/no/such/qemu", "--rule", "CPU-2")
    assert result.exit_code == 2
    assert "there is no judge to ask" in result.output


def test_what_is_not_in_the_cache_is_not_fetched_unasked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VGIC_CACHE", str(tmp_path))
    monkeypatch.setattr("vgic_tools.rules.judges.USUAL", ("model:arch", "qemu:newer", "kvm:6.1"))
    result = run("--rule", "CPU-2")
    assert result.exit_code == 0
    assert "qemu:newer is left out: there is no newer QEMU in the cache; " in result.output
    assert "kvm:6.1 is left out: there is no kernel 6.1 in the cache; " in result.output


# The pages.


class Text(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def hostile() -> Table:
    """A judge whose version and answers are anything."""
    judge = opened("model:arch")
    judge.version = "<script>alert(1)</script>|\x1b[31m"
    answers = {
        "CPU-2": Answer(Verdict.DIFFERS, "\x1b[2J <b>no</b> | `x`\n# y"),
        "CPU-4": Answer(Verdict.NO_ANSWER, "*"),
    }
    return table_of([column_of(judge, answers)], CHECKS, read_rules())


def test_nothing_of_a_judge_reaches_a_page_raw() -> None:
    page = html_page(hostile())
    assert "script" not in Text(page).elements
    assert Text(page).open == []
    text = markdown_page(hostile())
    assert "\x1b" not in page + text
    assert "<script>" not in text.replace("\\<", "")
    assert not [line for line in text.splitlines() if line.startswith("# y")]
    bars = [len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("| CPU-2")]
    assert bars == [4]


def test_rules_without_specs_have_their_ids_alone(tmp_path: Path) -> None:
    column = Column("QEMU", "7.2.22 (Debian)", {"CPU-2": Answer(Verdict.OBEYS)})
    table = table_of([column], CHECKS, read_rules(tmp_path))
    assert [row.rule for row in table.rows] == [Rule("CPU-2")]
    assert table.columns[0].title == "QEMU 7.2.22"
    assert "| CPU-2 |  | obeys |" in markdown_page(table)
    assert "<b>CPU-2</b>" in html_page(table)


def test_judges_that_say_the_same_are_told_together() -> None:
    same, other = Answer(Verdict.DIFFERS, "so"), Answer(Verdict.DIFFERS, "otherwise")
    columns = [Column(name, "1.0", {"CPU-2": answer}) for name, answer in (("A", same), ("B", other), ("C", same))]
    told = table_of(columns, CHECKS, read_rules()).said(Verdict.DIFFERS)
    assert [(found.titles, found.how) for found in told] == [(("A 1.0", "C 1.0"), "so"), (("B 1.0",), "otherwise")]
