"""What a guest of KVM may see and the model not: each freedom, and that what is beyond it is a difference."""

from collections.abc import Callable, Sequence

import pytest

import kvm_lists
import kvm_lpis
import vgic
from vgic_tools.judges.freedoms import LINGERS, LIST_REGISTERS, LISTED, MOVES, TIES, Difference, Follower, perform
from vgic_tools.judges.guest import Result, mrs, msr, read, write
from vgic_tools.judges.kvm_guest import GICD_BASE, GICR_BASE, TABLES, TABLES_SIZE, GuestStep, Step
from vgic_tools.judges.kvm_guests import guest_config
from vgic_tools.judges.protocol import Line, Machine

SGI_BASE = GICR_BASE + 0x1_0000
IRQ = 0x80
LOOK = GuestStep(0, read(GICD_BASE, 4))
"""Something by which a vCPU leaves its guest."""
STAY = GuestStep(0, mrs(vgic.ICC_PMR_EL1))
"""And something by which it does not."""


def acknowledge(cpu: int = 0) -> Step:
    return GuestStep(cpu, mrs(vgic.ICC_IAR1_EL1))


def store(offset: int, value: int, size: int = 4, cpu: int = 0) -> Step:
    return GuestStep(cpu, write(GICD_BASE + offset, size, value))


def up(*intids: int) -> list[Step]:
    return [Line(0, intid, True) for intid in intids]


class Twins:
    """A follower, and a model in KVM's place, whose answers are changed where a step has a function beside it."""

    def __init__(self, vcpus: int = 1, priorities: Sequence[int] = (0x80,) * 8) -> None:
        self.kvm = vgic.Gic(guest_config(Machine(vcpus)))
        self.follower = Follower(vgic.Gic(guest_config(Machine(vcpus))))
        steps = [store(0, 2), store(0x104, 0xFF), *(store(0x420 + n, at, 1) for n, at in enumerate(priorities))]
        for cpu in range(vcpus):
            steps.append(GuestStep(cpu, msr(vgic.ICC_PMR_EL1, 0xF8)))
            steps.append(GuestStep(cpu, msr(vgic.ICC_IGRPEN1_EL1, 1)))
            steps.append(GuestStep(cpu, read(GICD_BASE, 4)))
        assert self.go(*steps)

    def go(self, *steps: Step, change: Callable[[Result], Result] | None = None) -> bool:
        """Perform steps; what KVM tells of the last of them is changed."""
        results = [perform(self.kvm, step) for step in steps]
        if change is not None and results[-1] is not None:
            results[-1] = change(results[-1])
        return self.follower.follow(steps, results)

    @property
    def allowed(self) -> dict[str, int]:
        return dict(self.follower.freedoms)


def silent(result: Result) -> Result:
    assert result.isr
    return result._replace(isr=0)


def signalled(result: Result) -> Result:
    assert not result.isr
    return result._replace(isr=IRQ)


@pytest.mark.rule("KVM-70")
@pytest.mark.parametrize("change", [silent, lambda result: result._replace(value=1023)])
def test_more_than_the_list_registers_hold_may_be_offered_late(change: Callable[[Result], Result]) -> None:
    twins = Twins()
    assert not twins.go(*up(32, 33, 34, 35, 36), LOOK, change=change)
    assert twins.allowed == {LIST_REGISTERS: 1}
    # Also when they are fewer, until the vCPU leaves its guest.
    ends = [acknowledge(), GuestStep(0, msr(vgic.ICC_EOIR1_EL1, 32)), store(0x284, 1), STAY]
    twins = Twins()
    assert twins.go(*up(32, 33, 34, 35, 36), LOOK, *ends[:2])
    assert not twins.go(STAY, change=change)
    # Four fit.
    twins = Twins()
    with pytest.raises(Difference, match="operation"):
        twins.go(*up(32, 33, 34, 35), LOOK, change=change)
    twins = Twins()
    twins.go(*up(32, 33, 34, 35, 36), LOOK, *ends[:2], LOOK)
    with pytest.raises(Difference):
        twins.go(STAY, change=change)


@pytest.mark.rule("KVM-70")
@pytest.mark.parametrize(
    ("active_first", "active", "followed"), [(True, 4, True), (True, 5, False), (False, 2, False)]
)
def test_what_is_finished_may_be_in_no_list_register(active_first: bool, active: int, followed: bool) -> None:
    twins = Twins()
    twins.follower = Follower(twins.follower.gic, active_first=active_first)
    twins.go(*up(*range(32, 38)), store(0x304, (1 << active) - 1))
    assert twins.go(GuestStep(0, msr(vgic.ICC_EOIR1_EL1, 32))) == followed
    assert twins.allowed == ({} if followed else {LIST_REGISTERS: 1})


@pytest.mark.rule("PRIO-10")
def test_of_equal_priorities_the_model_takes_what_kvm_took() -> None:
    twins = Twins(priorities=(0x80, 0x80, 0x90))
    twins.go(*up(32, 33, 34))
    perform(twins.kvm, store(0x284, 1))
    assert twins.go(GuestStep(0, mrs(vgic.ICC_HPPIR1_EL1)))
    assert twins.go(acknowledge())
    perform(twins.kvm, store(0x204, 1))
    assert twins.allowed == {TIES: 2}
    assert twins.go(GuestStep(0, read(GICD_BASE + 0x304, 4)))
    assert twins.follower.gic.spi(33).active
    for wrong in (34, 35, 1023):
        twins = Twins(priorities=(0x80, 0x80, 0x90))
        with pytest.raises(Difference):
            twins.go(
                *up(32, 33, 34), acknowledge(), change=lambda result, wrong=wrong: result._replace(value=wrong)
            )
        assert twins.allowed == {}


@pytest.mark.rule("KVM-71")
@pytest.mark.parametrize("moves", [[store(0x6100, 1, 8)], [store(0, 0), store(0, 2)]])
def test_what_moves_may_come_late(moves: list[Step]) -> None:
    twins = Twins(2)
    looks = [GuestStep(cpu, read(GICD_BASE, 4)) for cpu in range(2)]
    twins.go(*up(32), *moves)
    late = silent if twins.kvm.outputs(1)[0] else signalled
    assert twins.go(looks[1], change=late)
    assert twins.allowed == {MOVES: 1}
    assert twins.go(looks[0])
    with pytest.raises(Difference):
        twins.go(looks[1], change=late)
    # Nothing but the outputs.
    twins = Twins(2)
    with pytest.raises(Difference):
        twins.go(*up(32), *moves, looks[1], change=lambda result: result._replace(value=result.value ^ 2))


@pytest.mark.rule("KVM-71")
def test_what_is_freed_elsewhere_may_come_late() -> None:
    twins = Twins(2)
    assert twins.go(*kvm_lists.FREED, change=silent)
    assert twins.allowed == {MOVES: 1}
    assert twins.go(*kvm_lists.LOOKS)
    with pytest.raises(Difference):
        twins.go(LOOK, change=silent)
    # Not where it was active at the vCPU that makes it inactive, and leaves its guest by that.
    twins = Twins(2)
    own = [GuestStep(1, step.operation) if step == kvm_lists.FREED[-1] else step for step in kvm_lists.FREED]
    assert isinstance(own[-1], GuestStep)
    assert twins.go(*own)
    with pytest.raises(Difference):
        twins.go(LOOK, change=silent)


@pytest.mark.rule("KVM-72")
def test_an_edge_may_linger() -> None:
    end = GuestStep(0, msr(vgic.ICC_EOIR1_EL1, 32))
    twins = Twins()
    twins.go(*up(32), acknowledge(), *up(32), store(0x184, 1))
    assert twins.go(end, change=signalled)
    assert twins.go(STAY, change=signalled)
    assert twins.allowed == {LINGERS: 2}
    assert twins.go(LOOK)
    with pytest.raises(Difference):
        twins.go(STAY, change=signalled)
    # An edge that is still enabled is offered by the model, too; and one that has not come again, by none.
    for again in (up(32), [store(0x184, 1)]):
        twins = Twins()
        twins.go(*up(32), acknowledge(), *again)
        with pytest.raises(Difference):
            twins.go(end, change=lambda result: result._replace(isr=result.isr ^ IRQ))


@pytest.mark.rule("KVM-73")
@pytest.mark.parametrize(("steps", "listed"), kvm_lists.PROGRAMS.values(), ids=kvm_lists.PROGRAMS)
def test_what_a_vcpu_still_has_is_not_overlooked(steps: list[Step], listed: bool) -> None:
    twins = Twins(2)
    assert twins.go(*steps)
    twins.follower.gic.check()
    assert any(twins.follower.gic.highest_pending(cpu) for cpu in range(2)) == listed
    assert twins.allowed.get(LISTED, 0) == listed


@pytest.mark.rule("KVM-74")
@pytest.mark.parametrize("active", [False, True], ids=["7.2", "6.12"])
@pytest.mark.parametrize(("program", "held_back", "idle"), kvm_lpis.TAKEN.values(), ids=kvm_lpis.TAKEN)
def test_an_lpi_that_was_taken_is_held_back(
    program: kvm_lpis.Program, held_back: list[int], idle: list[int], active: bool
) -> None:
    kvm, ours = (
        vgic.Gic(guest_config(Machine(2, its=True)), memory=vgic.Ram.zeroed(TABLES, TABLES_SIZE)) for _ in range(2)
    )
    follower = Follower(ours, active_first=active)

    def performed(steps: list[Step]) -> list[Result | None]:
        # In KVM's place is a model, in which no LPI is active.
        results = [perform(kvm, step) for step in steps]
        assert follower.follow(steps, results)
        return results

    if active and held_back != idle:
        with pytest.raises(Difference):
            kvm_lpis.taken(program, performed)
    else:
        assert kvm_lpis.taken(program, performed) == idle
        assert follower.freedoms.total() == 0
