"""What the compiled modules must not contain, because mypyc makes something else of it than Python does."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
MODULES = TOOLS["vgic"]["compiled"]
FOLDERS = TOOLS["setuptools"]["package-dir"]

NATIVE_INTEGERS = {"i64", "i32", "i16", "u8"}
"""They wrap around at their width, and a literal is shifted by one in 32 bits: `1 << n` is wrong from n = 31 on. No
syntax tree tells that `n` came from such a type by way of an attribute or a call, so there are none at all."""

FRAME_MAGIC = {"locals", "vars", "eval", "exec", "_getframe"}
"""Compiled functions have no frame."""


def problems(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        names = set()
        if isinstance(node, ast.Name):
            names = {node.id}
        elif isinstance(node, ast.Attribute):
            names = {node.attr}
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # An annotation in quotes.
            names = {node.value}
        for name in sorted(names & NATIVE_INTEGERS):
            yield f"line {node.lineno}: {name} is not an int"
        for name in sorted(names & FRAME_MAGIC):
            yield f"line {node.lineno}: {name} finds no frame"


@pytest.mark.parametrize("name", MODULES)
def test_the_core_has_nothing_that_is_another_thing_compiled(name: str) -> None:
    package, _, module = name.partition(".")
    source = ROOT / FOLDERS.get(package, package) / f"{module.replace('.', '/')}.py"
    assert list(problems(source.read_text())) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from mypy_extensions import i64, mypyc_attr", ["line 1: i64 is not an int"]),
        ("import mypy_extensions as m\ndef f(n: m.i32): return 1 << n", ["line 2: i32 is not an int"]),
        ("def f(n: 'u8') -> int: ...", ["line 1: u8 is not an int"]),
        ("def f():\n    return locals()", ["line 2: locals finds no frame"]),
        ("def f(n: int) -> int:\n    return 1 << n", []),
    ],
)
def test_the_check_finds_what_it_looks_for(source: str, expected: list[str]) -> None:
    assert list(problems(source)) == expected
