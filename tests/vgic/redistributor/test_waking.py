"""PEs that sleep: who hears of it, and how they are woken."""

import pytest

import vgic
from guest import Recorder
from offsets import GICD, GICR
from vgic import KVM, QEMU, Topology

SPI = 40


class Waker(Recorder):
    """Hears wake requests, and may wake the PE at once."""

    gic: vgic.Gic

    def __init__(self, wakes: bool = False) -> None:
        super().__init__()
        self.wakes = wakes
        self.requests: list[int] = []

    def wake_request(self, cpu: int) -> None:
        self.requests.append(cpu)
        if self.wakes:
            self.gic.wake(cpu)


def machine(observer: Waker, profile: vgic.Profile = vgic.ARCH) -> vgic.Gic:
    """Two vCPUs as after reset, set up by an OS that leaves GICR_WAKER to firmware; the SPI goes to vCPU 1."""
    config = vgic.Config(Topology.kvm(2), spis=32, profile=profile)
    gic = observer.gic = vgic.Gic(config, lines=observer, observer=observer)
    base = config.gicd_base
    gic.write(base + 0x84, 4, 0xFFFF_FFFF)
    gic.write(base + 0x104, 4, 0xFFFF_FFFF)
    gic.write(base + 0x6000 + 8 * SPI, 8, 1)
    gic.write(base + GICD.CTLR, 4, 0b11)
    for cpu in (0, 1):
        gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xF8)
        gic.sysreg_write(cpu, vgic.ICC_IGRPEN1_EL1, 1)
    return gic


@pytest.mark.rule("RED-21")
def test_the_observer_hears_once_of_an_interrupt_that_waits() -> None:
    heard = Waker()
    gic = machine(heard)
    assert heard.requests == []
    for level in (True, False, True):
        gic.spi(SPI).set_level(level)
        gic.check()
    assert (heard.requests, heard.lines) == ([1], [])
    gic.wake(1)
    assert (heard.requests, heard.lines) == ([1], [(1, True, False)])
    # It sleeps again, and the interrupt waits again.
    gic.write(gic.redistributor_bases[1] + GICR.WAKER, 4, 0b10)
    gic.check()
    assert (heard.requests, gic.outputs(1)) == ([1, 1], (False, False))


@pytest.mark.rule("RED-21")
def test_nothing_is_told_where_nothing_waits() -> None:
    heard = Waker()
    gic = machine(heard)
    gic.write(gic.config.gicd_base + GICD.CTLR, 4, 0)
    gic.spi(SPI).set_level(True)
    assert heard.requests == []  # The Distributor does not forward its group.
    gic.write(gic.config.gicd_base + GICD.CTLR, 4, 0b11)
    assert heard.requests == [1]


@pytest.mark.rule("RED-21")
def test_the_observer_may_wake_the_pe_at_once() -> None:
    heard = Waker(wakes=True)
    gic = machine(heard)
    gic.spi(SPI).set_level(True)
    gic.check()
    assert (heard.requests, gic.outputs(1)) == ([1], (True, False))
    assert heard.lines == [(1, True, False)]
    assert gic.read(gic.redistributor_bases[1] + GICR.WAKER, 4) == 0
    assert gic.sysreg_read(1, vgic.ICC_IAR1_EL1) == SPI


@pytest.mark.rule("RED-21")
def test_waking_does_what_firmware_does() -> None:
    gic, other = machine(Waker()), machine(Waker())
    gic.wake_all()
    for base in other.redistributor_bases:
        other.write(base + GICR.WAKER, 4, 0)
    assert gic.save() == other.save()
    with pytest.raises(vgic.ConfigError, match=r"^no vCPU 2"):
        gic.wake(2)


@pytest.mark.rule("RED-21")
@pytest.mark.parametrize("profile", [KVM, QEMU], ids=["kvm", "qemu"])
def test_profiles_without_a_gate_have_nothing_to_tell(profile: vgic.Profile) -> None:
    heard = Waker()
    gic = machine(heard, profile)
    gic.spi(SPI).set_level(True)
    assert heard.requests == []
    gic.wake_all()
    assert gic.outputs(1) != (False, False) or profile is QEMU
