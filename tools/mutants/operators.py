"""The mutation operators: which small changes a file offers.

Left alone is what has no effect on what the model does: documentation, annotations, decorators, assertions, texts,
messages, and how an object prints itself.
"""

import ast
import re
from collections.abc import Iterator
from typing import Final

from mutants.mutations import Mutation, Source

__all__ = ["OPERATORS", "mutations"]

OPERATORS: Final = {
    "boundary": "< becomes <=, and the like",
    "negation": "< becomes >=, == becomes !=, in becomes not in, and the like; not is dropped",
    "constant": "a number becomes one more or one less; True becomes False",
    "logic": "and becomes or, or becomes and",
    "arithmetic": "+ becomes -, & becomes |, << becomes >>, and the like; - and ~ are dropped",
    "branches": "a condition is turned round",
    "result": "a function returns something else",
    "removal": "a call, an assignment, a raise, a return, a break or a continue is left out",
}
"""The operators, and what they do."""

_BOUNDARY: Final = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_NEGATION: Final = {
    "<": ">=",
    "<=": ">",
    ">": "<=",
    ">=": "<",
    "==": "!=",
    "!=": "==",
    "is": "is not",
    "is not": "is",
    "in": "not in",
    "not in": "in",
}
_ARITHMETIC: Final = {
    "+": "-",
    "-": "+",
    "*": "//",
    "/": "*",
    "//": "*",
    "%": "*",
    "**": "*",
    "&": "|",
    "|": "&",
    "^": "&",
    "<<": ">>",
    ">>": "<<",
}

_TOKENS: Final[dict[type[ast.AST], str]] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.And: "and",
    ast.Or: "or",
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
}

_PRINTING: Final = {"__repr__", "__str__", "__format__", "__rich_repr__"}
_DOCUMENTATION: Final = {"__all__", "__slots__", "__match_args__"}
_TYPING: Final = {"TypeVar", "NewType", "cast", "TypedDict", "NamedTuple", "mypyc_attr"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def mutations(source: Source) -> list[Mutation]:
    """All mutations of a file, in the order of the text."""
    finder = _Finder(source)
    finder.visit(source.tree)
    return sorted(
        finder.found, key=lambda mutation: (mutation.start, mutation.end, mutation.operator, mutation.after)
    )


class _Finder(ast.NodeVisitor):
    """Walks a file once and collects what each operator makes of each node."""

    def __init__(self, source: Source) -> None:
        self.found: list[Mutation] = []
        self._source = source
        self._names: list[str] = []
        self._functions: list[Function] = []

    def _add(self, operator: str, start: int, end: int, after: str) -> None:
        function = ".".join(self._names) if self._functions else ""
        before = self._source.between(start, end)
        line = self._source.line_at(start)
        self.found.append(Mutation(self._source.file, line, function, operator, start, end, before, after))

    def _replace(self, operator: str, node: ast.expr | ast.stmt, after: str) -> None:
        self._add(operator, self._source.start(node), self._source.end(node), after)

    def _text(self, node: ast.expr) -> str:
        return self._source.between(self._source.start(node), self._source.end(node))

    def _token(self, left: ast.expr, right: ast.expr, kind: ast.AST) -> Iterator[tuple[int, int, str]]:
        """Where the operator between two operands is, and what it is."""
        token = _TOKENS.get(type(kind), "")
        start = self._source.end(left)
        gap = self._source.text[start : self._source.start(right)].decode("latin-1")
        words = token.replace(" ", r"\s+") if token.isidentifier() or " " in token else re.escape(token)
        if token and (match := re.search(words, gap)):
            yield start + match.start(), start + match.end(), token

    # What is left alone.

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        pass

    def visit_Assert(self, node: ast.Assert) -> None:
        pass

    def visit_arg(self, node: ast.arg) -> None:
        pass

    # What names and bodies belong to.

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._names.append(node.name)
        self._visit_all(node.body)
        self._names.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def _visit_function(self, node: Function) -> None:
        if node.name in _PRINTING:
            return
        # A default is made where the function is, not where it is called.
        self._visit_all([*node.args.defaults, *(default for default in node.args.kw_defaults if default)])
        self._names.append(node.name)
        self._functions.append(node)
        self._visit_all(node.body)
        self._functions.pop()
        self._names.pop()

    def _visit_all(self, nodes: "list[ast.stmt] | list[ast.expr]") -> None:
        for node in nodes:
            self.visit(node)

    # Expressions.

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, right, kind in zip(operands, operands[1:], node.ops, strict=False):
            for start, end, token in self._token(left, right, kind):
                for operator, table in (("boundary", _BOUNDARY), ("negation", _NEGATION)):
                    if token in table:
                        self._add(operator, start, end, table[token])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in zip(node.values, node.values[1:], strict=False):
            for start, end, token in self._token(left, right, node.op):
                self._add("logic", start, end, "or" if token == "and" else "and")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if not (_is_text(node.left) or _is_text(node.right) or _is_type(node.left) or _is_type(node.right)):
            for start, end, token in self._token(node.left, node.right, node.op):
                self._add("arithmetic", start, end, _ARITHMETIC[token])
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        match node.op:
            case ast.Not():
                self._replace("negation", node, f"({self._text(node.operand)})")
            case ast.Invert():
                self._replace("arithmetic", node, f"({self._text(node.operand)})")
            case ast.USub() if not isinstance(node.operand, ast.Constant):
                self._replace("arithmetic", node, f"({self._text(node.operand)})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._replace("constant", node, str(not node.value))
        elif isinstance(node.value, int):
            write = hex if self._text(node).startswith("0x") else str
            self._replace("constant", node, write(node.value + 1))
            self._replace(
                "constant", node, f"({write(node.value - 1)})" if not node.value else write(node.value - 1)
            )

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._turn_round(node.test)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in _TYPING:
            self.generic_visit(node)

    # Statements.

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            self._visit_all(node.orelse)
            return
        self._turn_round(node.test)
        self.generic_visit(node)

    def _turn_round(self, test: ast.expr) -> None:
        """Negate a condition, unless another operator does."""
        plain = isinstance(test, ast.Compare) and len(test.ops) == 1
        if not plain and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
            self._replace("branches", test, f"(not ({self._text(test)}))")

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Name) and target.id in _DOCUMENTATION for target in node.targets):
            return
        if all(self._has_another_value(target) for target in node.targets):
            self._replace("removal", node, "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._replace("removal", node, "pass")
        for start, end, token in self._token(node.target, node.value, node.op):
            self._add("arithmetic", start, end, _ARITHMETIC[token])
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is None or (isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias"):
            return
        if self._functions and self._functions[-1].name != "__init__" and self._has_another_value(node.target):
            self._replace("removal", node, "pass")
        self.visit(node.value)

    def _has_another_value(self, target: ast.expr) -> bool:
        """Whether what is assigned here may have a value already, so that leaving it out is no mere NameError."""
        if not self._functions or isinstance(target, ast.Tuple | ast.List | ast.Starred):
            return False
        if not isinstance(target, ast.Name):
            return True
        function = self._functions[-1]
        names = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == target.id]
        arguments = [node for node in ast.walk(function.args) if isinstance(node, ast.arg)]
        bound = sum(isinstance(node.ctx, ast.Store) for node in names)
        return bound > 1 or any(argument.arg == target.id for argument in arguments)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call | ast.Yield | ast.YieldFrom):
            self._replace("removal", node, "pass")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        # What a class leaves to those that inherit from it is never called.
        if isinstance(node.exc, ast.Name) and node.exc.id == "NotImplementedError":
            return
        self._replace("removal", node, "pass")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            self._replace("removal", node, "pass")
            return
        if (after := self._another_result(node.value)) is not None:
            self._replace("result", node.value, after)
        self.generic_visit(node)

    def _another_result(self, value: ast.expr) -> str | None:
        """What to return instead, by the annotation; None where another operator changes the value already."""
        returns = self._functions[-1].returns
        annotation = returns.id if isinstance(returns, ast.Name) else ""
        if isinstance(value, ast.Constant | ast.Compare | ast.UnaryOp):
            return None
        if annotation == "bool":
            return f"not ({self._text(value)})"
        if annotation in ("int", "i64"):
            return f"({self._text(value)}) + 1"
        return "None"

    def visit_Break(self, node: ast.Break) -> None:
        self._replace("removal", node, "pass")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace("removal", node, "pass")

    def visit_Delete(self, node: ast.Delete) -> None:
        self._replace("removal", node, "pass")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_type(node: ast.expr) -> bool:
    """Whether an operand of | is a class, or None: both appear only in types."""
    if isinstance(node, ast.Constant):
        return node.value is None
    return isinstance(node, ast.Name) and node.id[:1].isupper() and not node.id.isupper()
