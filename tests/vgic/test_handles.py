"""Views: one interrupt as an object."""

import pytest

import vgic
from guest import Guest
from offsets import BANK
from vgic import Topology


@pytest.mark.rule("API-5")
def test_a_view_shows_what_the_registers_show() -> None:
    guest = Guest(Topology([0, 0x0102_0304])).boot()
    spi = guest.gic.spi(40)
    assert (spi.intid, spi.group, spi.priority, spi.affinity, spi.target) == (40, 0, 0, 0, 0)
    assert not any((spi.pending, spi.latched, spi.level, spi.active, spi.enabled, spi.edge_triggered))
    guest.setup(40, priority=0x88)
    guest.route(40, 0x01_0002_0304)
    assert (spi.enabled, spi.group, spi.priority, spi.affinity, spi.target) == (True, 1, 0x88, 0x0102_0304, 1)
    guest.line(40, True)
    assert (spi.level, spi.latched, spi.pending, spi.active) == (True, False, True, False)
    guest.take(40, 1)
    assert (spi.pending, spi.active) == (True, True)
    guest.line(40, False)
    guest.set_bit(BANK.ISPENDR, 40)
    assert (spi.level, spi.latched, spi.pending) == (False, True, True)
    guest.set_edge(40, True)
    assert spi.edge_triggered
    guest.route(40, 0x55)
    assert spi.target is None


@pytest.mark.rule("API-5", "RED-8")
def test_private_interrupts_are_each_vcpus_own() -> None:
    guest = Guest(2).boot()
    first, second = (guest.gic.ppi(cpu, 27) for cpu in guest.cpus)
    second.set_level(True)
    assert (first.pending, second.pending) == (False, True)
    assert (first.target, second.target) == (0, 1)
    assert guest.gic.interrupt(1, 27).level


@pytest.mark.rule("API-5", "STATE-4")
def test_a_pulse_is_an_edge() -> None:
    guest = Guest().boot()
    guest.setup(40, edge=True)
    guest.setup(41)
    for intid in (40, 41):
        guest.gic.spi(intid).pulse()
    guest.gic.check()
    assert (guest.gic.spi(40).pending, guest.gic.spi(41).pending) == (True, False)
    guest.take(40)


@pytest.mark.rule("API-5")
def test_a_view_prints_itself() -> None:
    guest = Guest(2).boot()
    assert str(guest.gic.spi(40)) == (
        "INTID 40: idle, disabled; group 0, priority 0x00, level, line low, routed to 0.0.0.0 (vCPU 0)"
    )
    guest.setup(40, edge=True)
    guest.route(40, 0x55)
    guest.line(40, True)
    assert str(guest.gic.spi(40)) == (
        "INTID 40: pending enabled; group 1, priority 0xa0, edge, latched, routed to 0.0.0.85 (no vCPU has it)"
    )
    guest.setup(27, cpu=1)
    guest.line(27, True, cpu=1)
    guest.take(27, cpu=1)
    assert str(guest.gic.ppi(1, 27)) == (
        "INTID 27: pending active enabled; group 1, priority 0xa0, level, line high, private to vCPU 1"
    )


@pytest.mark.rule("API-5")
def test_secure_group_1_has_arms_name() -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1), security="two"))
    gic.write(gic.config.gicd_base + 0x0D04, 4, 1 << 8, secure=True)  # GICD_IGRPMODR1
    assert str(gic.spi(40)).startswith("INTID 40: idle, disabled; Secure Group 1, priority 0x00")


@pytest.mark.rule("API-5")
def test_views_hold_no_state() -> None:
    guest = Guest()
    one, other = guest.gic.spi(40), guest.gic.spi(40)
    one.set_level(True)
    assert other.level
    assert isinstance(one, vgic.Spi)
    assert isinstance(guest.gic.interrupt(0, 40), vgic.Spi)


@pytest.mark.rule("API-2")
def test_an_sgi_has_no_line() -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1)))
    with pytest.raises(vgic.ConfigError) as refused:
        gic.interrupt(0, 3).set_level(True)
    assert str(refused.value) == "INTID 3 is an SGI and has no line"
