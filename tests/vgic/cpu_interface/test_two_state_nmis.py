"""NMIs with two Security states: who takes them, what masks and blocks them, and what is shown to whom."""

import random
from dataclasses import replace
from itertools import product
from typing import Final

import pytest

import vgic
from offsets import BANK, GICD, GICR
from pe_states import EL3, EL3_NS, NS_EL1, NS_EL1_SHIFTED, NS_EL2, S_EL1, Pes
from security_tables import GROUPS, ITSELF, READERS, TAKES_NMIS
from vgic import ARCH, ICC_AP1R0_EL1, ICC_IAR1_EL1, ICC_NMIAR1_EL1, ICC_RPR_EL1, QEMU_10_0
from vgic.cpu_interface.group import GROUP0, GROUP1, SECURE_GROUP1
from vgic.state.document import from_document, to_document

NMI: Final = 1 << 63
NMI_NS: Final = 1 << 62
WAITS: Final = 1022
SGI, PPI, SPI, EXTENDED_PPI, EXTENDED_SPI = 5, 27, 40, 1119, 5119
EVERY_KIND: Final = (SGI, PPI, SPI, EXTENDED_PPI, EXTENDED_SPI)
EITHER: Final = (SECURE_GROUP1, GROUP1)
CBPR_EL1NS: Final = 0b10


class Nmis(Pes):
    """Every interrupt named is enabled; which has superpriority Secure software says."""

    def __init__(self, cpus: int = 1, profile: vgic.Profile = ARCH, **options: object) -> None:
        extended = {"extended_spis": 1024, "extended_ppis": 64} if profile.extended_ranges else {}
        super().__init__(cpus, profile, nmi=True, **{**extended, **options})

    def array(self, offset: int, intid: int, cpu: int = 0) -> int:
        """The address of a register with a bit for each of 32 interrupts."""
        if intid >= 4096:
            moved = {BANK.INMIR: 0x3B00, BANK.ISPENDR: 0x1600, BANK.IGROUPR: 0x1000, BANK.IGRPMODR: 0x3400}
            return self.config.gicd_base + {**moved, BANK.ISENABLER: 0x1200}[offset] + (intid - 4096) // 32 * 4
        if intid >= 1024:
            return self._sgi_base(cpu) + offset + (intid - 1024) // 32 * 4
        if intid < 32:
            return self._sgi_base(cpu) + offset
        return self.config.gicd_base + offset + intid // 32 * 4

    def _sgi_base(self, cpu: int) -> int:
        return self.gic.redistributor_bases[cpu] + GICR.SGI_BASE

    def nmi(self, intid: int, group: int, priority: int = 0xF8, cpu: int = 0, pending: bool = True) -> None:
        """Put an interrupt in a group of two, with superpriority, enable it, and make it pending."""
        bit = 1 << intid % 32
        if intid < 1024:
            where = self._sgi_base(cpu) if intid < 32 else self.config.gicd_base
            self._write(where + BANK.IPRIORITYR + intid, priority, True, 1)
        for offset, wanted in (
            (BANK.IGRPMODR, group == SECURE_GROUP1),
            (BANK.IGROUPR, group == GROUP1),
            (BANK.INMIR, True),
        ):
            address = self.array(offset, intid, cpu)
            before = self.gic.read(address, 4, cpu, secure=True)
            self._write(address, before | bit if wanted else before & ~bit, True, 4)
        self._write(self.array(BANK.ISENABLER, intid, cpu), bit, True, 4)
        if pending:
            self._write(self.array(BANK.ISPENDR, intid, cpu), bit, True, 4)

    def inmir(self, intid: int, secure: bool) -> int:
        return self.gic.read(self.array(BANK.INMIR, intid), 4, secure=secure) >> intid % 32 & 1

    def set_inmir(self, intid: int, value: int, secure: bool) -> None:
        self._write(self.array(BANK.INMIR, intid), value << intid % 32, secure, 4)

    def take(self, intid: int, state: vgic.PeState = EL3) -> None:
        """Acknowledge what should be next: as an NMI if it is one, and from Group 0 if it is there."""
        group0 = self.gic.interrupt(0, intid).group == GROUP0
        assert self.mrs(vgic.ICC_IAR0_EL1 if group0 else ICC_IAR1_EL1, state=state) == intid

    def end(self, intid: int, group: int = GROUP1, state: vgic.PeState = EL3) -> None:
        self.msr(vgic.ICC_EOIR1_EL1 if group else vgic.ICC_EOIR0_EL1, intid, state=state)

    def running(self, state: vgic.PeState = EL3) -> int:
        return self.mrs(ICC_RPR_EL1, state=state)


# Which interrupts, and who says so.


@pytest.mark.rule("NMI-10")
@pytest.mark.parametrize("intid", EVERY_KIND)
@pytest.mark.parametrize("group", EITHER)
def test_either_group_1_may_have_superpriority(intid: int, group: int) -> None:
    guest = Nmis()
    guest.nmi(intid, group)
    assert guest.gic.interrupt(0, intid).nmi
    assert guest.gic.highest_pending(0) == (intid, group, 0x80 if group == GROUP1 else 0)
    assert guest.inmir(intid, secure=True) == 1
    assert guest.mrs(ICC_NMIAR1_EL1) == intid
    # In Group 0 the bit is RES0.
    guest.nmi(intid, GROUP0, pending=False)
    assert not guest.gic.interrupt(0, intid).nmi
    assert guest.inmir(intid, secure=True) == 0


@pytest.mark.rule("NMI-10")
@pytest.mark.parametrize("intid", EVERY_KIND)
def test_superpriority_of_secure_interrupts_is_secure(intid: int) -> None:
    guest = Nmis()
    neighbour = intid - 1
    guest.nmi(intid, SECURE_GROUP1, pending=False)
    guest.nmi(neighbour, GROUP1, pending=False)
    assert guest.inmir(intid, secure=False) == 0
    assert guest.inmir(neighbour, secure=False) == 1
    guest.set_inmir(neighbour, 0, secure=False)
    assert not guest.gic.interrupt(0, neighbour).nmi
    guest.set_inmir(intid, 1, secure=False)
    assert guest.gic.interrupt(0, intid).nmi
    guest.set_inmir(intid, 0, secure=True)
    guest.set_inmir(intid, 1, secure=False)
    assert not guest.gic.interrupt(0, intid).nmi


@pytest.mark.rule("NMI-18")
def test_qemu_lets_nonsecure_writes_take_superpriority_from_secure_interrupts() -> None:
    for profile, stays in ((ARCH, True), (QEMU_10_0, False)):
        guest = Nmis(profile=profile)
        for intid in (SGI, SPI):
            guest.nmi(intid, SECURE_GROUP1, pending=False)
            guest._write(guest.array(BANK.INMIR, intid), 0, False, 4)
            assert guest.gic.interrupt(0, intid).nmi == stays


# What it counts as.


@pytest.mark.rule("NMI-11")
@pytest.mark.parametrize("profile", [ARCH, QEMU_10_0], ids=repr)
def test_it_comes_before_what_has_the_best_priority_of_its_state(profile: vgic.Profile) -> None:
    guest = Nmis(profile=profile)
    guest.nmi(20, GROUP1)
    guest.nmi(31, SECURE_GROUP1)
    guest.pend(24, GROUP1, 0x80)
    guest.pend(25, SECURE_GROUP1, 0x80)
    guest.pend(26, GROUP0, 0x80)
    guest.pend(27, SECURE_GROUP1, 0x78)
    guest.pend(28, GROUP0, 0)
    guest.pend(29, GROUP1, 0x40)
    order = []
    for _ in range(8):
        best = guest.gic.highest_pending(0)
        assert best is not None
        order.append((best.intid, best.priority))
        guest.set_gicr(GICR.SGI_BASE + BANK.ICPENDR, 1 << best.intid, True)
    assert order == [(31, 0), (28, 0), (29, 0x40), (27, 0x78), (20, 0x80), (24, 0x80), (25, 0x80), (26, 0x80)]


@pytest.mark.rule("NMI-11")
@pytest.mark.parametrize("intid", [SGI, SPI, EXTENDED_PPI, EXTENDED_SPI])
def test_once_ds_is_set_it_counts_as_the_best_of_all(intid: int) -> None:
    guest = Nmis()
    guest.nmi(intid, GROUP1)
    guest.nmi(PPI, SECURE_GROUP1, pending=False)
    guest.pend(16, GROUP0, 0x78)
    assert guest.gic.highest_pending(0) == (16, GROUP0, 0x78)
    guest.join_states()
    assert guest.gic.highest_pending(0) == (intid, GROUP1, 0)
    assert guest.mrs(ICC_NMIAR1_EL1, state=NS_EL1) == intid
    assert guest.running() == NMI
    # What was in Secure Group 1 has none.
    assert not guest.gic.interrupt(0, PPI).nmi


@pytest.mark.rule("NMI-11")
def test_an_active_one_counts_as_the_best_of_all_once_ds_is_set() -> None:
    guest = Nmis()
    guest.nmi(SPI, GROUP1)
    guest.take(SPI)
    guest.pend(16, GROUP0, 0x78)
    assert (guest.running(), guest.signal()) == (NMI_NS | 0x80, "FIQ")
    guest.join_states()
    assert (guest.running(), guest.signal()) == (NMI, "")
    # And one that is in both banks drops first in the Secure one.
    guest.msr(ICC_AP1R0_EL1, NMI)
    assert guest.gic.interface(0).running_group == SECURE_GROUP1


@pytest.mark.rule("NMI-11")
@pytest.mark.parametrize("group", EITHER)
def test_its_priority_is_shown_to_nobody(group: int) -> None:
    guest = Nmis()
    guest.nmi(SPI, group, priority=0xC0)
    for secure in (False, True):
        assert guest.gicd(BANK.IPRIORITYR + SPI, secure, 1) == 0
        guest.set_gicd(BANK.IPRIORITYR + SPI, 0x50, secure, 1)
    guest.set_inmir(SPI, 0, secure=True)
    assert guest.gicd(BANK.IPRIORITYR + SPI, True, 1) == 0xC0


# What masks it.


@pytest.mark.rule("NMI-12")
@pytest.mark.parametrize("profile", [ARCH, QEMU_10_0], ids=repr)
@pytest.mark.parametrize("state", [EL3, S_EL1, NS_EL2, NS_EL1, NS_EL1_SHIFTED], ids=repr)
@pytest.mark.parametrize("pmr", [0, 0x78, 0x80, 0x88, 0xF8])
def test_pmr_masks_a_nonsecure_one_by_values_of_secure(
    profile: vgic.Profile, state: vgic.PeState, pmr: int
) -> None:
    secure = state.secure or state.el == 3
    guest = Nmis(profile=profile)
    guest.msr(vgic.ICC_PMR_EL1, pmr)
    guest.at(state)
    guest.nmi(SPI, GROUP1)
    masked = pmr < 0x80 or (pmr == 0x80 and secure)
    assert guest.signal() == ("" if masked else "FIQ" if secure else "IRQ")
    assert guest.gic.nmi(0) == (not masked and not secure)
    # A Secure one it never masks, nor any once there is one state.
    guest.nmi(PPI, SECURE_GROUP1)
    assert guest.signal() != ""
    guest.set_gicr(GICR.SGI_BASE + BANK.ICPENDR, 1 << PPI, True)
    guest.join_states()
    assert guest.signal() != ""


# What it interrupts, and what interrupts it.


@pytest.mark.rule("NMI-13")
def test_what_a_nonsecure_one_interrupts_and_what_interrupts_it() -> None:
    guest = Nmis()
    guest.msr(vgic.ICC_BPR1_EL1, 7, state=NS_EL1)
    guest.pend(33, GROUP1, 0x80)
    guest.take(33)
    guest.nmi(SPI, GROUP1)
    guest.take(SPI)
    guest.nmi(SGI, GROUP1)
    guest.pend(34, GROUP1, 0x80)
    guest.pend(35, SECURE_GROUP1, 0x80)
    assert guest.signal() == ""
    guest.pend(36, SECURE_GROUP1, 0x40)
    guest.take(36)
    assert guest.running() == NMI_NS | 0x40
    guest.nmi(PPI, SECURE_GROUP1)
    guest.take(PPI)
    assert guest.running() == NMI | NMI_NS
    # What is better ends first.
    for intid, running in ((PPI, NMI_NS | 0x40), (36, NMI_NS | 0x80), (SPI, 0x80)):
        guest.end(intid)
        assert guest.running() == running
    guest.take(SGI)


@pytest.mark.rule("NMI-13")
@pytest.mark.parametrize("group", [GROUP0, SECURE_GROUP1, GROUP1])
def test_a_nonsecure_one_interrupts_nothing_that_has_a_priority_of_secure(group: int) -> None:
    for priority, interrupts in ((0x78, False), (0x80, True), (0xF0, True)):
        guest = Nmis()
        guest.pend(33, group, priority)
        guest.take(33)
        guest.nmi(SPI, GROUP1)
        assert (guest.signal() == "FIQ") == interrupts
        # A Secure one interrupts it anyway.
        guest.nmi(SGI, SECURE_GROUP1)
        guest.take(SGI)


@pytest.mark.rule("NMI-13")
def test_of_the_same_running_priority_superpriority_ends_first() -> None:
    guest = Nmis()
    for state in (EL3, EL3_NS):
        guest.msr(ICC_AP1R0_EL1, NMI | 1 | 1 << 16, state=state)
    guest.msr(vgic.ICC_AP0R0_EL1, 1 | 1 << 16)
    order = []
    while (group := guest.gic.interface(0).running_group) >= 0:
        order.append((int(group), guest.running() & 0xFF, guest.running() >> 62))
        guest.end(1, int(group))
    secure_nmi, nonsecure_nmi = 0b10, 0b01
    both = secure_nmi | nonsecure_nmi
    assert order == [
        (SECURE_GROUP1, 0, both),
        (GROUP0, 0, nonsecure_nmi),
        (SECURE_GROUP1, 0, nonsecure_nmi),
        (GROUP1, 0, nonsecure_nmi),
        (GROUP1, 0x80, nonsecure_nmi),
        (GROUP0, 0x80, 0),
        (SECURE_GROUP1, 0x80, 0),
        (GROUP1, 0x80, 0),
    ]


@pytest.mark.rule("NMI-16")
def test_qemu_has_an_active_one_before_what_has_preempted_it() -> None:
    for profile, running, blocked in ((ARCH, 0x40, True), (QEMU_10_0, 0x80, False)):
        guest = Nmis(profile=profile)
        guest.nmi(SPI, GROUP1)
        guest.take(SPI)
        guest.pend(33, SECURE_GROUP1, 0x40)
        guest.take(33)
        assert guest.running() == NMI_NS | running
        guest.pend(34, SECURE_GROUP1, 0x50)
        assert (guest.signal() == "") == blocked
        if not blocked:
            # The better of the two is the first again once the NMI has ended.
            guest.take(34)
            guest.end(SPI, state=NS_EL1)
            assert guest.running() == 0x40


@pytest.mark.rule("NMI-17")
def test_where_no_bit_of_a_priority_decides_qemu_lets_a_nonsecure_one_interrupt_anything() -> None:
    for profile, signal in ((ARCH, ""), (QEMU_10_0, "FIQ")):
        guest = Nmis(profile=profile)
        guest.msr(vgic.ICC_CTLR_EL3, CBPR_EL1NS)
        guest.pend(33, SECURE_GROUP1, 0x40)
        guest.take(33)
        guest.nmi(SPI, GROUP1)
        assert guest.signal() == ""
        guest.msr(vgic.ICC_BPR0_EL1, 7)
        assert guest.signal() == signal


# What is shown to whom.


@pytest.mark.rule("NMI-14")
@pytest.mark.parametrize(("secure_active", "nonsecure_active"), list(product((False, True), repeat=2)))
def test_who_sees_that_one_is_active(secure_active: bool, nonsecure_active: bool) -> None:
    guest = Nmis()
    guest.msr(ICC_AP1R0_EL1, NMI * secure_active)
    guest.msr(ICC_AP1R0_EL1, NMI * nonsecure_active, state=EL3_NS)
    raw = 0 if secure_active else 0x80 if nonsecure_active else 0xFF
    shifted = 0xFF if raw == 0xFF else 0
    for state in (EL3, EL3_NS, S_EL1):
        assert guest.running(state) == raw | NMI * secure_active | NMI_NS * nonsecure_active
    for state, priority in ((NS_EL1, raw), (NS_EL2, raw), (NS_EL1_SHIFTED, shifted)):
        assert guest.running(state) == priority | NMI * nonsecure_active
    for state, active in ((S_EL1, secure_active), (NS_EL1, nonsecure_active), (NS_EL1_SHIFTED, nonsecure_active)):
        assert guest.mrs(ICC_AP1R0_EL1, state=state) == NMI * active
    guest.join_states()
    for state in READERS.values():
        assert guest.running(state) >> 62 == (secure_active or nonsecure_active) << 1


@pytest.mark.rule("NMI-8")
def test_qemu_shows_it_as_with_two_states_once_ds_is_set() -> None:
    guest = Nmis(profile=QEMU_10_0)
    guest.nmi(SPI, GROUP1)
    guest.take(SPI)
    guest.join_states()
    assert guest.running(EL3) == NMI_NS
    assert guest.running(NS_EL1) == NMI


@pytest.mark.rule("NMI-14")
@pytest.mark.parametrize("profile", [ARCH, QEMU_10_0], ids=repr)
def test_active_priorities_with_superpriority_by_bank(profile: vgic.Profile) -> None:
    guest = Nmis(profile=profile)
    written = NMI | 1 << 40 | 0x0001_0010
    guest.msr(ICC_AP1R0_EL1, written, state=S_EL1)
    assert guest.mrs(ICC_AP1R0_EL1, state=EL3) == NMI | 0x0001_0010
    assert guest.mrs(ICC_AP1R0_EL1, state=EL3_NS) == 0
    guest.msr(ICC_AP1R0_EL1, written, state=NS_EL1)
    # Of the lower half nothing, and of QEMU nothing at all (PE-10, PE-20).
    assert guest.mrs(ICC_AP1R0_EL1, state=EL3_NS) == (NMI | 0x0001_0000 if profile is ARCH else 0)
    guest.msr(ICC_AP1R0_EL1, 0, state=NS_EL1)
    assert guest.mrs(ICC_AP1R0_EL1, state=EL3_NS) == 0
    guest.msr(vgic.ICC_AP0R0_EL1, NMI | 1)
    assert guest.mrs(vgic.ICC_AP0R0_EL1) == 1


# Who takes it.


@pytest.mark.rule("NMI-15")
@pytest.mark.parametrize("profile", [ARCH, QEMU_10_0], ids=repr)
@pytest.mark.parametrize(("reader", "place"), list(product(READERS, (1, 2))))
@pytest.mark.parametrize("sctlr", [False, True])
def test_what_a_reader_gets_of_an_nmi_of_each_group(
    profile: vgic.Profile, reader: str, place: int, sctlr: bool
) -> None:
    state = replace(READERS[reader], sctlr_nmi=sctlr)
    shown = INTID if TAKES_NMIS[reader][place - 1] == ITSELF else vgic.SPURIOUS
    for register, expected in (
        (ICC_NMIAR1_EL1, shown),
        (ICC_IAR1_EL1, WAITS if sctlr and shown == INTID else shown),
        (vgic.ICC_HPPIR1_EL1, shown),
    ):
        guest = Nmis(profile=profile)
        guest.nmi(INTID, GROUPS[place])
        guest.at(state)
        assert guest.mrs(register) == expected
        assert guest.is_active(INTID) == (expected == INTID and register != vgic.ICC_HPPIR1_EL1)


INTID: Final = 5


@pytest.mark.rule("NMI-15")
def test_the_register_for_nmis_takes_nothing_else() -> None:
    guest = Nmis()
    assert guest.mrs(ICC_NMIAR1_EL1) == vgic.SPURIOUS
    for group in GROUPS:
        guest.pend(INTID, group, 0x20)
        for state in READERS.values():
            assert guest.mrs(ICC_NMIAR1_EL1, state=state) == vgic.SPURIOUS
        assert not guest.is_active(INTID)
    # What cannot preempt waits for either register.
    guest.nmi(INTID, GROUP1)
    guest.msr(vgic.ICC_PMR_EL1, 0)
    for sctlr in (False, True):
        guest.at(replace(NS_EL1, sctlr_nmi=sctlr))
        assert [guest.mrs(register) for register in (ICC_NMIAR1_EL1, ICC_IAR1_EL1)] == [vgic.SPURIOUS] * 2
    guest.at(vgic.PeState(0))
    assert not guest.gic.sysreg_defined(ICC_NMIAR1_EL1, write=False, cpu=0)


# The embedder.


class Sink:
    def __init__(self) -> None:
        self.told: list[tuple[bool, bool, bool] | bool] = []

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        self.told.append((bool(cpu), irq, fiq))

    def set_nmi(self, cpu: int, nmi: bool) -> None:
        self.told.append(nmi)


@pytest.mark.rule("NMI-6")
def test_a_sink_hears_of_it_where_the_signal_is_irq() -> None:
    guest, sink = Nmis(), Sink()
    guest.gic = vgic.Gic(guest.config, lines=sink)
    Pes.set_gicd(guest, GICD.CTLR, 7, True)
    guest.set_gicr(GICR.WAKER, 0, True)
    guest.msr(vgic.ICC_PMR_EL1, 0xFF)
    guest.msr(vgic.ICC_IGRPEN1_EL3, 3)
    guest.nmi(SPI, GROUP1)
    guest.at(NS_EL1).at(S_EL1).at(NS_EL2)
    assert sink.told == [(0, 0, 1), (0, 1, 0), True, (0, 0, 1), False, (0, 1, 0), True]
    guest.take(SPI, NS_EL2)
    assert sink.told[7:] == [(0, 0, 0), False]


# State.


@pytest.mark.rule("NMI-7")
@pytest.mark.parametrize("profile", [ARCH, QEMU_10_0], ids=repr)
@pytest.mark.parametrize("joined", [False, True])
def test_a_saved_state_has_superpriority_of_both_banks(profile: vgic.Profile, joined: bool) -> None:
    guest = Nmis(profile=profile)
    guest.nmi(SPI, GROUP1)
    guest.nmi(SGI, SECURE_GROUP1)
    guest.nmi(PPI, GROUP1)
    guest.take(SGI)
    guest.msr(ICC_AP1R0_EL1, NMI | 1 << 17, state=EL3_NS)
    if joined:
        guest.join_states()
    state = guest.gic.save()
    registers = state["registers"]
    assert registers["ICC[0].ICC_AP1R0_EL1_S"] == NMI
    assert registers["GICR[0].GICR_INMIR0"] == 1 << SGI | 1 << PPI
    other = vgic.Gic(guest.config)
    other.restore(from_document(to_document(state)))
    other.check()
    assert other.save() == state
    assert other.highest_pending(0) == guest.gic.highest_pending(0)
    assert other.interface(0).running_group == guest.gic.interface(0).running_group
    # One that has not got there yet, too.
    fresh = vgic.State(state).build()
    fresh.check()
    assert fresh.highest_pending(0) == guest.gic.highest_pending(0)


@pytest.mark.rule("NMI-7")
def test_a_reset_of_the_pe_forgets_what_was_active_in_both_banks() -> None:
    guest = Nmis()
    for state in (EL3, EL3_NS):
        guest.msr(ICC_AP1R0_EL1, NMI, state=state)
    guest.gic.reset_cpu(0)
    guest.gic.check()
    assert [guest.running(state) for state in (EL3, NS_EL1)] == [0xFF, 0xFF]


@pytest.mark.rule("NMI-7", "NMI-12", "NMI-13")
def test_1_of_n_nmis_go_to_a_pe_that_takes_them_in_either_state() -> None:
    guest = Nmis(3)
    for cpu, pmr in enumerate((0x78, 0x80, 0xF8)):
        guest.msr(vgic.ICC_PMR_EL1, pmr, cpu)
        guest.at(S_EL1 if cpu == 1 else NS_EL1, cpu)
    guest.set_gicd(GICD.IROUTER + 8 * SPI, 1 << 31, True, 8)
    guest.nmi(SPI, GROUP1)
    assert [guest.signal(cpu) for cpu in range(3)] == ["", "", "IRQ"]
    guest.at(NS_EL1, 1)
    guest.set_gicd(BANK.ICPENDR + SPI // 32 * 4, 1 << SPI % 32, True)
    guest.set_gicd(BANK.ISPENDR + SPI // 32 * 4, 1 << SPI % 32, True)
    assert [guest.signal(cpu) for cpu in range(3)] == ["", "IRQ", ""]


@pytest.mark.rule("NMI-7", "NMI-11", "NMI-13")
@pytest.mark.parametrize("profile", [ARCH, QEMU_10_0], ids=repr)
@pytest.mark.parametrize("seed", range(3))
def test_nmis_of_two_states_keep_the_invariants(profile: vgic.Profile, seed: int) -> None:
    """`check`, which the guest asks after each access, finds anew what the model keeps."""
    rng = random.Random(f"{profile} {seed}")
    guest = Nmis(2, profile)
    intids = [SGI, PPI, 33, SPI, *((EXTENDED_PPI, EXTENDED_SPI) if profile.extended_ranges else ())]
    states = [EL3, EL3_NS, S_EL1, NS_EL2, NS_EL1, NS_EL1_SHIFTED]
    taken = {GROUP1: 0, SECURE_GROUP1: 0}
    joins = rng.randrange(250, 400)
    for step in range(400):
        cpu, intid = rng.randrange(2), rng.choice(intids)
        if rng.random() < 0.3:
            guest.at(replace(rng.choice(states), sctlr_nmi=rng.random() < 0.3), cpu)
        match rng.randrange(12):
            case 0 | 1:
                guest.nmi(intid, rng.choice(EITHER), cpu=cpu, pending=rng.random() < 0.7)
            case 2:
                guest.set_inmir(intid, rng.randrange(2), secure=rng.random() < 0.5)
            case 3 if intid < 1024:
                guest.pend(intid, rng.choice(GROUPS), rng.choice((0, 0x40, 0x80, 0xA0)), cpu)
            case 4 if intid in (33, SPI) and profile.features.one_of_n:
                guest.set_gicd(GICD.IROUTER + 8 * intid, rng.choice((0, 1, 1 << 31)), True, 8)
            case 5:
                guest.msr(vgic.ICC_PMR_EL1, rng.choice((0x78, 0x80, 0xFF)), cpu, EL3)
            case 6:
                guest.msr(ICC_AP1R0_EL1, rng.choice((0, NMI, NMI | 1 << 20, 1)), cpu)
            case 7:
                guest.msr(vgic.ICC_BPR0_EL1, rng.choice((2, 7)), cpu, EL3)
                guest.msr(vgic.ICC_CTLR_EL3, rng.choice((0, 3)), cpu, EL3)
            case 8 | 9:
                got = guest.mrs(rng.choice((ICC_NMIAR1_EL1, ICC_IAR1_EL1)), cpu)
                if got < 1020 or 1024 <= got < 8192:
                    found = guest.gic.interrupt(cpu, got)
                    taken[found.group] += found.nmi
            case _:
                group = guest.gic.interface(cpu).running_group
                if group >= 0:
                    guest.end(intid, int(group))
        if step == joins:
            guest.join_states()
    assert min(taken.values()) > 0
    other = vgic.Gic(guest.config)
    other.restore(guest.gic.save())
    other.check()
    assert other.save() == guest.gic.save()
