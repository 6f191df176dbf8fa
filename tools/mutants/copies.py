"""Private copies of the tree: mutations are put into these, never into the working tree."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

__all__ = ["copy_tree", "digest", "environment", "put"]

_COPIED = (
    "mmio",
    "vgic",
    "tools",
    "tests",
    "specs",
    "pyproject.toml",
    "setup.py",
    "README.md",
    "Makefile",
    "LICENSE",
)


def copy_tree(root: Path, to: Path) -> None:
    """Copy what the tests need."""
    to.mkdir(parents=True)
    for name in _COPIED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, to / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, to / name)


def environment(copy: Path, **more: str) -> dict[str, str]:
    """The environment of a run of the tests in a copy: they and what they start import from there."""
    paths = os.pathsep.join([str(copy), str(copy / "tools")])
    return os.environ | {"PYTHONPATH": paths} | more


def put(path: Path, text: bytes) -> None:
    """Write a source file so that no compiled form of what it was is taken for it."""
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
    path.write_bytes(text)


def digest(root: Path, paths: Iterable[str]) -> str:
    """A digest of the Python files, and others that tests read, below some paths; and of their names."""
    total = hashlib.sha256()
    for path in paths:
        below = root / path
        for file in sorted(below.rglob("*")) if below.is_dir() else [below]:
            if file.is_file() and "__pycache__" not in file.parts:
                total.update(str(file.relative_to(root)).encode() + b"\0")
                total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:16]
