"""Every rule in specs/ has a test and every test a rule; and the check itself finds what is wrong."""

from pathlib import Path

import pytest

from rulebook import problems, profile_fields, read_rules, read_tests, rules_mentioned_in_code

ROOT = Path(__file__).parents[1]

SPEC = """\
# Area

### CPU-1 A title
What happens.
Source: IHI 0069, ICC_PMR_EL1: stated,
and more of it
Status: modelled
Test: tests/vgic/test_sample.py::test_one
"""

TESTS = """\
import pytest

@pytest.mark.rule("CPU-1")
@pytest.mark.parametrize("x", [1])
def test_one(x): ...
"""

NOT_MODELLED = """
### CPU-2 Another
Source: This project
Status: not modelled
"""


def tree(tmp_path: Path, spec: str = SPEC, tests: str = TESTS, more: str = "") -> Path:
    """A project of one spec and one test file, and perhaps a test file of mmio."""
    files = {
        "specs/area.md": spec,
        "specs/README.md": "### This is no rule\n",
        "tests/vgic/test_sample.py": tests,
        "tests/mmio/test_frame.py": more,
        "tests/mmio/test_layout.py": "def test_needs_no_rule(): ...\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_rules_and_tests_agree() -> None:
    assert problems(ROOT) == []


def test_there_are_rules_and_tests_to_compare() -> None:
    assert len(read_rules(ROOT)) > 100
    assert len(read_tests(ROOT)) > 200


def test_every_choice_of_a_profile_is_a_rule() -> None:
    text = "".join(path.read_text() for path in (ROOT / "specs").glob("*.md"))
    fields = [name for name in profile_fields(ROOT) if name != "Profile.name"]
    assert len(fields) > 15
    assert [name for name in fields if f"`{name}`" not in text] == []


def test_rules_that_the_code_refers_to_exist() -> None:
    known = {rule.id for rule in read_rules(ROOT)}
    mentioned = list(rules_mentioned_in_code(ROOT))
    assert len(mentioned) > 10
    assert [mention for mention in mentioned if mention[1] not in known] == []


def test_a_sound_project_has_no_problems(tmp_path: Path) -> None:
    assert problems(tree(tmp_path, SPEC + NOT_MODELLED)) == []
    [rule, other] = read_rules(tmp_path)
    assert (rule.statement, rule.modelled, other.modelled) == ("What happens.", True, False)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("Status: modelled\n", "", ["specs/area.md: CPU-1 has 0 statuses, not one"]),
        (
            "Status: modelled\n",
            "Status: modelled\nStatus: modelled\n",
            ["specs/area.md: CPU-1 has 2 statuses, not one"],
        ),
        ("Status: modelled", "Status: done", ["specs/area.md: CPU-1 has an unknown status: 'done'"]),
        (
            "Status: modelled",
            "Status: not modelled",
            ["specs/area.md: CPU-1 is not modelled but names tests/vgic/test_sample.py::test_one"],
        ),
        ("Source: IHI 0069", "From: IHI 0069", ["specs/area.md: CPU-1 has 0 sources, not one"]),
        (
            "Source: IHI 0069, ICC_PMR_EL1: stated,",
            "Source: hearsay",
            ["specs/area.md: CPU-1 has an unknown source: 'hearsay'"],
        ),
        (
            "Test: tests/vgic/test_sample.py::test_one\n",
            "",
            [
                "specs/area.md: CPU-1 names no test",
                "tests/vgic/test_sample.py::test_one names CPU-1, which does not name it back in specs/area.md",
            ],
        ),
        (
            "::test_one",
            "::test_two",
            [
                "specs/area.md: CPU-1 names tests/vgic/test_sample.py::test_two, which does not exist",
                "tests/vgic/test_sample.py::test_one names CPU-1, which does not name it back in specs/area.md",
            ],
        ),
        (
            "Test: tests/vgic/test_sample.py::test_one\n",
            "Test: tests/vgic/test_sample.py::test_one\n" * 2,
            ["specs/area.md: CPU-1 names tests/vgic/test_sample.py::test_one more than once"] * 2,
        ),
        ("### CPU-1 A title", "### CPU1 A title", None),
        (
            SPEC,
            SPEC + SPEC,
            ["specs/area.md: CPU-1 is there 2 times (specs/area.md, specs/area.md)"],
        ),
    ],
    ids=[
        "no-status",
        "two-statuses",
        "unknown-status",
        "not-modelled-but-tested",
        "no-source",
        "unknown-source",
        "no-test",
        "missing-test",
        "test-twice",
        "bad-heading",
        "id-twice",
    ],
)
def test_a_broken_spec_is_told_by_name(tmp_path: Path, old: str, new: str, expected: list[str] | None) -> None:
    if expected is None:
        expected = [
            "specs/area.md: ### CPU1 A title is no rule heading; it is written '### ID Title'",
            "specs/area.md: ### CPU1 A title names no test",
            "tests/vgic/test_sample.py::test_one names CPU-1, which no file in specs/ has",
        ]
    assert old in SPEC
    assert problems(tree(tmp_path, SPEC.replace(old, new))) == expected


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        (
            TESTS.replace('"CPU-1"', '"CPU-1", "CPU-2"'),
            ["tests/vgic/test_sample.py::test_one names CPU-2, which does not name it back in specs/area.md"],
        ),
        (
            TESTS.replace('"CPU-1"', '"CPU-1", "CPU-9"'),
            ["tests/vgic/test_sample.py::test_one names CPU-9, which no file in specs/ has"],
        ),
        (
            TESTS.replace('@pytest.mark.rule("CPU-1")\n', ""),
            [
                "specs/area.md: CPU-1 names tests/vgic/test_sample.py::test_one, which does not name the rule back",
                "tests/vgic/test_sample.py::test_one proves no rule",
            ],
        ),
    ],
    ids=["rule-does-not-name-back", "unknown-rule", "no-marker"],
)
def test_a_broken_marker_is_told_by_name(tmp_path: Path, tests: str, expected: list[str]) -> None:
    assert problems(tree(tmp_path, SPEC + NOT_MODELLED, tests)) == expected


def test_tests_of_frames_need_rules_too(tmp_path: Path) -> None:
    assert problems(tree(tmp_path, more="class TestIt:\n    def test_nothing(self): ...\n")) == [
        "tests/mmio/test_frame.py::test_nothing proves no rule"
    ]
