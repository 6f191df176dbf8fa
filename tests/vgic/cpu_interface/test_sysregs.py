"""The CPU interface's system registers: encodings, what is defined, and the constants."""

import pytest

import vgic
from guest import Guest
from vgic import ARCH, KVM, QEMU, IllegalSysReg, sysreg

ALL_64 = (1 << 64) - 1

ENCODINGS = {
    "ICC_PMR_EL1": (3, 0, 4, 6, 0),
    "ICC_IAR0_EL1": (3, 0, 12, 8, 0),
    "ICC_EOIR0_EL1": (3, 0, 12, 8, 1),
    "ICC_HPPIR0_EL1": (3, 0, 12, 8, 2),
    "ICC_BPR0_EL1": (3, 0, 12, 8, 3),
    "ICC_AP0R0_EL1": (3, 0, 12, 8, 4),
    "ICC_AP1R0_EL1": (3, 0, 12, 9, 0),
    "ICC_DIR_EL1": (3, 0, 12, 11, 1),
    "ICC_RPR_EL1": (3, 0, 12, 11, 3),
    "ICC_SGI1R_EL1": (3, 0, 12, 11, 5),
    "ICC_ASGI1R_EL1": (3, 0, 12, 11, 6),
    "ICC_SGI0R_EL1": (3, 0, 12, 11, 7),
    "ICC_IAR1_EL1": (3, 0, 12, 12, 0),
    "ICC_EOIR1_EL1": (3, 0, 12, 12, 1),
    "ICC_HPPIR1_EL1": (3, 0, 12, 12, 2),
    "ICC_BPR1_EL1": (3, 0, 12, 12, 3),
    "ICC_CTLR_EL1": (3, 0, 12, 12, 4),
    "ICC_SRE_EL1": (3, 0, 12, 12, 5),
    "ICC_IGRPEN0_EL1": (3, 0, 12, 12, 6),
    "ICC_IGRPEN1_EL1": (3, 0, 12, 12, 7),
}
WRITE_ONLY = {"ICC_EOIR0_EL1", "ICC_EOIR1_EL1", "ICC_DIR_EL1", "ICC_SGI1R_EL1", "ICC_ASGI1R_EL1", "ICC_SGI0R_EL1"}
READ_ONLY = {"ICC_IAR0_EL1", "ICC_IAR1_EL1", "ICC_HPPIR0_EL1", "ICC_HPPIR1_EL1", "ICC_RPR_EL1"}


def encoding(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    return op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2


@pytest.mark.rule("CPU-21")
@pytest.mark.parametrize("name", ENCODINGS)
def test_registers_have_their_encodings_and_directions(name: str) -> None:
    register = getattr(vgic, name)
    assert register == sysreg(*ENCODINGS[name]) == encoding(*ENCODINGS[name])
    gic = Guest().gic
    assert gic.sysreg_defined(register, write=False) == (name not in WRITE_ONLY)
    assert gic.sysreg_defined(register, write=True) == (name not in READ_ONLY)


@pytest.mark.rule("CPU-21")
def test_there_are_no_other_registers() -> None:
    gic = Guest().gic
    expected = {encoding(*fields) for fields in ENCODINGS.values()}
    for write in (False, True):
        defined = {register for register in range(1 << 16) if gic.sysreg_defined(register, write)}
        assert defined <= expected
    assert expected == {getattr(vgic, name) for name in ENCODINGS}


@pytest.mark.rule("CPU-21", "API-7")
@pytest.mark.parametrize("name", [*sorted(WRITE_ONLY), "ICC_SRE_EL2", "ICC_AP1R1_EL1"])
def test_an_undefined_read_is_zero_and_told(name: str) -> None:
    register = {"ICC_SRE_EL2": sysreg(3, 4, 12, 9, 5), "ICC_AP1R1_EL1": vgic.ICC_AP1R0_EL1 + 1}.get(name)
    register = getattr(vgic, name) if register is None else register
    guest = Guest(2).boot()
    assert guest.mrs(register, 1) == 0
    assert guest.heard.sysregs == [IllegalSysReg(1, register, None)]


@pytest.mark.rule("CPU-21", "API-7")
@pytest.mark.parametrize("name", [*sorted(READ_ONLY), "ICC_SRE_EL2", "ICC_AP0R1_EL1"])
def test_an_undefined_write_is_ignored_and_told(name: str) -> None:
    register = {"ICC_SRE_EL2": sysreg(3, 4, 12, 9, 5), "ICC_AP0R1_EL1": vgic.ICC_AP0R0_EL1 + 1}.get(name)
    register = getattr(vgic, name) if register is None else register
    guest = Guest(2).boot()
    guest.setup(40)
    guest.line(40, True)
    guest.msr(register, 40, 1)
    assert guest.heard.sysregs == [IllegalSysReg(1, register, 40)]
    guest.take(40)


@pytest.mark.rule("API-7")
def test_defined_accesses_are_not_told() -> None:
    guest = Guest().boot()
    guest.mrs(vgic.ICC_IAR1_EL1)
    guest.msr(vgic.ICC_SRE_EL1, 0)
    assert guest.heard.sysregs == []


@pytest.mark.rule("CPU-8", "CPU-21")
@pytest.mark.parametrize(("bits", "registers"), [(4, 1), (5, 1), (6, 2), (7, 4), (8, 4)])
def test_as_many_active_priority_registers_as_group_priorities(bits: int, registers: int) -> None:
    guest = Guest(priority_bits=bits)
    levels = 1 << min(bits, 7)
    for first in (vgic.ICC_AP0R0_EL1, vgic.ICC_AP1R0_EL1):
        defined = [guest.gic.sysreg_defined(first + n, write) for n in range(4) for write in (False, True)]
        assert defined == [n < registers for n in range(4) for _ in range(2)]
        for n in range(registers):
            guest.msr(first + n, ALL_64)
        shown = sum(guest.mrs(first + n) << 32 * n for n in range(registers))
        assert shown == (1 << levels) - 1


@pytest.mark.rule("CPU-8")
def test_an_active_priority_beyond_the_first_register() -> None:
    guest = Guest(priority_bits=7).boot()
    guest.setup(40, priority=0xA6)
    guest.line(40, True)
    guest.take(40)
    assert [guest.mrs(vgic.ICC_AP1R0_EL1 + n) for n in range(4)] == [0, 0, 1 << 0x53 % 32, 0]
    guest.msr(vgic.ICC_AP1R0_EL1 + 3, 1 << 31)
    guest.msr(vgic.ICC_AP1R0_EL1 + 2, 0)
    assert guest.mrs(vgic.ICC_RPR_EL1) == 0xFE


@pytest.mark.rule("CPU-13", "CPU-15", "CPU-16")
@pytest.mark.parametrize(
    ("profile", "bits", "value"),
    [(ARCH, 4, 0x4_8340), (ARCH, 5, 0x4_8440), (ARCH, 8, 0x4_8740), (KVM, 5, 0x0400), (QEMU, 5, 0x8C00)],
    ids=lambda value: value.name if isinstance(value, vgic.Profile) else None,
)
def test_ctlr_says_what_there_is_and_keeps_two_bits(profile: vgic.Profile, bits: int, value: int) -> None:
    guest = Guest(profile=profile, priority_bits=bits)
    assert guest.mrs(vgic.ICC_CTLR_EL1) == value
    guest.msr(vgic.ICC_CTLR_EL1, ALL_64)
    assert guest.mrs(vgic.ICC_CTLR_EL1) == value | 0b11
    guest.msr(vgic.ICC_CTLR_EL1, 0b10)
    assert guest.mrs(vgic.ICC_CTLR_EL1) == value | 0b10
    guest.msr(vgic.ICC_CTLR_EL1, 0b01)
    assert guest.mrs(vgic.ICC_CTLR_EL1) == value | 0b01


@pytest.mark.rule("ROUTE-12")
@pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=list(vgic.PROFILES))
@pytest.mark.parametrize("one_of_n", [False, True])
def test_pmhe_says_that_1_of_n_looks_at_pmr(profile: vgic.Profile, one_of_n: bool) -> None:
    guest = Guest(2, profile=profile, one_of_n=one_of_n)
    pmhe = 1 << 6
    for written in (0, ALL_64):
        guest.msr(vgic.ICC_CTLR_EL1, written)
        assert guest.mrs(vgic.ICC_CTLR_EL1) & pmhe == (pmhe if one_of_n else 0)


@pytest.mark.rule("CPU-17")
def test_system_registers_cannot_be_disabled() -> None:
    guest = Guest()
    guest.msr(vgic.ICC_SRE_EL1, 0)
    assert guest.mrs(vgic.ICC_SRE_EL1) == 0b111
    guest.msr(vgic.ICC_SRE_EL1, ALL_64)
    assert guest.mrs(vgic.ICC_SRE_EL1) == 0b111


@pytest.mark.rule("CPU-18")
def test_group_enables_have_one_bit() -> None:
    guest = Guest(2)
    for register, other in (
        (vgic.ICC_IGRPEN0_EL1, vgic.ICC_IGRPEN1_EL1),
        (vgic.ICC_IGRPEN1_EL1, vgic.ICC_IGRPEN0_EL1),
    ):
        guest.msr(register, ALL_64, 1)
        assert [guest.mrs(register, cpu) for cpu in guest.cpus] == [0, 1]
        assert guest.mrs(other, 1) == 0
        guest.msr(register, 0b10, 1)
        assert guest.mrs(register, 1) == 0


@pytest.mark.rule("CPU-9", "CPU-11")
def test_only_24_bits_of_a_finished_intid_count() -> None:
    guest = Guest().boot()
    guest.setup(40, edge=True)
    guest.pulse(40)
    guest.take(40)
    guest.eoi(0xFFFF_FFFF_FF00_0000 | 40)
    assert guest.mrs(vgic.ICC_RPR_EL1) == 0xFF
    assert not guest.gic.spi(40).active
