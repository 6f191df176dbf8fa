"""The virtual CPU interface of a hypervisor's guest, whose interrupts are in list registers.

It has no way to the banks but by its list registers, so it finishes only what is in one of them: what its PE has
acknowledged, or was made active for it. Whatever does not match is no more than a priority drop.

By itself it is that of a guest whose hypervisor is not modelled: its list registers hold what is in the banks. The
one whose list registers a hypervisor writes is in list_register_interface.py beside it.
"""

from mypy_extensions import i64

from vgic.cpu_interface.interface import (
    ANYWHERE,
    NO_GROUP,
    NOT_ACTIVE,
    PREEMPTION,
    ActivationBank,
    CpuInterface,
    LineSink,
)
from vgic.intids import FIRST_SPECIAL, LAST_SPECIAL
from vgic.profiles import Profile

__all__ = ["VirtualCpuInterface"]


class VirtualCpuInterface(CpuInterface):
    """A CPU interface that differs in how interrupts end."""

    __slots__ = ("_dir_reaches",)

    def __init__(self, cpu: i64, profile: Profile, priority_bits: i64, lines: LineSink | None) -> None:
        super().__init__(cpu, profile, priority_bits, lines)
        self._dir_reaches: i64 = ANYWHERE if profile.dir_reaches_other_pes else cpu

    def end_of_interrupt(self, group: i64, intid: i64) -> None:
        """Write EOIR of `group`: the highest active priority drops, of whichever group it is (rule CPU-23)."""
        if self.running_group == NO_GROUP or FIRST_SPECIAL <= intid <= LAST_SPECIAL:
            return
        dropped = self.running
        self.groups[self.running_group].drop()
        self.find_running()
        self.settle(PREEMPTION)
        self.ended(group, intid, dropped)

    def ended(self, group: i64, intid: i64, dropped: i64) -> None:
        """EOIR of `group` has dropped a priority: with EOImode 0 deactivate the interrupt, where it is that one."""
        bank = self._bank(intid)
        if bank is not None and not self.eoi_mode:
            self.end_in(bank, intid - bank.first, group, dropped)

    def end_in(self, bank: ActivationBank, index: i64, group: i64, dropped: i64) -> None:
        """Deactivate an interrupt where it is active here, of `group`, and has the priority that dropped."""
        priority = bank.active_priority(index, self.cpu)
        if priority != NOT_ACTIVE and priority & self.groups[group].mask == dropped and bank.group(index) == group:
            bank.deactivate(index)
            self._settler.settle()

    def deactivate(self, intid: i64) -> None:
        """Write DIR: deactivate what is active here; ignored unless EOImode is 1 (rules CPU-24, CPU-25)."""
        bank = self._bank(intid)
        if bank is None or not self.eoi_mode:
            return
        index = intid - bank.first
        if bank.active_priority(index, self._dir_reaches) != NOT_ACTIVE:
            bank.deactivate(index)
            self._settler.settle()
