"""The Distributor's registers: control, type, reset values, priorities, messages, and what is RAZ/WI."""

import pytest

import vgic
from guest import Guest
from offsets import BANK, GICD
from vgic import ARCH, KVM, QEMU, QEMU_10_0
from vgic.layouts import gicd, gicr

PROFILES = pytest.mark.parametrize("profile", [ARCH, KVM, QEMU], ids=lambda profile: profile.name)
ALL = 0xFFFF_FFFF


@pytest.mark.rule("DIST-1", "DIST-4")
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=["arch", "qemu"])
def test_ctlr_has_two_enables_and_two_bits_that_are_one(profile: vgic.Profile) -> None:
    guest = Guest(profile=profile, one_of_n=False)
    assert guest.gicd(GICD.CTLR) == 0x50
    guest.set_gicd(GICD.CTLR, ALL)
    assert guest.gicd(GICD.CTLR) == 0x53
    guest.set_gicd(GICD.CTLR, 0b01)
    assert guest.gicd(GICD.CTLR) == 0x51
    guest.set_gicd(GICD.CTLR, 0)
    assert guest.gicd(GICD.CTLR) == 0x50


@pytest.mark.rule("DIST-18")
def test_priorities_are_bytes_with_arms_names() -> None:
    for layouts in (gicd.GICD, gicr.SGI_BASE):
        # Where SGIs and PPIs would be without affinity routing, the Distributor's is RAZ/WI.
        [layout] = [layout for layout in layouts if layout.name.endswith("_IPRIORITYR") and layout.writable]
        assert [(field.name, field.lsb) for field in layout.fields] == [
            (f"offset_{number}B", 8 * number) for number in (3, 2, 1, 0)
        ]


@pytest.mark.rule("DIST-2")
@pytest.mark.parametrize(("ctlr", "forwarded"), [(0b00, set()), (0b01, {0}), (0b10, {1}), (0b11, {0, 1})])
def test_each_group_has_its_own_enable(ctlr: int, forwarded: set[int]) -> None:
    guest = Guest().boot()
    guest.setup(32, group=0)
    guest.set_gicd(GICD.CTLR, ctlr)
    guest.line(32, True)
    assert guest.fiq() == (0 in forwarded)
    guest.line(32, False)
    guest.setup(33, group=1)
    guest.line(33, True)
    assert guest.irq() == (1 in forwarded)


@pytest.mark.rule("DIST-2")
def test_group_enables_gate_private_interrupts_too() -> None:
    guest = Guest(2).boot()
    guest.setup(27, cpu=1)
    guest.line(27, True, cpu=1)
    assert guest.irq(1)
    guest.set_gicd(GICD.CTLR, 0b01)
    assert not guest.irq(1)


@pytest.mark.rule("DIST-2")
def test_disabling_a_group_recalls_what_is_pending_and_leaves_what_is_active() -> None:
    guest = Guest().boot()
    guest.setup(32, edge=True, priority=0x80)
    guest.setup(33, edge=True, priority=0x40)
    guest.pulse(32)
    guest.take(32)
    guest.pulse(33)
    assert guest.irq()
    guest.set_gicd(GICD.CTLR, 0)
    assert not guest.irq()
    assert guest.ack() == vgic.SPURIOUS
    assert guest.bit(BANK.ISPENDR, 33) == 1
    assert guest.bit(BANK.ISACTIVER, 32) == 1
    guest.pulse(32)
    assert guest.bit(BANK.ISPENDR, 32) == 1
    guest.set_gicd(GICD.CTLR, 0b10)
    guest.take(33)


@pytest.mark.rule("DIST-3")
def test_kvm_has_one_enable_for_both_groups() -> None:
    guest = Guest(profile=KVM).boot()
    guest.set_gicd(GICD.CTLR, ALL)
    assert guest.gicd(GICD.CTLR) == 0x52
    guest.setup(32, group=0)
    guest.line(32, True)
    assert guest.fiq()
    guest.set_gicd(GICD.CTLR, 0b01)
    assert guest.gicd(GICD.CTLR) == 0x50
    assert not guest.fiq()


@pytest.mark.rule("DIST-5", "DIST-6", "DIST-7", "DIST-8")
@pytest.mark.parametrize(
    ("profile", "spis", "typer"),
    [
        (ARCH, 224, 0x0549_0007),
        (ARCH, 0, 0x0549_0000),
        (ARCH, 988, 0x0549_001F),
        (KVM, 224, 0x0048_0007),
        (QEMU, 256, 0x037A_0007),
        (QEMU, 0, 0x037A_0000),
        (QEMU_10_0, 256, 0x037A_0008),
        (QEMU_10_0, 0, 0x037A_0000),
    ],
    ids=lambda value: value.name if isinstance(value, vgic.Profile) else None,
)
def test_typer_says_what_there_is(profile: vgic.Profile, spis: int, typer: int) -> None:
    assert Guest(profile=profile, spis=spis).gicd(GICD.TYPER) == typer


@pytest.mark.rule("DIST-8")
def test_qemu_has_the_spis_that_it_does_not_report() -> None:
    guest = Guest(profile=QEMU, spis=256).boot()
    guest.setup(287)
    guest.line(287, True)
    guest.take(287)


@pytest.mark.rule("DIST-9", "DIST-10", "DIST-23")
@PROFILES
def test_spis_at_reset(profile: vgic.Profile) -> None:
    guest = Guest(profile=profile, spis=64)
    reset_group, edge = (ALL, 0xAAAA_AAAA) if profile is KVM else (0, 0)
    zero = (BANK.ISENABLER, BANK.ICENABLER, BANK.ISPENDR, BANK.ICPENDR, BANK.ISACTIVER, BANK.ICACTIVER)
    for word in (4, 8):
        assert guest.gicd(BANK.IGROUPR + word) == reset_group
        assert [guest.gicd(register + word) for register in zero] == [0] * 6
    assert [guest.gicd(BANK.IPRIORITYR + intid) for intid in range(32, 96, 4)] == [0] * 16
    assert [guest.gicd(BANK.ICFGR + 4 * n) for n in range(2, 6)] == [edge] * 4
    assert [guest.gicd(GICD.IROUTER + 8 * intid, 8) for intid in range(32, 96)] == [0] * 64


@pytest.mark.rule("ACC-6")
@pytest.mark.parametrize("spis", [32, 988])
def test_registers_end_with_the_last_spi(spis: int) -> None:
    guest = Guest(spis=spis)
    last = 31 + spis
    for register in (BANK.IGROUPR, BANK.ISENABLER, BANK.ISACTIVER, BANK.ISPENDR):
        words = [register + 4 * n for n in range(1, 32)]
        for word in words:
            guest.set_gicd(word, ALL)
        found = b"".join(guest.gicd(word).to_bytes(4, "little") for word in words)
        assert int.from_bytes(found, "little") == (1 << spis) - 1
    for intid in range(32, 1020, 4):
        guest.set_gicd(BANK.IPRIORITYR + intid, ALL)
        assert guest.gicd(BANK.IPRIORITYR + intid) == (0xF8F8_F8F8 if intid <= last else 0)
    for intid in (last - 1, last, last + 1, 1019):
        guest.set_gicd(GICD.IROUTER + 8 * intid, 5, 8)
        assert guest.gicd(GICD.IROUTER + 8 * intid, 8) == (5 if intid <= last else 0)
    for register in range(2, 64):
        guest.set_gicd(BANK.ICFGR + 4 * register, ALL)
        fields = min(max(spis + 32 - 16 * register, 0), 16)
        assert guest.gicd(BANK.ICFGR + 4 * register) == 0xAAAA_AAAA & (1 << 2 * fields) - 1


@pytest.mark.rule("ACC-6")
def test_ppis_lie_in_the_redistributor_where_there_are_no_spis() -> None:
    guest = Guest(spis=0).boot()
    guest.set_gicd(BANK.ISENABLER + 4, ALL)
    assert guest.gicd(BANK.ISENABLER + 4) == 0
    guest.setup(30)
    guest.line(30, True)
    guest.take(30)


@pytest.mark.rule("ACC-7")
@PROFILES
def test_private_interrupts_have_no_state_in_the_distributor(profile: vgic.Profile) -> None:
    guest = Guest(profile=profile)
    guest.heard.accesses.clear()
    registers = [
        BANK.IGROUPR,
        BANK.ISENABLER,
        BANK.ICENABLER,
        BANK.ISPENDR,
        BANK.ICPENDR,
        BANK.ISACTIVER,
        BANK.ICACTIVER,
        *range(BANK.IPRIORITYR, BANK.IPRIORITYR + 32, 4),
        BANK.ICFGR,
        BANK.ICFGR + 4,
    ]
    for register in registers:
        guest.set_gicd(register, ALL)
        assert guest.gicd(register) == 0
    assert guest.heard.accesses == []
    assert guest.gicd(BANK.IPRIORITYR + 31, 1) == 0


@pytest.mark.rule("DIST-11", "DIST-17")
@pytest.mark.parametrize(
    ("first", "last"),
    [
        (BANK.IGRPMODR, BANK.IGRPMODR + 0x7C),
        (BANK.NSACR, BANK.NSACR + 0xFC),
        (GICD.ITARGETSR, GICD.ITARGETSR + 0x3FC),
        (GICD.SGIR, GICD.SGIR),
        (GICD.CPENDSGIR, GICD.CPENDSGIR + 0xC),
        (GICD.SPENDSGIR, GICD.SPENDSGIR + 0xC),
    ],
)
def test_registers_that_this_configuration_empties(first: int, last: int) -> None:
    guest = Guest().boot()
    for offset in (first, last):
        guest.set_gicd(offset, ALL)
        assert guest.gicd(offset) == 0
    assert guest.heard.accesses == []
    assert not guest.irq()


@pytest.mark.rule("DIST-18", "DIST-19", "DIST-20")
@pytest.mark.parametrize(
    ("profile", "bits", "kept"),
    [
        (ARCH, 4, 0xF0),
        (ARCH, 5, 0xF8),
        (ARCH, 7, 0xFE),
        (ARCH, 8, 0xFF),
        (KVM, 5, 0xF8),
        (KVM, 7, 0xF8),
        (QEMU, 5, 0xFF),
    ],
    ids=lambda value: value.name if isinstance(value, vgic.Profile) else None,
)
def test_priority_bits_that_are_kept(profile: vgic.Profile, bits: int, kept: int) -> None:
    guest = Guest(profile=profile, priority_bits=bits)
    for intid in (0, 31, 32, 95):
        guest.set_priority(intid, 0xFF)
        assert guest.read(guest.bank(intid) + BANK.IPRIORITYR + intid, 1) == kept
        guest.set_priority(intid, 0x5A)
        assert guest.gic.interrupt(0, intid).priority == 0x5A & kept


@pytest.mark.rule("DIST-12")
def test_icfgr_keeps_the_upper_bit_of_each_field() -> None:
    guest = Guest()
    guest.set_gicd(BANK.ICFGR + 8, ALL)
    assert guest.gicd(BANK.ICFGR + 8) == 0xAAAA_AAAA
    guest.set_gicd(BANK.ICFGR + 12, 0b10 << 2 * 15 | 0b01)
    assert guest.gicd(BANK.ICFGR + 12) == 0b10 << 2 * 15
    assert [intid for intid in range(32, 96) if guest.gic.spi(intid).edge_triggered] == [*range(32, 48), 63]


@pytest.mark.rule("DIST-13", "ACC-3")
@pytest.mark.parametrize("size", [2, 4])
def test_a_message_is_an_edge(size: int) -> None:
    guest = Guest().boot()
    guest.setup(40, edge=True)
    guest.set_gicd(GICD.SETSPI_NSR, 40, size)
    assert guest.bit(BANK.ISPENDR, 40) == 1
    guest.take(40)
    assert guest.bit(BANK.ISPENDR, 40) == 0
    guest.eoi(40)
    guest.set_gicd(GICD.SETSPI_NSR, 40, size)
    guest.set_gicd(GICD.CLRSPI_NSR, 40, size)
    assert guest.bit(BANK.ISPENDR, 40) == 0
    assert not guest.irq()


@pytest.mark.rule("DIST-14")
def test_a_message_raises_and_lowers_the_level_of_a_level_sensitive_spi() -> None:
    guest = Guest().boot()
    guest.setup(40)
    guest.set_gicd(GICD.SETSPI_NSR, 40)
    guest.take(40)
    assert guest.bit(BANK.ISPENDR, 40) == 1
    guest.eoi(40)
    guest.take(40)
    guest.set_bit(BANK.ICPENDR, 40)
    assert guest.bit(BANK.ISPENDR, 40) == 1
    guest.set_gicd(GICD.CLRSPI_NSR, 40)
    assert guest.bit(BANK.ISPENDR, 40) == 0
    guest.eoi(40)
    assert guest.ack() == vgic.SPURIOUS


@pytest.mark.rule("DIST-14")
def test_a_message_and_a_line_are_independent_levels() -> None:
    guest = Guest().boot()
    guest.setup(40)
    guest.line(40, True)
    guest.set_gicd(GICD.SETSPI_NSR, 40)
    guest.set_gicd(GICD.CLRSPI_NSR, 40)
    assert guest.bit(BANK.ISPENDR, 40) == 1
    guest.set_gicd(GICD.SETSPI_NSR, 40)
    guest.line(40, False)
    assert guest.bit(BANK.ISPENDR, 40) == 1


@pytest.mark.rule("DIST-15", "DIST-16")
@pytest.mark.parametrize(
    ("offset", "intid"),
    [
        (GICD.SETSPI_SR, 40),
        (GICD.SETSPI_NSR, 31),
        (GICD.SETSPI_NSR, 96),
        (GICD.SETSPI_NSR, 1023),
        (GICD.SETSPI_NSR, 0x1FFF),
    ],
)
def test_messages_without_effect(offset: int, intid: int) -> None:
    guest = Guest().boot()
    guest.setup(40, edge=True)
    guest.set_gicd(offset, intid)
    assert [guest.gicd(BANK.ISPENDR + 4 * n) for n in (1, 2)] == [0, 0]
    assert guest.gicr(0x1_0000 + BANK.ISPENDR) == 0


@pytest.mark.rule("DIST-15")
def test_clrspi_sr_has_no_effect() -> None:
    guest = Guest().boot()
    guest.setup(40, edge=True)
    guest.set_gicd(GICD.SETSPI_NSR, 40)
    guest.set_gicd(GICD.CLRSPI_SR, 40)
    assert guest.bit(BANK.ISPENDR, 40) == 1


@pytest.mark.rule("DIST-16")
def test_message_bits_above_the_intid_are_ignored() -> None:
    guest = Guest()
    guest.set_gicd(GICD.SETSPI_NSR, 0xFFFF_E000 | 41)
    assert guest.bit(BANK.ISPENDR, 41) == 1


@pytest.mark.rule("DIST-14")
def test_a_message_lowers_its_level_while_the_spi_is_edge_triggered_too() -> None:
    guest = Guest().boot()
    guest.setup(40)
    guest.set_gicd(GICD.SETSPI_NSR, 40)
    guest.set_edge(40, True)
    guest.set_gicd(GICD.CLRSPI_NSR, 40)
    guest.set_edge(40, False)
    assert guest.bit(BANK.ISPENDR, 40) == 0
    assert not guest.irq()
