"""The object that an emulator embeds: callbacks, queries, and its own mistakes told by name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vgic
from guest import Guest, Recorder
from mmio import IllegalAccess, Refusal
from offsets import BANK, GICD, GICR
from vgic import ConfigError

HOLE = 0x0800_F000


@pytest.mark.rule("API-2")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda gic: gic.spi(31), "no SPI 31: this VM's SPIs are INTIDs 32 to 95"),
        (lambda gic: gic.spi(96), "no SPI 96: this VM's SPIs are INTIDs 32 to 95"),
        (lambda gic: gic.ppi(0, 15), "no PPI 15: PPIs are INTIDs 16 to 31"),
        (lambda gic: gic.ppi(0, 32), "no PPI 32: PPIs are INTIDs 16 to 31"),
        (lambda gic: gic.ppi(2, 16), "no vCPU 2: this VM has vCPUs 0 to 1"),
        (lambda gic: gic.interrupt(2, 31), "no vCPU 2: this VM has vCPUs 0 to 1"),
        (lambda gic: gic.interrupt(0, -1), "no SPI -1: this VM's SPIs are INTIDs 32 to 95"),
        (lambda gic: gic.sysreg_read(-1, vgic.ICC_PMR_EL1), "no vCPU -1: this VM has vCPUs 0 to 1"),
        (lambda gic: gic.sysreg_write(2, vgic.ICC_PMR_EL1, 0), "no vCPU 2: this VM has vCPUs 0 to 1"),
        (lambda gic: gic.outputs(2), "no vCPU 2: this VM has vCPUs 0 to 1"),
        (lambda gic: gic.highest_pending(2), "no vCPU 2: this VM has vCPUs 0 to 1"),
        (lambda gic: gic.reset_cpu(2), "no vCPU 2: this VM has vCPUs 0 to 1"),
        (lambda gic: gic.sgi_targets(2, vgic.ICC_SGI1R_EL1, 0), "no vCPU 2: this VM has vCPUs 0 to 1"),
    ],
)
def test_the_embedders_mistakes_are_told_by_name(call, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        call(Guest(2).gic)
    assert str(caught.value) == message


@pytest.mark.rule("API-4", "CPU-1")
def test_the_sink_hears_every_change_once() -> None:
    guest = Guest(2).boot()
    guest.setup(40, 41)
    guest.setup(42, group=0, priority=0x80)
    assert guest.heard.lines == []
    guest.line(40, True)
    guest.line(41, True)
    assert guest.heard.lines == [(0, True, False)]
    guest.line(42, True)
    guest.line(42, False)
    assert guest.heard.lines[1:] == [(0, False, True), (0, True, False)]
    guest.route(40, 1)
    guest.route(41, 1)
    assert guest.heard.lines[3:] == [(1, True, False), (0, False, False)]


@pytest.mark.rule("API-4")
def test_the_sink_may_change_a_line_in_turn() -> None:
    class Device(Recorder):
        """Lowers its line as soon as it is heard, as a device that is serviced at once does."""

        gic: vgic.Gic

        def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
            super().set_lines(cpu, irq, fiq)
            self.gic.spi(40).set_level(False)

    guest = Guest(2).boot()
    guest.setup(40)
    device = Device()
    gic = vgic.Gic(guest.config, lines=device)
    device.gic = gic
    for offset, value in (
        (GICD.CTLR, 2),
        (BANK.IGROUPR + 4, 0xFFFF_FFFF),
        (BANK.ISENABLER + 4, 0xFFFF_FFFF),
        (BANK.IPRIORITYR + 40, 0x80),
    ):
        gic.write(gic.config.gicd_base + offset, 4, value)
    gic.write(gic.redistributor_bases[0] + GICR.WAKER, 4, 0)
    gic.sysreg_write(0, vgic.ICC_IGRPEN1_EL1, 1)
    gic.sysreg_write(0, vgic.ICC_PMR_EL1, 0xFF)
    gic.spi(40).set_level(True)
    assert device.lines == [(0, True, False), (0, False, False)]
    gic.check()


@pytest.mark.rule("API-4", "API-7")
def test_sinks_and_observers_are_optional() -> None:
    guest = Guest()
    gic = vgic.Gic(guest.config)
    assert gic.read(HOLE, 4) == 0
    gic.write(HOLE, 4, 1)
    assert gic.sysreg_read(0, 0) == 0
    gic.sysreg_write(0, 0, 1)
    assert gic.outputs(0) == (False, False)


@pytest.mark.rule("API-7", "ACC-10")
def test_the_observer_hears_why_an_access_had_no_effect() -> None:
    guest = Guest()
    gic = guest.gic
    gic.read(HOLE, 4, secure=True)
    gic.write(0x0800_0004, 4, 7)
    gic.read(0x0800_0040, 4)
    gic.read(0x1234, 4)
    assert guest.heard.accesses == [
        IllegalAccess(HOLE, 4, None, True, Refusal.HOLE),
        IllegalAccess(0x0800_0004, 4, 7, False, Refusal.READ_ONLY),
        IllegalAccess(0x0800_0040, 4, None, False, Refusal.WRITE_ONLY),
        IllegalAccess(0x1234, 4, None, False, Refusal.UNMAPPED),
    ]


@pytest.mark.rule("API-7")
def test_the_observer_hears_which_vcpu_it_was() -> None:
    guest = Guest(3)
    # Of the frame and the register, of the map, of a size, and of a vCPU that nobody needs to have.
    for address, size, cpu in ((HOLE, 4, 2), (0x0800_0000, 8, 1), (0x1234, 4, 0), (0x0800_0000, 3, 1 << 80)):
        guest.gic.read(address, size, cpu)
        guest.gic.write(address, size, 7, cpu=cpu)
    assert [access.cpu for access in guest.heard.accesses] == [2, 2, 1, 1, 0, 0, 1 << 80, 1 << 80]
    guest.gic.read(HOLE, 4)
    assert guest.heard.accesses[-1].cpu is None


@pytest.mark.rule("API-10")
def test_the_best_interrupt_can_be_asked_for_without_taking_it() -> None:
    guest = Guest().boot()
    assert guest.gic.highest_pending(0) is None
    guest.setup(40, priority=0x88)
    guest.setup(41, priority=0x80, group=0)
    guest.line(40, True)
    assert guest.gic.highest_pending(0) == vgic.Pending(intid=40, group=1, priority=0x88)
    guest.line(41, True)
    assert guest.gic.highest_pending(0) == (41, 0, 0x80)
    assert not guest.gic.spi(41).active


@pytest.mark.rule("ACC-11")
def test_any_vcpu_may_use_any_frame() -> None:
    guest = Guest(3)
    address = guest.gic.redistributor_bases[2] + GICR.SGI_BASE + BANK.ISENABLER
    for cpu in guest.cpus:
        guest.gic.write(address, 4, 1 << cpu, cpu=cpu)
    assert [guest.gic.read(address, 4, cpu=cpu) for cpu in guest.cpus] == [0b111] * 3
    assert guest.gicr(GICR.SGI_BASE + BANK.ISENABLER, cpu=1) == 0


@pytest.mark.rule("ACC-19")
def test_with_one_security_state_both_kinds_of_access_are_alike() -> None:
    guest = Guest()
    base = guest.config.gicd_base
    for secure in (False, True):
        guest.gic.write(base + GICD.CTLR, 4, 0b11, secure=secure)
        assert [guest.gic.read(base + GICD.CTLR, 4, secure=view) for view in (False, True)] == [0x53, 0x53]
        guest.gic.write(base + GICD.CTLR, 4, 0, secure=not secure)
        guest.gic.write(base + BANK.IPRIORITYR + 40, 1, 0x48, secure=secure)
        assert [guest.gic.read(base + BANK.IPRIORITYR + 40, 1, secure=view) for view in (False, True)] == [0x48] * 2


@pytest.mark.rule("ACC-12")
def test_the_map_prints_itself() -> None:
    guest = Guest(2)
    lines = str(guest.gic.map).splitlines()
    assert [re.split(r"\s{2,}", line) for line in lines] == [
        ["0x000008000000-0x00000800ffff", "0x10000", "GICD"],
        ["0x0000080a0000-0x0000080dffff", "0x40000", "GICR region 0"],
    ]


ADDRESSES = st.one_of(
    st.integers(0x0800_0000, 0x0800_FFFF),
    st.integers(0x080A_0000, 0x080D_FFFF),
    st.integers(-8, 1 << 64),
)


@pytest.mark.rule("API-1", "API-6")
@given(st.data())
def test_a_guest_never_raises(data: st.DataObject) -> None:
    gic = Guest(2).gic
    for _ in range(data.draw(st.integers(1, 20))):
        cpu = data.draw(st.integers(0, 1))
        value = data.draw(st.integers(0, (1 << 64) - 1))
        if data.draw(st.booleans()):
            address, size = data.draw(ADDRESSES), data.draw(st.integers(0, 16))
            gic.write(address, size, value, cpu)
            gic.read(address, size, cpu)
        else:
            register = data.draw(st.sampled_from(range(0xC600, 0xC668)))
            gic.sysreg_write(cpu, register, value)
            gic.sysreg_read(cpu, register)
    gic.check()
