"""Hosts as plain data: clusters of equal CPUs, what identifies them, and the hypervisor; JSON in and out.

Only what somebody has read is there: a register that no file tells is unknown, and stays so. Rule IDENT-1.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Self

from vgic.identity.caches import Cache, cache_of
from vgic.identity.documents import (
    HostError,
    as_list,
    as_object,
    as_registers,
    as_text,
    hexadecimal,
    parsed,
    without_none,
)
from vgic.identity.registers import SELECTORS, cache_register, is_register

__all__ = ["Cluster", "Cpu", "Host", "HostError", "Hypervisor", "View"]

FORMAT: Final = "vgic-host"
VERSION: Final = 1

_BITS: Final = 64
_GICS: Final = (2, 3, 4)
_CCIDX_SHIFT: Final = 20


class View(Enum):
    """Whose view of the registers a file has."""

    HARDWARE = "hardware"
    """What the CPUs have."""
    GUEST = "guest"
    """What the hypervisor shows a new VM."""
    USER = "user"
    """What an operating system lets its programs see."""


@dataclass(frozen=True)
class Cpu:
    """What identifies a CPU: registers by name, see `vgic.identity.registers`. One that is not there is unknown.

    Raises HostError for a name that no identification register has, or a value of more than 64 bits.
    """

    registers: Mapping[str, int]

    def __post_init__(self) -> None:
        for name, value in self.registers.items():
            if not is_register(name):
                raise HostError(f"{name} is no identification register")
            if not 0 <= value < 1 << _BITS:
                raise HostError(f"{name}: {value:#x} does not fit into {_BITS} bits")

    @property
    def ccidx(self) -> bool | None:
        """CCSIDR_EL1 is in the format of 64 bits; None where that is unknown. One cache tells for all."""
        known = self.registers.get("ID_AA64MMFR2_EL1")
        if known is not None:
            return bool(known >> _CCIDX_SHIFT & 0xF)
        told = {value >> 32 != 0 for value in self._ccsidr().values() if value >> 32 or value >> 28}
        return told.pop() if len(told) == 1 else None

    def _ccsidr(self) -> dict[int, int]:
        """CCSIDR_EL1 by selector."""
        names = {selector: cache_register(selector) for selector in SELECTORS}
        return {selector: self.registers[name] for selector, name in names.items() if name in self.registers}

    def cache(self, selector: int) -> Cache | None:
        """The cache behind CSSELR_EL1 = `selector`; None where CCSIDR_EL1, or its format, is unknown."""
        value = self.registers.get(cache_register(selector))
        return None if value is None else cache_of(value, self.ccidx)


@dataclass(frozen=True)
class Cluster:
    """CPUs of a host that are alike."""

    name: str
    cpu: Cpu
    count: int | None = None
    """How many there are; None where that is unknown."""


@dataclass(frozen=True)
class Hypervisor:
    """Who runs VMs on a host."""

    name: str
    """"KVM", for one."""
    version: str | None = None
    """Of Linux, for KVM: "6.12.117". None where that is unknown."""
    writable: Mapping[str, int] | None = None
    """The bits of each register that KVM lets a VMM change; one that is left out has none. None: not told."""
    hidden: Mapping[str, int] = field(default_factory=dict)
    """What KVM accepts of fields that it does not show, by register, 0 nothing; one that is left out is unknown."""

    def document(self) -> dict[str, object]:
        """What a host's document has of it."""
        return without_none(
            name=self.name,
            version=self.version,
            writable=None if self.writable is None else hexadecimal(self.writable),
            hidden=hexadecimal(self.hidden) or None,
        )


@dataclass(frozen=True)
class Host:
    """A host. Raises HostError where it has no cluster, or two of one name."""

    name: str
    clusters: tuple[Cluster, ...]
    view: View = View.HARDWARE
    hypervisor: Hypervisor | None = None
    source: str = ""
    """Who read the registers, and where that is published."""
    notes: tuple[str, ...] = field(default=())
    """What else is to be said of the values, a sentence each."""
    gic: int | None = None
    """The version of its GIC, 2 to 4; None where that is unknown."""

    def __post_init__(self) -> None:
        names = [cluster.name for cluster in self.clusters]
        if not names:
            raise HostError(f"{self.name}: a host has CPUs, and this has none")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise HostError(f"{self.name}: two clusters are called {twice}")

    def document(self) -> dict[str, Any]:
        """The host as what JSON has: `from_document` reads it."""
        document: dict[str, Any] = {"format": FORMAT, "version": VERSION, "name": self.name}
        if self.source:
            document["source"] = self.source
        document["view"] = self.view.value
        if self.hypervisor:
            document["hypervisor"] = self.hypervisor.document()
        if self.gic is not None:
            document["gic"] = self.gic
        document["clusters"] = [
            without_none(
                name=cluster.name,
                count=cluster.count,
                registers=hexadecimal(cluster.cpu.registers),
            )
            for cluster in self.clusters
        ]
        if self.notes:
            document["notes"] = list(self.notes)
        return document

    def to_json(self) -> str:
        """The host as a file holds it: JSON, ending in a newline."""
        return json.dumps(self.document(), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The host that a file describes. Raises HostError that names the place."""
        return cls.from_document(parsed(text))

    @classmethod
    def from_document(cls, document: object) -> Self:
        """The host that `document` made. Raises HostError that names the place."""
        top = as_object(document, "the document", {"format", "version", "name", "clusters"}, _OPTIONAL)
        if top["format"] != FORMAT or top["version"] != VERSION:
            raise HostError(f"format and version: expected {FORMAT!r} and {VERSION}")
        view = as_text(top.get("view", View.HARDWARE.value), "view")
        if view not in (known.value for known in View):
            raise HostError(f"view: {view!r} is none of {', '.join(known.value for known in View)}")
        return cls(
            name=as_text(top["name"], "name"),
            clusters=tuple(_cluster(entry, f"clusters[{n}]") for n, entry in enumerate(as_list(top, "clusters"))),
            view=View(view),
            hypervisor=_hypervisor(top.get("hypervisor")),
            gic=_gic(top.get("gic")),
            source=as_text(top.get("source", ""), "source"),
            notes=tuple(as_text(note, f"notes[{n}]") for n, note in enumerate(as_list(top, "notes"))),
        )


_OPTIONAL: Final = frozenset({"view", "hypervisor", "gic", "source", "notes"})


def _hypervisor(value: object) -> Hypervisor | None:
    if value is None:
        return None
    entry = as_object(value, "hypervisor", {"name"}, frozenset({"version", "writable", "hidden"}))
    version, writable = entry.get("version"), entry.get("writable")
    return Hypervisor(
        as_text(entry["name"], "hypervisor.name"),
        None if version is None else as_text(version, "hypervisor.version"),
        None if writable is None else _bits(writable, "hypervisor.writable"),
        _bits(entry.get("hidden", {}), "hypervisor.hidden"),
    )


def _bits(value: object, place: str) -> dict[str, int]:
    """Bits of registers by name."""
    registers = as_registers(value, place)
    unknown = next((name for name in registers if not is_register(name)), None)
    if unknown is not None:
        raise HostError(f"{place}: {unknown} is no identification register")
    return registers


def _gic(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value not in _GICS:
        raise HostError(f"gic: expected one of {', '.join(map(str, _GICS))}")
    return value


def _cluster(value: object, place: str) -> Cluster:
    entry = as_object(value, place, {"name", "registers"}, frozenset({"count"}))
    count = entry.get("count")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise HostError(f"{place}.count: expected a number of CPUs")
    values = as_registers(entry["registers"], f"{place}.registers")
    try:
        cpu = Cpu(values)
    except HostError as error:
        raise HostError(f"{place}.registers: {error}") from None
    return Cluster(as_text(entry["name"], f"{place}.name"), cpu, count)
