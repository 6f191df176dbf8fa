"""The virtual CPU interface behind the list registers that a hypervisor writes: what the ICV registers show.

It is a CPU interface like the physical one, with groups, priorities and outputs of its own; what differs is where
its interrupts come from, and how they end. Its keys have the number of a list register where others have an INTID.
"""

from mypy_extensions import i64

from vgic.cpu_interface.group import GROUP1, groups_of_one_state
from vgic.cpu_interface.interface import CANDIDATES, LineSink
from vgic.cpu_interface.list_registers import NO_REGISTER, ListRegisters
from vgic.cpu_interface.pending import INTID_MASK
from vgic.cpu_interface.virtual import VirtualCpuInterface
from vgic.intids import FIRST_LPI, FIRST_SPECIAL, LAST_SPECIAL, SPURIOUS
from vgic.profiles import Profile

__all__ = ["ListRegisterInterface"]


class ListRegisterInterface(VirtualCpuInterface):
    """A virtual CPU interface; `VirtualControl` settles it."""

    __slots__ = ("counts_every_end", "dir_ignores_lpis", "list_registers", "unlisted_ends")

    def __init__(
        self,
        cpu: i64,
        profile: Profile,
        priority_bits: i64,
        lines: LineSink | None,
        list_registers: ListRegisters,
    ) -> None:
        super().__init__(cpu, profile, priority_bits, lines)
        self.list_registers = list_registers
        self.counts_every_end = profile.counts_every_end
        self.dir_ignores_lpis = profile.icv_dir_ignores_lpis
        # Until the hypervisor sets ICH_HCR_EL2.En (rule VCPU-4).
        self.silent = True
        self.unlisted_ends: i64 = 0
        """ICH_HCR_EL2.EOIcount."""
        # An interrupt of the idle priority is never the best (rule VCPU-5).
        self.hides_idle = True
        self.groups = groups_of_one_state(min(priority_bits, 7), False)
        self.best_in = self.groups[GROUP1]
        for group in self.groups:
            group.forwarded = True
        self.find_masks()

    def select_best(self) -> bool:
        """Find the highest priority pending interrupt among the list registers (rule VCPU-5)."""
        registers = self.list_registers
        self.candidates = registers.pending()
        for group in self.groups:
            group.own_head = registers.best(group.number)
        return super().select_best()

    def highest_pending(self, group: i64) -> i64:
        """The virtual INTID that ICV_HPPIR of `group` shows, SPURIOUS where none."""
        if super().highest_pending(group) == SPURIOUS:
            return SPURIOUS
        return self.list_registers.registers[self.best_key & INTID_MASK].intid

    def acknowledge(self, group: i64) -> i64:
        """Read ICV_IAR of `group`: take the best interrupt and return its virtual INTID (rules VCPU-7, VCPU-8)."""
        best = self.best_key & INTID_MASK
        if self.best_in.number != group or not self.can_preempt():
            return SPURIOUS
        register = self.list_registers.registers[best]
        intid = register.intid
        if FIRST_SPECIAL <= intid <= LAST_SPECIAL:
            register.pending = False
            self.settle(CANDIDATES)
        else:
            super().acknowledge(group)
        return intid

    def ended(self, group: i64, intid: i64, dropped: i64) -> None:
        """ICV_EOIR of `group` has dropped a priority; an LPI is deactivated with EOImode 1, too (rule VCPU-10)."""
        number = self.list_registers.active(intid)
        is_lpi = intid >= FIRST_LPI
        if number != NO_REGISTER:
            if is_lpi or not self.eoi_mode:
                self.end_in(self.list_registers, number, group, dropped)
        elif not is_lpi and (self.counts_every_end or not self.eoi_mode):
            self._count_end()

    def deactivate(self, intid: i64) -> None:
        """Write ICV_DIR: deactivate what is active in a list register; ignored with EOImode 0 (rule VCPU-11)."""
        if not self.eoi_mode or FIRST_SPECIAL <= intid <= LAST_SPECIAL:
            return
        if self.dir_ignores_lpis and intid > LAST_SPECIAL:
            return
        number = self.list_registers.active(intid)
        if number != NO_REGISTER:
            self.list_registers.deactivate(number)
            self._settler.settle()
        elif intid < FIRST_LPI:
            self._count_end()

    def _count_end(self) -> None:
        """An interrupt has ended that is in no list register; five bits of them are counted (rule VCPU-13)."""
        self.unlisted_ends = self.unlisted_ends + 1 & 0x1F
        self._settler.settle()
