"""Which tests to run for a mutation, in which order, and how long each may take.

First a few that are near and fast, which kill most mutants within a second. Only what they let live meets all tests
that execute its lines.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath
from typing import Final

from mutants.mentions import Mentions
from mutants.mutations import Mutation
from mutants.reach import OneTest, Reach

__all__ = ["limit", "stages"]

FIRST_SECONDS: Final = 3.0
"""What the first stage may take, by the seconds measured."""

FIRST_SLOWEST: Final = 0.5
"""The longest test in the first stage, in seconds."""

FIRST_TESTS: Final = 80

PATIENCE: Final = 8
"""A test that takes this many times as long as it did, and GRACE seconds more, has timed out."""

GRACE: Final = 12.0


def limit(test: OneTest) -> float:
    """The seconds of the processor that a test may take with a mutation."""
    return GRACE + PATIENCE * test.seconds


def stages(
    mutation: Mutation, lines: tuple[int, int], text: str, reach: Reach, mentions: Mentions
) -> list[list[str]]:
    """The tests that execute the lines of a mutation, each once, in stages.

    What runs only when its module is imported is judged by the tests that use the module, or by all if none does;
    first by those that execute a line with a word of its text, some of every file: such a line is near to no test.
    """
    chosen = reach.executing(mutation.file, *lines) if mutation.function else []
    likely = chosen or reach.mentioning(mentions.of(text))
    chosen = chosen or reach.touching(mutation.file) or list(reach.tests)
    ranked = _ranked(mutation, likely or chosen, reach)
    first = _first(ranked if mutation.function else _one_of_each_file(ranked), reach)
    rest = set(chosen) - set(first)
    return [stage for stage in (_by_file(first), _by_file(_ranked(mutation, rest, reach))) if stage]


def _ranked(mutation: Mutation, names: Collection[str], reach: Reach) -> list[str]:
    return sorted(names, key=lambda name: (_distance(mutation.file, name), reach.tests[name].seconds, name))


def _first(ranked: Sequence[str], reach: Reach) -> list[str]:
    first: list[str] = []
    seconds = 0.0
    for name in ranked:
        needed = reach.tests[name].seconds
        if needed <= FIRST_SLOWEST and seconds + needed <= FIRST_SECONDS and len(first) < FIRST_TESTS:
            first.append(name)
            seconds += needed
    return first


def _one_of_each_file(ranked: Sequence[str]) -> list[str]:
    """The first test of each file, then the second of each, and so on."""
    before: Counter[str] = Counter()
    turns: dict[str, int] = {}
    for name in ranked:
        turns[name] = before[_file(name)]
        before[_file(name)] += 1
    return sorted(ranked, key=turns.__getitem__)


def _by_file(names: Sequence[str]) -> list[str]:
    """Tests of one file together, files in the order of their first test."""
    files = list(dict.fromkeys(_file(name) for name in names))
    rank = {file: number for number, file in enumerate(files)}
    return sorted(names, key=lambda name: rank[_file(name)])


def _file(test: str) -> str:
    return test.partition("::")[0]


def _distance(file: str, test: str) -> int:
    """0 for the test file that mirrors a file, 1 for others in the folder that mirrors its own, then more."""
    code, tests = PurePosixPath(file), PurePosixPath(_file(test))
    if tests.parent == PurePosixPath("tests") / code.parent:
        return 0 if code.stem in tests.stem else 1
    return 2 if tests.parts[1] == code.parts[0] else 3
