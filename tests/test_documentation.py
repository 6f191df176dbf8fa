"""What the source says of itself is there in the compiled core as well: docstrings, parameters and defaults."""

import ast
import importlib
import inspect
import pydoc
import runpy
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import vgic

ROOT = Path(__file__).parents[1]
TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
MODULES = TOOLS["vgic"]["compiled"]
FOLDERS = TOOLS["setuptools"]["package-dir"]

step = runpy.run_path(str(ROOT / "tools" / "docstrings.py"))
documentation, documented = step["documentation"], step["documented"]


def syntax_tree(name: str) -> ast.Module:
    package, _, module = name.partition(".")
    return ast.parse((ROOT / FOLDERS.get(package, package) / f"{module.replace('.', '/')}.py").read_text())


def first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def parameters(node: ast.FunctionDef) -> list[tuple[str, object]]:
    """Name and default of each; where the default is no literal, that there is one."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    named = [
        *zip(positional, defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    found = [(argument.arg, literal(default)) for argument, default in named]
    return found + [(rest.arg, NOTHING) for rest in (arguments.vararg, arguments.kwarg) if rest]


NOTHING = inspect.Parameter.empty


def literal(node: ast.expr | None) -> object:
    if node is None:
        return NOTHING
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ...


def as_seen(what: object) -> list[tuple[str, object]]:
    return [(parameter.name, parameter.default) for parameter in inspect.signature(what).parameters.values()]


def problems(module: ModuleType, tree: ast.Module) -> Iterator[str]:
    if first_line(module.__doc__) != first_line(ast.get_docstring(tree)):
        yield f"{module.__name__}: {module.__doc__!r}"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield from function_problems(node.name, getattr(module, node.name), node, bound=False)
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from class_problems(getattr(module, node.name), node)


def class_problems(cls: type, tree: ast.ClassDef) -> Iterator[str]:
    if first_line(cls.__doc__) != first_line(ast.get_docstring(tree)):
        yield f"{cls.__name__}: {cls.__doc__!r}"
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
        name = f"{cls.__name__}.{node.name}"
        if node.name == "__init__":
            if not issubclass(cls, BaseException):
                yield from parameter_problems(cls.__name__, cls, parameters(node)[1:])
        elif node.name.startswith("_"):
            continue
        elif decorators & {"property", "cached_property", "functools.cached_property"}:
            yield from text_problems(name, inspect.getattr_static(cls, node.name), node)
        elif not any("setter" in decorator for decorator in decorators):
            yield from function_problems(name, getattr(cls, node.name), node, bound="classmethod" in decorators)


def function_problems(name: str, what: object, node: ast.FunctionDef, bound: bool) -> Iterator[str]:
    yield from text_problems(name, what, node)
    yield from parameter_problems(name, what, parameters(node)[bound:])


def text_problems(name: str, what: object, node: ast.FunctionDef) -> Iterator[str]:
    if first_line(what.__doc__) != first_line(ast.get_docstring(node)):
        yield f"{name}: {what.__doc__!r}"


def parameter_problems(name: str, what: object, expected: list[tuple[str, object]]) -> Iterator[str]:
    try:
        seen = as_seen(what)
    except ValueError as error:
        yield f"{name}: {error}"
        return
    if [parameter for parameter, _ in seen] != [parameter for parameter, _ in expected]:
        yield f"{name}: {seen}"
    for (_, has), (parameter, wants) in zip(seen, expected, strict=False):
        if has != wants and (wants is not ... or has is NOTHING):
            yield f"{name}: {parameter}={has!r}"


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_its_documentation_and_its_parameters(name: str) -> None:
    assert list(problems(importlib.import_module(name), syntax_tree(name))) == []


def test_help_is_readable_in_a_terminal() -> None:
    # Python 3.13 gives each parameter of a long signature a line, with a bar in the margin.
    shown = pydoc.plain(pydoc.render_doc(vgic.Gic, renderer=pydoc.plaintext))
    shown = " ".join(shown.replace("|", " ").split()).replace("( ", "(")
    for expected in (
        "read(self",
        "address, size, cpu=None" if vgic.COMPILED else "address: int, size: int, cpu: int",
        first_line(
            ast.get_docstring(next(n for n in syntax_tree("vgic.gic").body if getattr(n, "name", "") == "Gic"))
        ),
    ):
        assert expected in shown


# As mypyc 2.4.1 writes it.
GENERATED = r"""
    static PyGetSetDef gic___Gic_getseters[] = {
        {"config",
         (getter)gic___Gic_get_config, (setter)gic___Gic_set_config,
         NULL, NULL},
        {"size",
         (getter)gic___Gic_get_size,
         NULL, NULL, NULL},
    };
    static PyMethodDef gic___Gic_methods[] = {
        {"read",
         (PyCFunction)CPyPy_gic___Gic___read,
         METH_FASTCALL | METH_KEYWORDS, PyDoc_STR("read($self, address)\n--\n\n")},
        {"find",
         (PyCFunction)CPyPy_gic___Gic___find,
         METH_FASTCALL | METH_KEYWORDS, PyDoc_STR(NULL)},
    };
    static PyTypeObject CPyType_gic___Gic_template_ = {
        .tp_doc = PyDoc_STR("Gic(config)\n--\n\n"),
    };
    static PyMethodDef gicmodule_methods[] = {
        {"build", (PyCFunction)CPyPy_gic___build, METH_FASTCALL, PyDoc_STR("build()\n--\n\n") /* docstring */},
    };
    CPy_AddTraceback("src/vgic/gic.py", "<module>", 21, CPyStatic_globals);
    cpy_r_r64 = CPyStatics[16]; /* 'mypyc filler docstring' */
    static struct PyModuleDef gicmodule = {
        PyModuleDef_HEAD_INIT,
        "vgic.gic",
        NULL, /* docstring */
    };
"""

SOURCE = '''\
"""What a VM's GIC is."""
class Gic:
    """A GIC."""
    def __init__(self, config):
        self.config = config
        """What it "has"."""
    def read(self, address):
        """Read § why not?"""
    def find(self, what=Gic, *, far=1):
        """Find."""
    @property
    def size(self):
        """In bytes.\n
        Always."""
    @size.setter
    def size(self, value):
        pass
def build():
    """Build one."""
class Pair(NamedTuple):
    """A pair."""
'''


def test_documentation_finds_its_place_in_what_mypyc_generates() -> None:
    code, kinds = documented(GENERATED, documentation({"vgic.gic": SOURCE, "mmio.frame": ""}))
    assert kinds == {"modules", "classes", "functions", "attributes"}
    for expected in (
        r'PyDoc_STR("What it \"has\"."), NULL},',
        r'NULL, PyDoc_STR("In bytes.\n\nAlways."), NULL},',
        r'PyDoc_STR("read($self, address)\n--\n\nRead \302\247 why not\?")},',
        r'PyDoc_STR("find($self, what=..., *, far=1)\n--\n\nFind.")},',
        r'.tp_doc = PyDoc_STR("Gic(config)\n--\n\nA GIC."),',
        r'cpy_r_r64 = PyUnicode_InternFromString("A pair.");',
        r'PyDoc_STR("build()\n--\n\nBuild one.") /* docstring */},',
        r"""PyDoc_STR("What a VM's GIC is."),""",
    ):
        assert expected in code


def test_code_of_another_mypyc_stays_as_it_is() -> None:
    other = (
        GENERATED.replace("PyDoc_STR", "DOC")
        .replace("NULL, NULL", "0, 0")
        .replace("/* docstring */", "")
        .replace("filler", "")
    )
    assert documented(other, documentation({"vgic.gic": SOURCE})) == (other, set())


def test_modules_whose_names_end_alike_are_told_apart() -> None:
    known = documentation({"mmio.frame": "def f():\n 'one'", "vgic.its.frame": "def f():\n 'two'"})
    texts = {name: what.text for name, what in known.items()}
    assert texts == {
        "f mmio___frame___f": "one",
        "f its___frame___f": "two",
        "f vgic___its___frame___f": "two",
    }
