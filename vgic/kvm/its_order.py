"""What KVM makes of the calls that restore an ITS; the part of `vgic.kvm.order` that concerns ITSes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from vgic.kvm.device import VgicV3Device
from vgic.kvm.migration import SetItsAttr
from vgic.kvm.read_back import loses
from vgic.kvm.uapi import Group, ItsControl, attr_offset, describe, register_at
from vgic.layouts import gits

__all__ = ["ItsOrder"]

_ENABLED: Final[int] = gits.CTLR.mask("Enabled")
_VALID: Final[int] = gits.CBASER.mask("Valid")
_POSITIONS: Final = (gits.CREADR, gits.CWRITER)


@dataclass
class _Progress:
    """The lines, 0 for none, in which an ITS..."""

    registers: int = 0
    """...had a register written first,"""
    tables: int = 0
    """...its tables restored last,"""
    enabled: int = 0
    """...and GITS_CTLR.Enabled set."""
    positions: dict[str, int] = field(default_factory=dict)
    """The line in which a register that GITS_CBASER resets was given another value than 0."""


class ItsOrder:
    """Follows the steps that concern the ITSes of `device`."""

    def __init__(self, device: VgicV3Device) -> None:
        self._device = device
        self._progress: dict[int, _Progress] = {}

    @property
    def tables_restored(self) -> int:
        """The line in which the tables of some ITS were restored, 0: none."""
        return max((progress.tables for progress in self._progress.values()), default=0)

    def too_late(self, step: SetItsAttr) -> Iterator[str]:
        """What of a step that is about to be performed ought to have come before (KVM-56)."""
        what = _name(step)
        progress = self._progress.get(step.its, _Progress())
        if _restores(step) and progress.enabled:
            yield f"{what} comes too late: line {progress.enabled} has enabled the ITS"
        offset = attr_offset(step.attr)
        if step.group == Group.ITS_REGS and offset != gits.CTLR.offset and progress.tables:
            yield f"{what} comes too late: line {progress.tables} has restored the tables"

    def lost(self, step: SetItsAttr) -> Iterator[str]:
        """What a step that has been performed did not do, or undid (KVM-56)."""
        if step.group != Group.ITS_REGS:
            return
        what, offset = _name(step), attr_offset(step.attr)
        found = register_at(Group.ITS_REGS, offset)
        assert found is not None
        layout = found[0]
        if layout is gits.CBASER:
            for name, line in self._of(step).positions.items():
                yield f"{what}: {name}, set in line {line}, is 0 again"
        kept = self._device.itses[step.its].get_attr(step.group, step.attr)
        if layout in (gits.CBASER, gits.BASER) and not (step.value | kept) & _VALID:
            # Of a queue or table that is not there nothing counts.
            return
        if loses(layout, self._device.gic.config.profile, step.value, kept):
            yield f"{what}: written {step.value:#x}, it is {kept:#x}"

    def remember(self, line: int, step: SetItsAttr) -> None:
        """A step has been performed."""
        progress = self._of(step)
        if _restores(step):
            progress.tables = line
        if step.group != Group.ITS_REGS:
            return
        progress.registers = progress.registers or line
        offset = attr_offset(step.attr)
        if offset == gits.CTLR.offset:
            enabled = self._device.itses[step.its].get_attr(step.group, step.attr) & _ENABLED
            progress.enabled = line if enabled else 0
        if offset == gits.CBASER.offset:
            progress.positions.clear()
        for layout in _POSITIONS:
            if offset == layout.offset and step.value:
                progress.positions[layout.name] = line

    def left_out(self) -> Iterator[str]:
        """What the steps leave out (KVM-56)."""
        for number, progress in self._progress.items():
            if progress.registers and not progress.tables:
                yield f"ITS {number} has registers, but no RESTORE_TABLES: nothing is mapped"

    def _of(self, step: SetItsAttr) -> _Progress:
        return self._progress.setdefault(step.its, _Progress())


def _name(step: SetItsAttr) -> str:
    return f"ITS {step.its}: {describe(step.group, step.attr)}"


def _restores(step: SetItsAttr) -> bool:
    return step.group == Group.CTRL and step.attr == ItsControl.RESTORE_TABLES
