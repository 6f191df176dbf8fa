"""The trap plan: what a hypervisor must trap, so that a guest keeps its view of the CPU interface on another host.

A difference between the guest's view and the host is bridged by controls of ICH_HCR_EL2. A control is coarse: it
traps a whole class of registers, of which the guest's view may need a single read. A plan therefore tells what it
needs apart from what it traps along with it, and both from the SGI registers, which trap with or without a plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Final, NamedTuple

from vgic.host.capabilities import CpuInterfaceView, HostCapabilities
from vgic.layouts.ich import HCR

__all__ = [
    "ALWAYS_TRAPPED",
    "TRAPPED_BY",
    "Accesses",
    "Control",
    "Difference",
    "RegisterAccess",
    "TrapPlan",
    "trap_plan",
]


class Control(Enum):
    """A trap control; its name is that of the bit of ICH_HCR_EL2."""

    TC = "registers common to both groups"
    TALL0 = "registers of Group 0"
    TALL1 = "registers of Group 1"
    TSEI = "locally generated SErrors"


class RegisterAccess(NamedTuple):
    """A guest's read or write of a register of the CPU interface, from AArch64 or AArch32."""

    register: str
    """Arm's name in AArch64: "ICC_PMR_EL1"."""
    write: bool

    def __str__(self) -> str:
        return f"{'write' if self.write else 'read'} of {self.register}"


Accesses = frozenset[RegisterAccess]
"""Accesses, in no order."""


def _reads(*registers: str) -> Accesses:
    return frozenset(RegisterAccess(f"ICC_{register}_EL1", write=False) for register in registers)


def _writes(*registers: str) -> Accesses:
    return frozenset(RegisterAccess(f"ICC_{register}_EL1", write=True) for register in registers)


def _active_priorities(group: int) -> tuple[str, ...]:
    return tuple(f"AP{group}R{n}" for n in range(4))


def _of_group(group: int) -> Accesses:
    stored = (f"BPR{group}", f"IGRPEN{group}", *_active_priorities(group))
    return _reads(f"IAR{group}", f"HPPIR{group}", *stored) | _writes(f"EOIR{group}", *stored)


ALWAYS_TRAPPED: Final[Accesses] = _writes("SGI0R", "SGI1R", "ASGI1R")
"""What traps without a plan: these registers have no virtual form, so HCR_EL2.IMO or FMO, which every hypervisor of
this kind sets, traps them. Rule HOST-5."""

TRAPPED_BY: Final[Mapping[Control, Accesses]] = {
    Control.TC: _reads("CTLR", "PMR", "RPR") | _writes("CTLR", "PMR", "DIR") | ALWAYS_TRAPPED,
    Control.TALL0: _of_group(0),
    Control.TALL1: _of_group(1) | _reads("NMIAR1"),
    Control.TSEI: frozenset(),
}
"""What each control traps. An access that the register does not have, such as a write of ICC_RPR_EL1, is UNDEFINED
and so not listed; nor does one of a register that the host lacks trap (AP0R1 to AP0R3, AP1R1 to AP1R3, NMIAR1).
Rules HOST-3 and HOST-4."""


@dataclass(frozen=True)
class Difference:
    """One field in which the guest's view and the host differ, and what bridges it."""

    field: str
    """The field of ICH_VTR_EL2: "A3V", "PRIbits", "PREbits", "IDbits" or "SEIS"."""
    guest: int
    """What the guest sees: a number of bits, or 0 and 1 for A3V and SEIS."""
    host: int
    """What the host has, in the same unit."""
    reason: str
    """What would be wrong untrapped, or why nothing helps."""
    needed: Accesses = frozenset()
    """The accesses that must be trapped for the guest to see its own value."""
    controls: tuple[Control, ...] = ()
    """The controls that bridge the difference; none where the host cannot run the guest."""
    kvm_refuses: bool = False
    """Linux's KVM answers EINVAL to such an ICC_CTLR_EL1 when a guest is restored. Rule HOST-12."""

    def __str__(self) -> str:
        return f"{self.field} is {self.guest} for the guest, {self.host} on the host: {self.reason}"


@dataclass(frozen=True)
class TrapPlan:
    """How a host shows a guest its own view. Ask `possible` first; the rest is about what can be bridged."""

    differences: tuple[Difference, ...]
    """In the order of the fields of ICH_VTR_EL2, none where guest and host agree."""

    @property
    def possible(self) -> bool:
        """Every difference can be bridged."""
        return all(difference.controls for difference in self.differences)

    @property
    def controls(self) -> tuple[Control, ...]:
        """The controls to set, in the order of `Control`."""
        wanted = {control for difference in self.differences for control in difference.controls}
        return tuple(control for control in Control if control in wanted)

    @property
    def hcr(self) -> int:
        """The bits to set in ICH_HCR_EL2."""
        return HCR.encode({control.name: 1 for control in self.controls})

    @property
    def needed(self) -> Accesses:
        """The accesses that must be trapped."""
        return frozenset().union(*(difference.needed for difference in self.differences))

    @property
    def collateral(self) -> Accesses:
        """The accesses that need no trapping, but are trapped along by the controls, and would not be without."""
        return self.added - self.needed

    @cached_property
    def added(self) -> Accesses:
        """The accesses that trap because of the plan: those of its controls but for `ALWAYS_TRAPPED`."""
        return frozenset().union(*(TRAPPED_BY[control] for control in self.controls)) - ALWAYS_TRAPPED

    def traps(self, register: str, write: bool) -> bool:
        """True where the plan makes this access an exit that it would not be otherwise.

        `register` is Arm's name, with or without the exception level, of the physical or the virtual register:
        "ICC_PMR", "ICV_PMR_EL1". One that no plan traps is False.
        """
        return _access(register, write) in self.added

    @staticmethod
    def traps_anyway(register: str, write: bool) -> bool:
        """True where this access is an exit under any plan, and without one; names as for `traps`. Rule HOST-5."""
        return _access(register, write) in ALWAYS_TRAPPED


def _access(register: str, write: bool) -> RegisterAccess:
    stem = register.removesuffix("_EL1")
    if stem.startswith("ICV_"):
        stem = "ICC_" + stem.removeprefix("ICV_")
    return RegisterAccess(f"{stem}_EL1", write)


def trap_plan(view: CpuInterfaceView, host: HostCapabilities) -> TrapPlan:
    """What to trap on `host` so that a guest sees `view`. Raises nothing. Rules HOST-6 to HOST-13.

    >>> plan = trap_plan(CpuInterfaceView(a3v=True), HostCapabilities(a3v=False))
    >>> [str(access) for access in plan.needed], [control.name for control in plan.controls]
    (['read of ICC_CTLR_EL1'], ['TC'])
    """
    compared = (_priority_bits, _preemption_bits, _id_bits, _seis, _a3v)
    return TrapPlan(tuple(found for compare in compared if (found := compare(view, host))))


_CTLR: Final = _reads("CTLR")
_SHOWN: Final = "ICC_CTLR_EL1 would show the host's"


def _priority_bits(view: CpuInterfaceView, host: HostCapabilities) -> Difference | None:
    guest, has = view.priority_bits, host.priority_bits
    if guest > has:
        reason = "list registers and ICC_PMR_EL1 lose the lowest bits, short of emulating the whole CPU interface"
        return Difference("PRIbits", guest, has, reason, kvm_refuses=True)
    if guest < has:
        reason = f"{_SHOWN}, and ICC_PMR_EL1 keep bits that the guest does not have"
        return Difference("PRIbits", guest, has, reason, _CTLR | _writes("PMR"), (Control.TC,))
    return None


def _preemption_bits(view: CpuInterfaceView, host: HostCapabilities) -> Difference | None:
    guest, has = view.preemption_bits, host.preemption_bits
    if guest > has:
        reason = "there are too few levels of preemption, short of emulating the whole CPU interface"
        return Difference("PREbits", guest, has, reason)
    if guest < has:
        active = (*_active_priorities(0), *_active_priorities(1))
        needed = _writes("BPR0", "BPR1", *active) | _reads(*active)
        reason = "binary points go below the guest's minimum, and active priorities lie in other bits"
        return Difference("PREbits", guest, has, reason, needed, (Control.TALL0, Control.TALL1))
    return None


def _id_bits(view: CpuInterfaceView, host: HostCapabilities) -> Difference | None:
    guest, has = view.id_bits, host.id_bits
    if guest > has:
        reason = "list registers cannot hold the guest's highest INTIDs"
        return Difference("IDbits", guest, has, reason, kvm_refuses=True)
    if guest < has:
        return Difference("IDbits", guest, has, _SHOWN, _CTLR, (Control.TC,))
    return None


def _seis(view: CpuInterfaceView, host: HostCapabilities) -> Difference | None:
    if view.seis == host.seis:
        return None
    if view.seis:
        return Difference("SEIS", 1, 0, _SHOWN, _CTLR, (Control.TC,), kvm_refuses=True)
    reason = f"{_SHOWN}, and the guest take SErrors that it was told cannot be"
    return Difference("SEIS", 0, 1, reason, _CTLR, (Control.TC, Control.TSEI), kvm_refuses=True)


def _a3v(view: CpuInterfaceView, host: HostCapabilities) -> Difference | None:
    if view.a3v == host.a3v:
        return None
    return Difference("A3V", int(view.a3v), int(host.a3v), _SHOWN, _CTLR, (Control.TC,), kvm_refuses=True)
