"""`vgic compare --secure`: what is drawn, and what the PEs do themselves. No judge but a model is asked."""

from dataclasses import replace
from itertools import islice

import pytest
from click.testing import CliRunner

import vgic
from vgic.cpu_interface.pe_state import PeState
from vgic.layouts import icc
from vgic_tools.cli import main
from vgic_tools.compare.engine import Comparison
from vgic_tools.compare.two_states import two_state_lives
from vgic_tools.compare.ways import WAYS, areas_of, ways_for
from vgic_tools.judges.errors import MissingJudgeError
from vgic_tools.judges.pe_places import FIQ, is_virtual, place_of, state_of
from vgic_tools.judges.placed_model import PlacedModel
from vgic_tools.judges.protocol import Line, Load, Machine, Mrs, Msr, Operation, Outcome, SaveRestore, Store
from vgic_tools.machines.qemu_cmdline import LIST_REGISTERS, virt_config

AREAS = WAYS["secure"].areas
GICD = 0x0800_0000
SGI_FRAME = 0x080B_0000
PPI = 20
BIT = 1 << PPI

EL3 = place_of(PeState(3, secure=True))
ROUTED = place_of(PeState(1, scr_fiq=True))
NONSECURE = place_of(PeState(1))


def model(profile: vgic.Profile = vgic.QEMU) -> PlacedModel:
    def configure(machine: Machine) -> vgic.Config:
        list_registers = LIST_REGISTERS if machine.virtualization else 0
        return virt_config(machine.cpus, profile, list_registers=list_registers, secure=machine.secure)

    return PlacedModel(configure)


def performed(*operations: Operation, has_el2: bool = True) -> list[Outcome]:
    judge = model()
    judge.start(Machine(1, secure=True, virtualization=has_el2))
    return judge.perform(operations)


PENDING: tuple[Operation, ...] = (
    Store(0, GICD, 4, 7),
    Store(0, SGI_FRAME + 0x100, 4, BIT),
    Msr(0, icc.ICC_PMR_EL1, 0xFF),
    Msr(0, icc.ICC_IGRPEN0_EL1, 1),
    Line(0, PPI, True),
)
"""An interrupt of Group 0, an FIQ everywhere."""


def test_an_interrupt_that_is_not_masked_comes_before_the_operation() -> None:
    taken, masked = performed(*PENDING, Mrs(0, icc.ICC_IAR0_EL1, ROUTED), Mrs(0, icc.ICC_IAR0_EL1, EL3))[-2:]
    assert (taken.level, taken.value, taken.signals) == (3, 0, FIQ)
    assert (masked.level, masked.value, masked.signals) == (0, PPI, 0)


def test_what_is_undefined_is_so_before_it_is_trapped() -> None:
    both = place_of(PeState(1, scr_irq=True, scr_fiq=True))
    told = performed(Mrs(0, icc.ICC_SGI1R_EL1, both), Msr(0, icc.ICC_SGI1R_EL1, 0, both))
    assert [(outcome.undefined, outcome.level) for outcome in told] == [(True, 0), (False, 3)]


def test_a_pe_without_el2_has_nothing_in_its_registers() -> None:
    for has_el2, value in ((True, 0xF), (False, 0)):
        (outcome,) = performed(Mrs(0, icc.ICC_SRE_EL2, EL3), has_el2=has_el2)
        assert (outcome.value, outcome.undefined) == (value, False)


def test_accesses_have_the_security_of_their_place() -> None:
    told = performed(*(Load(0, GICD, 4, place) for place in (0, EL3, NONSECURE)))
    assert [outcome.value for outcome in told] == [0x30, 0x30, 0x10]


def test_operations_are_performed_everywhere_and_are_the_same_every_time() -> None:
    runs = []
    for _ in range(2):
        comparison = Comparison(model(), model())
        life = next(life for life in two_state_lives(3, AREAS, 2, "7.2") if life.machine.virtualization)
        performed, divergence = comparison.live(life, 1500)
        assert divergence is None
        runs.append(performed)
    assert runs[0] == runs[1]
    places = {operation.place for operation in runs[0] if isinstance(operation, Load | Store | Mrs | Msr)}
    assert {(state.el, state.secure) for state in map(state_of, places)} >= {(3, True), (3, False), (1, True)}
    assert any(map(is_virtual, places))
    assert any(isinstance(operation, SaveRestore) for operation in runs[0])


def test_some_machines_give_up_their_second_state() -> None:
    given_up = 0
    for life in islice(two_state_lives(5, AREAS, 1, "7.2"), 10):
        judge = model()
        judge.start(life.machine)
        judge.perform(list(islice(life.operations(judge), 2500)))
        given_up += judge.gic.read(GICD, 4, secure=True) >> 6 & 1
    assert 0 < given_up < 10


@pytest.mark.parametrize(
    "profile",
    [
        replace(vgic.QEMU, name="waker", nonsecure_reaches_waker=False),
        replace(vgic.QEMU, name="nsacr", keeps_reserved_nsacr=False),
        replace(vgic.QEMU, name="sgi", secure_sgi1r_groups=vgic.QEMU.secure_sgi1r_groups & ~1),
        replace(vgic.QEMU, name="ds", interface_heeds_ds=True),
    ],
    ids=lambda profile: profile.name,
)
def test_a_model_with_another_choice_is_found(profile: vgic.Profile) -> None:
    comparison = Comparison(model(profile), model())
    found = None
    # A state is restored by the name of its profile.
    for life in islice(two_state_lives(7, AREAS - {"state"}, 2, "7.2"), 12):
        _, found = comparison.live(life, 2500)
        if found is not None:
            break
    assert found is not None


def test_only_qemu_builds_machines_of_two_states() -> None:
    assert areas_of("qemu", "secure") == AREAS
    assert [way.name for way, _ in ways_for("qemu", AREAS, "secure")] == ["secure"]
    with pytest.raises(MissingJudgeError, match="kvm builds no machines that can be asked about with secure"):
        areas_of("kvm", "secure")
    done = CliRunner().invoke(main, ["compare", "qemu", "--secure", "--areas", "its"])
    assert done.exit_code == 2
    assert "qemu cannot be asked about its" in done.output
