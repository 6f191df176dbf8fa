"""The resident guest performs each operation where it is told: at any Exception level, in either Security state."""

import shutil

import pytest

import vgic
from beside_qemu import NEEDS_QEMU
from vgic.cpu_interface.pe_state import PeState
from vgic.layouts.icc import sysreg
from vgic_tools.judges.building import COMPILER
from vgic_tools.judges.pe_places import (
    FIQ,
    IRQ,
    describe,
    interrupted_to,
    place_of,
    places_of,
    state_of,
    trapped_to,
)
from vgic_tools.judges.protocol import Load, Machine, Mrs, Msr, Operation, Outcome, Store
from vgic_tools.judges.qemu_guest import RunningQemu

pytestmark = [NEEDS_QEMU, pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs {COMPILER}")]

GICD = 0x0800_0000
IGROUPR0 = 0x080B_0080
ICC_CTLR_EL3 = sysreg(3, 6, 12, 12, 4)
ICH_VTR_EL2 = sysreg(3, 4, 12, 11, 1)
BOTH = Machine(2, secure=True, virtualization=True)

EL3 = place_of(PeState(3, secure=True))
EL1S = place_of(PeState(1, secure=True))
EL2 = place_of(PeState(2))
EL1 = place_of(PeState(1))


def asked(machine: Machine, *operations: Operation) -> list[Outcome]:
    with RunningQemu() as judge:
        judge.start(machine)
        return judge.perform(operations)


@pytest.mark.parametrize(
    "machine", [Machine(2), Machine(2, secure=True), Machine(2, virtualization=True), BOTH], ids=str
)
def test_a_number_is_a_place_and_a_place_a_number(machine: Machine) -> None:
    places = places_of(machine)
    assert len(places) == {(0, 0): 0, (1, 0): 16, (0, 1): 5, (1, 1): 32}[machine.secure, machine.virtualization]
    assert [place_of(state_of(place)) for place in places] == list(places)
    assert len(set(map(describe, places))) == len(places)


def test_registers_are_where_the_pe_is() -> None:
    places = (EL3, EL1S, EL2, EL1)
    reads = [Mrs(1, register, place) for register in (ICC_CTLR_EL3, ICH_VTR_EL2) for place in places]
    told = asked(BOTH, *(Load(0, GICD, 4, place) for place in places), *reads)
    assert [outcome.value for outcome in told[:4]] == [0x30, 0x30, 0x10, 0x10]
    assert [outcome.undefined for outcome in told[4:]] == [False, True, True, True, False, True, False, True]
    assert all(outcome.level == 0 for outcome in told)


def test_what_pes_trap_is_trapped() -> None:
    registers = (
        *(vgic.ICC_PMR_EL1, vgic.ICC_RPR_EL1, vgic.ICC_CTLR_EL1, vgic.ICC_BPR0_EL1, vgic.ICC_BPR1_EL1),
        *(vgic.ICC_AP0R0_EL1, vgic.ICC_AP1R0_EL1, vgic.ICC_IGRPEN0_EL1, vgic.ICC_IGRPEN1_EL1, vgic.ICC_SRE_EL1),
    )
    operations: list[Operation] = [Mrs(0, register, place) for place in places_of(BOTH) for register in registers]
    for place in places_of(BOTH):
        operations += [Msr(0, register, 0, place) for register in (vgic.ICC_SGI1R_EL1, vgic.ICC_DIR_EL1)]
    told = asked(BOTH, *operations)
    for operation, outcome in zip(operations, told, strict=True):
        assert isinstance(operation, Mrs | Msr)
        assert outcome.level == trapped_to(operation.place, operation.register), (
            operation,
            describe(operation.place),
        )
    assert {outcome.level for outcome in told} == {0, 2, 3}


def test_an_interrupt_that_is_not_masked_is_taken_instead() -> None:
    operations: list[Operation] = [
        Store(0, GICD, 4, 7, EL3),
        Store(0, IGROUPR0, 4, 1 << 1, EL3),
        Store(0, IGROUPR0 + 0x80, 4, 0xFFFF, EL3),
        Msr(0, vgic.ICC_PMR_EL1, 0xFF, EL3),
        Msr(0, vgic.ICC_IGRPEN0_EL1, 1, EL3),
        Msr(0, vgic.ICC_IGRPEN1_EL1, 1, place_of(PeState(3))),
        Store(0, IGROUPR0 + 0x180, 4, 1 << 1, EL3),  # a Non-secure interrupt
    ]
    places = places_of(BOTH)
    told = asked(BOTH, *operations, *(Load(0, GICD + 4, 4, place) for place in places))
    for place, outcome in zip(places, told[len(operations) :], strict=True):
        state = state_of(place)
        signal = FIQ if state.el == 3 or state.secure else IRQ
        level = interrupted_to(place, signal)
        assert outcome.level == level, describe(place)
        assert outcome.value == (0 if level else 0x037A_0407)
        assert outcome.signals == signal, describe(place)
