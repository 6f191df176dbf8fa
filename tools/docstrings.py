"""Puts the documentation of the source into the C code that mypyc generates.

mypyc gives functions and classes their signatures but drops every docstring, so that `help(vgic.Gic)` would say
nothing exactly where there is a C compiler. The tables in which C code keeps documentation are there, though: this
fills them from the syntax tree of the source, and leaves whatever it does not know as it is.
"""

import ast
import inspect
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

__all__ = ["Documentation", "Documented", "documentation", "documented"]


class Documented(NamedTuple):
    """What the source says of one thing: its documentation, and a signature for where mypyc has none."""

    text: str
    signature: str = ""


Documentation: TypeAlias = dict[str, Documented]
"""By the name of the C code: `f gic___Gic___read`, `t gic___Gic`, `a gic___Gic_get_config`, `m vgic.gic`.

Named tuples and enumerations stay classes of Python, which are known by their line: `c vgic/gic.py:52`.
"""

Function = ast.FunctionDef | ast.AsyncFunctionDef

_KINDS: Final = {"m": "modules", "t": "classes", "f": "functions", "a": "attributes", "c": "classes"}
_LITERAL: Final = r'PyDoc_STR\((NULL|"(?:[^"\\]|\\.)*")\)'
_FUNCTION: Final = re.compile(r"\(PyCFunction\)CPyPy_(\w+),")
_DOCUMENTED: Final = re.compile(_LITERAL)
_TYPE: Final = re.compile(r"^\s*static PyTypeObject CPyType_(\w+)_template_ = \{$")
_TYPE_DOC: Final = re.compile(r"^\s*\.tp_doc = " + _LITERAL)
_GETTER: Final = re.compile(r"\(getter\)(\w+),")
_GETTER_DOC: Final = re.compile(r"NULL, NULL\},$", re.MULTILINE)
_MODULE: Final = re.compile(r"^\s*static (?:struct )?PyModuleDef \w+ = \{$")
_MODULE_NAME: Final = re.compile(r'^\s*"([\w.]+)",$')
_TRACEBACK: Final = re.compile(r'CPy_AddTraceback\("([^"]+)", "<module>", (\d+),')
_FILLER: Final = re.compile(r"CPyStatics\[\d+\]; /\* 'mypyc filler docstring' \*/")
_MODULE_DOC: Final = "NULL, /* docstring */"


def documentation(sources: Mapping[str, str]) -> Documentation:
    """All that these modules (source by dotted name) say of themselves.

    mypyc names a module by the end of its dotted name that no other module has: each that could be meant is there.
    """
    found: Documentation = {}
    for module, source in sources.items():
        tree = ast.parse(source)
        if text := ast.get_docstring(tree):
            found[f"m {module}"] = Documented(text)
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and (text := ast.get_docstring(node)):
                found[f"c {module.replace('.', '/')}.py:{node.lineno}"] = Documented(text)
        for prefix in _ends(module):
            if not any(prefix in _ends(other) for other in sources if other != module):
                found.update(_of_members(prefix, tree.body))
    return found


def _ends(module: str) -> list[str]:
    parts = module.split(".")
    return ["___".join(parts[start:]) for start in range(len(parts))]


def _of_members(prefix: str, body: list[ast.stmt]) -> Iterator[tuple[str, Documented]]:
    for node in body:
        if isinstance(node, Function):
            yield f"f {_c_name(prefix, node.name)}", _of_function(node)
        elif isinstance(node, ast.ClassDef):
            yield f"t {_c_name(prefix, node.name)}", _of_class(node)
            for method in node.body:
                if isinstance(method, Function):
                    name = f"{node.name}.{method.name}"
                    yield f"f {_c_name(prefix, name)}", _of_function(method, name)
                    # Not of a setter, which has the same name and no documentation.
                    if text := ast.get_docstring(method):
                        yield f"a {_c_name(prefix, f'{node.name}_get_{method.name}')}", Documented(text)
            for attribute, text in _of_attributes(node):
                yield f"a {_c_name(prefix, f'{node.name}_get_{attribute}')}", Documented(text)


def _c_name(prefix: str, name: str) -> str:
    """As mypyc names what is called so in a module."""
    return f"{prefix}___{name.replace('___', '___3_').replace('.', '___')}"


def _of_function(node: Function, name: str = "") -> Documented:
    kinds = {decorator.id for decorator in node.decorator_list if isinstance(decorator, ast.Name)}
    bound = bool(name) and "staticmethod" not in kinds
    return Documented(ast.get_docstring(node) or "", f"{node.name}({_parameters(node.args, bound)})")


def _of_class(node: ast.ClassDef) -> Documented:
    """A class has the parameters of its constructor."""
    for member in node.body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            parameters = _parameters(member.args, bound=True).partition(", ")[2]
            return Documented(ast.get_docstring(node) or "", f"{node.name}({parameters})")
    return Documented(ast.get_docstring(node) or "")


def _parameters(arguments: ast.arguments, bound: bool) -> str:
    """As in a text signature, which has no annotations; `...` stands for a default that is no literal."""
    bare = ast.arguments(
        posonlyargs=[ast.arg(argument.arg) for argument in arguments.posonlyargs],
        args=[ast.arg(argument.arg) for argument in arguments.args],
        vararg=arguments.vararg and ast.arg(arguments.vararg.arg),
        kwonlyargs=[ast.arg(argument.arg) for argument in arguments.kwonlyargs],
        kw_defaults=[default and _literal(default) for default in arguments.kw_defaults],
        kwarg=arguments.kwarg and ast.arg(arguments.kwarg.arg),
        defaults=[_literal(default) for default in arguments.defaults],
    )
    return ("$" if bound else "") + ast.unparse(bare)


def _literal(node: ast.expr) -> ast.expr:
    try:
        ast.literal_eval(node)
    except ValueError:
        return ast.Constant(...)
    return node


def _of_attributes(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """The attributes that have a string below them, in the class or in one of its methods."""
    bodies = [node.body, *(member.body for member in node.body if isinstance(member, Function))]
    for body in bodies:
        for statement, following in itertools.pairwise(body):
            if not (isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)):
                continue
            target = statement.targets[0] if isinstance(statement, ast.Assign) else None
            target = statement.target if isinstance(statement, ast.AnnAssign) else target
            name = (
                target.id
                if isinstance(target, ast.Name)
                else target.attr
                if isinstance(target, ast.Attribute)
                else ""
            )
            if name and isinstance(following.value.value, str):
                yield name, inspect.cleandoc(following.value.value)


def documented(code: str, known: Mapping[str, Documented]) -> tuple[str, set[str]]:
    """The C code with the documentation in its place, and the kinds of things that found theirs.

    What it does not know stays as it is, and nothing is found where another mypyc generates other code.
    """
    lines = []
    kinds = set()
    kind = name = ""
    for line in code.splitlines(keepends=True):
        kind, name = _place(line, kind, name)
        what = _known(known, kind, name)
        filled = line if what is None else _filled(line, kind, what)
        if filled != line:
            kinds.add(_KINDS[kind])
            kind = name = ""
        lines.append(filled)
    return "".join(lines), kinds


def _known(known: Mapping[str, Documented], kind: str, name: str) -> Documented | None:
    """What is known of this; the path of a module may begin further up than its name does."""
    while (what := known.get(f"{kind} {name}")) is None and kind == "c" and "/" in name:
        name = name.partition("/")[2]
    return what


def _place(line: str, kind: str, name: str) -> tuple[str, str]:
    """What this line is about, where the one before it was about `kind` and `name`."""
    for kind_found, pattern in (("f", _FUNCTION), ("t", _TYPE), ("a", _GETTER)):
        if found := pattern.search(line):
            return kind_found, found[1]
    if found := _TRACEBACK.search(line):
        return "c", f"{found[1]}:{found[2]}"
    if _MODULE.match(line):
        return "m", ""
    if kind == "m" and not name and (found := _MODULE_NAME.match(line)):
        return "m", found[1]
    return kind, name


def _filled(line: str, kind: str, what: Documented) -> str:
    text = _escaped(what.text)
    if kind == "c":
        # A new reference, which the dict of the class keeps.
        return _FILLER.sub(lambda _: f'PyUnicode_InternFromString("{text}");', line)
    if kind == "m":
        return line.replace(_MODULE_DOC, f'PyDoc_STR("{text}"),')
    if kind == "a":
        return _GETTER_DOC.sub(lambda _: f'PyDoc_STR("{text}"), NULL}},', line) if text else line
    pattern = _DOCUMENTED if kind == "f" else _TYPE_DOC
    found = pattern.search(line)
    if found is None:
        return line
    signature = _escaped(f"{what.signature}\n--\n\n") if what.signature else ""
    head = signature if found[1] == "NULL" else found[1][1:-1]
    return f'{line[: found.start(1)]}"{head}{text}"{line[found.end(1) :]}' if head or text else line


def _escaped(text: str) -> str:
    """As it stands in a literal of C."""
    special = {ord("\n"): "\\n", ord('"'): '\\"', ord("\\"): "\\\\", ord("?"): "\\?"}
    return "".join(
        special.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in text.encode()
    )
