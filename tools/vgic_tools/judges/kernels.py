"""Debian's arm64 kernels, fetched by apt into a cache folder and kept there."""

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vgic_tools.judges.apt import Apt, check_tools
from vgic_tools.judges.errors import MissingJudgeError

__all__ = ["SUITES", "cache_folder", "cached_kernel", "fetch_kernel"]

SUITES: Final[Mapping[str, str]] = {"6.1": "bookworm", "6.12": "trixie", "newest": "sid"}
"""The kernels that can be had, by name: which suite of Debian has it. Two are long-term kernels."""

_PACKAGE: Final = "linux-image-cloud-arm64"
"""It depends on the kernel of the day: a small one, for virtual machines."""

_VMLINUZ: Final = re.compile(r"(?:^|/)vmlinuz[^/]*$")
_DEPENDS: Final = re.compile(r"^\s*\|?Depends: (linux-(?:image|binary)-\S+)$", re.MULTILINE)
_VERSION: Final = re.compile(r"\d+\.\d+(?:\.\d+)?")


def cache_folder() -> Path:
    """Where judges keep what they fetch and build: $VGIC_CACHE, or vgic/judges in the user's cache."""
    named = os.environ.get("VGIC_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else base / "vgic" / "judges"


def cached_kernel(name: str) -> Path | None:
    """A kernel that is in the cache, None where it has not been fetched."""
    kernel = cache_folder() / f"vmlinuz-{name}"
    return kernel if kernel.is_file() else None


def fetch_kernel(name: str) -> Path:
    """A kernel, fetched unless it is in the cache. Raises MissingJudgeError where it cannot be had."""
    found = cached_kernel(name)
    if found is not None:
        return found
    if name not in SUITES:
        raise MissingJudgeError(f"there is no kernel {name!r}; there are {', '.join(SUITES)}")
    check_tools("an arm64 kernel")
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=folder) as place:
        vmlinuz = _kernel(Apt(Path(place), SUITES[name], "arm64"))
        # Whole or not at all: another process may be waiting for it, or fetching it too.
        vmlinuz.rename(folder / f"vmlinuz-{name}")
    return folder / f"vmlinuz-{name}"


def _kernel(apt: Apt) -> Path:
    """The newest kernel of a suite, unpacked."""
    package = _depends(apt, _PACKAGE)
    vmlinuz = _unpacked(apt, package)
    if vmlinuz is None:
        # Since 7.x the image itself is in a package that it depends on, signed later than it appears.
        version = package.removeprefix("linux-image-")
        vmlinuz = _unpacked(apt, f"linux-binary-unsigned-{version}")
    if vmlinuz is None:
        raise MissingJudgeError(f"{package} of Debian's {apt.suite} has no kernel in it")
    return vmlinuz


def _depends(apt: Apt, package: str) -> str:
    names = _DEPENDS.findall(apt.run("apt-cache", "depends", package))
    if not names:
        raise MissingJudgeError(f"Debian's {apt.suite} has no {_PACKAGE}")
    return str(names[0])


def _unpacked(apt: Apt, package: str) -> Path | None:
    """The kernel in a package."""
    archive = apt.download(package)
    unpacked = archive.with_name("vmlinuz")
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with tarfile.open(fileobj=process.stdout, mode="r|") as files:
            for member in files:
                content = files.extractfile(member) if _VMLINUZ.search(member.name) else None
                if content is not None:
                    with unpacked.open("wb") as file:
                        shutil.copyfileobj(content, file)
    return unpacked if unpacked.is_file() else None
