"""KVM's own view of a VM's GIC, as text: the files vgic-state and vgic-its-state@ADDRESS of a host's debugfs.

Linux, arch/arm64/kvm/vgic/vgic-debug.c: the columns were read there, and measured on hosts with Linux 6.12. The
columns have been the same since 4.16.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from vgic.intids import FIRST_LPI
from vgic_tools.snapshots.errors import SnapshotError

__all__ = [
    "Dump",
    "ItsDevice",
    "ItsDump",
    "ItsEvent",
    "Listed",
    "is_dump",
    "is_its_dump",
    "read_dump",
    "read_its_dump",
]

_TOLD_WITHIN: Final = 4096
"""Bytes that tell what a file is: people paste such files with the command above them."""
_MODEL: Final = b"vgic_model:"
_RANGE: Final = b"Event ID Range:"

_MOST_VCPUS: Final = 512
"""Of a VM of KVM; numbers that are larger are no vCPU's."""
_LARGEST: Final = 1 << 32

_HEAD: Final = re.compile(r"(vgic_model|nr_spis|nr_lpis|enabled):\s*(\w+)", re.ASCII)
_SECTION: Final = re.compile(r"(VCPU|SPI)\s*(\d{1,5}) TYP\b", re.ASCII)
_LINE: Final = re.compile(
    r"(SGI|PPI|SPI|LPI)\s+(\d{1,8})\s+(-?\d{1,5})\s+([01]{7})\s+(\d{1,10})\s+([0-9a-f]{1,8})\s+([0-9a-f]{1,2})"
    r"\s+(\d{1,3})\s+(-?\d{1,5})",
    re.ASCII,
)
_FREED: Final = re.compile(r"LPI\s+\d+ freed", re.ASCII)
_DEVICE: Final = re.compile(
    r"Device ID: (0x[0-9a-fA-F]{1,8}|\d{1,10}), Event ID Range: \[(\d{1,10}) - (\d{1,10})\]", re.ASCII
)
_EVENT: Final = re.compile(r"(\d{1,10})\s+(\d{1,10})\s+(\d{1,10})\s+(\d{1,10})\s+(\d{1,10})\s+([01])", re.ASCII)


class Listed(NamedTuple):
    """An interrupt as KVM lists it."""

    kind: str
    """SGI, PPI, SPI or LPI."""
    intid: int
    vcpu: int | None
    """The vCPU that a private interrupt is of."""
    target: int | None
    """The vCPU that it goes to; None where there is no such vCPU."""
    latch: bool
    level: bool
    active: bool
    enabled: bool
    hardware: bool
    """It stands for an interrupt of the host, or is one of GICv4."""
    by_level: bool
    group: int
    host_intid: int
    affinity: int
    """Packed: what GICD_IROUTER names, or of the vCPU of a private interrupt; 0 for all these on Linux 7.2, which
    notes it before a vCPU has its MPIDR."""
    priority: int
    queued: int | None
    """The vCPU on whose list it waits; None where on none."""

    @property
    def pending(self) -> bool:
        """As GICD_ISPENDR shows it."""
        return self.latch or (self.by_level and self.level)

    @property
    def name(self) -> str:
        """SPI 33, or PPI 27 of vCPU 1."""
        return f"{self.kind} {self.intid}" + ("" if self.vcpu is None else f" of vCPU {self.vcpu}")


class Dump(NamedTuple):
    """What vgic-state has."""

    spis: int
    lpis: int
    enabled: bool
    """GICD_CTLR lets interrupts of Group 1 pass."""
    interrupts: tuple[Listed, ...]

    @property
    def vcpus(self) -> int:
        """How many are listed."""
        return len({item.vcpu for item in self.interrupts if item.vcpu is not None})

    @property
    def affinities(self) -> list[int]:
        """Of each vCPU, packed; empty where the file does not tell them apart."""
        told = {item.vcpu: item.affinity for item in self.interrupts if item.vcpu is not None}
        return list(told.values()) if len(set(told.values())) == len(told) else []


class ItsEvent(NamedTuple):
    """An event of a device that an ITS translates."""

    event: int
    intid: int
    host_intid: int
    target: int
    """The number of the vCPU that the collection names."""
    collection: int
    hardware: bool


class ItsDevice(NamedTuple):
    """A device that is mapped in an ITS."""

    device: int
    last_event: int
    events: tuple[ItsEvent, ...]


class ItsDump(NamedTuple):
    """What vgic-its-state@ADDRESS has."""

    devices: tuple[ItsDevice, ...]


def is_dump(start: bytes) -> bool:
    """True where a file that begins like this is a vgic-state."""
    return _MODEL in start[:_TOLD_WITHIN]


def is_its_dump(start: bytes) -> bool:
    """True where a file that begins like this is a vgic-its-state."""
    return _RANGE in start[:_TOLD_WITHIN]


def read_dump(data: bytes) -> Dump:
    """What a vgic-state says. Raises SnapshotError for a line that does not fit, and for a GICv2."""
    head: dict[str, str] = {}
    interrupts: dict[tuple[str, int, int | None], Listed] = {}
    vcpu: int | None = None
    section = False
    for number, line in _lines(data):
        if found := _HEAD.fullmatch(line):
            head[found[1]] = found[2]
        elif found := _SECTION.match(line):
            vcpu, section = (int(found[2]) if found[1] == "VCPU" else None), True
            if vcpu is not None and vcpu >= _MOST_VCPUS:
                raise SnapshotError(f"line {number}: there is no vCPU {vcpu}")
        elif section and line and set(line) != {"-"} and not _FREED.fullmatch(line):
            item = _listed(line, number, vcpu)
            if (item.kind, item.intid, item.vcpu) in interrupts:
                raise SnapshotError(f"line {number}: lists {item.name} again: is this more than one vgic-state?")
            interrupts[item.kind, item.intid, item.vcpu] = item
    if (model := head.get("vgic_model")) != "GICv3":
        raise SnapshotError(f"the VM's GIC is {model or 'of no kind that is said'}; a GICv3 is read")
    counts = (_count(head, "nr_spis"), _count(head, "nr_lpis"))
    return Dump(*counts, head.get("enabled") == "1", tuple(interrupts.values()))


def _lines(data: bytes) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        yield number, line.strip()


def _count(head: dict[str, str], name: str) -> int:
    text = head.get(name, "0")
    if not text.isdecimal() or len(text) > 10:
        raise SnapshotError(f"{name} is {text}, which is no number")
    return int(text)


def _listed(line: str, number: int, vcpu: int | None) -> Listed:
    found = _LINE.fullmatch(line)
    if found is None:
        raise SnapshotError(f"line {number}: is no interrupt as KVM lists them")
    kind, intid, target, bits, host, affinity, _, priority, queued = found.groups()
    numbers = {"SGI": range(16), "PPI": range(16, 32), "SPI": range(32, 1020), "LPI": range(FIRST_LPI, 1 << 24)}
    if int(intid) not in numbers[kind]:
        raise SnapshotError(f"line {number}: there is no {kind} {intid}")
    if (vcpu is None) == (kind in ("SGI", "PPI")):
        raise SnapshotError(f"line {number}: an {kind} is listed where the file does not have them")
    if int(priority) > 0xFF:
        raise SnapshotError(f"line {number}: there is no priority {priority}")
    latch, level, active, enabled, hardware, by_level, group1 = (bit == "1" for bit in bits)
    return Listed(
        kind,
        int(intid),
        vcpu,
        target=_vcpu(target),
        latch=latch,
        level=level,
        active=active,
        enabled=enabled,
        hardware=hardware,
        by_level=by_level,
        group=int(group1),
        host_intid=int(host),
        affinity=int(affinity, 16),
        priority=int(priority),
        queued=_vcpu(queued),
    )


def _vcpu(text: str) -> int | None:
    return int(text) if int(text) >= 0 else None


def read_its_dump(data: bytes) -> ItsDump:
    """What a vgic-its-state says. Raises SnapshotError for a line that does not fit."""
    devices: dict[int, ItsDevice] = {}
    device: ItsDevice | None = None
    events: list[ItsEvent] = []

    def close() -> None:
        if device is not None:
            devices[device.device] = device._replace(events=tuple(events))

    for number, line in _lines(data):
        if found := _DEVICE.fullmatch(line):
            close()
            events.clear()
            device = ItsDevice(int(found[1], 16 if found[1].startswith("0x") else 10), int(found[3]), ())
            if device.device in devices or max(device.device, device.last_event) >= _LARGEST:
                raise SnapshotError(
                    f"line {number}: there is a device {device.device:#x} already, or there is none"
                )
        elif device is not None and (found := _EVENT.fullmatch(line)):
            event, intid, host, target, collection, hardware = map(int, found.groups())
            events.append(ItsEvent(event, intid, host, target, collection, bool(hardware)))
        elif device is not None and line and not line.startswith(("EVENT_ID", "---")):
            raise SnapshotError(f"line {number}: is no event as KVM lists them")
    close()
    if not devices:
        raise SnapshotError("names no device of an ITS")
    return ItsDump(tuple(devices.values()))
