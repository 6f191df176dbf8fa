"""The CPU interface of a PE with two Security states: what depends on the state that the PE is in.

That is which group is signalled as IRQ, which bank of registers and which view of them it reaches, which EOImode
counts, and what DIR may deactivate. All of it is found when the state changes, not when a register is accessed.
Once GICD_CTLR.DS is 1 (`one_state`) the rules of one Security state hold for priorities and groups, and the
registers stay banked.
"""

from typing import Final

from mypy_extensions import i64

from vgic.bits import bit
from vgic.cpu_interface.group import GROUP0, GROUP1, SECURE_GROUP1, groups_of_two_states
from vgic.cpu_interface.interface import NO_GROUP, PREEMPTION, CpuInterface, LineSink
from vgic.cpu_interface.pe_state import AFTER_RESET, PeState
from vgic.profiles import Profile

__all__ = ["AT_EL3", "EL3_MODE", "NONSECURE", "NOTHING", "SECURE", "SHIFTED", "VIEWS", "TwoStateInterface"]

# What a PE can see of its system registers: the numbers of the tables.
NOTHING: Final = 0
"""EL0."""
SECURE: Final = 1
NONSECURE: Final = 2
"""With priorities as they are: Group 0 is Non-secure's business too."""
SHIFTED: Final = 3
"""Non-secure, with the Non-secure view of priorities."""
AT_EL3: Final = 3
"""EL3, which reaches the bank of a group; its number is added, Group 1 or Secure Group 1."""
VIEWS: Final = 6

EL3_MODE: Final = GROUP0
"""Where in `eoi_modes` EL3's own is."""

_ALL_GROUPS: Final = 0b111
_EL2: Final = 2
_EL3: Final = 3


class TwoStateInterface(CpuInterface):
    """A CPU interface that differs by the state of its PE."""

    __slots__ = ("_aarch32", "_deactivates", "_finishes", "_finishes_all", "_profile_heeds_ds", "eoi_modes")

    def __init__(
        self, cpu: i64, profile: Profile, priority_bits: i64, lines: LineSink | None, aarch32: bool
    ) -> None:
        super().__init__(cpu, profile, priority_bits, lines)
        self._aarch32 = aarch32
        self._profile_heeds_ds = profile.interface_heeds_ds
        self.groups = groups_of_two_states(min(priority_bits, 7), profile.disabled_group_hides)
        self.best_in = self.groups[GROUP1]
        self.eoi_modes = [False] * len(self.groups)
        """EOImode of EL3, of the Non-secure bank, of the Secure bank: by the number of the bank's group."""
        self._deactivates: i64 = _ALL_GROUPS
        """Bit n: DIR may deactivate interrupts of Group n."""
        self._finishes: i64 = _ALL_GROUPS
        """Bit n: so may the end of a virtual interrupt."""
        self._finishes_all = profile.listed_ends_reach_every_group
        self.one_state = False
        self.pe = AFTER_RESET
        self.find_masks()
        self._follow()

    def set_pe_state(self, state: PeState) -> None:
        """The PE is in this state from now on, in which another output may be raised (rules PE-1 and PE-2)."""
        self.pe = state
        self._follow()
        self.settle(PREEMPTION)

    def set_one_state(self, one_state: bool) -> None:
        """GICD_CTLR.DS changes (rule PE-3). Settles nothing."""
        self.one_state = one_state
        self._follow()

    def reset(self) -> None:
        """See `CpuInterface.reset`; the PE's state is the embedder's."""
        for place in range(len(self.eoi_modes)):
            self.eoi_modes[place] = False
        super().reset()

    def find_derived(self) -> None:
        """See `CpuInterface.find_derived`."""
        super().find_derived()
        self.find_eoi_mode()

    def irq_group(self) -> i64:
        """The group that is signalled as IRQ, NO_GROUP where all are FIQ (rules PE-2 and PE-3)."""
        if self.one_state and self._profile_heeds_ds:
            return GROUP1
        if self.pe.el == _EL3 and not self._aarch32:
            return NO_GROUP
        return SECURE_GROUP1 if self.is_secure() else GROUP1

    def is_secure(self) -> bool:
        """The PE is in Secure state, as it always is at EL3."""
        return self.pe.secure or self.pe.el == _EL3

    def bank(self) -> i64:
        """The group whose bank of registers the PE reaches: at EL3 the one that SCR_EL3.NS chooses."""
        return SECURE_GROUP1 if self.pe.secure else GROUP1

    def shifts_priorities(self) -> bool:
        """The PE has the Non-secure view of priorities: those of Group 0 are none of its business (PE-5)."""
        heeds = self._profile_heeds_ds
        return not self.is_secure() and self.pe.scr_fiq and not (self.one_state and heeds)

    def find_eoi_mode(self) -> None:
        """Find the EOImode that counts for whoever the PE is now (rule PE-9)."""
        self.eoi_mode = self.eoi_modes[EL3_MODE if self.pe.el == _EL3 else self.bank()]

    def _follow(self) -> None:
        """Find all that follows from the PE's state and GICD_CTLR.DS."""
        self.el = self.pe.el
        irq = self.irq_group()
        for group in self.groups:
            group.irq = group.number == irq
        self.view = self._view() + VIEWS * self.face()
        self._deactivates = self._dir_reaches(self.pe.el)
        if self.virtual is not None and not self._finishes_all:
            # What stands for a physical interrupt in a list register was put there by EL2.
            self._finishes = self._dir_reaches(max(self.pe.el, _EL2))
        self.find_eoi_mode()

    def _view(self) -> i64:
        if self.pe.el == 0:
            return NOTHING
        if self.pe.el == _EL3:
            return AT_EL3 + self.bank()
        if self.pe.secure:
            return SECURE
        return SHIFTED if self.shifts_priorities() else NONSECURE

    def _dir_reaches(self, el: i64) -> i64:
        """Bit n: DIR deactivates interrupts of Group n at this Exception level (rule PE-11)."""
        pe = self.pe
        if el == _EL3:
            return _ALL_GROUPS
        groups: i64 = 0
        # What EL2 takes for itself is not for EL1 to end.
        below = el < _EL2
        if not pe.scr_fiq and not (below and pe.hcr_fmo) and (self.one_state or pe.secure):
            groups |= bit(GROUP0)
        if not pe.scr_irq and not (below and pe.hcr_imo):
            groups |= bit(GROUP1)
            if pe.secure:
                groups |= bit(SECURE_GROUP1)
        return groups

    def deactivate(self, intid: i64) -> None:
        """Write DIR: only what is the PE's to end in its state (rules CPU-11 and PE-11)."""
        bank = self._bank(intid)
        if bank is not None and self._deactivates >> bank.group(intid - bank.first) & 1:
            super().deactivate(intid)

    def finish(self, intid: i64) -> None:
        """See `CpuInterface.finish`: only what is for a hypervisor to end in the PE's state (rule VCPU-34)."""
        bank = self._bank(intid)
        if bank is not None and self._finishes >> bank.group(intid - bank.first) & 1:
            super().finish(intid)
