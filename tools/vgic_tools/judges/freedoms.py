"""A guest of a live KVM, followed by the model: what came of each operation, compared.

KVM gives a guest what fits into the list registers of its CPUs, and brings them up to date when a vCPU leaves its
guest. So there is some freedom in what the guest sees. The rules in specs/kvm.md say which, and here is where a
difference is allowed by one of them: each is counted by the id of its rule. Where KVM chose otherwise, the model
follows.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import vgic
from vgic.cpu_interface.interface import NOT_ACTIVE
from vgic_tools.judges.concerns import ACKNOWLEDGE, END, Concerns
from vgic_tools.judges.guest import Kind, Operation, Result
from vgic_tools.judges.kvm_guest import GuestStep, Step
from vgic_tools.judges.protocol import Line, Message, Poke

__all__ = [
    "LINGERS",
    "LISTED",
    "LIST_REGISTERS",
    "MOVES",
    "TIES",
    "UNDEFINED",
    "Difference",
    "Follower",
    "moves",
    "perform",
]

LIST_REGISTERS: Final = "KVM-70"
TIES: Final = "PRIO-10"
MOVES: Final = "KVM-71"
LINGERS: Final = "KVM-72"
LISTED: Final = "KVM-73"

SLOTS: Final = 4
"""List registers of the CPUs that QEMU's TCG has."""

_HIGHEST: Final = {vgic.ICC_HPPIR0_EL1: 0, vgic.ICC_HPPIR1_EL1: 1}
_SGI: Final = (vgic.ICC_SGI0R_EL1, vgic.ICC_SGI1R_EL1, vgic.ICC_ASGI1R_EL1)
_IROUTER: Final = 0x6000
GITS_CWRITER: Final = 0x88


class Difference(AssertionError):  # noqa: N818 - it is what a comparison ends with
    """The model does something else than KVM, which no rule allows."""

    def __init__(self, text: str, got: Result) -> None:
        super().__init__(text)
        self.got = got
        """What the model came to."""
        self.at = 0
        """Steps before it, of those that were followed at once."""


def perform(gic: vgic.Gic, step: Step) -> Result | None:
    """What comes of a step on the model, as `KvmGuest.perform` tells it."""
    match step:
        case Line(cpu, intid, level):
            line = gic.spi(intid) if intid >= 32 else gic.ppi(cpu, intid)
            line.set_level(level)
            return None
        case Message(device_id, event_id):
            gic.msi(device_id, event_id)
            return None
        case Poke(address, data):
            gic.memory.write(address, data)
            return None
    cpu, operation = step
    value: int | None = 0
    match operation.kind:
        case Kind.READ:
            value = gic.read(operation.address, operation.size, cpu)
        case Kind.WRITE:
            gic.write(operation.address, operation.size, operation.value, cpu)
        case Kind.MRS:
            value = gic.mrs(cpu, operation.encoding)
        case Kind.MSR:
            value = 0 if gic.msr(cpu, operation.encoding, operation.value) else None
    irq, fiq = gic.outputs(cpu)
    return Result(value or 0, UNDEFINED if value is None else 0, irq << 7 | fiq << 6)


UNDEFINED: Final = 1 << 25
"""ESR_EL1 of an instruction that is UNDEFINED: exception class 0, 32 bits wide."""


def leaves(operation: Operation) -> bool:
    """True where KVM has the vCPU leave its guest for an operation."""
    return operation.kind in (Kind.READ, Kind.WRITE) or operation.encoding in _SGI


class Follower:
    """The model beside a guest of KVM. `freedoms` counts what its rules allowed.

    `active_first`: active interrupts are the first that KVM puts into list registers, and LPIs can be active; 7.2
    puts pending ones first.
    """

    def __init__(self, gic: vgic.Gic, active_first: bool = True) -> None:
        self.gic = gic
        self.concerns = Concerns(gic, lpis_active=active_first)
        self._active_first = active_first
        self.freedoms: Counter[str] = Counter()
        self.steps = 0
        """Steps that were followed."""
        self.compared = 0
        """Operations of vCPUs that were compared."""
        vcpus = range(len(gic.config.topology))
        self._crowded = [False for _ in vcpus]
        """More concerns a vCPU than it has list registers, or did when it last left its guest."""
        self._lingers = [False for _ in vcpus]
        """Something may be in its list registers that is not for it any more."""
        self._behind: set[int] = set()
        """The vCPUs that have not run since something may have moved."""
        self._listed: list[set[int]] = [set() for _ in vcpus]
        """INTIDs that KVM lists for each vCPU: those that have concerned it since it last left its guest."""
        self._running = -1

    def follow(self, steps: Sequence[Step], results: Sequence[Result | None]) -> bool:
        """Perform steps on the model, and compare; False where what KVM did cannot be followed any more (KVM-70).

        Raises Difference.
        """
        for at, (step, result) in enumerate(zip(steps, results, strict=True)):
            if not isinstance(step, GuestStep) or result is None:
                self._leave()
                self._running = -1
                perform(self.gic, step)
                self.concerns.hold_back()
                self._list()
            else:
                try:
                    if not self._follow(step, result):
                        return False
                except Difference as difference:
                    difference.at = at
                    raise
            self.steps += 1
        self._leave()
        return True

    def _follow(self, step: GuestStep, result: Result) -> bool:
        cpu, operation = step
        if cpu != self._running:
            self._leave()
            self._running = cpu
            self._crowded[cpu] = self._lingers[cpu] = False
        self.concerns.before(step)
        self._crowded[cpu] |= self.concerns.entries(cpu) > SLOTS
        if self._crowded[cpu] and operation.encoding in END and self._may_miss(cpu, operation.value & 0xFF_FFFF):
            self.freedoms[LIST_REGISTERS] += 1
            return False
        self._lingers[cpu] |= self.concerns.lingers(step)
        if leaves(operation):
            # KVM looks after its list first, and then does what is asked.
            self._listed[cpu] = set(self.concerns.of(cpu))
        misplaced = self.concerns.misplaced()
        expected = self._take(step, result)
        self.concerns.note(step, expected.value)
        if moves(self.gic, operation):
            self._behind = set(range(len(self._crowded)))
            self._notice_listed()
        elif self.concerns.freed(misplaced, cpu):
            self._behind = set(range(len(self._crowded)))
        self.concerns.hold_back()
        irq, fiq = self.gic.outputs(cpu)
        expected = expected._replace(isr=irq << 7 | fiq << 6)
        self._list()
        crowded = self.concerns.entries(cpu) > SLOTS
        self.compared += 1
        try:
            if _seen(expected) == _seen(result):
                return True
            if self._crowded[cpu] or crowded:
                self.freedoms[LIST_REGISTERS] += 1
                return False
            self._allow(step, expected, result)
            return True
        finally:
            self._behind.discard(cpu)
            self._crowded[cpu] = crowded if leaves(operation) else self._crowded[cpu] or crowded
            if leaves(operation):
                self._lingers[cpu] = False

    def _allow(self, step: GuestStep, expected: Result, result: Result) -> None:
        """Raises Difference unless a rule allows what was seen."""
        cpu = step.cpu
        if _seen(expected)[:2] == _seen(result)[:2]:
            if self._lingers[cpu]:
                self.freedoms[LINGERS] += 1
                return
            if self._behind:
                self.freedoms[MOVES] += 1
                return
        best = self.gic.highest_pending(cpu)
        if best is not None and len({group for _, group in self.concerns.ties(cpu)}) == 2:
            # Which of the two outputs signals is a matter of which interrupt is first.
            swapped = result._replace(isr=(result.isr & 0x80) >> 1 | (result.isr & 0x40) << 1)
            if _seen(expected) in (_seen(swapped), _seen(result)):
                self.freedoms[TIES] += 1
                return
        text = f"operation {self.compared}, {step}: the model {_seen(expected)}, KVM {_seen(result)}"
        raise Difference(text, expected)

    def _may_miss(self, cpu: int, intid: int) -> bool:
        """True where what is finished may be in no list register, or KVM take it for another that is in none."""
        active = self.concerns.entries(cpu, active=True)
        if self._active_first:
            return active > SLOTS
        if active != 1 or self.gic.interface(cpu).eoi_mode or intid >= 32 + self.gic.config.spis:
            return active > 0
        bank = self.gic.bank(cpu, intid)
        return bank.active_priority(intid - bank.first, cpu) == NOT_ACTIVE

    # What KVM lists for a vCPU.

    def _leave(self) -> None:
        """The vCPU that runs has left its guest."""
        if self._running >= 0:
            self._listed[self._running] = set(self.concerns.of(self._running))

    def _list(self) -> None:
        for cpu, listed in enumerate(self._listed):
            listed.update(self.concerns.of(cpu))

    def _notice_listed(self) -> None:
        """After a change of what vCPUs get: what is listed anywhere is not overlooked (KVM-73)."""
        for owner, listed in enumerate(self._listed):
            for intid in listed:
                if self.concerns.notice(owner, intid):
                    self.freedoms[LISTED] += 1

    def _take(self, step: GuestStep, result: Result) -> Result:
        """`perform`, but of several interrupts of one priority let the vCPU have the one that KVM let it have."""
        cpu, operation = step
        acknowledged = operation.kind is Kind.MRS and operation.encoding in ACKNOWLEDGE
        if not acknowledged and not (operation.kind is Kind.MRS and operation.encoding in _HIGHEST):
            return _performed(self.gic, step)
        ties = self.concerns.ties(cpu)
        best = self.gic.highest_pending(cpu)
        group = ACKNOWLEDGE.get(operation.encoding, _HIGHEST.get(operation.encoding))
        chosen = next(((intid, of) for intid, of in ties if intid == result.value), None)
        if chosen is None and result.value == vgic.SPURIOUS:
            # One of the other group is first.
            chosen = next(((intid, of) for intid, of in ties if of != group), None)
        if best is None or chosen is None or chosen[0] == best.intid or self._crowded[cpu]:
            return _performed(self.gic, step)
        self.freedoms[TIES] += 1
        hidden = [intid for intid, _ in ties if intid != chosen[0]]
        self.concerns.hide(cpu, hidden, True)
        expected = _performed(self.gic, step)
        self.concerns.hide(cpu, hidden, False)
        return expected


def _performed(gic: vgic.Gic, step: Step) -> Result:
    result = perform(gic, step)
    assert result is not None
    return result


def _seen(result: Result) -> tuple[int, bool, bool, bool]:
    return result.value, result.undefined, result.irq, result.fiq


def moves(gic: vgic.Gic, operation: Operation) -> bool:
    """True of a write that can move what is pending from one vCPU to another.

    Of GICD_CTLR, GICD_IROUTER<n>, or GITS_CWRITER.
    """
    offset = operation.address - gic.config.gicd_base
    commands = [base + GITS_CWRITER for base in gic.config.its]
    return operation.kind is Kind.WRITE and (
        0 <= offset < 4 or _IROUTER <= offset < 0x8000 or operation.address in commands
    )
