"""The banked system registers of two Security states, their views, and those of EL2 and EL3."""

from itertools import product
from typing import Final

import pytest

import vgic
from pe_states import EL3, EL3_NS, NS_EL1, NS_EL1_SHIFTED, NS_EL2, S_EL1, Pes
from vgic import ARCH, QEMU, PeState
from vgic.cpu_interface.group import GROUP0, GROUP1, SECURE_GROUP1
from vgic.layouts.icc import ICC

ALL_64: Final = (1 << 64) - 1
NS_EL2_SHIFTED: Final = PeState(2, scr_fiq=True)
RAW: Final = (EL3, EL3_NS, S_EL1, NS_EL1, NS_EL2, PeState(3, scr_fiq=True), PeState(1, True, scr_fiq=True))
"""Who sees priorities as they are."""
SHIFTED: Final = (NS_EL1_SHIFTED, NS_EL2_SHIFTED)
SECURE_BANK: Final = (EL3, S_EL1, PeState(2, secure=True))
NONSECURE_BANK: Final = (EL3_NS, NS_EL1, NS_EL2, *SHIFTED)
EVERY: Final = (*SECURE_BANK, *NONSECURE_BANK)


def nonsecure_view(priority: int, idle_stays: bool) -> int:
    """IHI 0069, "Software accesses of interrupt priority"."""
    if priority < 0x80:
        return 0
    return 0xFF if priority == 0xFF and idle_stays else (priority << 1) % 0x100


# Priorities.


@pytest.mark.rule("PE-5", "PE-24")
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=repr)
@pytest.mark.parametrize("bits", [5, 6, 7, 8])
def test_pmr_as_each_reads_it(profile: vgic.Profile, bits: int) -> None:
    guest = Pes(profile=profile, priority_bits=bits)
    for value in range(256):
        guest.msr(vgic.ICC_PMR_EL1, value)
        kept = value & 0xFF00 >> bits & 0xFF
        for state in RAW:
            assert guest.mrs(vgic.ICC_PMR_EL1, state=state) == kept
        for state in SHIFTED:
            assert guest.mrs(vgic.ICC_PMR_EL1, state=state) == nonsecure_view(kept, profile is QEMU)


@pytest.mark.rule("PE-5")
@pytest.mark.parametrize("bits", [5, 8])
@pytest.mark.parametrize("state", SHIFTED)
def test_pmr_as_nonsecure_writes_it(state: PeState, bits: int) -> None:
    guest = Pes(priority_bits=bits)
    implemented = 0xFF00 >> bits & 0xFF
    for before, value in product((0, 0x40, 0x78, 0x80, 0xA0, 0xFF), range(256)):
        guest.msr(vgic.ICC_PMR_EL1, before)
        guest.msr(vgic.ICC_PMR_EL1, value, state=state)
        expected = (value >> 1 | 0x80) if before >= 0x80 else before
        assert guest.mrs(vgic.ICC_PMR_EL1) == expected & implemented


@pytest.mark.rule("PE-5")
def test_a_pmr_that_nonsecure_writes_counts_at_once() -> None:
    guest = Pes().at(NS_EL1_SHIFTED)
    guest.pend(5, GROUP1, 0xA0)
    guest.msr(vgic.ICC_PMR_EL1, 0x40)
    assert guest.signal() == ""
    guest.msr(vgic.ICC_PMR_EL1, 0x50)
    assert guest.signal() == "IRQ"


@pytest.mark.rule("PE-5")
@pytest.mark.parametrize(("priority", "group"), list(product((0, 0x40, 0x78, 0x80, 0xA0, 0xF0), (0, 1, 2))))
def test_rpr_as_each_reads_it(priority: int, group: int) -> None:
    guest = Pes()
    assert {guest.mrs(vgic.ICC_RPR_EL1, state=state) for state in EVERY} == {0xFF}
    guest.pend(5, group, priority)
    guest.mrs(vgic.ICC_IAR1_EL1 if group else vgic.ICC_IAR0_EL1)
    assert [guest.mrs(vgic.ICC_RPR_EL1, state=state) for state in RAW] == [priority] * len(RAW)
    shown = nonsecure_view(priority, True)
    assert [guest.mrs(vgic.ICC_RPR_EL1, state=state) for state in SHIFTED] == [shown, shown]


@pytest.mark.rule("PE-3", "PE-21")
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=repr)
def test_priorities_once_ds_is_set(profile: vgic.Profile) -> None:
    guest = Pes(profile=profile)
    guest.join_states()
    guest.msr(vgic.ICC_PMR_EL1, 0xA0)
    shown = 0x40 if profile is QEMU else 0xA0
    assert guest.mrs(vgic.ICC_PMR_EL1, state=NS_EL1_SHIFTED) == shown
    guest.msr(vgic.ICC_PMR_EL1, 0x40)
    guest.msr(vgic.ICC_PMR_EL1, 0xF0, state=NS_EL1_SHIFTED)
    assert guest.mrs(vgic.ICC_PMR_EL1) == (0x40 if profile is QEMU else 0xF0)


# Binary points.


@pytest.mark.rule("PE-4", "PE-7")
@pytest.mark.parametrize(("bits", "minimum"), [(5, 2), (6, 1), (7, 0), (8, 0)])
def test_each_bank_has_a_binary_point_with_its_minimum(bits: int, minimum: int) -> None:
    guest = Pes(priority_bits=bits)
    for written in (*range(8), 8, ALL_64):
        for writers, others, least in (
            (SECURE_BANK, NONSECURE_BANK, minimum),
            (NONSECURE_BANK, SECURE_BANK, minimum + 1),
        ):
            before = guest.mrs(vgic.ICC_BPR1_EL1, state=others[0])
            for state in writers:
                guest.msr(vgic.ICC_BPR1_EL1, written, state=state)
                expected = max(written & 7, least)
                assert {guest.mrs(vgic.ICC_BPR1_EL1, state=reader) for reader in writers} == {expected}
                assert {guest.mrs(vgic.ICC_BPR1_EL1, state=reader) for reader in others} == {before}
                guest.msr(vgic.ICC_BPR1_EL1, 7, state=state)


@pytest.mark.rule("PE-7")
@pytest.mark.parametrize("binary_point", range(2, 8))
def test_where_each_group_splits_priorities(binary_point: int) -> None:
    """An interrupt of each group preempts one of Group 0 that is worse by as much as its split tells apart."""
    for group, split in ((GROUP0, binary_point + 1), (SECURE_GROUP1, binary_point + 1), (GROUP1, binary_point)):
        guest = Pes(profile=ARCH)
        guest.msr(vgic.ICC_BPR0_EL1, 2)
        guest.pend(1, GROUP0, 0xF0)
        assert guest.mrs(vgic.ICC_IAR0_EL1) == 1
        if group == GROUP0:
            guest.msr(vgic.ICC_BPR0_EL1, binary_point)
        else:
            guest.msr(vgic.ICC_BPR1_EL1, binary_point, state=EL3 if group == SECURE_GROUP1 else EL3_NS)
        guest.put(5, group)
        for priority in range(0, 0xF8, 8):
            guest.pend(5, group, priority)
            assert (guest.signal() != "") == (priority >> split < 0xF0 >> split), (group, priority)


CBPR_S, CBPR_NS = 0b01, 0b10


@pytest.mark.rule("PE-8")
@pytest.mark.parametrize("binary_point", range(2, 8))
@pytest.mark.parametrize("cbpr", range(4))
def test_cbpr_of_each_bank(cbpr: int, binary_point: int) -> None:
    guest = Pes()
    guest.msr(vgic.ICC_BPR0_EL1, binary_point)
    guest.msr(vgic.ICC_BPR1_EL1, 4, state=EL3)
    guest.msr(vgic.ICC_BPR1_EL1, 5, state=EL3_NS)
    guest.msr(vgic.ICC_CTLR_EL3, cbpr)
    for state in SECURE_BANK:
        shown = binary_point if cbpr & CBPR_S and state.el != 3 else 4
        assert guest.mrs(vgic.ICC_BPR1_EL1, state=state) == shown
    for state in NONSECURE_BANK:
        shown = min(binary_point + 1, 7) if cbpr & CBPR_NS and state.el != 3 else 5
        assert guest.mrs(vgic.ICC_BPR1_EL1, state=state) == shown
    # What Secure writes is Group 0's binary point then; what Non-secure writes is nothing.
    guest.msr(vgic.ICC_BPR1_EL1, 6, state=NS_EL1)
    assert guest.mrs(vgic.ICC_BPR1_EL1, state=EL3_NS) == (5 if cbpr & CBPR_NS else 6)
    assert guest.mrs(vgic.ICC_BPR0_EL1) == binary_point
    guest.msr(vgic.ICC_BPR1_EL1, 3, state=S_EL1)
    assert guest.mrs(vgic.ICC_BPR1_EL1, state=EL3) == (4 if cbpr & CBPR_S else 3)
    assert guest.mrs(vgic.ICC_BPR0_EL1) == (3 if cbpr & CBPR_S else binary_point)
    # And EL3 writes the banks.
    guest.msr(vgic.ICC_BPR1_EL1, 7, state=EL3)
    guest.msr(vgic.ICC_BPR1_EL1, 4, state=EL3_NS)
    assert [guest.mrs(vgic.ICC_BPR1_EL1, state=state) for state in (EL3, EL3_NS)] == [7, 4]


@pytest.mark.rule("PE-8")
@pytest.mark.parametrize(("group", "bit"), [(GROUP1, CBPR_NS), (SECURE_GROUP1, CBPR_S)])
def test_with_cbpr_a_group_preempts_by_the_binary_point_of_group_0(group: int, bit: int) -> None:
    guest = Pes()
    guest.pend(1, GROUP0, 0xF0)
    guest.mrs(vgic.ICC_IAR0_EL1)
    guest.msr(vgic.ICC_BPR0_EL1, 7)
    guest.pend(5, group, 0)
    assert guest.signal() == "FIQ"
    guest.msr(vgic.ICC_CTLR_EL3, bit)
    assert guest.signal() == ""
    guest.msr(vgic.ICC_CTLR_EL3, bit ^ 0b11)
    assert guest.signal() == "FIQ"


# Controls.

CTLR_FIELDS: Final = 0b11
CBPR, EOI_MODE = 0b01, 0b10


@pytest.mark.rule("PE-4", "PE-9")
@pytest.mark.parametrize("ds", [False, True])
@pytest.mark.parametrize(("writer", "value"), list(product(EVERY, range(4))))
def test_ctlr_of_each_bank(ds: bool, writer: PeState, value: int) -> None:
    guest = Pes()
    if ds:
        guest.join_states()
    constant = guest.mrs(vgic.ICC_CTLR_EL1)
    assert constant & CTLR_FIELDS == 0
    guest.msr(vgic.ICC_CTLR_EL1, ALL_64 & ~CTLR_FIELDS | value, state=writer)
    stored = value if ds else value & EOI_MODE
    for reader in EVERY:
        of_the_bank = (reader in SECURE_BANK) == (writer in SECURE_BANK)
        assert guest.mrs(vgic.ICC_CTLR_EL1, state=reader) == constant | (stored if of_the_bank else 0)
    cbpr, eoi_mode = (0, 3) if writer in SECURE_BANK else (1, 4)
    shown = (stored & CBPR) << cbpr | (stored >> 1) << eoi_mode
    assert guest.mrs(vgic.ICC_CTLR_EL3) & 0b11111 == shown


@pytest.mark.rule("PE-9", "PE-22", "PE-23")
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=repr)
@pytest.mark.parametrize("value", range(32))
def test_ctlr_el3_is_both_banks_and_its_own(profile: vgic.Profile, value: int) -> None:
    guest = Pes(profile=profile)
    constant = guest.mrs(vgic.ICC_CTLR_EL3)
    shared = guest.mrs(vgic.ICC_CTLR_EL1)
    nds = 1 << 17
    assert constant == shared | (nds if profile is QEMU else 0)
    guest.msr(vgic.ICC_CTLR_EL3, ALL_64 & ~0b11111 | value)
    secure = value & 1 | (value >> 3 & 1) << 1
    nonsecure = value >> 1 & 1 | (value >> 4 & 1) << 1
    assert guest.mrs(vgic.ICC_CTLR_EL1, state=S_EL1) == shared | secure
    assert guest.mrs(vgic.ICC_CTLR_EL1, state=NS_EL1) == shared | nonsecure
    if profile is QEMU:
        secure = nonsecure
    shown = secure & 1 | (nonsecure & 1) << 1 | value & 0b100 | (secure >> 1) << 3 | (nonsecure >> 1) << 4
    assert guest.mrs(vgic.ICC_CTLR_EL3) == constant | shown


@pytest.mark.rule("PE-4")
@pytest.mark.parametrize("writer", EVERY)
def test_group_1_is_enabled_by_bank(writer: PeState) -> None:
    guest = Pes()
    bit = 0b10 if writer in SECURE_BANK else 0b01
    guest.msr(vgic.ICC_IGRPEN1_EL3, 0)
    guest.msr(vgic.ICC_IGRPEN1_EL1, ALL_64, state=writer)
    assert guest.mrs(vgic.ICC_IGRPEN1_EL3) == bit
    for reader in EVERY:
        same = (reader in SECURE_BANK) == (writer in SECURE_BANK)
        assert guest.mrs(vgic.ICC_IGRPEN1_EL1, state=reader) == int(same)
    guest.pend(5, GROUP1)
    guest.pend(6, SECURE_GROUP1, 0xA8)
    assert guest.mrs(vgic.ICC_IAR1_EL1) == (6 if writer in SECURE_BANK else 5)
    guest.msr(vgic.ICC_IGRPEN1_EL3, ALL_64)
    assert guest.mrs(vgic.ICC_IGRPEN1_EL3) == 0b11
    guest.msr(vgic.ICC_IGRPEN0_EL1, 0, state=writer)
    assert {guest.mrs(vgic.ICC_IGRPEN0_EL1, state=reader) for reader in EVERY} == {0}


# Active priorities.


@pytest.mark.rule("PE-10", "PE-20")
@pytest.mark.parametrize("bits", [5, 6, 7, 8])
@pytest.mark.parametrize("ds", [False, True])
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=repr)
def test_active_priorities_of_each_bank(profile: vgic.Profile, ds: bool, bits: int) -> None:
    levels = 1 << min(bits, 7)
    count = levels // 32
    for writer in EVERY:
        guest = Pes(profile=profile, priority_bits=bits)
        if ds:
            guest.join_states()
        before = 0
        for number in range(count):
            guest.msr(vgic.ICC_AP1R0_EL1 + number, 0xFFFF_FFFF, state=writer)
            guest.msr(vgic.ICC_AP0R0_EL1 + number, 1 << number, state=writer)
        read = [
            sum(guest.mrs(vgic.ICC_AP1R0_EL1 + n, state=reader) << 32 * n for n in range(count))
            for reader in (EL3, EL3_NS)
        ]
        everything, upper_half = (1 << levels) - 1, (1 << levels) - (1 << levels // 2)
        if writer in SECURE_BANK:
            expected = [everything, before]
        elif profile is QEMU:
            expected = [before, everything & ~0xFFFF_FFFF_FFFF_FFFF]
        else:
            expected = [before, everything if ds or writer == EL3_NS else upper_half]
        assert read == expected
        first = [guest.mrs(vgic.ICC_AP0R0_EL1 + n, state=NS_EL1) for n in range(count)]
        assert first == [1 << n for n in range(count)]


@pytest.mark.rule("PE-10")
def test_nonsecure_cannot_end_what_runs_at_a_priority_of_secure() -> None:
    guest = Pes()
    guest.pend(5, GROUP1, 0x40)
    assert guest.mrs(vgic.ICC_IAR1_EL1) == 5
    guest.msr(vgic.ICC_AP1R0_EL1, 0, state=NS_EL1)
    assert guest.mrs(vgic.ICC_RPR_EL1) == 0x40


@pytest.mark.rule("PE-10")
def test_of_equal_active_priorities_secure_group_1_is_first() -> None:
    guest = Pes()
    guest.msr(vgic.ICC_AP1R0_EL1, 1 << 20, state=EL3)
    guest.msr(vgic.ICC_AP1R0_EL1, 1 << 20, state=EL3_NS)
    guest.msr(vgic.ICC_EOIR1_EL1, 5, state=NS_EL1)
    assert [guest.mrs(vgic.ICC_AP1R0_EL1, state=state) for state in (EL3, EL3_NS)] == [1 << 20, 1 << 20]
    guest.msr(vgic.ICC_EOIR1_EL1, 5, state=S_EL1)
    assert [guest.mrs(vgic.ICC_AP1R0_EL1, state=state) for state in (EL3, EL3_NS)] == [0, 1 << 20]


# Who has which registers.

HIGHER: Final = {
    vgic.ICC_SRE_EL2: 2,
    vgic.ICC_SRE_EL3: 3,
    vgic.ICC_CTLR_EL3: 3,
    vgic.ICC_IGRPEN1_EL3: 3,
}


@pytest.mark.rule("PE-14")
@pytest.mark.parametrize(("el", "secure"), list(product(range(4), (False, True))))
def test_the_exception_levels_that_have_each_register(el: int, secure: bool) -> None:
    one = vgic.Gic(vgic.Config(vgic.Topology.kvm(1)))
    gic = Pes(1).at(PeState(el, secure)).gic
    # Those of op0 3.
    for register, write in product(range(0xC000, 1 << 16), (False, True)):
        lowest = HIGHER.get(register, 1 if one.sysreg_defined(register, write) else 4)
        assert gic.sysreg_defined(register, write) is (el >= lowest), hex(register)


@pytest.mark.rule("PE-14")
def test_an_access_from_too_low_is_undefined_and_told() -> None:
    guest = Pes().at(NS_EL1)
    assert guest.gic.mrs(0, vgic.ICC_CTLR_EL3) is None
    assert guest.gic.msr(0, vgic.ICC_IGRPEN1_EL3, 0) is False
    assert guest.mrs(vgic.ICC_IGRPEN1_EL3, state=EL3) == 0b11


@pytest.mark.rule("PE-14")
def test_system_registers_are_the_only_interface_at_every_level() -> None:
    guest = Pes()
    for state in EVERY:
        guest.msr(vgic.ICC_SRE_EL1, 0, state=state)
        assert guest.mrs(vgic.ICC_SRE_EL1, state=state) == 7
    for register in (vgic.ICC_SRE_EL2, vgic.ICC_SRE_EL3):
        guest.msr(register, 0)
        assert guest.mrs(register) == 0xF


# State.


def busy() -> Pes:
    """A different value in every banked register."""
    guest = Pes()
    guest.msr(vgic.ICC_BPR0_EL1, 3)
    guest.msr(vgic.ICC_BPR1_EL1, 4, state=EL3)
    guest.msr(vgic.ICC_BPR1_EL1, 5, state=EL3_NS)
    guest.msr(vgic.ICC_CTLR_EL3, 0b01101)
    guest.msr(vgic.ICC_IGRPEN1_EL3, 0b10)
    guest.msr(vgic.ICC_AP1R0_EL1, 1 << 9, state=EL3)
    guest.msr(vgic.ICC_AP1R0_EL1, 1 << 21, state=EL3_NS)
    return guest


@pytest.mark.rule("PE-17")
def test_every_bank_is_saved_and_restored() -> None:
    guest = busy()
    state = guest.gic.save()
    names = {name.removeprefix("ICC[0].") for name in state["registers"] if name.startswith("ICC[0].")}
    banked = {f"ICC_{name}_EL1_{bank}" for name in ("BPR1", "CTLR", "AP1R0") for bank in ("S", "NS")}
    assert names == {*banked, "ICC_PMR_EL1", "ICC_BPR0_EL1", "ICC_CTLR_EL3", "ICC_IGRPEN0_EL1", "ICC_IGRPEN1_EL1_S"}
    other = vgic.Gic(guest.config)
    other.restore(state)
    other.check()
    assert other.save() == state
    for cpu, pe in product((0, 1), EVERY):
        for gic in (guest.gic, other):
            gic.set_pe_state(cpu, pe)
        for register in range(vgic.ICC_PMR_EL1, vgic.ICC_IGRPEN1_EL3 + 1):
            if guest.gic.sysreg_defined(register, False, cpu):
                assert guest.gic.sysreg_read(cpu, register) == other.sysreg_read(cpu, register)
    # EOImode of Secure EL1 and of EL3 is 1, that of Non-secure 0.
    assert [other.interface(0).eoi_modes[group] for group in (GROUP0, GROUP1, SECURE_GROUP1)] == [True, False, True]


@pytest.mark.rule("PE-17")
def test_what_is_restored_counts_for_the_state_that_the_pe_is_in() -> None:
    guest = busy()
    other = Pes()
    other.at(S_EL1)
    other.gic.restore(guest.gic.save())
    other.pend(5, SECURE_GROUP1, 0)
    assert other.mrs(vgic.ICC_IAR1_EL1) == 5
    other.msr(vgic.ICC_EOIR1_EL1, 5)
    assert other.is_active(5)
    assert other.gic.pe_state(0) == S_EL1


@pytest.mark.rule("PE-17")
def test_a_reset_resets_every_bank_and_leaves_the_state_of_the_pe() -> None:
    guest = busy()
    guest.at(S_EL1)
    guest.gic.reset_cpu(0)
    guest.gic.check()
    assert guest.gic.pe_state(0) == S_EL1
    fresh = vgic.Gic(guest.config)
    for state in EVERY:
        guest.at(state)
        fresh.set_pe_state(0, state)
        for register in range(vgic.ICC_PMR_EL1, vgic.ICC_IGRPEN1_EL3 + 1):
            if guest.gic.sysreg_defined(register, False):
                assert guest.gic.sysreg_read(0, register) == fresh.sysreg_read(0, register)


@pytest.mark.rule("PE-17")
def test_what_is_stored_can_be_asked_for_by_bank() -> None:
    guest = busy()
    guest.msr(vgic.ICC_PMR_EL1, 0x40)
    for state, stored in ((EL3, 4), (S_EL1, 4), (EL3_NS, 5), (NS_EL1, 5)):
        guest.at(state)
        assert guest.gic.stored_sysreg(0, vgic.ICC_BPR1_EL1) == stored
    guest.at(NS_EL1_SHIFTED)
    assert guest.mrs(vgic.ICC_PMR_EL1) == 0
    assert guest.gic.stored_sysreg(0, vgic.ICC_PMR_EL1) == 0x40
    guest.gic.keep_sysreg(0, vgic.ICC_PMR_EL1, 0x20)
    assert guest.mrs(vgic.ICC_PMR_EL1, state=EL3) == 0x20


@pytest.mark.rule("PE-7")
def test_two_security_states_need_five_bits_of_priority() -> None:
    with pytest.raises(vgic.ConfigError, match="priority_bits is 5 to 8 with two Security states, not 4"):
        vgic.Config(vgic.Topology.kvm(1), security="two", priority_bits=4)


@pytest.mark.rule("SEC-13")
@pytest.mark.parametrize("el", [1, 2])
@pytest.mark.parametrize("scr_fiq", [False, True])
def test_what_is_secure_of_the_registers_traps_where_fiqs_are_el3s(scr_fiq: bool, el: int) -> None:
    guest, state = Pes(1), PeState(el, scr_fiq=scr_fiq)
    registers = [layout.offset + n for layout in ICC for n in range(layout.count)]
    before, changed = guest.gic.save(), set()
    for register in registers:
        guest.gic.restore(before)
        guest.at(EL3).msr(vgic.ICC_PMR_EL1, 0x40)
        secure = secure_registers(guest)
        guest.at(state)
        if guest.gic.sysreg_reach(0, register) is vgic.Reach.PHYSICAL:
            for value in (0, 1, 0xFFFF_FFFF):
                guest.msr(register, value)
                if secure_registers(guest) != secure:
                    changed.add(register)
    everything = {vgic.ICC_BPR0_EL1, vgic.ICC_IGRPEN0_EL1, vgic.ICC_AP0R0_EL1, vgic.ICC_PMR_EL1}
    assert changed == (set() if scr_fiq else everything)


def secure_registers(guest: Pes) -> dict[str, int]:
    """What the registers of the CPU interface hold that is not the Non-secure bank's."""
    state = guest.gic.save()["registers"]
    return {name: value for name, value in state.items() if "ICC_" in name and not name.endswith("_NS")}
