"""What KVM makes of a VMM's sequence of calls: which are refused, which lose what they write, which come too late.

Every step is performed on a `VgicV3Device`, so it is refused where KVM refuses it. A write that succeeds is read
back, because KVM ignores much without an error. What only the order tells is remembered from step to step.

The device should have RAM, such as `BlankRam`, for the tables of LPIs and ITSes.
"""

import errno
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from vgic import affinity
from vgic.kvm.completeness import Completeness
from vgic.kvm.device import VgicV3Device
from vgic.kvm.errors import KvmError
from vgic.kvm.its_order import ItsOrder
from vgic.kvm.migration import SetAttr, SetItsAttr, SetMpidr, Step, perform
from vgic.kvm.read_back import is_latch, is_status, loses
from vgic.kvm.uapi import (
    KEYED,
    Address,
    Group,
    attr_key,
    attr_offset,
    describe,
    level_info,
    register_at,
    register_attr,
)
from vgic.layouts import gicd, gicr, icc

__all__ = ["BlankRam", "Finding", "OrderCheck", "Verdict"]


class Verdict(Enum):
    """What is wrong with a step."""

    REFUSED = "refused"
    LOST = "lost"
    ORDER = "out of order"
    MISSING = "missing"
    REPEATED = "repeated"


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
_CBPR: Final[int] = icc.CTLR.mask("CBPR")
_ENABLE_LPIS: Final[int] = gicr.CTLR.mask("EnableLPIs")
_PTZ: Final[int] = gicr.PENDBASER.mask("PTZ")
_SGIS: Final = 0xFFFF
_GROUPS: Final[int] = gicd.CTLR.mask("EnableGrp0") | gicd.CTLR.mask("EnableGrp1")


class BlankRam:
    """RAM everywhere, which reads as zero: that of a guest whose RAM is not at hand (KVM-56)."""

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
        self._named: dict[int, int] = {}
        """The line in which an attribute first named a vCPU by this packed affinity."""
        self._lpis_enabled: dict[int, int] = {}
        """The line in which the LPIs of the vCPU with this packed affinity were enabled."""
        self._latches: dict[tuple[int, int], tuple[int, int]] = {}
        """Line and value of the last write of each ISPENDR, by group and attribute."""
        self._pending_spis = 0
        """The line in which SPIs were last made pending while the Distributor was disabled; 0: none."""
        self._pending_lpis = 0
        """The line in which the tables of an ITS were last restored meanwhile; 0: none."""
        self._its = ItsOrder(device)
        self._completeness = Completeness(device)
        self._shadowed: dict[int, tuple[int, int]] = {}
        """Line and value of the last write of each ICC_BPR1_EL1 while CBPR was 1, by attribute."""

    def feed(self, line: int, step: Step) -> list[Finding]:
        """Perform a step, which stands in line `line`, 1 or more, of whatever it was read from.

        Rules KVM-37 to KVM-40.
        """
        findings = [Finding(line, Verdict.ORDER, message) for message in self._too_late(step)]
        try:
            perform(self._device, step)
        except KvmError as error:
            return [Finding(line, Verdict.REFUSED, str(error))]
        self._completeness.remember(line, step)
        if isinstance(step, SetAttr) and step.group in _REGISTERS:
            findings += [Finding(line, Verdict.LOST, message) for message in self._lost(step)]
            self._remember(line, step)
        elif isinstance(step, SetItsAttr):
            findings += [Finding(line, Verdict.LOST, message) for message in self._its.lost(step)]
            self._its.remember(line, step)
            if self._its.tables_restored == line and self._is_disabled():
                self._pending_lpis = line
        return findings

    def finish(self, line: int) -> list[Finding]:
        """What the sequence, whose last line is `line`, leaves out (KVM-41)."""
        findings = [Finding(at, Verdict.LOST, message) for at, message in self._lost_for_good()]
        findings += [Finding(at, Verdict.REPEATED, message) for at, message in self._completeness.repeated()]
        missing = (*self._completeness.missing(), *self._its.left_out())
        return findings + [Finding(line, Verdict.MISSING, message) for message in missing]

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
            case SetAttr(Group.DIST_REGS, attr, value) if attr_offset(attr) == gicd.CTLR.offset and value & _GROUPS:
                yield from self._queued_never(describe(*step[:2]))
            case SetAttr(Group.REDIST_REGS, attr) if self._its.tables_restored and _is_of_lpis(attr):
                since = f"line {self._its.tables_restored} has restored the tables of an ITS"
                yield f"{describe(*step[:2])} comes too late: {since}"
            case SetItsAttr():
                yield from self._its.too_late(step)

    def _queued_never(self, what: str) -> Iterator[str]:
        """What has become pending while the Distributor was disabled (KVM-65)."""
        if self._pending_spis:
            since = f"line {self._pending_spis} has made SPIs pending, and KVM queues none while it is disabled"
            yield f"{what} comes too late: {since}"
        if self._pending_lpis:
            since = f"line {self._pending_lpis} has restored the tables of an ITS"
            yield f"{what} comes too late: {since}, and KVM queues no LPI of theirs while it is disabled"

    # After a write succeeded.

    def _lost(self, step: SetAttr) -> Iterator[str]:
        what, value = describe(step.group, step.attr), step.value
        if step.group == Group.LEVEL_INFO:
            lost = self._levels_of_nothing(level_info(step.attr)[1], value)
            if lost:
                yield f"{what}: {lost:#x} is ignored, SGIs and INTIDs that do not exist have no level"
            return
        found = register_at(step.group, attr_offset(step.attr))
        if found is not None and is_status(found[0]):
            return
        if not self._exists(step):
            yield f"{what}: there is no such register, the write is ignored"
            return
        assert found is not None
        layout, _, half = found
        if layout.name in _TABLES and not self._device.has_lpis:
            # KVM keeps them, and nothing comes of it.
            return
        if is_latch(layout):
            line, before = self._latches.get((step.group, step.attr), (0, 0))
            if before & ~value:
                yield f"{what}: all 32 latches are replaced, which clears {before & ~value:#x}, set in line {line}"
        kept = self._device.get_attr(step.group, step.attr)
        if layout is gicr.PENDBASER:
            # It reads as zero.
            kept |= value & _PTZ >> 8 * half
        if layout.offset == icc.ICC_BPR1_EL1 and self._is_shadowed(step.attr):
            # It shows ICC_BPR0_EL1, which may be still to come.
            return
        if loses(layout, self._device.gic.config.profile, value, kept, 8 * half):
            line = self._lpis_enabled.get(attr_key(step.attr), 0) if layout.name in _TABLES else 0
            since = f"ignored, since line {line} has enabled the vCPU's LPIs"
            yield f"{what}: {since if line else f'written {value:#x}, it is {kept:#x}'}"

    def _is_shadowed(self, attr: int) -> bool:
        """ICC_CTLR_EL1.CBPR of the vCPU that an attribute names is 1 (KVM-30)."""
        return (
            self._device.get_attr(Group.CPU_SYSREGS, register_attr(attr_key(attr), icc.ICC_CTLR_EL1)) & _CBPR != 0
        )

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
        if not (group == Group.DIST_REGS and attr_offset(attr) == gicd.IIDR.offset):
            self._first_register = self._first_register or line
        if group == Group.CPU_SYSREGS and attr_offset(attr) == icc.ICC_BPR1_EL1:
            self._shadowed.pop(attr, None)
            if self._is_shadowed(attr):
                self._shadowed[attr] = line, value
        found = register_at(group, attr_offset(attr))
        if found is not None and found[0] is gicr.CTLR and value & _ENABLE_LPIS and self._device.has_lpis:
            self._lpis_enabled.setdefault(attr_key(attr), line)
        if found is not None and is_latch(found[0]):
            self._latches[group, attr] = line, value
        if group == Group.DIST_REGS:
            if not self._is_disabled():
                self._pending_spis = self._pending_lpis = 0
            elif (group, attr) in self._latches and value:
                self._pending_spis = line

    def _is_disabled(self) -> bool:
        return not self._device.get_attr(Group.DIST_REGS, gicd.CTLR.offset) & _GROUPS

    # At the end.

    def _lost_for_good(self) -> Iterator[tuple[int, str]]:
        for attr, (line, value) in self._shadowed.items():
            kept = self._device.get_attr(Group.CPU_SYSREGS, attr)
            if kept != value:
                yield line, f"{describe(Group.CPU_SYSREGS, attr)}: written {value:#x}, it is {kept:#x}"


def _is_of_lpis(attr: int) -> bool:
    found = register_at(Group.REDIST_REGS, attr_offset(attr))
    return found is not None and found[0] in (gicr.CTLR, gicr.PROPBASER, gicr.PENDBASER)
