"""Compiles the hot path with mypyc, from the same source that runs as it is; the rest is in pyproject.toml.

The environment variable VGIC_COMPILE says what a wheel gets:

| value | what is built |
|---|---|
| not set | the compiled core where there is mypyc and a C compiler that can build it, else the interpreted one |
| 0 | the interpreted core |
| 1 | the compiled core, or nothing |

Editable installs and source distributions are not compiled.
"""

import os
import sys
import tomllib
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

from docstrings import documentation, documented
from narrow_shifts import narrow_shifts
from project_description import project_description

CHOICE = os.environ.get("VGIC_COMPILE", "")
BUILDS = {"bdist_wheel", "build", "build_ext"}
COMPILER_OPTIONS = [
    # A function of the core may be replaced by nobody, so one may be built into another: as much as a third faster.
    "-fno-semantic-interposition",
    # Nobody else looks for what the core defines, so it is found without a table.
    "-fvisibility=hidden",
    # Each function begins a line of the cache: its speed does not depend on how long those before it are.
    "-falign-functions=64",
    # Attributes are read again at once, and what was written as two takes long to be read as one, or the reverse.
    "-fno-tree-slp-vectorize",
]
# `make lint` checks the types; a build has none of the dependencies to check them with.
OPTIONS = ["--config-file=", "--ignore-missing-imports", f"--cache-dir={os.devnull}"]


def modules() -> dict[str, str]:
    """The modules that pyproject.toml lists, each with its file."""
    tools = tomllib.loads(Path("pyproject.toml").read_text())["tool"]
    folders = tools["setuptools"]["package-dir"]
    paths = {}
    for name in tools["vgic"]["compiled"]:
        package, _, module = name.partition(".")
        paths[name] = f"{folders.get(package, package)}/{module.replace('.', '/')}.py"
    return paths


def refuse_narrow_shifts(source: Path) -> None:
    """Compile nothing rather than something that is wrong."""
    wrong = [*narrow_shifts(source.read_text())]
    if wrong:
        raise SystemExit(f"mypyc shifts a literal in 32 bits, use vgic.bits: {'; '.join(wrong)}")


def document(sources: list[Path]) -> None:
    """Give the compiled modules their docstrings; a build that was asked for fails where they find no place."""
    known = documentation({name: Path(path).read_text(encoding="utf-8") for name, path in modules().items()})
    found: set[str] = set()
    for source in sources:
        code, kinds = documented(source.read_text(encoding="utf-8"), known)
        source.write_text(code, encoding="utf-8")
        found |= kinds
    if missing := sorted({"modules", "classes", "functions", "attributes"} - found):
        message = (
            f"this mypyc has no known place for the documentation of {', '.join(missing)} (tools/docstrings.py)"
        )
        if CHOICE == "1":
            raise SystemExit(message)
        print(f"vgic is compiled without documentation: {message}", file=sys.stderr)


def extensions() -> list[Extension]:
    """The extension modules that mypyc generates; none where it is not there or not wanted."""
    if CHOICE == "0" or BUILDS.isdisjoint(sys.argv):
        return []
    try:
        from mypyc.build import mypycify

        built = mypycify([*OPTIONS, *modules().values()], opt_level="3", group_name="vgic")
        sources = sorted({Path(source) for extension in built for source in extension.sources})
        for source in sources:
            refuse_narrow_shifts(source)
        document(sources)
    except (ImportError, SystemExit) as error:
        if CHOICE == "1":
            raise
        print(f"vgic is not compiled: {error or 'mypyc refuses the source'}", file=sys.stderr)
        return []
    if os.name == "posix":
        for extension in built:
            # The same list serves them all.
            extension.extra_compile_args = [*extension.extra_compile_args, *COMPILER_OPTIONS]
    return built


class AllOrNone(build_ext):
    """Leaves no extension module behind where one cannot be built: they are one library in several files."""

    def run(self) -> None:
        """Build them."""
        try:
            super().run()
        except (BaseError, CCompilerError) as error:
            if CHOICE == "1":
                raise
            print(f"vgic is not compiled: {error}", file=sys.stderr)
            for output in self.get_outputs():
                Path(output).unlink(missing_ok=True)
            self.extensions = self.distribution.ext_modules = []


setup(
    ext_modules=extensions(),
    long_description=project_description(Path("README.md").read_text(encoding="utf-8")),
    long_description_content_type="text/markdown",
    cmdclass={"build_ext": AllOrNone},
)
