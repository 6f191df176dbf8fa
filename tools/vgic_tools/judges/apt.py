"""Debian's packages, fetched by apt and unpacked, without becoming part of the system.

apt works with state and cache of its own, so that nothing changes for the system; how it gets there, through a
proxy say, is as the system's configuration has it.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from vgic_tools.judges.errors import MissingJudgeError

__all__ = ["MIRROR", "Apt", "check_tools"]

MIRROR: Final = "http://deb.debian.org/debian"
KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

TIMEOUT: Final = 300.0
"""Seconds that a step of apt may take."""


def check_tools(what: str) -> None:
    """Raise MissingJudgeError where what fetches and unpacks packages is not there."""
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise MissingJudgeError(f"fetching {what} needs {tool}, of Debian's apt and dpkg")
    if not KEYRING.is_file():
        raise MissingJudgeError(f"fetching {what} needs {KEYRING}, of the package debian-archive-keyring")


class Apt:
    """apt for the packages of one suite and architecture, with all that it keeps in a folder."""

    def __init__(self, folder: Path, suite: str, architecture: str) -> None:
        self._folder = folder
        self.suite = suite
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
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            # The folder is this user's alone.
            "APT::Sandbox::User": "root",
        }
        self._options = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        self.run("apt-get", "update", "-qq")

    def download(self, package: str) -> Path:
        """A package of the suite."""
        self.run("apt-get", "download", "-qq", package)
        (archive,) = self._folder.glob(f"{package}_*.deb")
        return archive

    def run(self, tool: str, *arguments: str) -> str:
        """What a step of apt says. Raises MissingJudgeError where it fails."""
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
