"""What KVM makes of a VMM's sequence of calls: which are refused, which lose what they write, which come too late.

Every step is performed on a `VgicV3Device`, so it is refused where KVM refuses it. A write that succeeds is read
back, because KVM ignores much without an error. What only the order tells is remembered from step to step.

The device should have RAM, such as `BlankRam`, for the tables of LPIs and ITSes.
"""

import errno
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from mmio import AccessKind, RegisterLayout
from vgic import affinity
from vgic.kvm.device import VgicV3Device
from vgic.kvm.errors import KvmError
from vgic.kvm.its_order import ItsOrder
from vgic.kvm.migration import SetAttr, SetItsAttr, SetMpidr, Step, perform
from vgic.kvm.uapi import KEYED, Address, Group, attr_key, attr_offset, describe, level_info, register_at
from vgic.layouts import gicd, gicr

__all__ = ["BlankRam", "Finding", "OrderCheck", "Verdict"]


class Verdict(Enum):
    """What is wrong with a step."""

    REFUSED = "refused"
    LOST = "lost"
    ORDER = "out of order"


class Finding(NamedTuple):
    """Something wrong with a step."""

    line: int
    """The number that the step came with."""
    verdict: Verdict
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.verdict.value}: {self.message}"


_REGISTERS: Final = (Group.DIST_REGS, Group.REDIST_REGS, Group.CPU_SYSREGS, Group.LEVEL_INFO)
_TABLES: Final = (gicr.PROPBASER.name, gicr.PENDBASER.name)
_ENABLE_LPIS: Final[int] = gicr.CTLR.mask("EnableLPIs")
_PTZ: Final[int] = gicr.PENDBASER.mask("PTZ")
_SGIS: Final = 0xFFFF


class BlankRam:
    """RAM everywhere, which reads as zero: that of a guest whose RAM is not at hand."""

    def is_ram(self, address: int, size: int) -> bool:
        """Everywhere."""
        return True

    def read(self, address: int, size: int) -> bytes:
        """Zeros."""
        return bytes(size)

    def write(self, address: int, data: bytes) -> None:
        """Nothing."""


class OrderCheck:
    """Follows a sequence of steps on `device`, which is new; `feed` each, then `finish`."""

    def __init__(self, device: VgicV3Device) -> None:
        self._device = device
        self._first_register = 0
        """The line of the first register that was written, other than GICD_IIDR; 0: none."""
        self._iidr_written = False
        self._named: dict[int, int] = {}
        """The line in which an attribute first named a vCPU by this packed affinity."""
        self._lpis_enabled: dict[int, int] = {}
        """The line in which the LPIs of the vCPU with this packed affinity were enabled."""
        self._latches: dict[tuple[int, int], tuple[int, int]] = {}
        """Line and value of the last write of each ISPENDR, by group and attribute."""
        self._its = ItsOrder(device)
        self._levels: set[tuple[int, int]] = set()
        """The words of LEVEL_INFO that were written: first INTID, and packed affinity where they are private."""

    def feed(self, line: int, step: Step) -> list[Finding]:
        """Perform a step, which stands in line `line`, 1 or more, of whatever it was read from."""
        findings = [Finding(line, Verdict.ORDER, message) for message in self._too_late(step)]
        try:
            perform(self._device, step)
        except KvmError as error:
            return [Finding(line, Verdict.REFUSED, str(error))]
        if isinstance(step, SetAttr) and step.group in _REGISTERS:
            findings += [Finding(line, Verdict.LOST, message) for message in self._lost(step)]
            self._remember(line, step)
        elif isinstance(step, SetItsAttr):
            findings += [Finding(line, Verdict.LOST, message) for message in self._its.lost(step)]
            self._its.remember(line, step)
        return findings

    def finish(self, line: int) -> list[Finding]:
        """What the sequence, whose last line is `line`, leaves out."""
        return [Finding(line, Verdict.LOST, message) for message in self._left_out()]

    # Before a step is performed.

    def _too_late(self, step: Step) -> Iterator[str]:
        vcpus = self._device.vcpus
        match step:
            case SetMpidr(cpu, mpidr) if cpu < len(vcpus):
                held = vcpus[cpu]
                if held in self._named and held != affinity.from_mpidr(mpidr):
                    before = f"line {self._named[held]} named it {affinity.text(held)}"
                    yield f"MPIDR_EL1 of vCPU {cpu} comes too late: {before}"
            case SetAttr(Group.ADDR, Address.REDIST_REGION) if (
                self._device.initialised and not self._device.unplaced
            ):
                yield f"{describe(*step[:2])}: after CTRL INIT, with every vCPU placed, a region stays empty"
            case SetAttr(Group.DIST_REGS, attr) if attr_offset(attr) == gicd.IIDR.offset and self._first_register:
                since = (
                    f"the registers from line {self._first_register} on were written before the revision was known"
                )
                yield f"{describe(*step[:2])} comes too late: {since}"
            case SetAttr(Group.REDIST_REGS, attr) if self._its.tables_restored and _is_of_lpis(attr):
                since = f"line {self._its.tables_restored} has restored the tables of an ITS"
                yield f"{describe(*step[:2])} comes too late: {since}"
            case SetItsAttr():
                yield from self._its.too_late(step)

    # After a write succeeded.

    def _lost(self, step: SetAttr) -> Iterator[str]:
        what, value = describe(step.group, step.attr), step.value
        if step.group == Group.LEVEL_INFO:
            lost = self._levels_of_nothing(level_info(step.attr)[1], value)
            if lost:
                yield f"{what}: {lost:#x} is ignored, SGIs and INTIDs that do not exist have no level"
            return
        if not self._exists(step):
            yield f"{what}: there is no such register, the write is ignored"
            return
        found = register_at(step.group, attr_offset(step.attr))
        assert found is not None
        layout, _, half = found
        if layout.name in _TABLES:
            line = self._lpis_enabled.get(attr_key(step.attr))
            if line is not None:
                yield f"{what}: ignored, since line {line} has enabled the vCPU's LPIs"
                return
            if not self._device.has_lpis:
                # KVM keeps them, and nothing comes of it.
                return
        if _is_latch(layout):
            line, before = self._latches.get((step.group, step.attr), (0, 0))
            if before & ~value:
                yield f"{what}: all 32 latches are replaced, which clears {before & ~value:#x}, set in line {line}"
        kept = self._device.get_attr(step.group, step.attr)
        if layout is gicr.PENDBASER:
            # It reads as zero.
            kept |= value & _PTZ >> 8 * half
        if _differs(layout, value, kept, 8 * half):
            yield f"{what}: written {value:#x}, it is {kept:#x}"

    def _exists(self, step: SetAttr) -> bool:
        try:
            self._device.has_attr(step.group, step.attr)
        except KvmError as error:
            return error.errno != errno.ENXIO
        return True

    def _levels_of_nothing(self, intid: int, value: int) -> int:
        if intid >= self._device.get_attr(Group.NR_IRQS, 0):
            return value
        return value & _SGIS if intid == 0 else 0

    def _remember(self, line: int, step: SetAttr) -> None:
        group, attr, value = step
        if group in KEYED:
            self._named.setdefault(attr_key(attr), line)
        if group == Group.DIST_REGS and attr_offset(attr) == gicd.IIDR.offset:
            self._iidr_written = True
        else:
            self._first_register = self._first_register or line
        if group == Group.LEVEL_INFO:
            intid = level_info(attr)[1]
            self._levels.add((intid, 0 if intid else attr_key(attr)))
        found = register_at(group, attr_offset(attr))
        if found is not None and found[0] is gicr.CTLR and value & _ENABLE_LPIS and self._device.has_lpis:
            self._lpis_enabled.setdefault(attr_key(attr), line)
        if found is not None and _is_latch(found[0]):
            self._latches[group, attr] = line, value

    # At the end.

    def _left_out(self) -> Iterator[str]:
        if self._first_register and not self._iidr_written:
            yield "GICD_IIDR is never written: the VM gets the newest revision, whatever it had before"
        for group, attr in self._latches:
            found = register_at(group, attr_offset(attr))
            assert found is not None
            intid = 32 * ((found[0].first or 0) + found[1])
            if (intid, 0 if intid else attr_key(attr)) not in self._levels:
                yield f"{describe(group, attr)} is written, but no LEVEL_INFO for it: lines that were high are low"
        yield from self._its.left_out()


def _is_of_lpis(attr: int) -> bool:
    found = register_at(Group.REDIST_REGS, attr_offset(attr))
    return found is not None and found[0] in (gicr.CTLR, gicr.PROPBASER, gicr.PENDBASER)


def _is_latch(layout: RegisterLayout) -> bool:
    return layout.name.endswith("_ISPENDR") and layout.access is AccessKind.W1S


def _differs(layout: RegisterLayout, written: int, kept: int, shift: int) -> bool:
    """True where a write has not done what it says, going by what the register reads afterwards."""
    if layout.access is AccessKind.W1C:
        # ICPENDR reads as zero and does nothing.
        return bool(written) if layout.name.endswith("_ICPENDR") else written & kept != 0
    if layout.access is AccessKind.W1S and not _is_latch(layout):
        return written & ~kept != 0
    added = kept & ~written & layout.writable >> shift
    if layout.access is AccessKind.RO or _is_latch(layout):
        added = kept & ~written
    return written & ~kept != 0 or added != 0
