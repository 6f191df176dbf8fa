"""What compiled modules must not contain, because mypyc makes something else of it than Python does."""

import ast
import runpy
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
MODULES = TOOLS["vgic"]["compiled"]
FOLDERS = TOOLS["setuptools"]["package-dir"]

narrow_shifts = runpy.run_path(str(ROOT / "tools" / "narrow_shifts.py"))["narrow_shifts"]

NATIVE_INTEGERS = {"i64", "i32", "i16", "u8"}
NARROW = NATIVE_INTEGERS - {"i64"}
"""They wrap around at widths that registers have."""

FRAME_MAGIC = {"locals", "vars", "eval", "exec", "_getframe"}
"""Compiled functions have no frame."""


def problems(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        names = set()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NATIVE_INTEGERS:
            yield f"line {node.lineno}: {node.func.id}() checks nothing when it is interpreted"
        elif isinstance(node, ast.Name):
            names = {node.id}
        elif isinstance(node, ast.Attribute):
            names = {node.attr}
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            # An annotation in quotes.
            names = {node.value}
        for name in sorted(names & NARROW):
            yield f"line {node.lineno}: {name} is too narrow"
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
        ("from mypy_extensions import i32, mypyc_attr", ["line 1: i32 is too narrow"]),
        ("import mypy_extensions as m\ndef f(n: m.i16): return n", ["line 2: i16 is too narrow"]),
        ("def f(n: 'u8') -> int: ...", ["line 1: u8 is too narrow"]),
        ("def f(n: int):\n    return i64(n)", ["line 2: i64() checks nothing when it is interpreted"]),
        ("def f():\n    return locals()", ["line 2: locals finds no frame"]),
        ("from mypy_extensions import i64\ndef f(n: i64) -> i64:\n    return n + 1", []),
    ],
)
def test_the_check_finds_what_it_looks_for(source: str, expected: list[str]) -> None:
    assert list(problems(source)) == expected


# As mypyc 2.4.1 makes it of `1 << n` and of `value << n`, and of a literal of more than 32 bits.
GENERATED = """\
int64_t CPyDef_bits___wrong(int64_t cpy_r_n) {
    int64_t cpy_r_r0;
    cpy_r_r0 = 1 << cpy_r_n;
    return cpy_r_r0;
}
int64_t CPyDef_bits___shifted(int64_t cpy_r_value, int64_t cpy_r_places) {
    cpy_r_r0 = cpy_r_value << cpy_r_places;
}
int64_t CPyDef_bits___wide(int64_t cpy_r_n) {
    cpy_r_r0 = 4294967296LL << cpy_r_n;
}
PyObject *CPyDef_bits___Bits___also_wrong(PyObject *cpy_r_self, int64_t cpy_r_n) {
    cpy_r_r7 = -255 << cpy_r_r6;
}
"""


def test_a_literal_that_is_shifted_in_32_bits_is_found_in_what_mypyc_generates() -> None:
    assert list(narrow_shifts(GENERATED)) == ["bits.wrong: 1 << cpy_r_n", "bits.Bits.also_wrong: -255 << cpy_r_r6"]
