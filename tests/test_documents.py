"""The documents for people: what they name exists, their examples run, and they read well on a package index."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "specs/README.md", "specs/architecture.md"]
# A path has no `...`, which stands for any.
PATH = re.compile(r"(?<![\w./-])(?:mmio|vgic|tools|specs|tests|\.ci)/(?:[\w./-]*[\w/])?")
LINK = re.compile(r"\]\((?!\w+:)([^)#]+)")
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def paths(document: Path) -> set[Path]:
    text = document.read_text()
    named = {ROOT / path for path in PATH.findall(text) if "..." not in path}
    return named | {document.parent / target for target in LINK.findall(text)}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_path_that_a_document_names_exists(name: str) -> None:
    assert sorted(str(path) for path in paths(ROOT / name) if not path.exists()) == []


def test_paths_are_found_in_text_code_and_links(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("See vgic/no.py, `tools/none/`, and [x](not/there.md) or [y](https://arm.com/).")
    assert paths(document) == {ROOT / "vgic/no.py", ROOT / "tools/none", tmp_path / "not/there.md"}


def test_the_examples_of_the_readme_run_and_print_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    examples = PYTHON.findall((ROOT / "README.md").read_text())
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "README.md", "exec"), names)
    printed = capsys.readouterr().out
    assert len(examples) >= 3
    assert "vCPU 1: IRQ 1 FIQ 0\n" in printed
    assert "\n42\n" in printed
    assert (tmp_path / "vm.state").exists()


def test_the_project_description_has_no_link_into_the_repository() -> None:
    describe = runpy.run_path(str(ROOT / "tools" / "project_description.py"))["project_description"]
    description = describe((ROOT / "README.md").read_text())
    assert LINK.findall(description) == []
    assert "specs/performance.md has" in description
    assert describe("# T\n\n[a](b.md) [c](https://d) ![e](f.png)\n").endswith("a [c](https://d) e\n")
