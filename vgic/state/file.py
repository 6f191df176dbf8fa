"""The state file: a VM's state as JSON that a person can read, and that loads as it was written or is refused.

    {"format": "vgic-state", "version": 2, "sha256": "6cb0...",
     "vm": {
      "profile": "arch",
      ...
     },
     "registers": {
      "GICD_CTLR": "0x53",
      ...

The whole is one JSON object. The checksum in its first line covers the version and the exact bytes of all other
lines, so damage is found whether it changes the meaning or not. Rules SAVE-9 to SAVE-13 in specs/state.md.
"""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from vgic.config import Config
from vgic.cpu_interface.interface import LineSink
from vgic.errors import StateError
from vgic.gic import Gic, Observer
from vgic.memory import GuestMemory
from vgic.profiles import PROFILES, Profile
from vgic.state.document import Document, config_of, from_document, to_document
from vgic.state.saving import SavedState

__all__ = ["UPGRADES", "VERSION", "State", "Upgrade"]

VERSION: Final = 2
"""The version of the files that are written; older ones are read too."""

Upgrade: TypeAlias = Callable[[Document], Document]


def _with_lpis(document: Document) -> Document:
    """Version 1 knew no LPIs; a VM had their registers where its profile has LPIs in every VM."""
    vm = document.get("vm")
    if not isinstance(vm, dict):
        return document
    profile = PROFILES.get(vm.get("profile", ""))
    lpis = profile is not None and profile.features.lpis
    return {**document, "vm": {**vm, "lpis": lpis, "lpi_id_bits": 16, "its": []}}


UPGRADES: Final[dict[int, Upgrade]] = {1: _with_lpis}
"""For each older version, what makes its document one of the next version."""

_FIRST_LINE: Final = '{{"format": "vgic-state", "version": {version}, "sha256": "{checksum}",'
_FIRST_LINE_PATTERN: Final = re.compile(
    rb'\{"format": "vgic-state", "version": (0|[1-9][0-9]{0,8}), "sha256": "([0-9a-f]{64})",'
)


@dataclass(frozen=True)
class State:
    """The state of a VM, as it is kept."""

    data: SavedState
    """Plain data, for `Gic.restore`."""

    def __post_init__(self) -> None:
        if not isinstance(self.data, dict):
            raise StateError(f"the data of a State is what Gic.save returns, not a {type(self.data).__name__}")

    def __repr__(self) -> str:
        vm, registers = self.data["vm"], self.data["registers"]
        cpus = len(vm["affinities"])
        return f"<State {vm['profile']}: {cpus} vCPU{'s' if cpus > 1 else ''}, {len(registers)} registers>"

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        from vgic.notebook import state_html

        return state_html(self)

    @classmethod
    def of(cls, gic: Gic) -> "State":
        """The present state of a VM."""
        return cls(gic.save())

    def config(self, profile: Profile | None = None) -> Config:
        """The configuration of the VM; `profile` is its profile where it is none of `vgic.PROFILES`.

        Raises StateError for another profile than the VM's, ConfigError and AffinityError for a VM that cannot be.
        """
        return config_of(self.data["vm"], profile)

    def build(
        self,
        lines: LineSink | None = None,
        observer: Observer | None = None,
        profile: Profile | None = None,
        memory: GuestMemory | None = None,
    ) -> Gic:
        """A VM like the one that was saved, in the same state. Raises as `config` and `Gic.restore` do."""
        gic = Gic(self.config(profile), lines, observer, memory)
        gic.restore(self.data)
        return gic

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write a state file; an older file of that name stays until the new one is complete. Raises OSError."""
        # Whoever writes none need not load what it takes.
        from mmio.replacing import replacing_file

        with replacing_file(path) as file:
            file.write(self.to_bytes())

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> "State":
        """Read a state file of this or an older version.

        Raises StateError naming the file and the flaw where it is not what was written, OSError as `open` does.
        """
        try:
            with open(path, "rb") as file:
                return cls.from_bytes(file.read())
        except StateError as error:
            raise StateError(f"{path}: {error}") from error

    def to_bytes(self) -> bytes:
        """What `to_file` writes; equal states give equal bytes."""
        body = json.dumps(to_document(self.data), indent=1).removeprefix("{\n").encode("ascii") + b"\n"
        first_line = _FIRST_LINE.format(version=VERSION, checksum=_checksum(VERSION, body))
        return first_line.encode("ascii") + b"\n" + body

    @classmethod
    def from_bytes(cls, data: bytes) -> "State":
        """The state that a file of these bytes holds. Raises StateError."""
        first_line, _, body = data.partition(b"\n")
        header = _FIRST_LINE_PATTERN.fullmatch(first_line)
        if header is None:
            raise StateError("no state file: the first line is not that of one")
        version = int(header[1])
        if version > VERSION:
            raise StateError(f"version {version} of the format is not known; the latest known is {VERSION}")
        if header[2].decode() != _checksum(version, body):
            raise StateError("the contents are damaged: the checksum is not theirs")
        return cls(from_document(_upgraded(_parsed(body), version)))


def _checksum(version: int, body: bytes) -> str:
    # Most who load the model read and write no file, and this loads a library of ciphers.
    from hashlib import sha256

    return sha256(b"vgic-state %d\n" % version + body).hexdigest()


def _parsed(body: bytes) -> Document:
    try:
        parsed: Document = json.loads(b"{" + body, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise StateError(f"the contents are no JSON: {error}") from error
    return parsed


def _without_duplicates(pairs: list[tuple[str, object]]) -> Document:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name comes twice")
    return names


def _upgraded(document: Document, version: int) -> Document:
    while version < VERSION:
        if version not in UPGRADES:
            raise StateError(f"version {version} of the format is not known")
        document = UPGRADES[version](document)
        version += 1
    return document
