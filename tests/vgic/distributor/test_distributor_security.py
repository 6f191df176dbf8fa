"""The Distributor with two Security states: the views of GICD_CTLR and GICD_TYPER, messages, and DS."""

from itertools import product
from typing import Final

import pytest

import vgic
from access_table import Group
from offsets import BANK, GICD
from two_states import DS, TwoStates

E1NWF: Final = 1 << 7
ARE_NS, ARE_S, ARE = 1 << 5, 1 << 4, 1 << 4
GRP1S, GRP1NS, GRP0 = 1 << 2, 1 << 1, 1 << 0
SECURITY_EXTN: Final = 1 << 10
ALL: Final = 0xFFFF_FFFF

# GICD_CTLR by view (Secure and Non-secure with DS = 0, any with DS = 1): what always reads as one, and each view's
# writable bits by the bit of the Secure view that they show.
VIEWS: Final = {
    "Secure": (ARE_S | ARE_NS, {bit: bit for bit in (E1NWF, GRP1S, GRP1NS, GRP0)}),
    "Non-secure": (ARE_S, {GRP1NS: GRP1NS}),
    "DS": (DS | ARE, {bit: bit for bit in (E1NWF, GRP1NS, GRP0)}),
}
STORED: Final = (E1NWF, GRP1S, GRP1NS, GRP0)


def stored_in(guest: TwoStates) -> int:
    """What is stored, by the view that shows most."""
    shown = guest.gicd(GICD.CTLR, True)
    return shown & (E1NWF | GRP1S | GRP1NS | GRP0)


@pytest.mark.rule("SEC-1")
@pytest.mark.parametrize("view", VIEWS)
def test_each_view_of_the_control_register(view: str) -> None:
    ones, shown = VIEWS[view]
    for before, written in product(range(16), repeat=2):
        guest = TwoStates()
        stored = sum(bit for n, bit in enumerate(STORED) if before >> n & 1)
        guest.set_gicd(GICD.CTLR, stored, True)
        secure = view == "Secure"
        if view == "DS":
            guest.join_states()
            stored &= ~GRP1S
        assert guest.gicd(GICD.CTLR, secure) == ones | sum(own for own, bit in shown.items() if stored & bit)
        value = sum(bit for n, bit in enumerate(STORED) if written >> n & 1)
        # Whatever else is written changes nothing; DS is a matter of its own.
        guest.set_gicd(GICD.CTLR, value | ALL & ~(sum(STORED) | (DS if secure else 0)), secure)
        for own, bit in shown.items():
            stored = stored | bit if value & own else stored & ~bit
        assert guest.gicd(GICD.CTLR, secure) == ones | sum(own for own, bit in shown.items() if stored & bit)
        assert stored_in(guest) == stored


@pytest.mark.rule("SEC-1")
def test_at_reset_there_are_two_states_and_nothing_is_forwarded() -> None:
    guest = TwoStates()
    assert guest.gicd(GICD.CTLR, True) == ARE_S | ARE_NS
    assert guest.gicd(GICD.CTLR, False) == ARE


@pytest.mark.rule("SEC-1")
def test_ds_stays_set_and_only_a_secure_access_sets_it() -> None:
    guest = TwoStates()
    guest.set_gicd(GICD.CTLR, DS, False)
    assert guest.gicd(GICD.CTLR, True) == ARE_S | ARE_NS
    guest.set_gicd(GICD.CTLR, DS | GRP1S | GRP0, True)
    for secure in (False, True):
        assert guest.gicd(GICD.CTLR, secure) == DS | ARE | GRP0
        guest.set_gicd(GICD.CTLR, GRP0, secure)
        assert guest.gicd(GICD.CTLR, secure) == DS | ARE | GRP0


@pytest.mark.rule("SEC-1")
def test_typer_says_two_states_until_ds_is_set() -> None:
    guest = TwoStates()
    one = vgic.Gic(vgic.Config(vgic.Topology.kvm(2), spis=32))
    plain = one.read(one.config.gicd_base + GICD.TYPER, 4)
    for secure in (False, True):
        assert guest.gicd(GICD.TYPER, secure) == plain | SECURITY_EXTN
    guest.join_states()
    for secure in (False, True):
        assert guest.gicd(GICD.TYPER, secure) == plain


@pytest.mark.rule("SEC-1", "SEC-2")
def test_with_ds_secure_group_1_becomes_group_0() -> None:
    guest = TwoStates()
    for intid in (40, 20):
        guest.set_group(intid, 1, 0)
        assert guest.gic.interrupt(0, intid).group == 2
    guest.set_gicd(BANK.ISPENDR + 4, 1 << 8, True)
    guest.set_gicd(BANK.ISENABLER + 4, 1 << 8, True)
    guest.join_states()
    for intid in (40, 20):
        assert guest.gic.interrupt(0, intid).group == 0
    assert guest.gicd(BANK.IGRPMODR + 4, True) == 0


@pytest.mark.rule("SEC-2")
@pytest.mark.parametrize("intid", [3, 20, 40])
def test_a_group_by_two_bits(intid: int) -> None:
    guest = TwoStates()
    for group, number in ((Group.G0, 0), (Group.G1NS, 1), (Group.G1S, 2), (Group.RESERVED, 1)):
        guest.set_group(intid, group.modifier, group.bit)
        assert guest.gic.interrupt(0, intid).group == number


# The least GICD_NSACR by which a Non-secure write of a message register reaches a Secure SPI.
MESSAGES: Final = {GICD.SETSPI_NSR: 1, GICD.CLRSPI_NSR: 2, GICD.SETSPI_SR: None, GICD.CLRSPI_SR: None}


@pytest.mark.rule("SEC-7")
@pytest.mark.parametrize("register", MESSAGES)
@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("secure", [False, True])
def test_messages_by_state_group_and_access(register: int, secure: bool, joined: bool) -> None:
    sets = register in (GICD.SETSPI_NSR, GICD.SETSPI_SR)
    least = MESSAGES[register]
    for group, level in product(Group, range(4)):
        guest = TwoStates()
        guest.set_group(40, group.modifier, group.bit)
        guest.set_access(40, level)
        if not sets:
            guest.set_gicd(GICD.SETSPI_NSR, 40, True)
        if joined:
            guest.join_states()
        guest.set_gicd(register, 40, secure)
        if joined:
            acts = least is not None
        elif secure:
            acts = True
        else:
            acts = least is not None and (not group.secure or level >= least)
        assert guest.gic.spi(40).pending == (acts if sets else not acts), (group, level)


@pytest.mark.rule("SEC-7")
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("register", MESSAGES)
def test_a_message_for_no_spi_does_nothing(register: int, secure: bool) -> None:
    guest = TwoStates(spis=32)
    before = guest.gic.save()
    for intid in (0, 31, 64, 1019, 8191):
        guest.set_gicd(register, intid, secure)
    assert guest.gic.save() == before


@pytest.mark.rule("SEC-3")
def test_private_interrupts_have_no_access_register_in_the_distributor() -> None:
    guest = TwoStates()
    for register in (BANK.NSACR, BANK.NSACR + 4, BANK.IGRPMODR):
        guest.set_gicd(register, ALL, True)
        assert guest.gicd(register, True) == 0


@pytest.mark.rule("SEC-3", "ACC-6")
def test_registers_of_two_states_end_with_the_last_spi() -> None:
    guest = TwoStates(spis=988)
    for register in (BANK.IGRPMODR + 4 * 31, BANK.NSACR + 4 * 63):
        guest.set_gicd(register, ALL, True)
    assert guest.gicd(BANK.IGRPMODR + 4 * 31, True) == 0x0FFF_FFFF
    assert guest.gicd(BANK.NSACR + 4 * 63, True) == 0x00FF_FFFF
    guest = TwoStates(spis=32)
    for register in (BANK.IGRPMODR + 8, BANK.NSACR + 16):
        guest.set_gicd(register, ALL, True)
        assert guest.gicd(register, True) == 0
