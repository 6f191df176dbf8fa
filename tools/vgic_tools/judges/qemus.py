"""A newer QEMU than the system's, fetched from Debian's backports into the cache folder: it runs from there."""

import subprocess
import tempfile
from pathlib import Path
from typing import Final

from vgic_tools.judges.apt import TIMEOUT, Apt, check_tools
from vgic_tools.judges.errors import MissingJudgeError
from vgic_tools.judges.kernels import cache_folder

__all__ = ["NEWER", "cached_qemu", "fetch_qemu"]

NEWER: Final = "newer"
"""What it is called where a QEMU is named."""

_PACKAGES: Final = ("qemu-system-arm", "qemu-system-data")
_PROGRAM: Final = Path("usr/bin/qemu-system-aarch64")
_RELEASE: Final = Path("/etc/os-release")


def cached_qemu() -> Path | None:
    """The newer QEMU, None where it has not been fetched."""
    program = cache_folder() / "qemu-newer" / _PROGRAM
    return program if program.is_file() else None


def fetch_qemu() -> Path:
    """The newer QEMU, fetched unless it is in the cache. Raises MissingJudgeError where it cannot be had."""
    found = cached_qemu()
    if found is not None:
        return found
    check_tools("a newer QEMU")
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=folder) as place:
        # It is to run with this system's libraries.
        apt = Apt(Path(place), f"{_codename()}-backports", _told("dpkg", "--print-architecture"))
        root = Path(place) / "root"
        for package in _PACKAGES:
            # The suite is the only one that this apt knows.
            _told("dpkg-deb", "--extract", str(apt.download(package)), str(root))
        if not (root / _PROGRAM).is_file():
            raise MissingJudgeError(f"{_PACKAGES[0]} of Debian's {apt.suite} has no {_PROGRAM}")
        # Whole or not at all: another process may be waiting for it, or fetching it too.
        root.rename(folder / "qemu-newer")
    return folder / "qemu-newer" / _PROGRAM


def _codename() -> str:
    """Of the Debian that this is."""
    try:
        lines = _RELEASE.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition("=")[2].strip('"') for line in lines if line.startswith("VERSION_CODENAME=")]
    if not names:
        raise MissingJudgeError(f"a newer QEMU comes from Debian's backports, and {_RELEASE} names no release")
    return names[0]


def _told(*command: str) -> str:
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingJudgeError(f"{command[0]} failed: {error}") from error
    if told.returncode:
        last = (told.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise MissingJudgeError(f"{command[0]} failed: {last}")
    return told.stdout.strip()
