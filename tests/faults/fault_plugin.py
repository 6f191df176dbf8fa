"""A pytest plugin that puts a fault into the model: `pytest -p fault_plugin --fault NAME`.

Each fault is a mistake that an implementation of a GIC may make. The suite has to go red for every one of them.
The model's check of itself is silenced meanwhile: a fault has to be noticed by what the GIC does, not by its own
bookkeeping.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import pytest

import vgic
from vgic.cpu_interface import registers
from vgic.cpu_interface.group import GroupState
from vgic.cpu_interface.interface import PREEMPTION, CpuInterface
from vgic.cpu_interface.pending import NO_KEY, PRIORITY_LSB
from vgic.distributor import frame as distributor
from vgic.distributor.spis import SharedInterrupts
from vgic.interrupts.banks import InterruptBank, PrivateInterrupts
from vgic.interrupts.words import InterruptWord
from vgic.layouts import gicr
from vgic.redistributor.frame import Redistributor
from vgic.redistributor.sgi import SgiGenerator

Patch = Callable[[pytest.MonkeyPatch], None]


@contextmanager
def pretending(owner: object, **values: Any) -> Iterator[None]:
    """Within the block, attributes of `owner` have other values."""
    before = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


def always(cls: type, methods: tuple[str, ...], **values: Callable[[Any], Any]) -> Patch:
    """A patch under which `methods` see other attributes: those of `values`, each made from the object."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Any, *arguments: Any) -> Any:
            with pretending(self, **{name: make(self) for name, make in values.items()}):
                return original(self, *arguments)

        return method

    def apply(patch: pytest.MonkeyPatch) -> None:
        for name in methods:
            patch.setattr(cls, name, wrap(getattr(cls, name)))

    return apply


def instead(cls: type, name: str, method: Callable[..., Any]) -> Patch:
    """A patch that replaces a method."""
    return lambda patch: patch.setattr(cls, name, method)


def both(first: Patch, second: Patch) -> Patch:
    """Two patches."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        first(patch)
        second(patch)

    return apply


def zeros(word: InterruptWord) -> int:
    return 0


@contextmanager
def pretending_trigger(bank: InterruptBank, index: int, edge: bool) -> Iterator[None]:
    """Within the block, an interrupt has another trigger."""
    word, bit = bank.words[index >> 5], 1 << (index & 31)
    before = word.edge
    word.edge = before | bit if edge else before & ~bit
    try:
        yield
    finally:
        word.edge = before


def _lines_as(edge: bool) -> Patch:
    """A patch under which lines drive interrupts as if all had one trigger."""
    original = InterruptBank.set_line

    def set_line(self: InterruptBank, index: int, level: bool) -> None:
        with pretending_trigger(self, index, edge):
            original(self, index, level)

    return instead(InterruptBank, "set_line", set_line)


def _highest_tie(self: CpuInterface, original: Callable[[CpuInterface], bool]) -> bool:
    worse = original(self)
    if self.best_key != NO_KEY:
        priority = self.best_key >> PRIORITY_LSB
        keys = self.best_in.queue.keys()
        private = self._banks[0]
        assert isinstance(private, PrivateInterrupts)
        for index in range(private.count):
            if private.is_queued(index) and private.group(index) == self.best_in.number:
                keys.append(private.key(index))
        self.best_key = max(key for key in keys if key >> PRIORITY_LSB == priority)
    return worse


def _enabled_in(*methods: str) -> Patch:
    """A patch under which these methods of a CPU interface find both groups enabled."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: CpuInterface, *arguments: Any) -> Any:
            with pretending(self.groups[0], enabled=True), pretending(self.groups[1], enabled=True):
                return original(self, *arguments)

        return method

    def apply(patch: pytest.MonkeyPatch) -> None:
        for name in methods:
            patch.setattr(CpuInterface, name, wrap(getattr(CpuInterface, name)))

    return apply


def _ties_to_the_highest(patch: pytest.MonkeyPatch) -> None:
    original = CpuInterface.select_best
    patch.setattr(CpuInterface, "select_best", lambda self: _highest_tie(self, original))


def _latch_stays(patch: pytest.MonkeyPatch) -> None:
    original = InterruptBank._acknowledge

    def acknowledge(self: InterruptBank, word: InterruptWord, index: int) -> None:
        latch = word.latch
        original(self, word, index)
        word.latch = latch

    patch.setattr(InterruptBank, "_acknowledge", acknowledge)


def _pmr_keeps_all_bits(self: registers.Pmr, interface: CpuInterface, value: int, secure: bool) -> None:
    interface.pmr = value
    interface.settle(PREEMPTION)


def _every_level_preempts(self: GroupState, lowest_bit: int) -> None:
    self.mask = 0x100 - 0x100 // self.levels


def _last_on_the_last_cpu(patch: pytest.MonkeyPatch) -> None:
    original = Redistributor.__init__

    def init(self: Redistributor, *parts: Any) -> None:
        *others, _ = parts
        original(self, *others, False)
        last = self.interface.cpu == len(self._affinities.affinities) - 1
        self._constant |= gicr.TYPER.encode({"Last": int(last)})

    patch.setattr(Redistributor, "__init__", init)


def _half_route(
    self: distributor._Route, owner: distributor.Distributor, index: int, value: int, mask: int, *_: object
) -> None:
    if index < owner.spis.count:
        owner.spis.set_route(index, value & mask)


def _broadcast_to_all(patch: pytest.MonkeyPatch) -> None:
    original = SgiGenerator._reach

    def reach(self: SgiGenerator, sender: int, value: int, groups: int, found: list[int] | None) -> None:
        # To all but a vCPU that there is not.
        nobody = -1
        original(self, nobody if value >> 40 & 1 else sender, value, groups, found)

    patch.setattr(SgiGenerator, "_reach", reach)


FAULTS: Final[Mapping[str, Patch]] = {
    # SPIs go to vCPU 0, whatever GICD_IROUTER says.
    "route-ignored": instead(SharedInterrupts, "target", lambda self, index: 0),
    # An active interrupt is offered again before it is deactivated.
    "active-ignored": always(InterruptWord, ("due",), active=zeros),
    # Of two interrupts of the same priority the one with the higher INTID is taken.
    "ties-to-highest": _ties_to_the_highest,
    # The line of a level-sensitive interrupt counts when it rises, not while it is high.
    "level-as-edge": both(
        _lines_as(edge=True),
        instead(InterruptWord, "pending", lambda self: self.latch),
    ),
    # EOIR drops the priority, but the interrupt stays active.
    "eoi-keeps-active": always(CpuInterface, ("end_of_interrupt",), eoi_mode=lambda interface: True),
    # Any priority is signalled.
    "pmr-ignored": always(CpuInterface, ("can_preempt",), pmr=lambda interface: 0x100),
    # PMR has more bits than priorities have.
    "pmr-keeps-all-bits": instead(registers.Pmr, "put", _pmr_keeps_all_bits),
    # Subpriorities preempt.
    "bpr-ignored": instead(GroupState, "split_at", _every_level_preempts),
    # A vCPU that is turned on finds the CPU interface as it was when it was turned off.
    "no-reset-at-cpu-on": instead(CpuInterface, "reset", lambda self: None),
    # Acknowledging makes an interrupt active, but leaves it pending.
    "iar-leaves-latch": _latch_stays,
    # GICD_CTLR forwards every group, whatever its enables say.
    "group-enables-ignored": instead(GroupState, "considered", lambda self: self.enabled or self._hides),
    # GICR_TYPER.Last does not mark the end of every region.
    "last-on-last-cpu": _last_on_the_last_cpu,
    # Every interrupt is level-sensitive, whatever GICD_ICFGR says.
    "icfgr-ignored": both(
        _lines_as(edge=False),
        always(InterruptWord, ("pending",), edge=zeros),
    ),
    # ICC_IGRPEN0_EL1 and ICC_IGRPEN1_EL1 enable nothing and disable nothing.
    "igrpen-ignored": both(
        instead(GroupState, "considered", lambda self: self.forwarded),
        _enabled_in("can_preempt", "highest_pending"),
    ),
    # Writing one half of GICD_IROUTER clears the other.
    "irouter-half-clobbers": instead(distributor._Route, "put", _half_route),
    # An SGI to "all but me" reaches me too.
    "broadcast-to-sender": _broadcast_to_all,
}


NO_FAULT: Final = "none"
"""Only silences the model's check of itself."""


def inject(name: str, patch: pytest.MonkeyPatch) -> None:
    """Put a fault into the model until `patch` is undone."""
    patch.setattr(vgic.Gic, "check", lambda self: None)
    if name != NO_FAULT:
        FAULTS[name](patch)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault", choices=[NO_FAULT, *FAULTS], help="put this fault into the model")


def pytest_configure(config: pytest.Config) -> None:
    name = config.getoption("--fault")
    if name is not None:
        inject(name, pytest.MonkeyPatch())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say what exception ended a test, in a form that a program can read."""
    report = yield
    if call.excinfo is not None and report.failed:
        report.sections.append(("noticed", f"{call.when}: {call.excinfo.typename} in {item.nodeid}"))
    return report
