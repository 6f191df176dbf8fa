"""A Redistributor with two Security states: GICR_WAKER, GICR_CTLR.DPG*, GICR_NSACR, LPI registers."""

from typing import Final

import pytest

import vgic
from offsets import BANK, GICD, GICR
from two_states import TwoStates

DPG1S, DPG1NS, DPG0 = 1 << 26, 1 << 25, 1 << 24
DPGS: Final = DPG1S | DPG1NS | DPG0
NSACR: Final = GICR.SGI_BASE + BANK.NSACR
ICFGR0: Final = GICR.SGI_BASE + BANK.ICFGR


@pytest.mark.rule("SEC-3")
def test_only_secure_accesses_wake_a_pe_until_ds_is_set() -> None:
    guest = TwoStates()
    assert guest.gicr(GICR.WAKER, True) == 0b110
    assert guest.gicr(GICR.WAKER, False) == 0
    guest.set_gicr(GICR.WAKER, 0, False)
    assert guest.gicr(GICR.WAKER, True) == 0b110
    guest.set_gicr(GICR.WAKER, 0, True)
    assert guest.gicr(GICR.WAKER, True) == 0
    guest.set_gicr(GICR.WAKER, 0b10, False)
    assert guest.gicr(GICR.WAKER, True) == 0
    guest.join_states()
    guest.set_gicr(GICR.WAKER, 0b10, False)
    assert guest.gicr(GICR.WAKER, False) == 0b110


# By view: the bits of GICR_CTLR.DPG* that it reaches.
VIEWS: Final = {
    "Secure": (True, False, DPGS),
    "Non-secure": (False, False, DPG1NS),
    "Secure, DS": (True, True, DPG1NS | DPG0),
    "Non-secure, DS": (False, True, DPG1NS | DPG0),
}


@pytest.mark.rule("SEC-8")
@pytest.mark.parametrize("view", VIEWS)
def test_each_view_of_what_a_pe_declines(view: str) -> None:
    secure, joined, reached = VIEWS[view]
    for before in (0, DPGS, DPG0, DPG1S, DPG1NS):
        for written in (0, DPGS, DPG0, DPG1S, DPG1NS):
            guest = TwoStates()
            guest.set_gicr(GICR.CTLR, before, True)
            if joined:
                guest.join_states()
            assert guest.gicr(GICR.CTLR, secure) & DPGS == before & reached
            guest.set_gicr(GICR.CTLR, written, secure)
            assert guest.gicr(GICR.CTLR, secure) & DPGS == written & reached
            if not joined:
                assert guest.gicr(GICR.CTLR, True) & DPGS == before & ~reached | written & reached


@pytest.mark.rule("SEC-8")
def test_the_non_secure_state_enables_lpis() -> None:
    guest = TwoStates(lpis=True)
    guest.set_gicr(GICR.CTLR, DPG0 | DPG1S, True)
    guest.set_gicr(GICR.PROPBASER, 0x4000_000F, False, size=8)
    guest.set_gicr(GICR.CTLR, 1 | DPG1NS, False)
    assert guest.gicr(GICR.CTLR, True) & (DPGS | 1) == DPGS | 1
    assert guest.gicr(GICR.PROPBASER, True, size=8) == 0x4000_000F


@pytest.mark.rule("SEC-9")
def test_the_access_of_an_sgi_has_three_levels() -> None:
    guest = TwoStates()
    guest.set_gicr(NSACR, 0b11_10_01_00, True)
    assert guest.gicr(NSACR, True) == 0b10_10_01_00
    assert guest.gicr(NSACR, False) == 0
    assert guest.gicr(NSACR, True, cpu=1) == 0
    guest.set_gicr(NSACR, 0, False)
    assert guest.gicr(NSACR, True) == 0b10_10_01_00
    guest.join_states()
    for secure in (False, True):
        guest.set_gicr(NSACR, 0xFFFF_FFFF, secure)
        assert guest.gicr(NSACR, secure) == 0


@pytest.mark.rule("SEC-4")
def test_the_trigger_of_a_secure_sgi_is_not_shown() -> None:
    guest = TwoStates()
    guest.set_group(0, 0, 1)
    guest.set_group(15, 1, 1)
    guest.set_group(3, 1, 0)
    assert guest.gicr(ICFGR0, True) == 0xAAAA_AAAA
    assert guest.gicr(ICFGR0, False) == 0x8000_0002
    guest.join_states()
    assert guest.gicr(ICFGR0, False) == 0xAAAA_AAAA


@pytest.mark.rule("SEC-8", "ONEN-3")
@pytest.mark.parametrize(("modifier", "group", "bit"), [(0, 0, DPG0), (0, 1, DPG1NS), (1, 0, DPG1S)])
def test_a_pe_declines_by_group(modifier: int, group: int, bit: int) -> None:
    guest = TwoStates()
    guest.set_group(40, modifier, group)
    number = guest.gic.spi(40).group
    for written in (DPG0, DPG1NS, DPG1S):
        guest.set_gicr(GICR.CTLR, written, True)
        assert guest.gic.interface(0).groups[number].declines == (written == bit)


@pytest.mark.rule("SEC-8", "ONEN-3", "ONEN-8")
@pytest.mark.parametrize(("modifier", "group", "bit"), [(0, 0, DPG0), (0, 1, DPG1NS), (1, 0, DPG1S)])
def test_a_1_of_n_spi_goes_where_its_group_is_not_declined(modifier: int, group: int, bit: int) -> None:
    guest = TwoStates()
    guest.set_group(40, modifier, group)
    number = guest.gic.spi(40).group
    guest.set_gicd(GICD.CTLR, 0b1000_0111, True)  # E1NWF and every group
    for cpu in (0, 1):
        guest.set_gicr(GICR.WAKER, 0, True, cpu)
        for secure in (False, True):
            guest.gic.set_pe_state(cpu, vgic.PeState(el=1, secure=secure))
            for register in (vgic.ICC_IGRPEN0_EL1, vgic.ICC_IGRPEN1_EL1):
                guest.gic.sysreg_write(cpu, register, 1)
        guest.gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xFF)
    guest.set_gicd(GICD.IROUTER + 8 * 40, 1 << 31, True, 8)
    guest.set_gicd(BANK.ISENABLER + 4, 1 << 8, True)
    guest.set_gicr(GICR.CTLR, bit, True, 0)
    guest.set_gicd(BANK.ISPENDR + 4, 1 << 8, True)
    assert guest.gic.highest_pending(0) is None
    assert guest.gic.highest_pending(1) == (40, number, 0)
    # The other PE declines it too, and then the first takes it again.
    guest.set_gicr(GICR.CTLR, bit, True, 1)
    assert guest.gic.highest_pending(1) is None
    guest.set_gicr(GICR.CTLR, DPGS & ~bit, True, 0)
    assert guest.gic.highest_pending(0) == (40, number, 0)
    # Nobody that is awake is left, and one that sleeps may be woken.
    guest.set_gicr(GICR.CTLR, bit, True, 0)
    guest.set_gicr(GICR.CTLR, 0, True, 1)
    guest.set_gicr(GICR.WAKER, 0b10, True, 1)
    assert guest.gic.wake_request(1)


@pytest.mark.rule("SEC-20", "SEC-21")
def test_what_qemu_does_otherwise() -> None:
    guest = TwoStates(profile=vgic.QEMU)
    assert guest.gicr(GICR.WAKER, False) == 0b110
    guest.set_gicr(GICR.WAKER, 0, False)
    assert guest.gicr(GICR.WAKER, True) == 0
    guest.set_gicr(NSACR, 0b11_10_01_00, True)
    assert guest.gicr(NSACR, True) == 0b11_10_01_00
    assert guest.gicr(NSACR, False) == 0
