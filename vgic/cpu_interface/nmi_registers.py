"""What system registers of a VM with NMIs do (GICv3.3); which PE finds which is in nmi_sysregs.py.

Bit 63 is the sign of an integer of the machine: it is so in what these registers compute with.
"""

from mypy_extensions import i64

from vgic.bits import bit
from vgic.cpu_interface.group import GROUP1, SECURE_GROUP1
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.nmi import NmiGroupState
from vgic.cpu_interface.pending import is_superior
from vgic.cpu_interface.registers import Register
from vgic.intids import NMI_WAITS, SPURIOUS

__all__ = ["AcknowledgeNmi", "AcknowledgeUnlessNmi", "RunningNmi", "RunningNmiOfEither", "nmi_active", "with_nmis"]


def nmi_active(interface: CpuInterface, group: i64) -> bool:
    """An interrupt of the group that has superpriority is active and not dropped."""
    state = interface.groups[group]
    return isinstance(state, NmiGroupState) and state.nmi_active


def with_nmis(priority: i64, nmi: bool, nonsecure: bool) -> i64:
    """ICC_RPR_EL1 of a running priority, with NMI and NMI_NS."""
    if nonsecure:
        priority |= bit(62)
    return priority - bit(62) - bit(62) if nmi else priority


class RunningNmi(Register):
    """ICC_RPR_EL1 with one Security state (NMI-4)."""

    def __init__(self, as_nonsecure: bool) -> None:
        self.as_nonsecure = as_nonsecure

    def view(self, interface: CpuInterface) -> i64:
        active = nmi_active(interface, GROUP1)
        return with_nmis(interface.running, active and not self.as_nonsecure, active and self.as_nonsecure)


class RunningNmiOfEither(Register):
    """ICC_RPR_EL1 with two Security states (NMI-14)."""

    def __init__(self, running: Register, nonsecure: bool, heeds_ds: bool) -> None:
        self.running = running
        """The running priority as its reader sees it."""
        self.nonsecure = nonsecure
        self.heeds_ds = heeds_ds

    def view(self, interface: CpuInterface) -> i64:
        priority = self.running.view(interface)
        of_nonsecure, of_secure = nmi_active(interface, GROUP1), nmi_active(interface, SECURE_GROUP1)
        if interface.one_state and self.heeds_ds:
            return with_nmis(priority, of_nonsecure or of_secure, False)
        if self.nonsecure:
            return with_nmis(priority, of_nonsecure, False)
        return with_nmis(priority, of_secure, of_nonsecure)


class AcknowledgeUnlessNmi(Register):
    """ICC_IAR1_EL1: with SCTLR_ELx.NMI it is ICC_NMIAR1_EL1 that takes NMIs (NMI-5)."""

    def __init__(self, taking: Register, groups: i64) -> None:
        self.taking = taking
        """What it is otherwise."""
        self.groups = groups
        """Bit n: it takes interrupts of Group n."""

    def view(self, interface: CpuInterface) -> i64:
        waits = interface.pe.sctlr_nmi and is_superior(interface.best_key)
        if waits and self.groups >> interface.best_in.number & 1 and interface.can_preempt():
            return NMI_WAITS
        return self.taking.view(interface)


class AcknowledgeNmi(Register):
    """ICC_NMIAR1_EL1: reading takes the interrupt, if it has superpriority (NMI-5)."""

    def __init__(self, taking: Register) -> None:
        self.taking = taking
        """What takes any interrupt of the same groups."""

    def view(self, interface: CpuInterface) -> i64:
        return self.taking.view(interface) if is_superior(interface.best_key) else SPURIOUS
