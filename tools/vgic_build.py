"""The build backend: setuptools, with mypy asked for only where the hot path will be compiled.

An install without a C compiler must not fail for want of a tool that it could not use, and an editable install runs
the source as it is. See setup.py for what VGIC_COMPILE does.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from setuptools import build_meta
from setuptools._distutils import ccompiler, sysconfig
from setuptools.errors import BaseError, CCompilerError

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

COMPILER: Final = "mypy>=2.4,<2.5"
"""mypy brings mypyc. What it generates differs from release to release: another one needs the tests run again."""

Settings: TypeAlias = Mapping[str, str | list[str] | None] | None

build_editable = build_meta.build_editable
build_sdist = build_meta.build_sdist
build_wheel = build_meta.build_wheel
get_requires_for_build_editable = build_meta.get_requires_for_build_editable
get_requires_for_build_sdist = build_meta.get_requires_for_build_sdist
prepare_metadata_for_build_editable = build_meta.prepare_metadata_for_build_editable
prepare_metadata_for_build_wheel = build_meta.prepare_metadata_for_build_wheel


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """What setuptools needs, and mypy where VGIC_COMPILE says so or, unless told, where there is a C compiler."""
    choice = os.environ.get("VGIC_COMPILE")
    compiles = choice == "1" or (choice != "0" and _compiler_works())
    return [*build_meta.get_requires_for_build_wheel(config_settings), *([COMPILER] if compiles else [])]


def _compiler_works() -> bool:
    """True where a C file that uses Python's headers compiles."""
    compiler = ccompiler.new_compiler()
    try:
        sysconfig.customize_compiler(compiler)
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text("#include <Python.h>\n")
            compiler.compile([str(source)], output_dir=folder, include_dirs=[sysconfig.get_python_inc()])
    except (BaseError, CCompilerError, OSError):
        return False
    return True
