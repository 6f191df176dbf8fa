"""A hypervisor for tests: list registers by their fields, and what its guest does behind them."""

from dataclasses import replace

import vgic
from guest import Guest
from vgic.layouts.ich import ICH
from vgic.layouts.nmi import LR

INVALID, PENDING, ACTIVE, BOTH = range(4)
EN, UIE, LRENPIE, NPIE = (1 << bit for bit in range(4))
VGRP0E, VGRP0D, VGRP1E, VGRP1D = (1 << bit for bit in range(4, 8))
EOI, U, LRENP, NP = EN, UIE, LRENPIE, NPIE
"""Bits of ICH_MISR_EL2."""
ASKS = 1 << 9
"""Of pINTID, where HW is 0: the end asks for a maintenance interrupt."""
OPEN = 0xF0 << 24 | 0b11
"""ICH_VMCR_EL2 of a guest that lets everything in."""
VEOIM = 1 << 9

_ENCODINGS = {
    layout.title(index).removesuffix("_EL2"): layout.offset + index
    for layout in ICH
    for index in range(layout.count)
}


class Hypervisor(Guest):
    """With a vCPU or more, each with 4 list registers unless said otherwise; the virtual interfaces are on."""

    def __init__(
        self,
        cpus: int = 1,
        profile: vgic.Profile = vgic.ARCH,
        list_registers: int = 4,
        priority_bits: int = 5,
        vmcr: int = OPEN,
        nmi: bool = False,
    ) -> None:
        super().__init__(cpus, profile, priority_bits=priority_bits, list_registers=list_registers, nmi=nmi)
        for cpu in self.cpus:
            self.set_ich("ICH_HCR", EN, cpu)
            self.set_ich("ICH_VMCR", vmcr, cpu)
        self.heard.virtual_lines.clear()

    def ich(self, name: str, cpu: int = 0) -> int:
        before = self._enter(cpu)
        value = self.gic.sysreg_read(cpu, _ENCODINGS[name])
        self.gic.set_pe_state(cpu, before)
        self.gic.check()
        return value

    def set_ich(self, name: str, value: int, cpu: int = 0) -> None:
        before = self._enter(cpu)
        self.gic.sysreg_write(cpu, _ENCODINGS[name], value)
        self.gic.set_pe_state(cpu, before)
        self.gic.check()

    def _enter(self, cpu: int) -> vgic.PeState:
        """Be at EL2; where the PE was."""
        before = self.gic.pe_state(cpu)
        self.gic.set_pe_state(cpu, replace(before, el=2))
        return before

    def fill(
        self,
        number: int,
        intid: int,
        state: int = PENDING,
        priority: int = 0xA0,
        group: int = 1,
        hw: int = 0,
        physical: int = 0,
        cpu: int = 0,
        nmi: int = 0,
    ) -> None:
        """Write a list register; `nmi` is a bit that only a machine with NMIs has."""
        fields = {
            "State": state,
            "HW": hw,
            "Group": group,
            "NMI": nmi,
            "Priority": priority,
            "pINTID": physical,
            "vINTID": intid,
        }
        self.set_ich(f"ICH_LR{number}", LR.encode(fields), cpu)

    def state(self, number: int, cpu: int = 0) -> int:
        """The state of a list register."""
        return self.ich(f"ICH_LR{number}", cpu) >> 62

    def icv(self, register: int, cpu: int = 0) -> int:
        value = self.gic.icv_read(cpu, register)
        self.gic.check()
        return value

    def set_icv(self, register: int, value: int, cpu: int = 0) -> None:
        self.gic.icv_write(cpu, register, value)
        self.gic.check()

    def iar(self, group: int = 1) -> int:
        return self.icv((vgic.ICC_IAR0_EL1, vgic.ICC_IAR1_EL1)[group])

    def nmiar(self) -> int:
        return self.icv(vgic.ICC_NMIAR1_EL1)

    def hppir(self, group: int = 1) -> int:
        return self.icv((vgic.ICC_HPPIR0_EL1, vgic.ICC_HPPIR1_EL1)[group])

    def eoir(self, intid: int, group: int = 1) -> None:
        self.set_icv((vgic.ICC_EOIR0_EL1, vgic.ICC_EOIR1_EL1)[group], intid)

    def dir(self, intid: int) -> None:
        self.set_icv(vgic.ICC_DIR_EL1, intid)

    def rpr(self) -> int:
        return self.icv(vgic.ICC_RPR_EL1)

    def maintained(self, cpu: int = 0) -> bool:
        """The level of the maintenance interrupt."""
        return self.gic.ppi(cpu, 25).level
