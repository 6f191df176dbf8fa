"""Programs of these judges for arm64: compiled where one is needed first, and kept in the cache."""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from vgic_tools.judges.errors import MissingJudgeError
from vgic_tools.judges.kernels import cache_folder

__all__ = ["COMPILER", "COMPILER_PACKAGES", "built"]

COMPILER: Final = "aarch64-linux-gnu-gcc"
COMPILER_PACKAGES: Final = "gcc-aarch64-linux-gnu and libc6-dev-arm64-cross"
"""Debian's, that have it and what it needs."""

TIMEOUT: Final = 60.0
"""Seconds that the compiler may take."""

_TAIL: Final = 4000
"""Characters of its last words."""


def built(source_name: str, options: Sequence[str], packed: Callable[[bytes], bytes]) -> Path:
    """What `packed` makes of the program that a source of this package compiles to. Raises MissingJudgeError."""
    source = files(__package__).joinpath(source_name).read_bytes()
    folder = cache_folder()
    digest = hashlib.sha256(b"\0".join([source, *(option.encode() for option in options)])).hexdigest()[:16]
    image = folder / f"{Path(source_name).stem}-{digest}"
    if not image.is_file():
        if shutil.which(COMPILER) is None:
            raise MissingJudgeError(
                f"building {source_name} needs {COMPILER}, of the Debian packages {COMPILER_PACKAGES}"
            )
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="building-", dir=folder) as place:
            program = Path(place) / "program"
            command = [COMPILER, *options, "-x", "c", "-", "-o", str(program)]
            told = subprocess.run(command, input=source, capture_output=True, timeout=TIMEOUT, check=False)
            if told.returncode:
                reason = told.stderr.decode(errors="replace")[-_TAIL:]
                raise MissingJudgeError(
                    f"{COMPILER} cannot build {source_name}; is libc6-dev-arm64-cross there? {reason}"
                )
            # Whole or not at all: another process may be building it, too.
            whole = Path(place) / "image"
            whole.write_bytes(packed(program.read_bytes()))
            whole.rename(image)
    return image
