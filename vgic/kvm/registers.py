"""Userspace's view of a GIC's registers: the same that a guest sees, but for a few.

| register | what userspace gets |
|---|---|
| ISPENDR | the latches alone; a write replaces all 32 |
| ICPENDR | RAZ/WI |
| LEVEL_INFO | the levels of the input lines, which no register shows a guest |

A register is named by its group, the vCPU (any, for the Distributor's), and the low half of its attribute: the
offset, encoding, or info and vINTID. Accesses are words of 32 bits; those to nothing read as zero and write
nothing, and no observer hears of them.
"""

import errno
from typing import Final

from mmio import ILLEGAL, AccessKind
from mmio.address_map import Region
from vgic.gic import Gic
from vgic.interrupts.banks import InterruptBank
from vgic.interrupts.words import ALL_BITS
from vgic.kvm.errors import KvmError
from vgic.kvm.uapi import SYSREGS, Group, describe, level_info, register_at, register_attr
from vgic.layouts.icc import ICC_SRE_EL1
from vgic.layouts.intids import intids_in
from vgic.profiles import Profile

__all__ = ["Registers", "has_register"]

_SGIS: Final = 0xFFFF
_SRE: Final = 1


class Registers:
    """The groups DIST_REGS, REDIST_REGS, CPU_SYSREGS and LEVEL_INFO of a GIC."""

    def __init__(self, gic: Gic) -> None:
        self._gic = gic

    def get(self, group: int, cpu: int, offset: int) -> int:
        """Read: 64 bits of a system register, 32 of any other (KVM-20, KVM-21). Raises KvmError."""
        match group:
            case Group.CPU_SYSREGS:
                return self._gic.sysreg_read(cpu, self._sysreg(cpu, offset))
            case Group.LEVEL_INFO:
                return self._level(cpu, offset)
        region, place = self._place(group, cpu, offset)
        match _raw(group, offset):
            case "ISPENDR", _:
                return region.stored(place)
            case "ICPENDR", _:
                return 0
        value = region.read(place, 4, False)
        return 0 if value == ILLEGAL else value

    def set(self, group: int, cpu: int, offset: int, value: int) -> None:
        """Write the low 64 bits of a system register, the low 32 of any other. Raises KvmError.

        Rules KVM-20 to KVM-25.
        """
        match group:
            case Group.CPU_SYSREGS:
                self._set_sysreg(cpu, offset, value)
                return
            case Group.LEVEL_INFO:
                self._set_level(cpu, offset, value)
                return
        region, place = self._place(group, cpu, offset)
        match _raw(group, offset):
            case "ISPENDR", word:
                region.keep(place, value & ALL_BITS)
                bits = self._bits(cpu, 32 * word)
                if bits is not None:
                    bank, number = bits
                    bank.notice(number, ALL_BITS)
                    bank.update(number, ALL_BITS)
            case "ICPENDR", _:
                pass
            case _:
                region.write(place, 4, value & ALL_BITS, False)

    def _place(self, group: int, cpu: int, offset: int) -> tuple[Region, int]:
        """The frames of a device, and the place of an offset in them; of a hole where the offset is beyond them."""
        if register_at(group, offset) is None:
            return _NOWHERE, 0
        dist = group == Group.DIST_REGS
        base = self._gic.config.gicd_base if dist else self._gic.redistributor_bases[cpu]
        region = self._gic.map.find(base)
        return (_NOWHERE, 0) if region is None else (region, base - region.base + offset)

    def _bits(self, cpu: int, intid: int) -> tuple[InterruptBank, int] | None:
        """The bank and word of 32 interrupts from `intid` on, None where the VM does not have them."""
        if intid >= 32 + self._gic.config.spis:
            return None
        bank = self._gic.bank(cpu, intid)
        return bank, (intid - bank.first) // 32

    # LEVEL_INFO.

    def _lines(self, cpu: int, offset: int) -> tuple[InterruptBank, int] | None:
        info, intid = level_info(offset)
        if info or intid % 32:
            raise self._error(
                errno.EINVAL, Group.LEVEL_INFO, cpu, offset, "only info 0 of a multiple of 32 is known"
            )
        return self._bits(cpu, intid)

    def _level(self, cpu: int, offset: int) -> int:
        lines = self._lines(cpu, offset)
        if lines is None:
            return 0
        bank, number = lines
        word = bank.words[number]
        # A level that is not followed while its interrupt is edge-triggered means nothing then.
        return word.line if bank.records_line else word.line & ~word.edge

    def _set_level(self, cpu: int, offset: int, value: int) -> None:
        lines = self._lines(cpu, offset)
        if lines is not None:
            bank, number = lines
            word = bank.words[number]
            sgis = 0 if bank.first else _SGIS
            # Whatever the trigger, which may be restored later. A level is no edge: no latch is set.
            word.line = value & word.implemented & ~sgis
            bank.notice(number, ALL_BITS)
            bank.update(number, ALL_BITS)

    # CPU_SYSREGS.

    def _sysreg(self, cpu: int, encoding: int) -> int:
        if encoding not in SYSREGS:
            raise self._error(errno.ENOENT, Group.CPU_SYSREGS, cpu, encoding, "userspace cannot access it")
        if not self._gic.sysreg_defined(encoding, write=True):
            reason = f"{self._gic.config.priority_bits} bits of priority do not need it"
            raise self._error(errno.EINVAL, Group.CPU_SYSREGS, cpu, encoding, reason)
        return encoding

    def _set_sysreg(self, cpu: int, encoding: int, value: int) -> None:
        if self._sysreg(cpu, encoding) == ICC_SRE_EL1 and not value & _SRE:
            raise self._error(errno.EINVAL, Group.CPU_SYSREGS, cpu, encoding, "SRE cannot be 0")
        self._gic.sysreg_write(cpu, encoding, value)

    def _error(self, number: int, group: int, cpu: int, offset: int, reason: str) -> KvmError:
        return KvmError(number, f"{describe(group, register_attr(self._gic.affinity(cpu), offset))}: {reason}")


_PRIVATE_ROUTES: Final = range(0x6000, 0x6100, 4)
"""Where GICD_IROUTER0 to 31 would be, had private interrupts a route: KVM has registers there, RAZ/WI."""

_NOWHERE: Final = Region("nothing", 0, 0)


def _raw(group: int, offset: int) -> tuple[str, int]:
    """("ISPENDR", word) or ("ICPENDR", word) where the offset is theirs, else ("", 0)."""
    found = register_at(group, offset)
    if found is not None and found[0].access in (AccessKind.W1S, AccessKind.W1C):
        layout, element, _ = found
        name = layout.name.partition("_")[2]
        if name in ("ISPENDR", "ICPENDR"):
            return name, (layout.first or 0) + element
    return "", 0


def has_register(profile: Profile, intids: int, group: int, offset: int) -> bool:
    """True where userspace can access a register of a GIC of this profile that has INTIDs 0 to `intids` - 1.

    Rule KVM-19.
    """
    found = register_at(group, offset)
    if found is None:
        return group == Group.DIST_REGS and offset in _PRIVATE_ROUTES
    if found[0].name in profile.absent:
        return False
    layout, element, _ = found
    first = next(intids_in(layout, element, (1 << layout.width) - 1), 0)
    return first < intids
