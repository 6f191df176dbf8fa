"""The registers of a VM through attributes: which vCPU one names, when it can be accessed, and what KVM adds.

`vgic.kvm.registers` has the registers of a finished GIC; here is what depends on where the VM is in its life.
"""

import errno
from typing import Final

from vgic.gic import Gic
from vgic.kvm.errors import KvmError
from vgic.kvm.machine import Machine
from vgic.kvm.registers import Registers
from vgic.kvm.uapi import KEYED, SYSREGS, Group, attr_key, attr_offset
from vgic.layouts import gicd, gicr, icc

__all__ = ["Access"]

_BEFORE_INIT: Final = (gicd.IIDR.offset, gicd.TYPER2.offset)
_ACTIVE_PRIORITIES: Final = {6: 2, 7: 4, 8: 4}
"""AP0R and AP1R that there are, by bits of priority; 1 where that is left out."""
_LAST: Final = gicr.TYPER.encode({"Last": 1})


class Access:
    """The groups DIST_REGS, REDIST_REGS, CPU_SYSREGS and LEVEL_INFO of a VM. `what` names the attribute."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    @property
    def _gic(self) -> Gic:
        # Only a vCPU's registers are asked for, so that there is one.
        gic = self._machine.gic
        assert gic is not None
        return gic

    def vcpu_named(self, what: str, group: int, attr: int) -> int:
        """The vCPU that an attribute names, 0 in a group that names none. Raises KvmError (EINVAL)."""
        affinities = self._machine.affinities
        if group not in KEYED:
            if not affinities:
                raise KvmError(errno.EINVAL, f"{what}: there is no vCPU yet")
            return 0
        if attr_key(attr) not in affinities:
            raise KvmError(errno.EINVAL, f"{what}: no vCPU has this affinity")
        return affinities.index(attr_key(attr))

    def _open(self, what: str, group: int, attr: int) -> int:
        """The vCPU that an attribute names, once it is clear that its registers can be accessed now."""
        cpu = self.vcpu_named(what, group, attr)
        self._machine.check_stopped(what)
        early = (
            self._machine.version.identifies_early
            and group == Group.DIST_REGS
            and attr_offset(attr) in _BEFORE_INIT
        )
        if not self._machine.initialised and not early:
            raise KvmError(errno.EBUSY, f"{what}: CTRL INIT has not been called")
        return cpu

    def get(self, what: str, group: int, attr: int) -> int:
        """Read: 64 bits of a system register, 32 of any other. Raises KvmError."""
        cpu, offset = self._open(what, group, attr), attr_offset(attr)
        if group == Group.CPU_SYSREGS:
            self._check_active_priorities(what, cpu, offset)
        if group == Group.DIST_REGS and offset in _BEFORE_INIT:
            return self._machine.profile.fixed["GICD_IIDR"] if offset == gicd.IIDR.offset else 0
        raw = self._raw(group, cpu, offset)
        if raw is not None:
            return raw
        value = Registers(self._gic).get(group, cpu, offset)
        if group == Group.REDIST_REGS and offset == gicr.TYPER.offset:
            # While the addresses are open, those in the GIC mean nothing.
            value = value & ~_LAST | (_LAST if self._machine.placement.is_last(cpu) else 0)
        return value

    def _raw(self, group: int, cpu: int, offset: int) -> int | None:
        """What userspace wrote, where that is what it reads."""
        if group == Group.CPU_SYSREGS:
            if offset == icc.ICC_CTLR_EL1:
                return self._control(cpu)
            return self._machine.interface.get(self._gic, cpu, offset)
        if group == Group.REDIST_REGS and self._machine.idle_tables is not None:
            return self._machine.idle_tables.get(cpu, offset)
        return None

    def _control(self, cpu: int) -> int:
        told = icc.CTLR.decode(self._gic.sysreg_read(cpu, icc.ICC_CTLR_EL1))
        widths = self._machine.widths(cpu)
        return icc.CTLR.encode({**told, "PRIbits": widths.pribits, "IDbits": widths.idbits})

    def set(self, what: str, group: int, attr: int, value: int) -> None:
        """Write the low 64 bits of a system register, the low 32 of any other. Raises KvmError."""
        cpu, offset = self._open(what, group, attr), attr_offset(attr)
        if group == Group.DIST_REGS and offset == gicd.IIDR.offset:
            self._machine.set_iidr(what, value)
        elif group == Group.DIST_REGS and offset == gicd.TYPER2.offset:
            self._set_typer2(what, value)
        else:
            if group == Group.CPU_SYSREGS:
                self._check_active_priorities(what, cpu, offset)
            if group == Group.CPU_SYSREGS and offset == icc.ICC_CTLR_EL1:
                self._machine.take_interface(what, self._gic, cpu, value)
            elif group == Group.REDIST_REGS and self._machine.idle_tables is not None:
                self._machine.idle_tables.set(cpu, offset, value)
            Registers(self._gic).set(group, cpu, offset, value)
            if group == Group.CPU_SYSREGS:
                self._machine.interface.set(self._gic, cpu, offset, value)

    def _check_active_priorities(self, what: str, cpu: int, encoding: int) -> None:
        """Raise for an AP0R or AP1R that so few bits of priority do not need."""
        found = SYSREGS.get(encoding)
        bits = self._machine.widths(cpu).pribits + 1
        if found is not None and found[1] >= _ACTIVE_PRIORITIES.get(bits, 1) and "_AP" in found[0].name:
            raise KvmError(errno.EINVAL, f"{what}: {bits} bits of priority do not need it")

    def _set_typer2(self, what: str, value: int) -> None:
        if value == 0:
            return
        if self._machine.version.identifies_early and self._machine.initialised:
            raise KvmError(errno.EBUSY, f"{what} cannot change after CTRL INIT")
        raise KvmError(errno.EINVAL, f"{what}: {value:#x} needs a host with GICv4.1")
