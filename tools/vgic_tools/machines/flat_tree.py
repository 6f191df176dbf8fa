"""Device tree blobs: the nodes of a flattened tree with the bytes of their properties.

Devicetree Specification v0.4, chapter 5. What the bytes of a property mean is not in the blob: who guesses takes an
address such as 0x50400000 for the text "P@". So that is left to whoever asks for texts or cells.
"""

import struct
from collections.abc import Iterator
from typing import Final

__all__ = ["Node", "TreeError", "read_tree"]

_MAGIC: Final = 0xD00D_FEED
_HEADER: Final = struct.Struct(">10I")
_WORD: Final = struct.Struct(">I")
_PROPERTY: Final = struct.Struct(">II")

_BEGIN_NODE: Final = 1
_END_NODE: Final = 2
_PROP: Final = 3
_NOP: Final = 4
_END: Final = 9

_VERSIONS: Final = range(16, 18)
"""The versions of the format that have this structure block; a later one says that it is compatible with them."""

_DEEPEST: Final = 64
"""Levels of nodes; the Linux kernel reads as many."""

_CELL: Final = 4

_LONGEST: Final = 256
"""Bytes of a name; the specification allows 31, and some firmware more."""


class TreeError(ValueError):
    """The data is no device tree blob, or a damaged one; the message says what is wrong."""


class Node:
    """A node of a tree."""

    def __init__(self, name: str, parent: "Node | None") -> None:
        self.name = name
        self.parent = parent
        self.children: list[Node] = []
        self.properties: dict[str, bytes] = {}

    def walk(self) -> "Iterator[Node]":
        """The node and all below it, in the order of the blob."""
        yield self
        for child in self.children:
            yield from child.walk()

    def path(self) -> "list[Node]":
        """The nodes from the root to this one."""
        return [*([] if self.parent is None else self.parent.path()), self]

    def texts(self, name: str) -> list[str]:
        """The texts in a property; empty where there is none."""
        return [text.decode("utf-8", "replace") for text in self.properties.get(name, b"").split(b"\0") if text]

    def cells(self, name: str) -> list[int]:
        """The 32-bit cells in a property; empty where there is none."""
        data = self.properties.get(name, b"")
        return [cell for (cell,) in _WORD.iter_unpack(data[: len(data) // _CELL * _CELL])]


def read_tree(data: bytes) -> Node:
    """The root of the tree in a blob. Raises TreeError."""
    try:
        return _read(data)
    except struct.error as error:
        raise TreeError("it ends early") from error


def _read(data: bytes) -> Node:
    magic, size, structure, strings, _, version, compatible, _, _, _ = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise TreeError("it does not start as one")
    if version < _VERSIONS.start or compatible >= _VERSIONS.stop:
        raise TreeError(f"its version {version}, compatible with {compatible}, is unknown")
    if size > len(data):
        raise TreeError("it ends early")
    root: Node | None = None
    node: Node | None = None
    depth, at = 0, structure
    while True:
        (token,) = _WORD.unpack_from(data, at)
        at += _CELL
        if token == _BEGIN_NODE:
            name, at = _text(data, at)
            depth += 1
            if depth > _DEEPEST or (node is None and root is not None):
                raise TreeError(f"it has more than {_DEEPEST} levels, or more than one root")
            child = Node(name or "/", node)
            if node is None:
                root = child
            else:
                node.children.append(child)
            node = child
        elif token == _END_NODE and node is not None:
            node = node.parent
            depth -= 1
        elif token == _PROP and node is not None:
            length, name_at = _PROPERTY.unpack_from(data, at)
            at += _PROPERTY.size
            if at + length > len(data):
                raise TreeError("it ends early")
            node.properties[_text(data, strings + name_at)[0]] = data[at : at + length]
            at = _aligned(at + length)
        elif token == _END and node is None and root is not None:
            return root
        elif token != _NOP:
            raise TreeError(f"there is no token {token:#x} at byte {at - _CELL:#x}")


def _text(data: bytes, at: int) -> tuple[str, int]:
    """A text that ends in a zero, and where the cell behind it starts."""
    end = data.find(b"\0", at, at + _LONGEST)
    if end < 0:
        raise TreeError("it ends early, or within a name")
    return data[at:end].decode("utf-8", "replace"), _aligned(end + 1)


def _aligned(at: int) -> int:
    return (at + _CELL - 1) // _CELL * _CELL
