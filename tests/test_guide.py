"""The guide of the documentation site: every block on it runs, and prints what it says."""

import contextlib
import io
import os
import re
import runpy
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
GUIDE: Final = ROOT / "specs" / "guide"
PAGES: Final = sorted(page.stem for page in GUIDE.glob("*.md"))
EXAMPLES: Final = sorted(example.name for example in (ROOT / "specs" / "examples").glob("*.py"))
BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INCLUDED: Final = '--8<-- "examples/'

hooks = runpy.run_path(str(ROOT / "tools" / "site_hooks.py"))


def blocks(page: str) -> list[tuple[str, str]]:
    """Language and text of each block of a page."""
    return BLOCK.findall((GUIDE / f"{page}.md").read_text())


def commands(session: str) -> list[tuple[str, str]]:
    """Each command of a console block, and what it prints."""
    parts = re.split(r"^\$ (.*)\n", session, flags=re.MULTILINE)
    assert parts[0] == "", f"a console block begins with a command, not {parts[0]!r}"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def pattern(printed: str) -> re.Pattern[str]:
    """What a command may print: a line of `...` stands for any lines, `...` within one for any text."""
    lines = [
        r"(?:.*\n)*?" if line == "..." else r"[^\n]*".join(map(re.escape, line.split("..."))) + r" *\n"
        for line in printed.splitlines()
    ]
    return re.compile("".join(lines))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in that looks like a clone to a reader of the guide, and can be written to."""
    for folder in ("specs", "tests"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_the_guide_runs(page: str, elsewhere: Path) -> None:
    names: dict[str, object] = {}
    for language, text in blocks(page):
        if language == "python" and not text.startswith(INCLUDED):
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(text, f"{page}.md", "exec"), names)
        elif language == "console":
            for command, printed in commands(text):
                done = subprocess.run(
                    ["bash", "-c", command], capture_output=True, text=True, timeout=300, check=False
                )
                assert pattern(printed).fullmatch(done.stdout), f"$ {command}\n{done.stdout}{done.stderr}"


def test_every_example_is_on_a_page_and_is_run_there() -> None:
    shown = {page: (GUIDE / f"{page}.md").read_text() for page in PAGES}
    for example in EXAMPLES:
        assert any(f'{INCLUDED}{example}"' in text for text in shown.values()), example
        assert any(f"$ python specs/examples/{example}\n" in text for text in shown.values()), example


def test_the_blocks_are_those_that_are_run_or_need_what_is_not_here() -> None:
    languages = {language for page in PAGES for language, _ in blocks(page)}
    assert languages == {"python", "console", "sh"}
    assert sum(language == "console" for page in PAGES for language, _ in blocks(page)) >= 15


@pytest.fixture
def examples_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the examples for other hosts."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return shutil.copytree(ROOT / "specs" / "examples" / "elsewhere", tmp_path / "elsewhere")


def run(example: Path, status: int = 0) -> str:
    command = [sys.executable, example.name]
    done = subprocess.run(command, cwd=example.parent, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(find_spec("qiling") is None, reason="qiling is not installed")
def test_the_recipe_for_qiling(examples_elsewhere: Path) -> None:
    printed = run(examples_elsewhere / "qiling_frames.py")
    assert printed == "GICD_PIDR2 0x3b, GICD_CTLR 0x53, ICC_PMR_EL1 0xf8\n"


@pytest.mark.skipif(
    find_spec("cocotb_tools") is None or shutil.which("iverilog") is None,
    reason="cocotb or iverilog is not installed",
)
@pytest.mark.parametrize(("seen", "status"), [("enabled", 0), ("enabled & ~32'h10", 1)])
def test_the_scoreboard_notices_a_fault_of_the_design(examples_elsewhere: Path, seen: str, status: int) -> None:
    design = examples_elsewhere / "toy_gic.v"
    design.write_text(design.read_text().replace("spi & enabled", f"spi & {seen}"))
    printed = run(examples_elsewhere / "cocotb_scoreboard.py", status)
    assert f"PASS={1 - status} FAIL={status}" in printed


@pytest.mark.parametrize(
    ("printed", "said", "alike"),
    [
        ("a\n", "a\n", True),
        ("a\n", "b\n", False),
        ("a\n...\nc\n", "a\nb\nb\nc\n", True),
        ("a\n...\nc\n", "a\nb\n", False),
        ("a...c\n", "abbc\n", True),
        ("a...c\n", "a\nc\n", False),
        ("a (x)...\n", "a (x) more   \n", True),
        ("a\n", "a\nmore\n", False),
    ],
)
def test_what_a_command_prints_is_compared(printed: str, said: str, alike: bool) -> None:
    assert bool(pattern(printed).fullmatch(said)) is alike


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="mkdocs is not installed: pip install '.[docs]'")
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'id="STATE-15"' in (tmp_path / "distributor.html").read_text()
    reference = (tmp_path / "guide" / "reference" / "gic.html").read_text()
    assert "The IRQ and FIQ outputs of a vCPU" in reference
    assert 'href="../../redistributor.html#RED-5"' in reference


def test_rules_get_anchors_and_their_small_print_a_list() -> None:
    rules = (
        "### AB-1 Title\nText.\nSource: here,\nand there\nStatus: modelled\nTest: tests/x.py::y\n\n### AB-2 Other\n"
    )
    page = hooks["with_small_print"](f"# T\n\n{rules}")
    assert "### AB-1 Title { #AB-1 }\nText.\n" in page
    assert "\n\n* Source: here, and there\n* Status: modelled\n* Test: `tests/x.py::y`\n\n</div>\n" in page
    assert "### AB-2 Other { #AB-2 }\n" in page


def test_ids_of_rules_become_links_but_not_in_code_titles_or_links() -> None:
    pages = {"AB-1": "ab.html"}
    with_links = hooks["with_links"]
    assert (
        with_links("<p>AB-1, AB-2</p>", pages, "guide/x.html") == '<p><a href="../ab.html#AB-1">AB-1</a>, AB-2</p>'
    )
    for kept in ("<code>AB-1</code>", "<h3>AB-1 x</h3>", '<a href="y">AB-1</a>', "<pre><span>AB-1</span></pre>"):
        assert with_links(kept, pages, "x.html") == kept
