"""The CPU interface of two Security states: each cell of Arm's tables (tests/helpers/security_tables.py)."""

from dataclasses import replace
from itertools import product
from typing import Final

import pytest

import vgic
from pe_states import EL3, EL3_NS, NS_EL1, NS_EL1_SHIFTED, NS_EL2, S_EL1, Pes
from security_tables import DEACTIVATES, FINISHES, GROUPS, ITSELF, READERS, SENDS, SIGNALS, TAKES
from vgic import ARCH, QEMU, PeState
from vgic.cpu_interface.group import GROUP0, GROUP1, SECURE_GROUP1

INTID: Final = 5
IAR = (vgic.ICC_IAR0_EL1, vgic.ICC_IAR1_EL1)
HPPIR = (vgic.ICC_HPPIR0_EL1, vgic.ICC_HPPIR1_EL1)
EOIR = (vgic.ICC_EOIR0_EL1, vgic.ICC_EOIR1_EL1)
EOI_MODE_EVERYWHERE: Final = 0b11100
CELLS: Final = [(reader, place, number) for reader in READERS for place in range(3) for number in range(2)]

ONE_STATE_GROUPS: Final = (GROUP0, GROUP1)


# What a PE takes.


@pytest.mark.rule("PE-6")
@pytest.mark.parametrize(("reader", "place", "number"), CELLS)
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=repr)
def test_what_a_reader_gets_of_each_group(profile: vgic.Profile, reader: str, place: int, number: int) -> None:
    guest = Pes(profile=profile)
    guest.pend(INTID, GROUPS[place])
    expected = TAKES[reader][number][place]
    intid = INTID if expected == ITSELF else expected
    guest.at(READERS[reader])
    before = guest.gic.save()
    assert guest.mrs(HPPIR[number]) == intid
    assert guest.gic.save() == before
    assert guest.mrs(IAR[number]) == intid
    assert guest.is_active(INTID) == (expected == ITSELF)
    assert expected == ITSELF or guest.gic.save() == before


TAKES_WITH_DS: Final = {
    # Group 0 and Group 1 by the registers of Group 0, and by those of Group 1.
    "EL3": ((ITSELF, 1021), (1023, ITSELF)),
    "EL3 of Non-secure": ((ITSELF, 1021), (1023, ITSELF)),
    "Secure EL1": ((ITSELF, 1023), (1023, 1023)),
    "Non-secure EL2": ((ITSELF, 1023), (1023, ITSELF)),
    "Non-secure EL1": ((ITSELF, 1023), (1023, ITSELF)),
}


@pytest.mark.rule("PE-3", "PE-6")
@pytest.mark.parametrize(("reader", "group", "number"), list(product(TAKES_WITH_DS, (0, 1), (0, 1))))
def test_what_a_reader_gets_once_ds_is_set(reader: str, group: int, number: int) -> None:
    guest = Pes()
    guest.join_states()
    guest.pend(INTID, group)
    expected = TAKES_WITH_DS[reader][number][group]
    intid = INTID if expected == ITSELF else expected
    guest.at(READERS[reader])
    assert guest.mrs(HPPIR[number]) == intid
    assert guest.mrs(IAR[number]) == intid
    assert guest.is_active(INTID) == (expected == ITSELF)


@pytest.mark.rule("PE-6")
@pytest.mark.parametrize(("reader", "place", "number"), CELLS)
def test_what_cannot_preempt_is_no_more_than_shown(reader: str, place: int, number: int) -> None:
    guest = Pes()
    guest.pend(INTID, GROUPS[place])
    guest.msr(vgic.ICC_PMR_EL1, 0xA0)
    expected = TAKES[reader][number][place]
    assert guest.mrs(IAR[number], state=READERS[reader]) == 1023
    assert guest.mrs(HPPIR[number], state=READERS[reader]) == (INTID if expected == ITSELF else expected)


# How it is signalled.


@pytest.mark.rule("PE-2")
@pytest.mark.parametrize(("reader", "place"), list(product(READERS, range(3))))
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=repr)
def test_the_signal_of_each_group(profile: vgic.Profile, reader: str, place: int) -> None:
    guest = Pes(profile=profile)
    guest.pend(INTID, GROUPS[place])
    assert guest.signal() == "FIQ"
    for state in (READERS[reader], replace(READERS[reader], scr_fiq=True, scr_irq=True)):
        guest.at(state)
        assert guest.signal() == SIGNALS[reader][place]


@pytest.mark.rule("PE-1", "PE-2")
def test_a_change_of_state_alone_changes_the_outputs_and_the_sink_hears_it() -> None:
    guest = Pes()
    guest.pend(INTID, SECURE_GROUP1)
    guest.lines.clear()
    for state in (EL3_NS, S_EL1, PeState(0, secure=True), NS_EL1, NS_EL2, S_EL1):
        guest.at(state)
    assert guest.lines == [(0, True, False), (0, False, True), (0, True, False)]


@pytest.mark.rule("PE-2")
@pytest.mark.parametrize(("place", "expected"), [(0, "FIQ"), (1, "IRQ"), (2, "FIQ")])
def test_the_signal_at_el3_of_a_pe_of_32_bits(place: int, expected: str) -> None:
    topology = vgic.Topology([0, 1], aarch32=[0])
    gic = vgic.Gic(vgic.Config(topology, security="two"))
    guest = Pes()
    guest.gic = gic
    guest.set_gicd(0, 0b111, True)
    guest.set_gicr(0x14, 0, True)
    for register, value in ((vgic.ICC_PMR_EL1, 0xFF), (vgic.ICC_IGRPEN0_EL1, 1), (vgic.ICC_IGRPEN1_EL3, 3)):
        gic.sysreg_write(0, register, value)
    guest.pend(INTID, GROUPS[place])
    assert guest.signal() == expected


@pytest.mark.rule("PE-3", "PE-21")
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=repr)
def test_the_signal_once_ds_is_set(profile: vgic.Profile, reader: str) -> None:
    guest = Pes(profile=profile)
    guest.join_states()
    state = READERS[reader]
    guest.pend(INTID, GROUP1)
    guest.at(state)
    from_secure = profile is QEMU and (state.secure or state.el == 3)
    assert guest.signal() == ("FIQ" if from_secure else "IRQ")
    guest.pend(INTID, GROUP0)
    assert guest.signal() == "FIQ"


# Who finishes it.


@pytest.mark.rule("PE-15")
@pytest.mark.parametrize(("reader", "place", "number"), CELLS)
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=repr)
def test_who_ends_an_interrupt_of_each_group(profile: vgic.Profile, reader: str, place: int, number: int) -> None:
    guest = Pes(profile=profile)
    guest.pend(INTID, GROUPS[place])
    assert guest.mrs(IAR[GROUPS[place] != GROUP0]) == INTID
    running = guest.mrs(vgic.ICC_RPR_EL1)
    guest.msr(EOIR[number], INTID, state=READERS[reader])
    ended = FINISHES[reader][number][place]
    assert guest.is_active(INTID) is not ended
    assert guest.mrs(vgic.ICC_RPR_EL1) == (0xFF if ended else running)


@pytest.mark.rule("PE-3", "PE-15")
@pytest.mark.parametrize(("reader", "group"), list(product(READERS, ONE_STATE_GROUPS)))
def test_who_ends_an_interrupt_once_ds_is_set(reader: str, group: int) -> None:
    guest = Pes()
    guest.join_states()
    guest.pend(INTID, group)
    assert guest.mrs(IAR[group]) == INTID
    guest.msr(EOIR[group], INTID, state=READERS[reader])
    assert guest.is_active(INTID) is (reader == "Secure EL1" and group == GROUP1)


DIR_CELLS: Final = [(reader, bits, place) for reader in READERS for bits in range(3) for place in range(3)]


@pytest.mark.rule("PE-11")
@pytest.mark.parametrize(("reader", "bits", "place"), DIR_CELLS)
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=repr)
def test_who_deactivates_an_interrupt_of_each_group(
    profile: vgic.Profile, reader: str, bits: int, place: int
) -> None:
    guest = Pes(profile=profile)
    guest.msr(vgic.ICC_CTLR_EL3, EOI_MODE_EVERYWHERE)
    guest.pend(INTID, GROUPS[place])
    assert guest.mrs(IAR[GROUPS[place] != GROUP0]) == INTID
    state = replace(READERS[reader], scr_fiq=bits == 1, scr_irq=bits == 2)
    guest.msr(vgic.ICC_DIR_EL1, INTID, state=state)
    assert guest.is_active(INTID) is not DEACTIVATES[reader][bits][place]


@pytest.mark.rule("PE-11")
@pytest.mark.parametrize("ds", [False, True])
@pytest.mark.parametrize(("el", "fmo", "imo"), list(product((1, 2), (False, True), (False, True))))
@pytest.mark.parametrize(("scr_fiq", "scr_irq"), list(product((False, True), (False, True))))
def test_what_nonsecure_deactivates(ds: bool, el: int, fmo: bool, imo: bool, scr_fiq: bool, scr_irq: bool) -> None:
    guest = Pes()
    if ds:
        guest.join_states()
    guest.msr(vgic.ICC_CTLR_EL3, EOI_MODE_EVERYWHERE)
    expected = {
        GROUP0: ds and not scr_fiq and not (el == 1 and fmo),
        GROUP1: not scr_irq and not (el == 1 and imo),
    }
    for group, deactivated in expected.items():
        guest.pend(INTID, group)
        assert guest.mrs(IAR[group]) == INTID
        guest.msr(EOIR[group], INTID)
        guest.msr(vgic.ICC_DIR_EL1, INTID, state=PeState(el, False, scr_irq, scr_fiq, imo, fmo))
        assert guest.is_active(INTID) is not deactivated
        guest.msr(vgic.ICC_DIR_EL1, INTID)
        assert not guest.is_active(INTID)


LISTED: Final = [
    # Whether the guest is Secure, SCR_EL3.IRQ and FIQ, GICD_CTLR.DS, and of which groups its hypervisor ends.
    (False, False, False, False, {GROUP1}),
    (False, False, True, False, {GROUP1}),
    (False, True, True, False, set()),
    (False, False, False, True, {GROUP0, GROUP1}),
    (False, False, True, True, {GROUP1}),
    (True, False, False, False, {GROUP0, SECURE_GROUP1, GROUP1}),
    (True, False, True, False, {SECURE_GROUP1, GROUP1}),
    (True, True, False, False, {GROUP0}),
]


@pytest.mark.rule("VCPU-34", "VCPU-35")
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=repr)
@pytest.mark.parametrize("veoim", [False, True])
@pytest.mark.parametrize("intid", [27, 42])
@pytest.mark.parametrize(("secure", "scr_irq", "scr_fiq", "ds", "ended"), LISTED)
def test_what_ends_with_a_virtual_interrupt(
    secure: bool,
    scr_irq: bool,
    scr_fiq: bool,
    ds: bool,
    ended: set[int],
    intid: int,
    veoim: bool,
    profile: vgic.Profile,
) -> None:
    guest = Pes(1, profile, list_registers=4)
    if ds:
        guest.join_states()
    for group in ONE_STATE_GROUPS if ds else GROUPS:
        guest.at(EL3)
        guest.activate(intid, group)
        guest.msr(vgic.ICH_VMCR_EL2, 0xF0 << 24 | veoim << 9 | 0b11)
        guest.msr(vgic.ICH_HCR_EL2, 1)
        guest.msr(vgic.ICH_LR0_EL2, 1 << 63 | 0b11 << 60 | 0x80 << 48 | intid << 32 | 60)
        guest.msr(vgic.ICH_AP1R0_EL2, 1 << (0x80 >> 3))
        guest.at(PeState(1, secure, scr_irq, scr_fiq, True, True))
        guest.msr(vgic.ICC_EOIR1_EL1, 60)
        assert guest.is_active(intid) or not veoim
        guest.msr(vgic.ICC_DIR_EL1, 60)
        assert guest.is_active(intid) is not (group in ended or profile is QEMU), group
        assert guest.mrs(vgic.ICH_LR0_EL2, state=EL3) >> 62 == 0


@pytest.mark.rule("PE-9", "PE-11", "PE-15")
@pytest.mark.parametrize("reader", ["EL3", "Secure EL1", "Non-secure EL1"])
@pytest.mark.parametrize("mode", [0b00100, 0b01000, 0b10000])
def test_each_has_an_eoi_mode_of_its_own(reader: str, mode: int) -> None:
    group, bit = {"EL3": (GROUP0, 0b100), "Secure EL1": (SECURE_GROUP1, 0b1000)}.get(reader, (GROUP1, 0b10000))
    guest = Pes()
    guest.msr(vgic.ICC_CTLR_EL3, mode)
    guest.at(READERS[reader])
    guest.pend(INTID, group)
    assert guest.mrs(IAR[group != GROUP0]) == INTID
    guest.msr(EOIR[group != GROUP0], INTID)
    splits = mode == bit
    assert guest.is_active(INTID) is splits
    assert guest.mrs(vgic.ICC_RPR_EL1) == 0xFF
    guest.msr(vgic.ICC_DIR_EL1, INTID)
    assert not guest.is_active(INTID)


# SGIs.

SGI_REGISTERS: Final = (vgic.ICC_SGI0R_EL1, vgic.ICC_SGI1R_EL1, vgic.ICC_ASGI1R_EL1)
WRITERS: Final = {"Secure": (EL3, EL3_NS, S_EL1), "Non-secure": (NS_EL1, NS_EL2)}
SGI: Final = INTID << 24 | 0b10


def sends(profile: vgic.Profile, writer: str, number: int, place: int, access: int) -> bool:
    """Whether an SGI arrives, by Arm's table and, for QEMU, what it does otherwise."""
    if profile is QEMU and SGI_REGISTERS[number] == vgic.ICC_SGI1R_EL1:
        # Secure: Group 0 too. Non-secure: no other group, whatever GICR_NSACR.
        return GROUPS[place] != GROUP1 if writer == "Secure" else GROUPS[place] == GROUP1
    return access >= SENDS[writer][number][place]


@pytest.mark.rule("PE-12", "PE-25", "API-8")
@pytest.mark.parametrize(("writer", "number", "place"), list(product(WRITERS, range(3), range(3))))
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=repr)
def test_which_sgis_arrive(profile: vgic.Profile, writer: str, number: int, place: int) -> None:
    guest = Pes(profile=profile)
    register = SGI_REGISTERS[number]
    guest.put(INTID, GROUPS[place], cpu=1)
    for access, state in product(range(4), WRITERS[writer]):
        guest.set_gicr(0x1_0E00, access << 2 * INTID, True, 1)
        arrives = sends(profile, writer, number, place, access)
        guest.at(state)
        for secure in (False, True):
            assert guest.gic.sgi_targets(0, register, SGI, secure) == ([1] if arrives else [])
        guest.msr(register, SGI)
        assert guest.gic.interrupt(1, INTID).pending is arrives
        assert not guest.gic.interrupt(0, INTID).pending
        guest.set_gicr(0x1_0280, 1 << INTID, True, 1)


@pytest.mark.rule("API-8")
@pytest.mark.parametrize("register", SGI_REGISTERS)
def test_at_el0_there_is_no_register_that_sends(register: int) -> None:
    guest = Pes()
    guest.put(INTID, GROUP0, cpu=1)
    guest.at(PeState(0, secure=True))
    assert guest.gic.sgi_targets(0, register, SGI, secure=True) == []
    with pytest.raises(vgic.ConfigError, match="generates no SGIs"):
        guest.gic.sgi_targets(0, vgic.ICC_PMR_EL1, SGI)


@pytest.mark.rule("PE-12")
def test_access_to_one_sgi_is_no_access_to_another() -> None:
    guest = Pes()
    guest.put(INTID, SECURE_GROUP1, cpu=1)
    guest.set_gicr(0x1_0E00, 0xFFFF_FFFF & ~(0b11 << 2 * INTID), True, 1)
    guest.set_gicr(0x1_0E00, 0xFFFF_FFFF, True, 0)
    guest.msr(vgic.ICC_SGI1R_EL1, SGI, state=NS_EL1)
    assert not guest.gic.interrupt(1, INTID).pending


SENDS_WITH_DS: Final = {
    # ICC_SGI0R_EL1, ICC_SGI1R_EL1, ICC_ASGI1R_EL1: to Group 0, to Group 1
    "Secure": ((True, False), (True, False), (False, True)),
    "Non-secure": ((True, False), (True, True), (True, False)),
}


@pytest.mark.rule("PE-13", "PE-25")
@pytest.mark.parametrize(("writer", "number", "group"), list(product(WRITERS, range(3), ONE_STATE_GROUPS)))
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=repr)
def test_which_sgis_arrive_once_ds_is_set(profile: vgic.Profile, writer: str, number: int, group: int) -> None:
    guest = Pes(profile=profile)
    guest.join_states()
    register = SGI_REGISTERS[number]
    guest.put(INTID, group, cpu=1)
    arrives = SENDS_WITH_DS[writer][number][group]
    if profile is QEMU and (writer, register, group) == ("Non-secure", vgic.ICC_SGI1R_EL1, GROUP0):
        arrives = False
    for state in WRITERS[writer]:
        guest.at(state)
        for secure in (False, True):
            assert guest.gic.sgi_targets(0, register, SGI, secure) == ([1] if arrives else [])
        guest.msr(register, SGI)
        assert guest.gic.interrupt(1, INTID).pending is arrives
        guest.set_gicr(0x1_0280, 1 << INTID, True, 1)


# What the state is.


@pytest.mark.rule("PE-1")
def test_the_embedder_tells_the_state_and_can_ask_for_it() -> None:
    guest = Pes()
    assert guest.gic.pe_state(1) == EL3
    guest.at(NS_EL1_SHIFTED, 1)
    assert (guest.gic.pe_state(0), guest.gic.pe_state(1)) == (EL3, NS_EL1_SHIFTED)
    with pytest.raises(vgic.ConfigError, match="no vCPU 2"):
        guest.gic.set_pe_state(2, EL3)
    with pytest.raises(vgic.ConfigError, match="state is a PeState, not 3"):
        guest.gic.set_pe_state(0, 3)  # type: ignore[arg-type]
    assert guest.gic.pe_state(0) == EL3


@pytest.mark.rule("PE-1")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"el": 4}, "el is an Exception level, 0 to 3, not 4"),
        ({"el": -1}, "el is an Exception level, 0 to 3, not -1"),
        ({"el": "EL3"}, "el is an integer, not 'EL3'"),
        ({"secure": 1}, "secure is True or False, not 1"),
        ({"scr_fiq": None}, "scr_fiq is True or False, not None"),
    ],
)
def test_a_state_that_cannot_be_is_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(vgic.ConfigError, match=message):
        PeState(**options)  # type: ignore[arg-type]


@pytest.mark.rule("PE-1")
@pytest.mark.parametrize("state", [*READERS.values(), PeState(0), NS_EL1_SHIFTED])
def test_with_one_security_state_nothing_depends_on_it(state: PeState) -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1)))
    gic.wake_all()
    gic.write(0x0800_0000, 4, 0b11)
    for register in (vgic.ICC_IGRPEN0_EL1, vgic.ICC_IGRPEN1_EL1):
        gic.sysreg_write(0, register, 1)
    gic.sysreg_write(0, vgic.ICC_PMR_EL1, 0xF8)
    gic.write(0x080B_0100, 4, 1)
    gic.sysreg_write(0, vgic.ICC_SGI0R_EL1, 1)
    saved, outputs = gic.save(), gic.outputs(0)
    gic.set_pe_state(0, state)
    assert gic.save() == saved
    assert gic.outputs(0) == outputs == (False, True)
    assert gic.sysreg_read(0, vgic.ICC_PMR_EL1) == 0xF8
    assert gic.sysreg_read(0, vgic.ICC_IAR0_EL1) == 0
    assert not gic.sysreg_defined(vgic.ICC_CTLR_EL3, False)


@pytest.mark.rule("API-20")
def test_an_access_that_would_trap_is_answered() -> None:
    guest = Pes()
    guest.pend(INTID, GROUP1)
    guest.at(PeState(1, False, True, True, True, True))
    assert guest.mrs(vgic.ICC_PMR_EL1) == 0xF0
    assert guest.mrs(vgic.ICC_IAR1_EL1) == INTID


@pytest.mark.rule("PE-16")
@pytest.mark.parametrize(("group", "enable"), [(GROUP1, 0b01), (SECURE_GROUP1, 0b10)])
def test_a_one_of_n_interrupt_goes_where_the_bank_of_its_group_is_enabled(group: int, enable: int) -> None:
    guest = Pes()
    for cpu in (0, 1):
        guest.msr(vgic.ICC_IGRPEN1_EL3, 0b11 & ~enable, cpu)
    guest.set_gicd(0x6000 + 8 * 40, 1 << 31, True, 8)
    guest.pend(40, group)
    assert guest.gic.spi(40).target is None
    guest.msr(vgic.ICC_IGRPEN1_EL1, 1, 1, state=S_EL1 if group == SECURE_GROUP1 else NS_EL1)
    assert guest.gic.spi(40).target == 1
    guest.msr(vgic.ICC_IGRPEN1_EL3, 0b11, 0)
    guest.msr(vgic.ICC_IGRPEN1_EL3, 0b11 & ~enable, 1)
    assert guest.gic.spi(40).target == 0
