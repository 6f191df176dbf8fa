"""Each mutation operator makes what it says, and leaves alone what has no effect."""

import ast
from pathlib import Path
from textwrap import dedent

import pytest

pytest.importorskip("mutants", reason="a tool of the source, not of the package")

from mutants.mutations import Mutation, Source
from mutants.operators import OPERATORS, mutations
from mutants.sample import sample

ROOT = Path(__file__).parents[2]


def source(text: str) -> Source:
    return Source("vgic/sample.py", dedent(text).encode())


def becomes(text: str) -> list[tuple[str, str]]:
    """The operator and the changed line of every mutation."""
    read = source(text)
    return [(one.operator, read.lines(one)[1]) for one in mutations(read)]


def in_function(statement: str, returns: str = "object") -> list[tuple[str, str]]:
    return becomes(f"def f(x) -> {returns}:\n    {statement}\n")


def test_comparisons() -> None:
    assert becomes("y = (a) < b") == [("boundary", "y = (a) <= b"), ("negation", "y = (a) >= b")]
    assert becomes("y = a == b") == [("negation", "y = a != b")]
    assert becomes("y = a not in b") == [("negation", "y = a in b")]
    assert becomes("y = a is not b") == [("negation", "y = a is b")]
    assert becomes("y = a <= b != c") == [
        ("boundary", "y = a < b != c"),
        ("negation", "y = a > b != c"),
        ("negation", "y = a <= b == c"),
    ]


def test_constants() -> None:
    assert becomes("Y = 0xff") == [("constant", "Y = 0x100"), ("constant", "Y = 0xfe")]
    assert becomes("Y = 0") == [("constant", "Y = (-1)"), ("constant", "Y = 1")]
    assert becomes("Y = True") == [("constant", "Y = False")]


def test_logic() -> None:
    assert becomes("y = a and b and c") == [("logic", "y = a or b and c"), ("logic", "y = a and b or c")]
    assert becomes("y = not a") == [("negation", "y = (a)")]


def test_arithmetic() -> None:
    assert becomes("y = a << b & ~c") == [
        ("arithmetic", "y = a >> b & ~c"),
        ("arithmetic", "y = a << b | ~c"),
        ("arithmetic", "y = a << b & (c)"),
    ]
    assert ("arithmetic", "x -= y") in in_function("x += y")


def test_branches() -> None:
    assert becomes("if a:\n    f\n") == [("branches", "if (not (a)):")]
    assert becomes("y = 'b' if a else 'c'") == [("branches", "y = 'b' if (not (a)) else 'c'")]
    assert becomes("if a == b:\n    f\n") == [("negation", "if a != b:")]


def test_results() -> None:
    assert in_function("return g(x)") == [("result", "return None")]
    assert in_function("return g(x)", "bool") == [("result", "return not (g(x))")]
    assert in_function("return g(x)", "int") == [("result", "return (g(x)) + 1")]


@pytest.mark.parametrize("statement", ["g(x)", "x = g(x)", "x.y = z", "raise E(x)", "return", "del x", "yield x"])
def test_removal(statement: str) -> None:
    assert ("removal", "pass") in in_function(statement)


@pytest.mark.parametrize("statement", ["break", "continue"])
def test_removal_in_a_loop(statement: str) -> None:
    assert becomes(f"while a:\n    {statement}\n") == [("removal", "pass")]


def test_a_statement_of_several_lines_is_shown_as_one() -> None:
    read = source("def f(x):\n    g(\n        x,\n    )  # Why.\n")
    [one] = mutations(read)
    assert read.lines(one) == ("g( x, )  # Why.", "pass  # Why.")


def test_offsets_count_bytes() -> None:
    assert becomes("y = 'é', a < b") == [("boundary", "y = 'é', a <= b"), ("negation", "y = 'é', a >= b")]


@pytest.mark.parametrize(
    "text",
    [
        '"""A module of 1 thing."""',
        "def f(x: Literal[1] = None) -> Literal[2]: ...",
        "x: Annotated[int, 1]",
        "assert a == 1",
        "y = f'{a + 1}'",
        "y = 'a' + b",
        "A: TypeAlias = int | None",
        "Number = Big | Small",
        "T = TypeVar('T', bound=1)",
        "__slots__ = (1,)",
        "@lru_cache(maxsize=1)\ndef f(): ...",
        "class C:\n    def __repr__(self):\n        return g(1)\n",
        "if TYPE_CHECKING:\n    y = 1\n",
        "def f():\n    y = a\n",
        "y = ()",
        "def f():\n    raise NotImplementedError\n",
    ],
)
def test_what_has_no_effect_is_left_alone(text: str) -> None:
    assert becomes(text) == []


def test_every_operator_is_tried_here() -> None:
    every = """
        def f(x):
            if x and not y < 1:
                return x + 1
            g(x)
        """
    found = {operator for operator, _ in becomes(every)}
    assert found == set(OPERATORS)


def test_a_function_is_known_by_its_qualified_name() -> None:
    read = source("class C:\n    A = 1\n\n    def f(self, x=2):\n        return 3\n")
    assert [(one.line, one.function) for one in mutations(read)] == [
        (2, ""),
        (2, ""),
        (4, ""),
        (4, ""),
        (5, "C.f"),
        (5, "C.f"),
    ]


def test_a_sample_is_determined_by_its_seed() -> None:
    read = source("\n".join(f"A{number} = {number}" for number in range(2, 60)))

    def lines(found: list[Mutation]) -> list[int]:
        return [one.line for one in found]

    assert sample([read], 20, 1) == sample([read], 20, 1)
    assert sample([read], 20, 1) != sample([read], 20, 2)
    assert sample([read], 30, 1)[:20] == sample([read], 20, 1)
    assert len(set(lines(sample([read], 20, 1)))) == 20
    assert sorted(lines(sample([read], 1000, 1))) == list(range(1, 59))
    assert len(sample([read], None, 1)) == 2 * 58


def test_every_mutation_of_the_model_is_sound() -> None:
    """Each compiles, to something else than the file."""
    for path in sorted((ROOT / "vgic/interrupts").glob("*.py")):
        read = Source(path.name, path.read_bytes())
        plain = ast.dump(read.tree)
        for one in mutations(read)[::5]:
            assert ast.dump(ast.parse(read.mutated(one))) != plain
