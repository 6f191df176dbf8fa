"""What the system registers of a CPU interface do; sysregs.py beside it finds them by their encodings.

They have neither width nor alignment nor lanes, which is what most of a memory-mapped register is about, so they
are simpler than those (mmio.registers): what can be read or written comes from the layout, the rest is `view` and
`put` and, of a register that is state, `get` and `keep`, which are its storage and nothing else.
"""

from typing import Final

from mypy_extensions import i64

from vgic.cpu_interface.group import GROUP0
from vgic.cpu_interface.interface import PREEMPTION, CpuInterface
from vgic.layouts import icc
from vgic.redistributor.sgi import SgiGenerator

__all__ = [
    "CBPR",
    "EOI_MODE",
    "MAX_BPR",
    "Acknowledge",
    "Action",
    "ActivePriorityWord",
    "BinaryPoint",
    "Control",
    "Deactivate",
    "EndOfInterrupt",
    "GenerateSgi",
    "GroupEnable",
    "HighestPending",
    "OfGroup",
    "Pmr",
    "Register",
    "RunningPriority",
    "StoredRegister",
    "VirtualFace",
]

CBPR: Final = icc.CTLR.mask("CBPR")
EOI_MODE: Final = icc.CTLR.mask("EOImode")
MAX_BPR: Final = 7


class Register:
    """What a system register does, the same for all CPU interfaces; by itself, one in which nothing is stored."""

    def view(self, interface: CpuInterface) -> i64:
        """What a read returns, but for the bits that always read as one."""
        return 0

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        """Write `value`, which has no bits but those that a write can reach."""


class StoredRegister(Register):
    """A register that is state of the CPU interface: saved with it, and stored again where it is restored."""

    def __init__(self, kept: int) -> None:
        # Bit 63, which some have, is in no integer of the machine that is not negative.
        self.kept = kept
        """The bits that may differ from one state to another."""
        self.name = ""
        self.ones: i64 = 0
        """The bits that always read as one."""

    def get(self, interface: CpuInterface) -> i64:
        """What is stored, whoever asks: what `view` returns, where that is the same for all."""
        return self.view(interface)

    def saved(self, interface: CpuInterface) -> i64:
        """What is stored, and the bits that always read as one."""
        return self.get(interface) | self.ones

    def restore(self, interface: CpuInterface, value: i64) -> None:
        """`keep` what `saved` returned once."""
        self.keep(interface, value & ~self.ones)

    def keep(self, interface: CpuInterface, value: i64) -> None:
        """Store what `get` returned once, and do nothing else: what follows is told when all is stored."""
        raise NotImplementedError

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        """Write it; what most of these change is what it takes to interrupt the PE."""
        self.keep(interface, value)
        interface.settle(PREEMPTION)


class VirtualFace(Register):
    """A register of the virtual CPU interface, where the PE finds a `physical` one otherwise."""

    def __init__(self, register: Register, physical: Register) -> None:
        self.register = register
        self.physical = physical

    def view(self, interface: CpuInterface) -> i64:
        return 0 if interface.virtual is None else self.register.view(interface.virtual)

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        if interface.virtual is not None:
            self.register.put(interface.virtual, value, secure)


class Pmr(StoredRegister):
    """ICC_PMR_EL1, raw."""

    def view(self, interface: CpuInterface) -> i64:
        return interface.pmr

    def keep(self, interface: CpuInterface, value: i64) -> None:
        interface.pmr = value & interface.priority_mask


class OfGroup(StoredRegister):
    """A register that is state of one group."""

    def __init__(self, kept: int, group: i64) -> None:
        super().__init__(kept)
        self.group = group


class BinaryPoint(OfGroup):
    """With CBPR, a read shows where Group 0 splits priorities, and a write is ignored (PRIO-4, PRIO-6)."""

    def view(self, interface: CpuInterface) -> i64:
        state = interface.groups[self.group]
        if state.cbpr:
            return min(interface.groups[GROUP0].split() - state.split_offset, MAX_BPR)
        return state.binary_point

    def get(self, interface: CpuInterface) -> i64:
        return interface.groups[self.group].binary_point

    def keep(self, interface: CpuInterface, value: i64) -> None:
        state = interface.groups[self.group]
        state.binary_point = max(value, state.min_binary_point)

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        if not interface.groups[self.group].cbpr:
            self.keep(interface, value)
            interface.find_masks()
            interface.settle(PREEMPTION)


class Control(OfGroup):
    """CBPR is state of the group that preempts by another's binary point."""

    def view(self, interface: CpuInterface) -> i64:
        value: i64 = 0
        if interface.groups[self.group].cbpr:
            value |= CBPR
        if interface.eoi_mode:
            value |= EOI_MODE
        return value

    def keep(self, interface: CpuInterface, value: i64) -> None:
        interface.groups[self.group].cbpr = value & CBPR != 0
        interface.eoi_mode = value & EOI_MODE != 0

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        self.keep(interface, value)
        interface.find_masks()
        interface.settle(PREEMPTION)


class GroupEnable(OfGroup):
    """ICC_IGRPEN<n>_EL1."""

    def view(self, interface: CpuInterface) -> i64:
        return 1 if interface.groups[self.group].enabled else 0

    def keep(self, interface: CpuInterface, value: i64) -> None:
        interface.groups[self.group].enabled = value != 0

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        interface.set_group_enable(self.group, value != 0)


class ActivePriorityWord(OfGroup):
    """ICC_AP0R<n> or ICC_AP1R<n>: 32 group priorities a register, the highest in bit 0 of register 0 (CPU-8)."""

    def __init__(self, kept: int, group: i64, number: int) -> None:
        super().__init__(kept, group)
        self.number = number

    def view(self, interface: CpuInterface) -> i64:
        return interface.groups[self.group].word(self.number)

    def keep(self, interface: CpuInterface, value: i64) -> None:
        interface.groups[self.group].set_word(self.number, value)

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        self.keep(interface, value)
        interface.find_running()
        interface.settle(PREEMPTION)


class Action(Register):
    """A register by which a PE takes or finishes interrupts of one group."""

    def __init__(self, group: i64) -> None:
        self.group = group


class RunningPriority(Register):
    """ICC_RPR_EL1, raw."""

    def view(self, interface: CpuInterface) -> i64:
        return interface.running


class Acknowledge(Action):
    """ICC_IAR<n>_EL1: reading takes the interrupt."""

    def view(self, interface: CpuInterface) -> i64:
        return interface.acknowledge(self.group)


class HighestPending(Action):
    """ICC_HPPIR<n>_EL1."""

    def view(self, interface: CpuInterface) -> i64:
        return interface.highest_pending(self.group)


class EndOfInterrupt(Action):
    """ICC_EOIR<n>_EL1."""

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        interface.end_of_interrupt(self.group, value)


class Deactivate(Register):
    """ICC_DIR_EL1."""

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        interface.deactivate(value)


class GenerateSgi(Register):
    """ICC_SGI1R_EL1, ICC_ASGI1R_EL1 or ICC_SGI0R_EL1."""

    def __init__(self, generator: SgiGenerator, register: int) -> None:
        self.generator = generator
        self.groups: i64 = generator.groups(register, secure=False)
        self.secure_groups: i64 = generator.groups(register, secure=True)

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        self.generator.send(interface.cpu, value, self.secure_groups if secure else self.groups)
