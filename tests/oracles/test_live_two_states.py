"""What a live QEMU with two Security states does, beside Arm's tables: the same but for what is named here."""

import shutil
from collections.abc import Iterator, Sequence
from itertools import product

import pytest

from beside_qemu import NEEDS_QEMU
from security_tables import DEACTIVATES, FINISHES, GROUPS, READERS, SENDS, SIGNALS, TAKES
from vgic.cpu_interface.group import GROUP0, GROUP1, SECURE_GROUP1
from vgic.cpu_interface.pe_state import PeState
from vgic.layouts import icc, ich
from vgic.layouts.icc import sysreg
from vgic_tools.judges.building import COMPILER
from vgic_tools.judges.pe_places import FIQ, IRQ, place_of
from vgic_tools.judges.placed_model import PlacedModel
from vgic_tools.judges.protocol import Load, Machine, Mrs, Msr, Operation, Outcome, Store
from vgic_tools.judges.qemu import configured
from vgic_tools.judges.qemu_guest import RunningQemu

pytestmark = [NEEDS_QEMU, pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs {COMPILER}")]

GICD = 0x0800_0000
WAKER = 0x080A_0014
SGI_FRAMES = (0x080B_0000, 0x080D_0000)
IGROUPR0, ISENABLER0, ISPENDR0, ICPENDR0 = 0x80, 0x100, 0x200, 0x280
ISACTIVER0, IGRPMODR0, NSACR = 0x300, 0xD00, 0xE00

SGI = 5
BIT = 1 << SGI
EL3 = place_of(PeState(3, secure=True))
EL3_NON_SECURE = place_of(PeState(3))
ICC_CTLR_EL3 = sysreg(3, 6, 12, 12, 4)
EOI_MODES = 0b11100
"""Of ICC_CTLR_EL3: at EL3, and in both states."""
DS = 1 << 6

IAR, HPPIR = (icc.ICC_IAR0_EL1, icc.ICC_IAR1_EL1), (icc.ICC_HPPIR0_EL1, icc.ICC_HPPIR1_EL1)
EOIR = (icc.ICC_EOIR0_EL1, icc.ICC_EOIR1_EL1)
SGIR = (icc.ICC_SGI0R_EL1, icc.ICC_SGI1R_EL1, icc.ICC_ASGI1R_EL1)


@pytest.fixture(scope="module")
def qemu() -> Iterator[RunningQemu]:
    with RunningQemu() as judge:
        yield judge


def asked(qemu: RunningQemu, before: Sequence[Operation], *operations: Operation) -> list[Outcome]:
    """What the operations come to on a machine whose PEs take every group, after those before."""
    begin: list[Operation] = [Store(0, GICD, 4, 7)]
    for cpu, frame in enumerate(SGI_FRAMES):
        begin += [
            Msr(cpu, icc.ICC_PMR_EL1, 0xFF),
            Msr(cpu, icc.ICC_IGRPEN0_EL1, 1),
            Msr(cpu, icc.ICC_IGRPEN1_EL1, 1, EL3),
            Msr(cpu, icc.ICC_IGRPEN1_EL1, 1, EL3_NON_SECURE),
            Store(cpu, frame + ISENABLER0, 4, BIT),
        ]
    begin += before
    qemu.start(Machine(2, secure=True, virtualization=True))
    return qemu.perform([*begin, *operations])[len(begin) :]


def of_group(cpu: int, group: int) -> list[Operation]:
    """Have the SGI of a PE be of a group."""
    frame = SGI_FRAMES[cpu]
    return [
        Store(cpu, frame + IGROUPR0, 4, BIT * (group == GROUP1)),
        Store(cpu, frame + IGRPMODR0, 4, BIT * (group == SECURE_GROUP1)),
    ]


def pending(group: int) -> list[Operation]:
    return [*of_group(0, group), Store(0, SGI_FRAMES[0] + ISPENDR0, 4, BIT)]


def active(group: int) -> list[Operation]:
    return [*pending(group), Mrs(0, IAR[group != GROUP0], EL3)]


def is_active(outcome: Outcome) -> bool:
    return bool(outcome.value & BIT)


@pytest.mark.parametrize("reader", READERS)
def test_who_takes_what_and_by_which_signal(qemu: RunningQemu, reader: str) -> None:
    place = place_of(READERS[reader])
    for at, group in enumerate(GROUPS):
        for number in (0, 1):
            told = asked(qemu, pending(group), Mrs(0, HPPIR[number], place), Mrs(0, IAR[number], place))
            assert [outcome.value for outcome in told] == [TAKES[reader][number][at]] * 2, (group, number)
            assert told[0].signals == {"IRQ": IRQ, "FIQ": FIQ}[SIGNALS[reader][at]], group


@pytest.mark.parametrize("reader", READERS)
def test_who_finishes_what(qemu: RunningQemu, reader: str) -> None:
    place = place_of(READERS[reader])
    look = Load(0, SGI_FRAMES[0] + ISACTIVER0, 4, EL3), Mrs(0, icc.ICC_RPR_EL1, EL3)
    for (at, group), number in product(enumerate(GROUPS), (0, 1)):
        _, state, running = asked(qemu, active(group), Msr(0, EOIR[number], SGI, place), *look)
        assert (not is_active(state)) == (running.value == 0xFF) == FINISHES[reader][number][at], (group, number)


@pytest.mark.parametrize("reader", READERS)
def test_who_deactivates_what(qemu: RunningQemu, reader: str) -> None:
    look = Load(0, SGI_FRAMES[0] + ISACTIVER0, 4, EL3)
    for number, (irq, fiq) in enumerate([(False, False), (False, True), (True, False)]):
        state = READERS[reader]
        place = place_of(PeState(state.el, state.secure, irq, fiq))
        for at, group in enumerate(GROUPS):
            before = [Msr(0, ICC_CTLR_EL3, EOI_MODES, EL3), *active(group)]
            _, outcome = asked(qemu, before, Msr(0, icc.ICC_DIR_EL1, SGI, place), look)
            assert (not is_active(outcome)) == DEACTIVATES[reader][number][at], (group, irq, fiq)


@pytest.mark.rule("VCPU-35")
@pytest.mark.parametrize("veoim", [False, True])
def test_what_ends_with_a_virtual_interrupt(qemu: RunningQemu, veoim: bool) -> None:
    hypervisor, look = place_of(PeState(2)), Load(0, SGI_FRAMES[0] + ISACTIVER0, 4, EL3)
    guest = place_of(PeState(1, hcr_imo=True, hcr_fmo=True))
    for group in GROUPS:
        before: list[Operation] = [
            *of_group(0, group),
            Store(0, SGI_FRAMES[0] + ISACTIVER0, 4, BIT),
            Msr(0, ich.ICH_VMCR_EL2, 0xF0 << 24 | veoim << 9 | 0b11, hypervisor),
            Msr(0, ich.ICH_HCR_EL2, 1, hypervisor),
            Msr(0, ich.ICH_LR0_EL2, 1 << 62 | 0b11 << 60 | 0x80 << 48 | SGI << 32 | 60, hypervisor),
            Mrs(0, icc.ICC_IAR1_EL1, guest),
        ]
        ends = [Msr(0, register, 60, guest) for register in (icc.ICC_EOIR1_EL1, icc.ICC_DIR_EL1)]
        _, early, _, late = asked(qemu, before, ends[0], look, ends[1], look)
        assert (is_active(early), is_active(late)) == (veoim, False), group


DEVIATING = {
    # Secure ICC_SGI1R_EL1 also sends to Group 0; a Non-secure one ignores GICR_NSACR.
    ("Secure", 1, GROUP0): 0,
    ("Non-secure", 1, GROUP0): 4,
    ("Non-secure", 1, SECURE_GROUP1): 4,
}


@pytest.mark.rule("PE-25")
@pytest.mark.parametrize("reader", READERS)
def test_who_sends_what(qemu: RunningQemu, reader: str) -> None:
    state = READERS[reader]
    writer = "Secure" if state.secure or state.el == 3 else "Non-secure"
    for (at, group), number in product(enumerate(GROUPS), range(3)):
        needed = DEVIATING.get((writer, number, group), SENDS[writer][number][at])
        operations: list[Operation] = []
        for allowed in range(4):
            operations += [
                Store(1, SGI_FRAMES[1] + NSACR, 4, allowed << 2 * SGI, EL3),
                Store(1, SGI_FRAMES[1] + ICPENDR0, 4, BIT, EL3),
                Msr(0, SGIR[number], SGI << 24 | 1 << 1, place_of(state)),
                Load(1, SGI_FRAMES[1] + ISPENDR0, 4, EL3),
            ]
        told = asked(qemu, of_group(1, group), *operations)[3::4]
        assert [is_active(outcome) for outcome in told] == [allowed >= needed for allowed in range(4)]


@pytest.mark.rule("SEC-20", "SEC-21")
def test_the_model_of_qemu_deviates_as_it_does(qemu: RunningQemu) -> None:
    machine = Machine(1, secure=True)
    nonsecure = place_of(PeState(1))
    operations = [
        Load(0, WAKER, 4, nonsecure),
        Store(0, WAKER, 4, 0, nonsecure),
        Load(0, WAKER, 4, EL3),
        Store(0, SGI_FRAMES[0] + NSACR, 4, 0b11_10_01_00, EL3),
        Load(0, SGI_FRAMES[0] + NSACR, 4, EL3),
    ]
    model = PlacedModel(configured(qemu.version))
    for judge in (qemu, model):
        judge.start(machine)
        told = judge.perform(operations)
        assert [told[place].value for place in (0, 2, 4)] == [0x6, 0, 0b11_10_01_00]


@pytest.mark.rule("PE-21")
def test_once_there_is_one_state_a_secure_pe_has_group_1_as_fiq(qemu: RunningQemu) -> None:
    # Arm: with GICD_CTLR.DS, Group 1 is an IRQ everywhere.
    give_up = [Store(0, GICD, 4, enables, EL3) for enables in (0, DS, DS | 3)]
    before = [*give_up, *pending(GROUP1)]
    signals = {
        reader: asked(qemu, before, Load(0, GICD, 4, place_of(state)))[0] for reader, state in READERS.items()
    }
    assert {outcome.value for outcome in signals.values()} == {0x53}
    assert {reader for reader, outcome in signals.items() if outcome.signals == FIQ} == {
        "EL3",
        "EL3 of Non-secure",
        "Secure EL1",
    }
