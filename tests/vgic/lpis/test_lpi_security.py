"""LPIs with two Security states: the lower half of the priorities, and the enable of Non-secure Group 1."""

import pytest

import vgic
from lpi_guest import FIRST_LPI, RAM
from offsets import GICD, GICR
from two_states import TwoStates

PENDING_TABLE = RAM + 0x10000
GRP1S, GRP1NS, GRP0 = 4, 2, 1


class LpiGuest(TwoStates):
    """One vCPU, awake, with LPIs enabled; every byte of the configuration table is an LPI's, in order."""

    def __init__(self, **options: object) -> None:
        self.ram = vgic.Ram.zeroed(RAM, 0x20000)
        super().__init__(1, memory=self.ram, lpis=True, **options)
        self.ram.write(RAM, bytes(range(256)))
        self.set_gicr(GICR.WAKER, 0, True)
        self.set_gicr(GICR.PROPBASER, RAM | 13, False, size=8)
        self.set_gicr(GICR.PENDBASER, PENDING_TABLE, False, size=8)
        self.set_gicr(GICR.CTLR, 1, False)
        self.set_gicd(GICD.CTLR, GRP1NS, True)
        self.gic.set_pe_state(0, vgic.PeState(el=3, secure=False))
        self.gic.sysreg_write(0, vgic.ICC_IGRPEN1_EL1, 1)
        self.gic.sysreg_write(0, vgic.ICC_PMR_EL1, 0xFF)

    def best(self) -> vgic.Pending | None:
        self.gic.check()
        return self.gic.highest_pending(0)

    def arrive(self, byte: int) -> None:
        """The LPI of this configuration byte."""
        assert self.gic.lpis(0).make_pending(FIRST_LPI + byte)
        self.gic.check()


@pytest.mark.rule("SEC-12")
@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, 0xF8),
        ({"priority_bits": 8}, 0xFF),
        ({"priority_bits": 6}, 0xFC),
        ({"profile": vgic.QEMU}, 0xFF),
        ({"profile": vgic.QEMU, "priority_bits": 8}, 0xFF),
    ],
)
def test_the_priority_of_an_lpi_by_its_byte(options: dict[str, object], kept: int) -> None:
    guest = LpiGuest(**options)
    for byte in range(1, 256, 2):
        priority = ((byte & 0xFC) // 2 + 0x80) & kept
        guest.arrive(byte)
        assert guest.best() == (FIRST_LPI + byte, 1, priority)
        assert guest.gic.lpi(0, FIRST_LPI + byte).priority == priority
        assert guest.gic.lpis(0).clear_pending(FIRST_LPI + byte)
        assert guest.best() is None


@pytest.mark.rule("SEC-12")
def test_lpis_of_one_priority_come_in_order_of_their_intids() -> None:
    guest = LpiGuest()
    # With five bits, of which one says which half, 0x01, 0x05, 0x09 and 0x0D are of one priority.
    for byte in (0x0D, 0x05, 0x15, 0x01, 0x09, 0x11):
        guest.arrive(byte)
    taken = []
    while (intid := guest.gic.sysreg_read(0, vgic.ICC_IAR1_EL1)) < vgic.SPURIOUS or intid >= FIRST_LPI:
        guest.gic.check()
        taken.append(intid - FIRST_LPI)
        guest.gic.sysreg_write(0, vgic.ICC_EOIR1_EL1, intid)
    assert taken == [0x01, 0x05, 0x09, 0x0D, 0x11, 0x15]


@pytest.mark.rule("SEC-12")
@pytest.mark.parametrize("profile", [vgic.ARCH, vgic.QEMU])
def test_once_ds_is_set_a_pending_lpi_has_its_priority_as_it_is(profile: vgic.Profile) -> None:
    guest = LpiGuest(profile=profile)
    for byte in (0x4D, 0x49, 0x81):
        guest.arrive(byte)
    guest.set_gicd(GICD.CTLR, 0, True)
    assert guest.best() is None
    guest.join_states()
    guest.set_gicd(GICD.CTLR, GRP1NS, True)
    assert guest.best() == (FIRST_LPI + 0x49, 1, 0x48)


@pytest.mark.rule("SEC-12", "SEC-11")
def test_pending_lpis_come_back() -> None:
    guest = LpiGuest()
    for byte in (0x49, 0x81):
        guest.arrive(byte)
    state, best = guest.gic.save(), guest.best()
    guest.join_states()
    guest.gic.restore(state)
    assert guest.best() == best
    assert best is not None
    assert best.priority == 0xA0


@pytest.mark.rule("SEC-12", "LPI-20")
def test_lpis_need_the_enable_of_non_secure_group_1() -> None:
    guest = LpiGuest()
    guest.arrive(0x81)
    for enables in (0, GRP0 | GRP1S, GRP1NS, GRP0 | GRP1S | GRP1NS):
        guest.set_gicd(GICD.CTLR, enables, True)
        assert (guest.best() is not None) == (enables & GRP1NS != 0)
