"""What concerns the vCPUs of a model that follows a guest of KVM: what KVM keeps a list of, for each of them.

An LPI has no active state in the model (LPI-19). Up to 6.12 it is active in KVM until its vCPU ends it (KVM-74): so
it is followed here which those are.
"""

from collections.abc import Iterator
from typing import Final

import vgic
from vgic.cpu_interface.group import GROUP1
from vgic.cpu_interface.interface import NO_GROUP
from vgic.interrupts.banks import InterruptBank
from vgic.interrupts.words import InterruptWord
from vgic.intids import FIRST_LPI
from vgic.lpis.overlooking import OverlookingLpiBank
from vgic.lpis.tables import ENABLED
from vgic.topology import NO_VCPU
from vgic_tools.judges.guest import Kind
from vgic_tools.judges.kvm_guest import GuestStep, Step

__all__ = ["ACKNOWLEDGE", "END", "Concerns"]

ACKNOWLEDGE: Final = {vgic.ICC_IAR0_EL1: 0, vgic.ICC_IAR1_EL1: 1}
"""The group that each register acknowledges."""
END: Final = (vgic.ICC_EOIR0_EL1, vgic.ICC_EOIR1_EL1, vgic.ICC_DIR_EL1)


class Concerns:
    """What concerns each vCPU of `gic`, of a KVM in which LPIs can be active if `lpis_active`."""

    def __init__(self, gic: vgic.Gic, lpis_active: bool) -> None:
        self.gic = gic
        self._lpis_active = lpis_active
        self.taken_lpis: list[dict[int, int]] = [{} for _ in range(len(gic.config.topology))]
        """LPIs that each vCPU has acknowledged and not ended, with their priorities."""
        self._offered = 0
        self._ends = False

    def before(self, step: Step) -> None:
        """A step is to be performed."""
        self._ends = False
        if not isinstance(step, GuestStep) or not self._lpis_active:
            return
        cpu, operation = step
        best = self.gic.highest_pending(cpu)
        self._offered = 0 if best is None else best.priority
        taken = self.taken_lpis[cpu].get(operation.value & 0xFF_FFFF)
        if operation.kind is Kind.MSR and operation.encoding == vgic.ICC_EOIR1_EL1 and taken is not None:
            # Whatever does not match is no more than a priority drop (CPU-23).
            interface = self.gic.interface(cpu)
            mask = interface.groups[GROUP1].mask
            self._ends = interface.running_group != NO_GROUP and taken & mask == interface.running

    def note(self, step: Step, acknowledged: int) -> None:
        """The step was performed, and a vCPU acknowledged this INTID in it, if it acknowledged any."""
        if not isinstance(step, GuestStep) or not self._lpis_active:
            return
        cpu, operation = step
        if operation.kind is Kind.MRS and operation.encoding in ACKNOWLEDGE and acknowledged >= FIRST_LPI:
            self.taken_lpis[cpu][acknowledged] = self._offered
        elif self._ends:
            intid = operation.value & 0xFF_FFFF
            del self.taken_lpis[cpu][intid]
            for at in self._pending_at(intid):
                self.gic.lpis(at).make_pending(intid)

    def hold_back(self) -> None:
        """Forward no LPI that some vCPU has taken and not ended (KVM-74)."""
        for intid in {intid for taken in self.taken_lpis for intid in taken}:
            for cpu in self._pending_at(intid):
                self._bank_of_lpis(cpu).overlook(intid)

    def notice(self, cpu: int, intid: int) -> bool:
        """Something happens to an interrupt of a vCPU: True where it is overlooked no longer."""
        if intid >= FIRST_LPI:
            return self._notice_lpi(intid)
        bank = self.gic.bank(cpu, intid)
        number, index = divmod(intid - int(bank.first), 32)
        word = bank.words[number]
        if not word.overlooked >> index & 1 or bank.target(32 * number + index) == NO_VCPU:
            return False
        before = word.queued
        bank.notice(number, 1 << index)
        bank.update(number, 1 << index)
        return bool(word.queued != before)

    def _notice_lpi(self, intid: int) -> bool:
        if any(intid in taken for taken in self.taken_lpis):
            return False
        noticed = False
        for cpu in self._pending_at(intid):
            lpis = self.gic.lpis(cpu)
            before = lpis.held(intid)
            lpis.make_pending(intid)
            noticed |= lpis.held(intid) != before
        return noticed

    def _bank_of_lpis(self, cpu: int) -> OverlookingLpiBank:
        lpis = self.gic.lpis(cpu)
        assert isinstance(lpis, OverlookingLpiBank)
        return lpis

    def _pending_at(self, intid: int) -> list[int]:
        return [cpu for cpu in range(len(self.taken_lpis)) if self.gic.lpis(cpu).held(intid)]

    def lingers(self, step: Step) -> bool:
        """True where a step deactivates an interrupt that is pending again, but not for this vCPU to take."""
        if not isinstance(step, GuestStep) or step.operation.kind is not Kind.MSR:
            return False
        cpu, operation = step
        if operation.encoding not in END:
            return False
        intid = operation.value & 0xFF_FFFF
        if intid in self.taken_lpis[cpu]:
            if not self._ends:
                return False
            lpis = self._bank_of_lpis(cpu)
            enabled = lpis.configuration.byte(lpis.table, intid) & ENABLED and not lpis.idle
            return any(other != cpu or not enabled for other in self._pending_at(intid))
        if intid >= 32 + self.gic.config.spis:
            return False
        bank = self.gic.bank(cpu, intid)
        index = intid - int(bank.first)
        word, bit = bank.words[index // 32], 1 << index % 32
        there = bank.is_active(index) and bank.place(index) == cpu and bool(word.latch & word.edge & bit)
        stays = bool(word.enabled & ~word.overlooked & bit) and bank.target(index) == cpu
        return there and not stays

    def misplaced(self) -> dict[int, int]:
        """SPIs that are active at another vCPU than the one that they are for, each with where that is."""
        found = {}
        bank = self.gic.bank(0, 32)
        for word in bank.words:
            for index in _indices(word, word.active):
                if bank.place(index) != bank.target(index):
                    found[32 + index] = int(bank.place(index))
        return found

    def freed(self, misplaced: dict[int, int], cpu: int) -> bool:
        """True where some of these are forwarded now that were active at others than this vCPU (KVM-71)."""
        bank = self.gic.bank(0, 32)
        return any(place != cpu and bank.is_queued(intid - 32) for intid, place in misplaced.items())

    def of(self, cpu: int, active: bool = False) -> list[int]:
        """The INTIDs that concern a vCPU: those that are active there, and, unless `active`, those for it."""
        found = sorted(self.taken_lpis[cpu])
        for bank in self._banks(cpu):
            for word in bank.words:
                for index in _indices(word, word.active if active else word.active | word.queued):
                    if (bank.place(index) if bank.is_active(index) else bank.target(index)) == cpu:
                        found.append(int(bank.first) + index)
        if not active:
            found += [intid for intid, _ in self._lpis(cpu) if intid not in self.taken_lpis[cpu]]
        return found

    def entries(self, cpu: int, active: bool = False) -> int:
        """How many interrupts concern a vCPU."""
        return len(self.of(cpu, active))

    def ties(self, cpu: int) -> list[tuple[int, int]]:
        """INTID and group of everything that is offered to a vCPU with the priority of the best."""
        best = self.gic.highest_pending(cpu)
        if best is None:
            return []
        groups = self.gic.interface(cpu).groups
        found = []
        for bank in self._banks(cpu):
            for index in range(bank.count):
                same = (
                    bank.is_queued(index) and bank.priorities[index] == best.priority and bank.target(index) == cpu
                )
                if same and groups[bank.group(index)].considered():
                    found.append((int(bank.first) + index, int(bank.group(index))))
        if groups[1].considered():
            found += [(intid, 1) for intid, priority in self._lpis(cpu) if priority == best.priority]
        return found

    def hide(self, cpu: int, intids: list[int], hidden: bool) -> None:
        """Take some interrupts that are offered to a vCPU away, or give them back."""
        for intid in intids:
            if intid >= FIRST_LPI:
                change = self.gic.lpis(cpu).clear_pending if hidden else self.gic.lpis(cpu).make_pending
                change(intid)
                continue
            bank = self.gic.bank(cpu, intid)
            number, bit = divmod(intid - int(bank.first), 32)
            bank.words[number].enabled ^= 1 << bit
            bank.update(number, 1 << bit)

    def _banks(self, cpu: int) -> tuple[InterruptBank, InterruptBank]:
        return self.gic.bank(cpu, 0), self.gic.bank(cpu, 32)

    def _lpis(self, cpu: int) -> Iterator[tuple[int, int]]:
        """The LPIs that are pending for a vCPU and enabled, each with its priority."""
        if not self.gic.config.its:
            return
        lpis = self.gic.lpis(cpu)
        for intid, byte in lpis.pending.items():
            if byte & ENABLED:
                yield intid, int(lpis.priorities.of(byte))


def _indices(word: InterruptWord, bits: int) -> Iterator[int]:
    """The interrupts of a word whose bits are set, as their bank counts them."""
    while bits:
        yield int(word.start) + (bits & -bits).bit_length() - 1
        bits &= bits - 1
