"""Which tests execute which line, and how long they take: measured once, and kept as long as the code is the same.

Where a test file changes, its tests alone are measured again.
"""

import gzip
import json
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import coverage

from mutants.copies import digest, environment
from mutants.errors import MutantsError
from mutants.plugin import NOTES, Note

__all__ = ["OneTest", "Reach", "measured", "pytest_arguments", "test_files"]

SUITE: Final = ("tests/mmio", "tests/vgic", "tests/properties", "tests/recordings")
"""The tests that judge the model. Those of the tools judge the tools, those in tests/oracles need QEMU."""

_CODE: Final = ("mmio", "vgic", "tests/helpers", "tests/traces")


@dataclass
class OneTest:
    """A test: how long it takes, in seconds, and the lines that it executes, a bit for each, by file."""

    seconds: float = 0
    lines: dict[str, int] = field(default_factory=dict)

    def executes(self, file: str, lines: int) -> bool:
        """Whether it executes one of these lines."""
        return bool(self.lines.get(file, 0) & lines)


@dataclass
class Reach:
    """All tests by name, and the digest of each file of tests."""

    tests: dict[str, OneTest]
    digests: dict[str, str]

    def up_to(self, seconds: float | None) -> "Reach":
        """Only the tests that take no longer."""
        tests = {name: test for name, test in self.tests.items() if seconds is None or test.seconds <= seconds}
        return Reach(tests, self.digests)

    def executing(self, file: str, first: int, last: int) -> list[str]:
        """The tests that execute any of these lines."""
        lines = (1 << last + 1) - (1 << first)
        return [name for name, test in self.tests.items() if test.executes(file, lines)]

    def mentioning(self, lines: Mapping[str, int]) -> list[str]:
        """The tests that execute any of these lines, by file."""
        places = list(lines.items())
        return [name for name, test in self.tests.items() if any(test.executes(*place) for place in places)]

    def touching(self, file: str) -> list[str]:
        """The tests that execute any line of a file."""
        return [name for name, test in self.tests.items() if test.lines.get(file)]


def test_files(root: Path) -> list[str]:
    """The files with tests, by their path from the root."""
    found = (path for folder in SUITE for path in sorted((root / folder).rglob("test_*.py")))
    return [str(path.relative_to(root)) for path in found]


def pytest_arguments(*options: str) -> list[str]:
    """How the default suite is run: not the slow tests, and nothing of it is kept."""
    return ["-q", "-m", "not slow", "-p", "no:cacheprovider", "-p", "mutants.plugin", "-o", "addopts=", *options]


def _pytest(*options: str) -> list[str]:
    return [sys.executable, "-m", "pytest", *pytest_arguments(*options)]


def measured(copy: Path, kept: Path, processes: int) -> Reach:
    """Measure in a copy of the tree what has not been measured for the same code yet; `kept` has what has."""
    code = digest(copy, _CODE)
    now = {name: digest(copy, [name]) for name in test_files(copy)}
    reach = _load(kept, code)
    old = {name for name, value in reach.digests.items() if now.get(name) != value}
    new = {name for name, value in now.items() if reach.digests.get(name) != value}
    reach.tests = {name: test for name, test in reach.tests.items() if _file(name) not in old}
    reach.digests = now
    if new:
        reach.tests |= _measure(copy, sorted(new), processes)
    if old or new:
        _store(kept, code, reach)
    return reach


def _measure(copy: Path, files: Collection[str], processes: int) -> dict[str, OneTest]:
    data, notes = copy / "coverage.data", copy / "notes"
    notes.unlink(missing_ok=True)
    settings = copy / "coverage.ini"
    settings.write_text(f"[run]\nsource = mmio,vgic\ndata_file = {data}\n")
    options = ["--cov", f"--cov-config={settings}", "--cov-context=test", "--cov-report="]
    beside = ["-n", str(processes), "--dist", "loadfile"] if processes > 1 else []
    command = _pytest(*options, *beside, *files)
    log = copy / "coverage.log"
    with log.open("w") as output:
        subprocess.run(
            command, cwd=copy, env=environment(copy, **{NOTES: str(notes)}), stdout=output, stderr=output
        )
    outcomes = _notes(notes)
    if not outcomes or not data.exists():
        raise MutantsError(f"nothing could be measured: {_last_line(log)}")
    _fail_unless_sound(copy, [name for name, note in outcomes.items() if note["outcome"] == "failed"])
    tests = {name: OneTest(note["seconds"]) for name, note in outcomes.items() if note["outcome"] != "skipped"}
    _add_lines(copy, data, tests)
    return tests


def _fail_unless_sound(copy: Path, failed: list[str]) -> None:
    """What fails while its lines are noted has to pass otherwise."""
    if failed:
        run = subprocess.run(
            _pytest("-x", *failed), cwd=copy, env=environment(copy), capture_output=True, text=True
        )
        if run.returncode:
            raise MutantsError(f"fails without any mutation: one of {', '.join(failed)}")


def _add_lines(copy: Path, data: Path, tests: dict[str, OneTest]) -> None:
    found = coverage.CoverageData(str(data))
    found.read()
    for path in found.measured_files():
        file = str(Path(path).relative_to(copy))
        for line, contexts in found.contexts_by_lineno(path).items():
            for name in {context.rpartition("|")[0] for context in contexts}:
                if test := tests.get(name):
                    test.lines[file] = test.lines.get(file, 0) | 1 << line


def _notes(path: Path) -> dict[str, Note]:
    if not path.exists():
        return {}
    notes: Iterable[Note] = map(json.loads, path.read_text().splitlines())
    return {note["test"]: note for note in notes}


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "no output")


def _file(test: str) -> str:
    return test.partition("::")[0]


def _load(kept: Path, code: str) -> Reach:
    try:
        document = json.loads(gzip.decompress(kept.read_bytes()))
        if document["code"] != code:
            return Reach({}, {})
        tests = {
            name: OneTest(test["seconds"], {file: int(lines, 16) for file, lines in test["lines"].items()})
            for name, test in document["tests"].items()
        }
        return Reach(tests, document["digests"])
    except (OSError, EOFError, ValueError, KeyError):
        return Reach({}, {})


def _store(kept: Path, code: str, reach: Reach) -> None:
    tests = {
        name: {
            "seconds": round(test.seconds, 4),
            "lines": {file: f"{lines:x}" for file, lines in test.lines.items()},
        }
        for name, test in reach.tests.items()
    }
    document = {"code": code, "digests": reach.digests, "tests": tests}
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_suffix(".partial")
    partial.write_bytes(gzip.compress(json.dumps(document).encode(), compresslevel=1))
    partial.replace(kept)
