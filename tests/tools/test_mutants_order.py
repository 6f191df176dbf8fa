"""Which tests a mutant meets first: near ones, fast ones, and for a constant those of the code that uses it."""

from pathlib import Path

import pytest

pytest.importorskip("mutants", reason="a tool of the source, not of the package")

from mutants import order
from mutants.mentions import Mentions
from mutants.mutations import Mutation
from mutants.reach import OneTest, Reach

NEAR = "tests/vgic/its/test_its_queue.py::test"
BESIDE = "tests/vgic/its/test_its.py::test"
FAR = "tests/properties/test_guest.py::test"


def mutation(function: str) -> Mutation:
    return Mutation("vgic/its/queue.py", 3, function, "removal", 0, 1, "x", "y")


def stages(function: str, tests: dict[str, OneTest], tmp_path: Path, text: str = "") -> list[list[str]]:
    (tmp_path / "code.py").write_text("LIMIT = 1\n\ndef f():\n    return LIMIT\n")
    mentions = Mentions(tmp_path, ["code.py"])
    return order.stages(mutation(function), (3, 3), text, Reach(tests, {}), mentions)


def test_near_and_fast_tests_come_first(tmp_path: Path) -> None:
    lines = {"vgic/its/queue.py": 1 << 3}
    tests = {
        FAR: OneTest(0.1, lines),
        NEAR + "_slow": OneTest(9, lines),
        BESIDE: OneTest(0.1, lines),
        NEAR: OneTest(0.2, lines),
        NEAR + "_elsewhere": OneTest(0.1, {"vgic/its/queue.py": 1 << 4}),
    }
    assert stages("f", tests, tmp_path) == [[NEAR, BESIDE, FAR], [NEAR + "_slow"]]


def test_a_constant_is_judged_first_where_it_is_used(tmp_path: Path) -> None:
    uses, imports = {"code.py": 1 << 4}, {"vgic/its/queue.py": 1 << 9}
    tests = {FAR: OneTest(0.1, uses | imports), NEAR: OneTest(0.1, imports), BESIDE: OneTest(0.1, uses)}
    assert stages("", tests, tmp_path, "LIMIT = 1") == [[BESIDE, FAR], [NEAR]]


def test_without_any_use_all_tests_of_the_file_count_or_else_all(tmp_path: Path) -> None:
    tests = {FAR: OneTest(0.1, {"vgic/its/queue.py": 1 << 9}), NEAR: OneTest(0.1)}
    assert stages("", tests, tmp_path, "OTHER = 1") == [[FAR]]
    assert stages("", {NEAR: OneTest(0.1)}, tmp_path, "OTHER = 1") == [[NEAR]]


def test_the_first_stage_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order, "FIRST_TESTS", 2)
    lines = {"vgic/its/queue.py": 1 << 3}
    tests = {f"{NEAR}{number}": OneTest(0.1, lines) for number in range(5)}
    assert [len(stage) for stage in stages("f", tests, tmp_path)] == [2, 3]
    assert [len(stage) for stage in stages("", tests | {FAR: OneTest(0.1, lines)}, tmp_path)] == [2, 4]
