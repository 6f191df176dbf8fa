"""Recorded accesses to system registers: they drive the model's CPU interfaces, whose answers are compared."""

from typing import Final

from mypy_extensions import i64

import vgic
from mmio.trace.records import WRITE, value_of
from vgic import Gic
from vgic.intids import FIRST_LPI, NMI_WAITS, is_private
from vgic_tools.replay import pe_states
from vgic_tools.replay.counts import LPI, PPI, SGI, SPI, Counts
from vgic_tools.replay.evaluations import Evaluations
from vgic_tools.replay.findings import Findings
from vgic_tools.replay.operations import Operations
from vgic_tools.replay.result import Result
from vgic_tools.replay.system_registers import SystemRegister
from vgic_tools.replay.unknown_lpis import UnknownLpis

__all__ = ["RegisterAccesses"]

_SPECIAL_FIRST: Final = 1020
_SPECIAL_LAST: Final = 1023


class RegisterAccesses:
    """Accesses to system registers, and the interrupts that are acknowledged by them."""

    def __init__(
        self,
        gic: Gic,
        operations: Operations,
        evaluations: Evaluations,
        unknown_lpis: UnknownLpis,
        counts: Counts,
        findings: Findings,
        result: Result,
    ) -> None:
        self._gic = gic
        self._operations = operations
        self._evaluations = evaluations
        self._unknown_lpis = unknown_lpis
        self._counts = counts
        self._findings = findings
        self._result = result
        self._two_states = gic.config.two_states
        self._has_nmis = gic.config.nmi
        self._knows_lpis = bool(gic.config.its)

    def follow(self, gic: Gic) -> None:
        """The replay goes on with this GIC."""
        self._gic = gic

    def take(self, register: SystemRegister, cpu: i64, data: bytes, at: i64, index: i64) -> None:
        """The next access to a register that the model has."""
        if register.needs_el3 and self._two_states:
            before = pe_states.rise(self._gic, cpu)
            self._access(register, cpu, data, at, index)
            self._gic.set_pe_state(cpu, before)
        else:
            self._access(register, cpu, data, at, index)

    def _access(self, register: SystemRegister, cpu: i64, data: bytes, at: i64, index: i64) -> None:
        value = value_of(data, at)
        if data[at + 1] & WRITE:
            register.writes += 1
            self._operations.logged_first(index)
            if register.ends:
                # The recorder evaluates between priority drop and deactivation: the offer is still the old one.
                self._evaluations.passed_through(cpu)
            if register.virtual:
                self._gic.icv_write(cpu, register.encoding, value)
            else:
                self._gic.sysreg_write(cpu, register.encoding, value)
            return
        register.reads += 1
        if register.acknowledges:
            self._operations.logged_last()
            self._acknowledge(register, cpu, value, index)
            self._operations.after_logged_last(index)
        else:
            # Reads of other registers change nothing, so it does not matter on which side they are logged.
            self._operations.logged_first(index)
            if self._takes_virtual_nmi(register, cpu):
                self._learn_sctlr(cpu, value == NMI_WAITS)
            self._compare(register, cpu, value, index)

    def _acknowledge(self, register: SystemRegister, cpu: i64, value: int, index: i64) -> None:
        if value >= FIRST_LPI and not self._knows_lpis:
            self._result.accepted["LPI acknowledgements"] += 1
            self._counts.taken(cpu, LPI)
            self._unknown_lpis.activate(self._gic, cpu)
            return
        if self._has_nmis and register.encoding == vgic.ICC_IAR1_EL1 and self._gic.nmi(cpu):
            self._learn_sctlr(cpu, value == NMI_WAITS)
        self._compare(register, cpu, value, index)
        if not _SPECIAL_FIRST <= value <= _SPECIAL_LAST:
            self._counts.taken(cpu, _kind(value))

    def _takes_virtual_nmi(self, register: SystemRegister, cpu: i64) -> bool:
        """True where a guest would take an NMI, unless its SCTLR_EL1.NMI is 1."""
        takes = self._has_nmis and register.virtual and register.encoding == vgic.ICC_IAR1_EL1
        return takes and self._gic.virtual_nmi(cpu)

    def _learn_sctlr(self, cpu: i64, nmi: bool) -> None:
        """Tell the model SCTLR_ELx.NMI, which no event does but what IAR1 returns of an NMI (NMI-5, VCPU-30)."""
        if pe_states.learn_sctlr_nmi(self._gic, cpu, nmi):
            self._result.accepted["SCTLR_ELx.NMI, which only acknowledgements of NMIs tell"] += 1

    def _compare(self, register: SystemRegister, cpu: i64, value: int, index: i64) -> None:
        if register.virtual:
            got = self._gic.icv_read(cpu, register.encoding)
        else:
            got = self._gic.sysreg_read(cpu, register.encoding)
        register.compared += 1
        if got != value:
            assert register.layout is not None
            self._findings.register(index, cpu, got, register.name, register.layout)


def _kind(intid: int) -> i64:
    """The type of an interrupt that was taken."""
    if intid >= FIRST_LPI:
        return LPI
    return SGI if intid < 16 else PPI if is_private(intid) else SPI
