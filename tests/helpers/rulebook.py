"""The rules in specs/, the tests that prove them, and whether the two agree.

Both are read as text: specs as Markdown, tests as syntax trees. `problems` lists what does not agree, in sentences
that name file, rule and test.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

STATUSES = {
    "modelled",
    "modelled, implementation defined choice",
    "deviation (profile kvm)",
    "deviation (profile qemu)",
    "not modelled",
}
SOURCES = ("IHI 0069", "Arm", "Linux KVM", "QEMU 7.2", "This project")

NEED_RULES = ("tests/vgic/", "tests/mmio/test_frame.py", "tests/mmio/test_address_map.py")
"""Every test whose path starts so proves a rule."""

_HEADING = re.compile(r"### ([A-Z][A-Z0-9]*-\d+) (\S.*)")
_ENTRY = re.compile(r"(Source|Status|Test): *(.*)")


@dataclass
class Rule:
    """A rule as its file has it."""

    id: str
    file: str
    statement: str = ""
    sources: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)

    @property
    def modelled(self) -> bool:
        return self.statuses != ["not modelled"]


def read_rules(root: Path) -> list[Rule]:
    """The rules of specs/*.md in order; the README is about the format and has none."""
    rules: list[Rule] = []
    for path in sorted((root / "specs").glob("*.md")):
        if path.name != "README.md":
            rules.extend(_rules_in(path.read_text(encoding="utf-8"), f"specs/{path.name}"))
    return rules


def _rules_in(text: str, file: str) -> Iterator[Rule]:
    rule: Rule | None = None
    for line in text.splitlines():
        heading = _HEADING.fullmatch(line)
        entry = _ENTRY.fullmatch(line)
        if line.startswith("#"):
            if rule is not None:
                yield rule
            rule = Rule(heading[1], file) if heading else None
            if heading is None and line.startswith("###"):
                yield Rule(line, file)
        elif rule is not None and entry is not None:
            entries = {"Source": rule.sources, "Status": rule.statuses, "Test": rule.tests}
            entries[entry[1]].append(entry[2])
        elif rule is not None and not rule.sources:
            rule.statement += line
    if rule is not None:
        yield rule


def read_tests(root: Path) -> dict[str, list[str]]:
    """Every test below tests/, as pytest writes it without parameters, with the rules that it names."""
    tests: dict[str, list[str]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                tests[f"{path.relative_to(root).as_posix()}::{node.name}"] = list(_rules_named_by(node))
    return tests


def _rules_named_by(test: ast.FunctionDef) -> Iterator[str]:
    for decorator in test.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.rule":
            yield from (ast.literal_eval(argument) for argument in decorator.args)


def problems(root: Path) -> list[str]:
    """What is wrong, one sentence each; empty where rules and tests agree."""
    rules, tests = read_rules(root), read_tests(root)
    return [*_rules_wrong(rules, tests), *_tests_wrong(rules, tests)]


def _rules_wrong(rules: list[Rule], tests: dict[str, list[str]]) -> Iterator[str]:
    files = defaultdict(list)
    for rule in rules:
        files[rule.id].append(rule.file)
    for rule_id, where in files.items():
        if len(where) > 1:
            yield f"{where[0]}: {rule_id} is there {len(where)} times ({', '.join(where)})"
    for rule in rules:
        for problem in (*_form_wrong(rule), *_proof_wrong(rule, tests)):
            yield f"{rule.file}: {rule.id} {problem}"


def _form_wrong(rule: Rule) -> Iterator[str]:
    if not re.fullmatch(r"[A-Z][A-Z0-9]*-\d+", rule.id):
        yield "is no rule heading; it is written '### ID Title'"
        return
    if len(rule.sources) != 1:
        yield f"has {len(rule.sources)} sources, not one"
    elif not rule.sources[0].startswith(SOURCES):
        yield f"has an unknown source: {rule.sources[0]!r}"
    if len(rule.statuses) != 1:
        yield f"has {len(rule.statuses)} statuses, not one"
    elif rule.statuses[0] not in STATUSES:
        yield f"has an unknown status: {rule.statuses[0]!r}"


def _proof_wrong(rule: Rule, tests: dict[str, list[str]]) -> Iterator[str]:
    if rule.modelled and not rule.tests:
        yield "names no test"
    if not rule.modelled and rule.tests:
        yield f"is not modelled but names {rule.tests[0]}"
    for test in rule.tests:
        if rule.tests.count(test) > 1:
            yield f"names {test} more than once"
        if test not in tests:
            yield f"names {test}, which does not exist"
        elif rule.id not in tests[test]:
            yield f"names {test}, which does not name the rule back"


def _tests_wrong(rules: list[Rule], tests: dict[str, list[str]]) -> Iterator[str]:
    by_id = {rule.id: rule for rule in rules}
    for test, named in tests.items():
        if not named and test.startswith(NEED_RULES):
            yield f"{test} proves no rule"
        for rule_id in named:
            rule = by_id.get(rule_id)
            if rule is None:
                yield f"{test} names {rule_id}, which no file in specs/ has"
            elif test not in rule.tests:
                yield f"{test} names {rule_id}, which does not name it back in {rule.file}"


def profile_fields(root: Path) -> list[str]:
    """The fields of a profile and of the choices in it, each as Class.field, from their sources."""
    return [
        f"{node.name}.{item.target.id}"
        for file in ("profiles/choices.py", "its/choices.py")
        for node in ast.parse((root / "vgic" / file).read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Profile", "Choices"))
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    ]


def rules_mentioned_in_code(root: Path) -> Iterator[tuple[str, str]]:
    """(file, rule) for every rule that a comment or docstring of the packages refers to."""
    for package in ("mmio", "vgic", "tools"):
        for path in sorted((root / package).rglob("*.py")):
            for words in re.findall(
                r"\brules?\s((?:[A-Z][A-Z0-9]*-\d+|,|and|to|\s)+)", path.read_text(encoding="utf-8")
            ):
                for rule_id in re.findall(r"[A-Z][A-Z0-9]*-\d+", words):
                    yield path.relative_to(root).as_posix(), rule_id
