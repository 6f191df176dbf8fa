"""`vgic compare --virtualization`: what is drawn, and what PEs do themselves. No judge but a model is asked."""

from dataclasses import replace
from itertools import islice

import pytest

import vgic
from vgic.cpu_interface.pe_state import PeState
from vgic.layouts import icc, ich
from vgic_tools.compare.engine import Comparison
from vgic_tools.compare.hypervisors import hypervisor_lives
from vgic_tools.compare.ways import WAYS
from vgic_tools.judges.pe_places import FIQ, IRQ, place_of
from vgic_tools.judges.placed_model import PlacedModel
from vgic_tools.judges.protocol import Line, Load, Machine, Mrs, Msr, Operation, Outcome, SaveRestore, Store
from vgic_tools.machines.qemu_cmdline import virt_config

AREAS = WAYS["hypervisor"].areas
GICD = 0x0800_0000
PPI = 20
BIT = 1 << PPI

EL2 = place_of(PeState(2))
GUEST = place_of(PeState(1, hcr_imo=True, hcr_fmo=True))
IRQS_ALONE = place_of(PeState(1, hcr_imo=True))
PHYSICAL = place_of(PeState(1))

PENDING = 1 << 62
GROUP_1 = 1 << 60


def model(profile: vgic.Profile = vgic.QEMU) -> PlacedModel:
    return PlacedModel(lambda machine: virt_config(machine.cpus, profile, list_registers=4))


def performed(*operations: Operation) -> list[Outcome]:
    judge = model()
    judge.start(Machine(1, virtualization=True))
    return judge.perform(operations)


LISTED: tuple[Operation, ...] = (
    Msr(0, ich.ICH_VMCR_EL2, 0xF8 << 24 | 3, EL2),
    Msr(0, ich.ICH_HCR_EL2, 1, EL2),
    Msr(0, ich.ICH_LR0_EL2, PENDING | GROUP_1 | 40, EL2),
)
"""A virtual interrupt of Group 1, an IRQ."""


def test_a_guest_reaches_the_virtual_face_and_sees_virtual_signals() -> None:
    look = Mrs(0, icc.ICC_HPPIR1_EL1)
    places = (GUEST, IRQS_ALONE, PHYSICAL, EL2)
    told = performed(*LISTED, *(look._replace(place=place) for place in places))[len(LISTED) :]
    assert [(outcome.value, outcome.signals) for outcome in told] == [(40, IRQ), (40, IRQ), (1023, 0), (1023, 0)]


def test_a_physical_interrupt_goes_to_the_hypervisor() -> None:
    pending = (
        Store(0, GICD, 4, 1, EL2),
        Store(0, 0x080B_0100, 4, BIT, EL2),
        Msr(0, icc.ICC_PMR_EL1, 0xFF, EL2),
        Msr(0, icc.ICC_IGRPEN0_EL1, 1, EL2),
        Line(0, PPI, True),
    )
    guest, alone, hypervisor = performed(
        *pending, *(Load(0, GICD, 4, place) for place in (GUEST, IRQS_ALONE, EL2))
    )[-3:]
    assert (guest.level, guest.signals) == (2, FIQ)
    assert (alone.level, alone.signals) == (0, FIQ)
    assert (hypervisor.level, hypervisor.signals) == (0, FIQ)


@pytest.mark.parametrize(
    ("control", "trapped"),
    [
        ("TC", {icc.ICC_PMR_EL1, icc.ICC_CTLR_EL1, icc.ICC_RPR_EL1}),
        ("TALL0", {icc.ICC_BPR0_EL1, icc.ICC_AP0R0_EL1}),
        ("TALL1", {icc.ICC_BPR1_EL1, icc.ICC_AP1R0_EL1}),
        ("TDIR", set()),
    ],
)
def test_what_the_hypervisor_traps(control: str, trapped: set[int]) -> None:
    registers = (
        *(icc.ICC_PMR_EL1, icc.ICC_CTLR_EL1, icc.ICC_RPR_EL1, icc.ICC_BPR0_EL1, icc.ICC_AP0R0_EL1),
        *(icc.ICC_BPR1_EL1, icc.ICC_AP1R0_EL1, icc.ICC_SRE_EL1),
    )
    enable = Msr(0, ich.ICH_HCR_EL2, 1 | ich.HCR.mask(control), EL2)
    for place in (GUEST, PHYSICAL):
        told = performed(enable, *(Mrs(0, register, place) for register in registers))[1:]
        levels = {register: outcome.level for register, outcome in zip(registers, told, strict=True)}
        assert {register for register, level in levels.items() if level == 2} == trapped
        (_, end) = performed(enable, Msr(0, icc.ICC_DIR_EL1, 40, place))
        assert end.level == (2 if control in ("TC", "TDIR") else 0)


def test_the_hypervisors_registers_are_undefined_to_its_guest() -> None:
    told = performed(*(Mrs(0, ich.ICH_VTR_EL2, place) for place in (EL2, GUEST)))
    assert [outcome.undefined for outcome in told] == [False, True]


def test_the_same_model_does_the_same_every_time() -> None:
    runs = []
    for _ in range(2):
        comparison = Comparison(model(), model())
        done, divergence = comparison.live(next(hypervisor_lives(3, AREAS, 2, "7.2")), 1500)
        assert divergence is None
        runs.append(done)
    assert runs[0] == runs[1]
    assert any(isinstance(operation, SaveRestore) for operation in runs[0])


@pytest.mark.parametrize(
    "profile",
    [
        replace(vgic.QEMU, name="ends", counts_every_end=False),
        replace(vgic.QEMU, name="dir", icv_dir_ignores_lpis=False),
        replace(vgic.QEMU, name="status", vgrp0d_looks_at_group_1=False),
        replace(vgic.QEMU, name="bits", writable={**vgic.QEMU.writable, "ICH_LR<n>_EL2": (1 << 59) - 1}),
    ],
    ids=lambda profile: profile.name,
)
def test_a_model_with_another_choice_is_found(profile: vgic.Profile) -> None:
    comparison = Comparison(model(profile), model())
    found = None
    # A state is restored by the name of its profile.
    for life in islice(hypervisor_lives(7, AREAS - {"state"}, 1, "7.2"), 10):
        _, found = comparison.live(life, 2000)
        if found is not None:
            break
    assert found is not None
