"""Recorded loads and stores: they drive the frames of the model, and what it answers is compared."""

from typing import Final

from mypy_extensions import i64

from mmio import FRAME_SIZE, Refusal
from mmio.trace.records import (
    DEVICE_SHIFT,
    DEVICES,
    GICD,
    GICR,
    GITS,
    HAS_VALUE,
    ILLEGAL,
    SECURE,
    SIZE_MASK,
    WRITE,
    number_of,
    value_of,
)
from vgic import Gic
from vgic.bits import bit
from vgic.config import GICV4_REDISTRIBUTOR_SIZE
from vgic.its.device import ITS_SIZE
from vgic_tools.replay.counts import Counts
from vgic_tools.replay.findings import Findings
from vgic_tools.replay.its import RebuiltIts
from vgic_tools.replay.operations import Operations
from vgic_tools.replay.outcomes import LEGALITY
from vgic_tools.replay.places import Places
from vgic_tools.replay.result import Result

__all__ = ["FrameAccesses"]

# QEMU calls some writes of read-only registers errors and others not: nothing to compare there.
_UNRECORDED: Final = (Refusal.READ_ONLY, Refusal.WRITE_ONLY)


class FrameAccesses:
    """Accesses to the Distributor, the Redistributors, and the ITS where the machine has one."""

    def __init__(
        self,
        gic: Gic,
        places: Places,
        operations: Operations,
        counts: Counts,
        findings: Findings,
        result: Result,
        its: RebuiltIts | None,
    ) -> None:
        self._gic = gic
        self._places = places
        self._operations = operations
        self._counts = counts
        self._findings = findings
        self._result = result
        self._its = its
        self._gicd_base = gic.config.gicd_base
        self._redistributor_bases = gic.redistributor_bases
        self._redistributor_size: i64 = gic.config.redistributor_size
        self.refusal: Refusal | None = None
        """Why the model refused the last access."""

    def follow(self, gic: Gic) -> None:
        """The replay goes on with this GIC."""
        self._gic = gic

    def take(self, data: bytes, at: i64, index: i64) -> None:
        """The next access. Raises ReplayError where it is beyond the device."""
        flags: i64 = data[at + 1]
        offset: int = number_of(data, at)
        device = flags >> DEVICE_SHIFT
        if device == GICD:
            if offset >= FRAME_SIZE:
                raise self._places.error(index, f"offset {offset:#x} is beyond the distributor")
            address = self._gicd_base + offset
        elif device == GICR:
            if offset >= self._redistributor_size:
                raise self._places.error(index, self._beyond_redistributor(offset))
            address = self._redistributor_bases[self._places.cpu(data, at, index)] + offset
        elif device == GITS and self._its is not None:
            if offset >= ITS_SIZE:
                raise self._places.error(index, f"offset {offset:#x} is beyond the ITS")
            address = self._gic.config.its[0] + offset
        else:
            self._result.accepted[f"accesses to {DEVICES[device].upper()} frames"] += 1
            return
        self._operations.logged_last()
        self.refusal = None
        size, secure = bit(flags & SIZE_MASK), flags & SECURE != 0
        if flags & WRITE:
            self._counts.access(device, True)
            self._gic.write(address, size, value_of(data, at), secure=secure)
        else:
            self._counts.access(device, False)
            got = self._gic.read(address, size, secure=secure)
            if flags & HAS_VALUE:
                self._counts.compared_read(device, offset, address)
                if got != value_of(data, at):
                    self._findings.read(
                        index, self._places.name_at(address), value_of(data, at), got, self._places.locate(address)
                    )
            else:
                self._result.accepted[f"reads of {self._places.name_at(address)} whose value is not recorded"] += 1
        self._compare_legality(index, flags & ILLEGAL != 0)
        if self._its is not None:
            self._its.accessed(device, offset, flags & WRITE != 0)
        self._operations.after_logged_last(index)

    def _beyond_redistributor(self, offset: int) -> str:
        if offset >= GICV4_REDISTRIBUTOR_SIZE:
            return f"offset {offset:#x} is beyond a redistributor"
        return f"offset {offset:#x} is beyond a GICv3 redistributor; --vlpi-frames makes it one of a GICv4"

    def _compare_legality(self, index: i64, expected: bool) -> None:
        got = self.refusal is not None
        if not got or self.refusal not in _UNRECORDED:
            self._counts.legality += 1
            if got != expected:
                self._findings.outcome(index, LEGALITY, None, _legality(expected), _legality(got))


def _legality(illegal: bool) -> str:
    return "refused" if illegal else "taken"
