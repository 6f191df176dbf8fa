"""Debian's arm64 kernels, fetched by apt into a cache folder and kept there.

apt works with state and cache of its own, so that nothing changes for the system; how it gets there, through a
proxy say, is as the system's configuration has it.
"""

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from vgic_tools.judges.errors import MissingJudgeError

__all__ = ["MIRROR", "SUITES", "cache_folder", "cached_kernel", "fetch_kernel"]

SUITES: Final[Mapping[str, str]] = {"6.1": "bookworm", "6.12": "trixie", "newest": "sid"}
"""The kernels that can be had, by name: which suite of Debian has it. Two are long-term kernels."""

MIRROR: Final = "http://deb.debian.org/debian"
KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

TIMEOUT: Final = 300.0
"""Seconds that a step of apt may take."""

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
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise MissingJudgeError(f"fetching an arm64 kernel needs {tool}, of Debian's apt and dpkg")
    if not KEYRING.is_file():
        raise MissingJudgeError(f"fetching an arm64 kernel needs {KEYRING}, of the package debian-archive-keyring")
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=folder) as place:
        apt = _Apt(Path(place), SUITES[name])
        vmlinuz = apt.kernel()
        # Whole or not at all: another process may be waiting for it, or fetching it too.
        vmlinuz.rename(folder / f"vmlinuz-{name}")
    return folder / f"vmlinuz-{name}"


class _Apt:
    """apt for the arm64 packages of one suite, with all that it keeps in a folder."""

    def __init__(self, folder: Path, suite: str) -> None:
        self._folder = folder
        self._suite = suite
        for kept in ("lists/partial", "cache/archives/partial", "etc"):
            (folder / kept).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text(f"deb [signed-by={KEYRING}] {MIRROR} {suite} main\n")
        options = {
            "Dir::State::Lists": folder / "lists",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::SourceList": folder / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "APT::Architecture": "arm64",
            "APT::Architectures": "arm64",
            # The folder is this user's alone.
            "APT::Sandbox::User": "root",
        }
        self._options = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        self._run("apt-get", "update", "-qq")

    def kernel(self) -> Path:
        """The newest kernel of the suite, unpacked."""
        package = self._depends(_PACKAGE)
        vmlinuz = self._unpacked(package)
        if vmlinuz is None:
            # Since 7.x the image itself is in a package that it depends on, signed later than it appears.
            version = package.removeprefix("linux-image-")
            vmlinuz = self._unpacked(f"linux-binary-unsigned-{version}")
        if vmlinuz is None:
            raise MissingJudgeError(f"{package} of Debian's {self._suite} has no kernel in it")
        return vmlinuz

    def _depends(self, package: str) -> str:
        names = _DEPENDS.findall(self._run("apt-cache", "depends", package))
        if not names:
            raise MissingJudgeError(f"Debian's {self._suite} has no {_PACKAGE}")
        return str(names[0])

    def _unpacked(self, package: str) -> Path | None:
        """The kernel in a package."""
        self._run("apt-get", "download", "-qq", package)
        (archive,) = self._folder.glob(f"{package}_*.deb")
        unpacked = self._folder / "vmlinuz"
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            with tarfile.open(fileobj=process.stdout, mode="r|") as files:
                for member in files:
                    content = files.extractfile(member) if _VMLINUZ.search(member.name) else None
                    if content is not None:
                        with unpacked.open("wb") as file:
                            shutil.copyfileobj(content, file)
        return unpacked if unpacked.is_file() else None

    def _run(self, tool: str, *arguments: str) -> str:
        command = [tool, *self._options, *arguments]
        try:
            told = subprocess.run(
                command, cwd=self._folder, capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            raise MissingJudgeError(
                f"{tool} {arguments[0]} took more than {TIMEOUT:.0f} s, from {MIRROR}"
            ) from None
        if told.returncode:
            last = (told.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise MissingJudgeError(f"{tool} {' '.join(arguments)} failed, from {MIRROR}: {last}")
        return told.stdout
