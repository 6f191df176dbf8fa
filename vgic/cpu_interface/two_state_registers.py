"""What system registers do where there are two Security states; which PE finds which is in two_state_sysregs.py.

Priorities are stored as Secure accesses see them. In the Non-secure view those of the lower half, which are
Secure's, are all zero, and the upper half is the whole range.
"""

from typing import Final

from mypy_extensions import i64

from vgic.cpu_interface.group import GROUP0, GROUP1, SECURE_GROUP1
from vgic.cpu_interface.interface import CANDIDATES, PREEMPTION, SELECTABLE, CpuInterface
from vgic.cpu_interface.pending import IDLE_PRIORITY
from vgic.cpu_interface.registers import (
    CBPR,
    EOI_MODE,
    ActivePriorityWord,
    BinaryPoint,
    OfGroup,
    Pmr,
    Register,
    StoredRegister,
)
from vgic.cpu_interface.two_states import EL3_MODE, TwoStateInterface
from vgic.intids import FOR_NONSECURE, FOR_SECURE, SPURIOUS
from vgic.layouts import icc
from vgic.redistributor.sgi import SgiGenerator

__all__ = [
    "AcknowledgeAtEl3",
    "AcknowledgeEither",
    "BankedControl",
    "EitherEndOfInterrupt",
    "El3Control",
    "GenerateSgiBetweenStates",
    "GroupEnables",
    "HighestPendingAtEl3",
    "HighestPendingOfEither",
    "NonsecureActivePriorityWord",
    "NonsecurePmr",
    "NonsecureRunningPriority",
    "OfOneState",
    "OwnBinaryPoint",
    "SecureBinaryPoint",
]

_UPPER_HALF: Final = 0x80
"""The best priority that is Non-secure's."""

_CBPR_EL1S: Final = icc.CTLR_EL3.mask("CBPR_EL1S")
_CBPR_EL1NS: Final = icc.CTLR_EL3.mask("CBPR_EL1NS")
_EOI_MODE_EL3: Final = icc.CTLR_EL3.mask("EOImode_EL3")
_EOI_MODE_EL1S: Final = icc.CTLR_EL3.mask("EOImode_EL1S")
_EOI_MODE_EL1NS: Final = icc.CTLR_EL3.mask("EOImode_EL1NS")

_ENABLE_GRP1NS: Final = 0b01
_ENABLE_GRP1S: Final = 0b10


def _two_states(interface: CpuInterface) -> TwoStateInterface:
    """The CPU interface, as what those of a VM with two Security states are."""
    assert isinstance(interface, TwoStateInterface)
    return interface


def _shifted_up(priority: i64, keeps_idle: bool) -> i64:
    """A priority in the Non-secure view (rule PE-5)."""
    if priority < _UPPER_HALF:
        return 0
    if priority == IDLE_PRIORITY and keeps_idle:
        return priority
    return priority << 1 & 0xFF


class NonsecurePmr(Pmr):
    """ICC_PMR_EL1 in the Non-secure view; while it masks Secure priorities Non-secure cannot change it (PE-5)."""

    def __init__(self, kept: int, keeps_idle: bool) -> None:
        super().__init__(kept)
        self.keeps_idle = keeps_idle

    def view(self, interface: CpuInterface) -> i64:
        return _shifted_up(interface.pmr, self.keeps_idle)

    def get(self, interface: CpuInterface) -> i64:
        return interface.pmr

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        if interface.pmr >= _UPPER_HALF:
            super().put(interface, value >> 1 | _UPPER_HALF, secure)


class NonsecureRunningPriority(Register):
    """ICC_RPR_EL1 in the Non-secure view (PE-5)."""

    def view(self, interface: CpuInterface) -> i64:
        return _shifted_up(interface.running, True)


class SecureBinaryPoint(BinaryPoint):
    """ICC_BPR1_EL1 of Secure EL1 and EL2: with CBPR it is ICC_BPR0_EL1, for writes too (PE-8)."""

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        if interface.groups[self.group].cbpr:
            first = interface.groups[GROUP0]
            first.binary_point = max(value, first.min_binary_point)
            interface.find_masks()
            interface.settle(PREEMPTION)
        else:
            super().put(interface, value, secure)


class OwnBinaryPoint(BinaryPoint):
    """ICC_BPR1_EL1 at EL3: the one of the bank, whatever CBPR is (PE-8)."""

    def view(self, interface: CpuInterface) -> i64:
        return self.get(interface)

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        self.keep(interface, value)
        interface.find_masks()
        interface.settle(PREEMPTION)


class BankedControl(OfGroup):
    """ICC_CTLR_EL1: of either bank, CBPR and EOImode; CBPR is EL3's to write while there are two states (PE-9)."""

    def view(self, interface: CpuInterface) -> i64:
        value: i64 = 0
        if interface.groups[self.group].cbpr:
            value |= CBPR
        if _two_states(interface).eoi_modes[self.group]:
            value |= EOI_MODE
        return value

    def keep(self, interface: CpuInterface, value: i64) -> None:
        interface.groups[self.group].cbpr = value & CBPR != 0
        _two_states(interface).eoi_modes[self.group] = value & EOI_MODE != 0

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        if not interface.one_state:
            value = value & ~CBPR | self.view(interface) & CBPR
        self.keep(interface, value)
        interface.find_derived()
        interface.settle(PREEMPTION)


class El3Control(StoredRegister):
    """ICC_CTLR_EL3: EL3's own EOImode is stored, the rest is in the banks of ICC_CTLR_EL1 (PE-9)."""

    def __init__(self, shows_nonsecure: bool) -> None:
        super().__init__(_EOI_MODE_EL3)
        self.secure_as_shown: i64 = GROUP1 if shows_nonsecure else SECURE_GROUP1

    def view(self, interface: CpuInterface) -> i64:
        value = self.get(interface)
        groups, modes = interface.groups, _two_states(interface).eoi_modes
        if groups[self.secure_as_shown].cbpr:
            value |= _CBPR_EL1S
        if groups[GROUP1].cbpr:
            value |= _CBPR_EL1NS
        if modes[self.secure_as_shown]:
            value |= _EOI_MODE_EL1S
        if modes[GROUP1]:
            value |= _EOI_MODE_EL1NS
        return value

    def get(self, interface: CpuInterface) -> i64:
        return _EOI_MODE_EL3 if _two_states(interface).eoi_modes[EL3_MODE] else 0

    def keep(self, interface: CpuInterface, value: i64) -> None:
        _two_states(interface).eoi_modes[EL3_MODE] = value & _EOI_MODE_EL3 != 0

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        self.keep(interface, value)
        groups, modes = interface.groups, _two_states(interface).eoi_modes
        groups[SECURE_GROUP1].cbpr = value & _CBPR_EL1S != 0
        groups[GROUP1].cbpr = value & _CBPR_EL1NS != 0
        modes[SECURE_GROUP1] = value & _EOI_MODE_EL1S != 0
        modes[GROUP1] = value & _EOI_MODE_EL1NS != 0
        interface.find_derived()
        interface.settle(PREEMPTION)


class GroupEnables(Register):
    """ICC_IGRPEN1_EL3: both banks of ICC_IGRPEN1_EL1 (PE-4)."""

    def view(self, interface: CpuInterface) -> i64:
        value: i64 = 0
        if interface.groups[GROUP1].enabled:
            value |= _ENABLE_GRP1NS
        if interface.groups[SECURE_GROUP1].enabled:
            value |= _ENABLE_GRP1S
        return value

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        what: i64 = CANDIDATES
        if value != self.view(interface):
            what |= SELECTABLE
        interface.groups[GROUP1].enabled = value & _ENABLE_GRP1NS != 0
        interface.groups[SECURE_GROUP1].enabled = value & _ENABLE_GRP1S != 0
        interface.settle(what)


class NonsecureActivePriorityWord(ActivePriorityWord):
    """ICC_AP1R<n>_EL1 of the Non-secure bank, of which a write reaches only some bits (PE-10, PE-20)."""

    def __init__(self, kept: int, number: int, reach: int, reach_of_one_state: int) -> None:
        super().__init__(kept, GROUP1, number)
        self.reach: i64 = reach
        self.reach_of_one_state: i64 = reach_of_one_state

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        reach = self.reach_of_one_state if interface.one_state else self.reach
        super().put(interface, value & reach | self.view(interface) & ~reach, secure)


class OfOneState(Register):
    """A register of Group 0 for Non-secure, which has it only once there is one Security state (PE-6)."""

    def __init__(self, register: Register) -> None:
        self.register = register

    def view(self, interface: CpuInterface) -> i64:
        return self.register.view(interface) if interface.one_state else SPURIOUS

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        if interface.one_state:
            self.register.put(interface, value, secure)


def _whose(group: i64) -> i64:
    """What EL3 reads in the place of the INTID of a Group 1 interrupt: in which state it is to be handled."""
    return FOR_SECURE if group == SECURE_GROUP1 else FOR_NONSECURE


class AcknowledgeAtEl3(Register):
    """ICC_IAR0_EL1 at EL3 (PE-6)."""

    def view(self, interface: CpuInterface) -> i64:
        group = interface.best_in.number
        if group == GROUP0:
            return interface.acknowledge(GROUP0)
        return _whose(group) if interface.can_preempt() else SPURIOUS


class AcknowledgeEither(Register):
    """ICC_IAR1_EL1 at EL3 (PE-6)."""

    def view(self, interface: CpuInterface) -> i64:
        group = interface.best_in.number
        return SPURIOUS if group == GROUP0 else interface.acknowledge(group)


class HighestPendingAtEl3(Register):
    """ICC_HPPIR0_EL1 at EL3 (PE-6)."""

    def view(self, interface: CpuInterface) -> i64:
        group = interface.best_in.number
        intid = interface.highest_pending(group)
        return intid if group == GROUP0 or intid == SPURIOUS else _whose(group)


class HighestPendingOfEither(Register):
    """ICC_HPPIR1_EL1 at EL3 (PE-6)."""

    def view(self, interface: CpuInterface) -> i64:
        group = interface.best_in.number
        return SPURIOUS if group == GROUP0 else interface.highest_pending(group)


class EitherEndOfInterrupt(Register):
    """ICC_EOIR1_EL1 at EL3 (PE-15)."""

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        if interface.running_group > GROUP0:
            interface.end_of_interrupt(interface.running_group, value)


class GenerateSgiBetweenStates(Register):
    """ICC_SGI1R_EL1, ICC_ASGI1R_EL1 or ICC_SGI0R_EL1, written by either state (PE-12, PE-13)."""

    def __init__(self, generator: SgiGenerator, register: int, secure: bool) -> None:
        self.generator = generator
        self.groups: i64 = generator.groups(register, secure, one_state=False)
        self.groups_of_one_state: i64 = generator.groups(register, secure, one_state=True)

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        groups = self.groups_of_one_state if interface.one_state else self.groups
        self.generator.send(interface.cpu, value, groups)
