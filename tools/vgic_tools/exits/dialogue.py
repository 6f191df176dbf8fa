"""Replays what a KVM trace shows of the GIC: the guest's writes drive the model, and its reads are compared.

A trace of KVM holds neither acknowledgements nor ends of interrupts, no SGI's targets, no message of a device: what
depends on them is counted as not predicted. And it may begin in the middle of a VM's life. So of a register that
can be written only those bits are compared that the trace has shown, by a write or an earlier read; the others are
taken from the read.
"""

import re
from collections import Counter
from typing import Final

from mmio import AccessKind, Location
from mmio.trace import Access
from vgic import Gic, affinity
from vgic_tools.exits.causes import Mmio
from vgic_tools.replay.result import Divergence

__all__ = ["Dialogue"]

_UNPREDICTED: Final = re.compile(
    r"GIC[DR]_I[SC](?:PEND|ACTIVE)R"
    # What an ITS makes of commands that are in memory, which no trace holds.
    r"|GITS_(?:CREADR|CTLR)"
)
_WRITABLE: Final = (AccessKind.RW, AccessKind.W1S, AccessKind.W1C)
_CLEARS: Final = 0x80
"""The bit of an offset in which a register that clears bits differs from the one that sets them."""
_BEFORE: Final = 10


class Dialogue:
    """The accesses of one VM's guest to its GIC, in order; `from_start`: they begin after its reset."""

    def __init__(self, gic: Gic, from_start: bool) -> None:
        self.writes = 0
        self.compared: Counter[str] = Counter()
        """Reads of which some bits were compared, by register."""
        self.adopted: Counter[str] = Counter()
        """Reads that told of the model what the trace had not shown before, by register."""
        self.unpredicted: Counter[str] = Counter()
        """Reads that depend on what no KVM trace holds, by register."""
        self.different: Counter[str] = Counter()
        """Reads in which a bit that was shown before differs, by register."""
        self.first: Divergence | None = None
        self._gic = gic
        self._from_start = from_start
        self._owners = dict(zip(gic.redistributor_bases, gic.config.topology.affinities, strict=True))
        self._known: dict[int, int] = {}
        """The bits of each byte that the trace has shown, by address."""
        self._before: list[Access] = []

    def place(self, mmio: Mmio) -> str:
        """The register at an address, "" where the GIC has no frame."""
        location = self._gic.map.locate(mmio.address)
        return "" if location is None else _name(location)

    def take(self, mmio: Mmio, line: int, time: int) -> None:
        """The next access. One that is no read or write of the GIC's frames is left out."""
        location = self._gic.map.locate(mmio.address)
        if location is None or mmio.kind == "unsatisfied-read":
            return
        event = self._event(mmio, line, time, location)
        if mmio.kind == "write":
            self.writes += 1
            self._gic.write(mmio.address, mmio.size, mmio.value)
            self._learn(mmio, location, mmio.value if _sets_bits(location) else _ones(mmio))
        elif location.register is not None and _UNPREDICTED.match(location.register.name):
            self.unpredicted[location.register.name] += 1
        else:
            self._compare(event, mmio, location)
        self._before = [*self._before[1 - _BEFORE :], event]

    def _compare(self, event: Access, mmio: Mmio, location: Location) -> None:
        name = _name(location)
        got = self._gic.read(mmio.address, mmio.size)
        unknown = self._unknown(mmio, location)
        if unknown != _ones(mmio):
            self.compared[name] += 1
        if (got ^ mmio.value) & ~unknown:
            self.different[name] += 1
            if self.first is None:
                self.first = self._divergence(event, mmio, location, got)
        elif got != mmio.value:
            self.adopted[name] += 1
            self._adopt(mmio, location, unknown)
        self._learn(mmio, location, _ones(mmio))

    def _unknown(self, mmio: Mmio, location: Location) -> int:
        """The bits of an access that a guest can write, and that the trace has not shown yet."""
        layout = location.register
        if self._from_start or layout is None or layout.access not in _WRITABLE:
            return 0
        writable = layout.writable >> 8 * (location.offset % (layout.width // 8))
        address = _canonical(mmio, location)
        shown = sum(self._known.get(address + byte, 0) << 8 * byte for byte in range(mmio.size))
        return writable & _ones(mmio) & ~shown

    def _learn(self, mmio: Mmio, location: Location, bits: int) -> None:
        address = _canonical(mmio, location)
        for byte in range(mmio.size):
            shown = bits >> 8 * byte & 0xFF
            if shown:
                self._known[address + byte] = self._known.get(address + byte, 0) | shown

    def _adopt(self, mmio: Mmio, location: Location, unknown: int) -> None:
        """Give the model the bits that the trace shows here for the first time."""
        if not _sets_bits(location):
            self._gic.write(mmio.address, mmio.size, mmio.value)
            return
        address = _canonical(mmio, location)
        self._gic.write(address, mmio.size, mmio.value & unknown)
        self._gic.write(address | _CLEARS, mmio.size, ~mmio.value & unknown)

    def _event(self, mmio: Mmio, line: int, time: int, location: Location) -> Access:
        owner = self._owners.get(mmio.address - location.offset)
        device = location.owner.partition("[")[0].lower()
        write = mmio.kind == "write"
        return Access(
            line, time, None, device, owner, location.offset, mmio.size, mmio.value, write, False, illegal=False
        )

    def _divergence(self, event: Access, mmio: Mmio, location: Location, got: int) -> Divergence:
        layout = location.register
        shift = 0 if layout is None else 8 * (location.offset % (layout.width // 8))
        return Divergence(
            event=event,
            what=_name(location) if layout is None else layout.title(location.element),
            place="" if event.owner is None else affinity.text(event.owner),
            expected=f"{mmio.value:#x}",
            got=f"{got:#x}",
            layout=layout,
            expected_value=mmio.value << shift,
            got_value=got << shift,
            before=tuple(self._before),
        )


def _name(location: Location) -> str:
    if location.register is None:
        return f"{location.owner.partition('[')[0]}+{location.offset:#x}"
    return location.register.name


def _sets_bits(location: Location) -> bool:
    """A write says something of those bits alone that are 1 in it."""
    layout = location.register
    return layout is not None and layout.access in (AccessKind.W1S, AccessKind.W1C)


def _canonical(mmio: Mmio, location: Location) -> int:
    """The address under which the bits are known: of a pair that sets and clears, that of the one that sets."""
    return mmio.address & ~_CLEARS if _sets_bits(location) else mmio.address


def _ones(mmio: Mmio) -> int:
    return (1 << 8 * mmio.size) - 1
