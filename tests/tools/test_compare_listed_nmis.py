"""`vgic compare --virtualization --nmi`: what is drawn, and what PEs do themselves. Only a model is asked."""

from dataclasses import replace
from itertools import islice

import vgic
from vgic.cpu_interface.pe_state import PeState
from vgic.layouts import icc, ich
from vgic_tools.compare.engine import Comparison
from vgic_tools.compare.listed_nmis import listed_nmi_lives
from vgic_tools.compare.ways import WAYS
from vgic_tools.judges.nmi_model import SCTLR_EL1, SCTLR_NMI
from vgic_tools.judges.pe_places import IRQ, IS, place_of
from vgic_tools.judges.placed_nmi_model import SCTLR_BEGINS, PlacedNmiModel
from vgic_tools.judges.protocol import Line, Load, Machine, Mrs, Msr, Operation, Outcome, SaveRestore, Store
from vgic_tools.machines.qemu_cmdline import virt_config

AREAS = WAYS["listed-nmi"].areas
GICD, SGI_BASE = 0x0800_0000, 0x080B_0000
PPI = 20

EL2 = place_of(PeState(2))
GUEST = place_of(PeState(1, hcr_imo=True, hcr_fmo=True))

NMI = Msr(0, ich.ICH_LR0_EL2, 1 << 62 | 3 << 59 | 40, EL2)


def model(profile: vgic.Profile = vgic.QEMU_10_0) -> PlacedNmiModel:
    return PlacedNmiModel(lambda machine: virt_config(machine.cpus, profile, list_registers=4, nmi=True))


def performed(*operations: Operation) -> list[Outcome]:
    judge = model()
    judge.start(Machine(1, virtualization=True, nmi=True))
    return judge.perform(operations)


def test_a_guest_sees_that_its_irq_has_superpriority_and_takes_it_as_sctlr_says() -> None:
    told = performed(
        Msr(0, ich.ICH_VMCR_EL2, 3, EL2),
        Msr(0, ich.ICH_HCR_EL2, 1, EL2),
        NMI,
        Mrs(0, SCTLR_EL1, GUEST),
        Msr(0, SCTLR_EL1, SCTLR_BEGINS | SCTLR_NMI, EL2),
        Mrs(0, SCTLR_EL1, GUEST),
        Mrs(0, icc.ICC_IAR1_EL1, GUEST),
        Mrs(0, icc.ICC_NMIAR1_EL1, EL2),
        Msr(0, SCTLR_EL1, SCTLR_BEGINS, GUEST),
        Mrs(0, icc.ICC_IAR1_EL1, GUEST),
    )[3:]
    assert [outcome.value for outcome in told] == [SCTLR_BEGINS, 0, SCTLR_BEGINS | SCTLR_NMI, 1022, 1023, 0, 40]
    assert [outcome.signals for outcome in told] == [IRQ | IS, 0, IRQ | IS, IRQ | IS, 0, IRQ | IS, 0]


def test_a_physical_nmi_goes_to_the_hypervisor_whose_own_sctlr_counts() -> None:
    bit = 1 << PPI
    told = performed(
        Store(0, GICD, 4, 2, EL2),
        *(Store(0, SGI_BASE + array, 4, bit, EL2) for array in (0x80, 0x100, 0xF80)),
        Msr(0, icc.ICC_IGRPEN1_EL1, 1, EL2),
        Msr(0, SCTLR_EL1, SCTLR_BEGINS | SCTLR_NMI, EL2),
        Line(0, PPI, True),
        Load(0, GICD, 4, GUEST),
        Load(0, GICD, 4, EL2),
        Mrs(0, icc.ICC_IAR1_EL1, EL2),
    )[-3:]
    # It is taken to a vector, which does not tell what it is.
    assert [(outcome.level, outcome.signals) for outcome in told] == [(2, IRQ), (0, IRQ | IS), (0, 0)]
    assert told[2].value == PPI


def test_the_same_model_does_the_same_every_time() -> None:
    runs = []
    for _ in range(2):
        comparison = Comparison(model(), model())
        done, divergence = comparison.live(next(listed_nmi_lives(3, AREAS, 2, "10.0")), 1500)
        assert divergence is None
        runs.append(done)
    assert runs[0] == runs[1]
    assert any(isinstance(operation, SaveRestore) for operation in runs[0])


def test_a_model_with_another_choice_is_found() -> None:
    comparison = Comparison(model(replace(vgic.QEMU_10_0, name="other", listed_nmi_has_priority=False)), model())
    # A state is restored by the name of its profile.
    lives = islice(listed_nmi_lives(7, AREAS - {"state"}, 1, "10.0"), 10)
    assert any(comparison.live(life, 2000)[1] is not None for life in lives)
