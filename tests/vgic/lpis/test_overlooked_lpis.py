"""LPIs that KVM overlooks; tests/oracles asks live ones the same."""

import pytest

import kvm_lpis
import vgic
from guest import SPURIOUS
from lpi_guest import booted
from offsets import GICD
from vgic import KVM
from vgic_tools.judges.freedoms import perform
from vgic_tools.judges.kvm_guest import TABLES, TABLES_SIZE
from vgic_tools.judges.kvm_guests import guest_config
from vgic_tools.judges.protocol import Machine

LPI = 8192 + 5


@pytest.mark.rule("STATE-17")
@pytest.mark.parametrize(("program", "expected"), kvm_lpis.OVERLOOKED.values(), ids=kvm_lpis.OVERLOOKED)
def test_kvm_overlooks_lpis(program: kvm_lpis.Program, expected: list[int]) -> None:
    gic = vgic.Gic(guest_config(Machine(2, its=True)), memory=vgic.Ram.zeroed(TABLES, TABLES_SIZE))
    assert kvm_lpis.taken(program, lambda steps: [perform(gic, step) for step in steps]) == expected
    gic.check()


@pytest.mark.rule("LPI-19")
@pytest.mark.parametrize(("program", "_", "expected"), kvm_lpis.TAKEN.values(), ids=kvm_lpis.TAKEN)
def test_an_lpi_that_was_taken_is_not_active(program: kvm_lpis.Program, _: object, expected: list[int]) -> None:
    gic = vgic.Gic(guest_config(Machine(2, its=True)), memory=vgic.Ram.zeroed(TABLES, TABLES_SIZE))
    assert kvm_lpis.taken(program, lambda steps: [perform(gic, step) for step in steps]) == expected


@pytest.mark.rule("STATE-17")
def test_a_state_remembers_what_kvm_overlooks() -> None:
    guest = booted(KVM, lpi5=0xA0)
    guest.set_gicd(GICD.CTLR, 0)
    guest.arrive(LPI)
    guest.set_gicd(GICD.CTLR, 0b10)
    other = vgic.State.of(guest.gic).build(memory=guest.gic.memory)
    for gic in (guest.gic, other):
        gic.check()
        assert gic.lpis(0).pending == {LPI: 0xA2}
        assert gic.sysreg_read(0, vgic.ICC_IAR1_EL1) == SPURIOUS
        gic.lpis(0).make_pending(LPI)
        assert gic.sysreg_read(0, vgic.ICC_IAR1_EL1) == LPI


@pytest.mark.rule("LPI-29")
def test_disabling_the_distributor_looks_at_pieces() -> None:
    guest = booted(KVM, lpi5=0xA0, lpi9=0xA0)
    guest.arrive(LPI)
    guest.arrive(LPI + 4)
    work = guest.gic.lpis(0).configuration.work
    before = work.steps
    guest.set_gicd(GICD.CTLR, 0)
    assert work.steps == before + 1
    guest.set_gicd(GICD.CTLR, 0b10)
    guest.set_gicd(GICD.CTLR, 0)
    assert work.steps == before + 1
