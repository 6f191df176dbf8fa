"""NMIs: interrupts with superpriority, from the registers that give it to the PE that takes them."""

import json
import random
from dataclasses import replace

import pytest

import vgic
from guest import SPURIOUS, Guest, Recorder
from offsets import BANK, EXTENDED, GICD, GICR
from vgic import ICC_AP1R0_EL1, ICC_IAR1_EL1, ICC_NMIAR1_EL1, ICC_RPR_EL1
from vgic.state.document import from_document, to_document

NMI = 1 << 63
WAITS = 1022
SGI, PPI, SPI, EXTENDED_PPI, EXTENDED_SPI = 3, 27, 40, 1119, 5119
EVERY_KIND = [SGI, PPI, SPI, EXTENDED_PPI, EXTENDED_SPI]


def machine(cpus: int = 1, profile: vgic.Profile = vgic.ARCH, priority_bits: int = 5) -> Guest:
    guest = Guest(cpus, profile, priority_bits=priority_bits, nmi=True, **_extended(profile))
    guest.boot()
    for cpu in guest.cpus:
        # What PMR has, so that a saved state says what was written.
        guest.msr(vgic.ICC_PMR_EL1, 0xF8, cpu)
    return guest


def _extended(profile: vgic.Profile) -> dict[str, int]:
    return {"extended_spis": 1024, "extended_ppis": 64} if profile.extended_ranges else {}


def superior(guest: Guest, *intids: int, priority: int = 0xA0, cpu: int = 0) -> None:
    """Interrupts of Group 1 that have superpriority."""
    guest.setup(*intids, priority=priority, cpu=cpu)
    for intid in intids:
        address = guest.word(BANK.INMIR, intid, cpu)
        guest.write(address, guest.read(address) | 1 << intid % 32)


def raise_(guest: Guest, intid: int, cpu: int = 0) -> None:
    if intid == SGI:
        guest.msr(vgic.ICC_SGI1R_EL1, SGI << 24 | 1 << cpu)
    else:
        guest.line(intid, True, cpu)


@pytest.mark.rule("NMI-1")
def test_a_vm_has_nmis_where_it_is_asked_for_them() -> None:
    for nmi in (False, True):
        guest = Guest(1, nmi=nmi).boot()
        assert guest.gicd(GICD.TYPER) >> 9 & 1 == nmi
        assert guest.gic.sysreg_defined(ICC_NMIAR1_EL1, write=False) == nmi
        assert not guest.gic.sysreg_defined(ICC_NMIAR1_EL1, write=True)
        guest.setup(SPI, PPI)
        for intid in (SPI, PPI):
            guest.write(guest.word(BANK.INMIR, intid), 0xFFFF_FFFF)
            assert guest.bit(BANK.INMIR, intid) == guest.gic.interrupt(0, intid).nmi == nmi


@pytest.mark.rule("NMI-1")
@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ({"profile": vgic.KVM, "a3v": False}, "the profile kvm has no NMIs, and nmi is True"),
        ({"profile": vgic.QEMU}, "the profile qemu has no NMIs, and nmi is True"),
        ({"nmi": 1}, "nmi is True or False, not 1"),
    ],
)
def test_nmis_that_cannot_be_are_refused_by_name(choice: dict[str, object], text: str) -> None:
    with pytest.raises(vgic.ConfigError) as caught:
        vgic.Config(vgic.Topology.kvm(1), **{"nmi": True, **choice})  # type: ignore[arg-type]  # several types
    assert str(caught.value) == text


@pytest.mark.rule("NMI-2")
@pytest.mark.parametrize("intid", EVERY_KIND)
def test_a_bit_of_inmir_gives_superpriority_to_an_interrupt_of_group_1(intid: int) -> None:
    guest = machine()
    assert guest.bit(BANK.INMIR, intid) == 0
    superior(guest, intid)
    assert guest.bit(BANK.INMIR, intid) == 1
    assert "superpriority" in str(guest.gic.interrupt(0, intid))
    others = [guest.gic.interrupt(0, other).nmi for other in EVERY_KIND]
    assert others == [other == intid for other in EVERY_KIND]
    # In Group 0 the bit is RES0.
    guest.set_group(intid, 0)
    assert guest.bit(BANK.INMIR, intid) == 0
    assert not guest.gic.interrupt(0, intid).nmi
    guest.set_group(intid, 1)
    guest.write(guest.word(BANK.INMIR, intid), 0)
    guest.set_group(intid, 0)
    guest.set_bit(BANK.INMIR, intid)
    guest.set_group(intid, 1)
    assert guest.bit(BANK.INMIR, intid) == 0


@pytest.mark.rule("NMI-2")
def test_the_distributor_has_no_bits_for_private_interrupts() -> None:
    guest = machine()
    guest.set_gicd(BANK.INMIR, 0xFFFF_FFFF)
    assert guest.gicd(BANK.INMIR) == 0
    assert not any(guest.gic.interrupt(0, intid).nmi for intid in range(32))
    assert guest.heard.accesses == []


@pytest.mark.rule("NMI-3")
@pytest.mark.parametrize("intid", EVERY_KIND)
def test_superpriority_comes_before_every_priority_and_has_no_field(intid: int) -> None:
    guest = machine()
    superior(guest, intid, priority=0xF8)
    priority = guest.register(BANK.IPRIORITYR, intid, 8)
    assert guest.read(priority, 1) == 0
    guest.write(priority, 0x50, 1)
    for other, group in ((33, 1), (34, 0)):
        guest.setup(other, priority=0, group=group)
        guest.line(other, True)
    raise_(guest, intid)
    assert guest.mrs(vgic.ICC_HPPIR1_EL1) == intid
    assert guest.gic.highest_pending(0) == (intid, 1, 0)
    guest.write(guest.word(BANK.INMIR, intid), 0)
    assert guest.gic.interrupt(0, intid).priority == guest.read(priority, 1) == 0xF8
    assert guest.gic.highest_pending(0) == (33, 1, 0)


@pytest.mark.rule("NMI-3")
def test_of_two_with_superpriority_the_lower_intid_comes_first() -> None:
    guest = machine()
    superior(guest, *EVERY_KIND)
    for intid in reversed(EVERY_KIND):
        raise_(guest, intid)
    taken = []
    for _ in EVERY_KIND:
        taken.append(guest.ack())
        if taken[-1] != SGI:
            guest.line(taken[-1], False)
        guest.eoi(taken[-1])
    assert taken == EVERY_KIND


@pytest.mark.rule("NMI-4")
@pytest.mark.parametrize("priority_bits", [4, 5, 6, 7, 8])
def test_pmr_masks_none_and_nothing_but_another_blocks_one(priority_bits: int) -> None:
    guest = machine(priority_bits=priority_bits)
    superior(guest, SPI, PPI)
    guest.setup(33, priority=0)
    guest.setup(34, priority=0, group=0)
    guest.line(33, True)
    guest.take(33)
    guest.msr(vgic.ICC_PMR_EL1, 0)
    guest.msr(vgic.ICC_BPR1_EL1, 7)
    assert not guest.irq()
    guest.line(SPI, True)
    assert (guest.irq(), guest.gic.nmi(0)) == (True, True)
    guest.take(SPI)
    assert guest.mrs(ICC_RPR_EL1) == NMI
    assert guest.mrs(ICC_AP1R0_EL1) == NMI | 1
    guest.msr(vgic.ICC_PMR_EL1, 0xFF)
    guest.line(PPI, True)
    guest.line(34, True)
    assert (guest.irq(), guest.fiq()) == (False, False)
    guest.line(SPI, False)
    guest.eoi(SPI)
    assert guest.mrs(ICC_RPR_EL1) == 0
    assert guest.mrs(ICC_AP1R0_EL1) == 1
    assert guest.irq()
    guest.take(PPI)
    # What runs with superpriority ends before Group 0, too, that runs with the best priority.
    guest.eoi(34, group=0)
    assert guest.mrs(ICC_RPR_EL1) == NMI
    guest.line(PPI, False)
    guest.eoi(PPI)
    guest.line(33, False)
    guest.eoi(33)
    guest.take(34, group=0)
    guest.line(PPI, True)
    guest.take(PPI)
    assert guest.mrs(ICC_RPR_EL1) == NMI
    guest.eoi(PPI)
    assert guest.mrs(ICC_RPR_EL1) == 0
    guest.eoi(34, group=0)
    assert guest.mrs(ICC_RPR_EL1) == 0xFF


@pytest.mark.rule("NMI-4")
def test_active_priorities_can_be_written_with_superpriority() -> None:
    guest = machine()
    guest.msr(ICC_AP1R0_EL1, NMI | 1 << 40 | 0x10)
    assert guest.mrs(ICC_AP1R0_EL1) == NMI | 0x10
    assert guest.mrs(ICC_RPR_EL1) == NMI
    guest.msr(vgic.ICC_AP0R0_EL1, NMI | 1)
    assert guest.mrs(vgic.ICC_AP0R0_EL1) == 1
    assert guest.mrs(ICC_RPR_EL1) == NMI
    # What was written ends before Group 0 of the best priority, too.
    guest.eoi(SPI)
    assert guest.mrs(ICC_AP1R0_EL1) == 0x10
    guest.msr(ICC_AP1R0_EL1, 0)
    assert guest.mrs(ICC_RPR_EL1) == 0
    assert guest.gic.stored_sysreg(0, ICC_AP1R0_EL1) == 0
    guest.gic.keep_sysreg(0, ICC_AP1R0_EL1, NMI | 2)
    assert guest.gic.stored_sysreg(0, ICC_AP1R0_EL1) == guest.gic.mrs(0, ICC_AP1R0_EL1) == NMI | 2


@pytest.mark.rule("NMI-5")
@pytest.mark.parametrize("told", [False, True])
def test_which_register_takes_it_depends_on_sctlr(told: bool) -> None:
    guest = machine()
    guest.gic.set_pe_state(0, vgic.PeState(sctlr_nmi=told))
    superior(guest, SPI)
    guest.setup(33, priority=0x80)
    assert guest.mrs(ICC_NMIAR1_EL1) == SPURIOUS
    guest.line(33, True)
    assert guest.mrs(ICC_NMIAR1_EL1) == SPURIOUS
    guest.take(33)
    guest.line(SPI, True)
    assert guest.ack(group=0) == SPURIOUS
    assert guest.mrs(vgic.ICC_HPPIR1_EL1) == SPI
    if told:
        assert guest.ack() == WAITS
        assert not guest.gic.spi(SPI).active
        assert guest.mrs(ICC_NMIAR1_EL1) == SPI
    else:
        assert guest.ack() == SPI
    assert guest.gic.spi(SPI).active
    assert guest.mrs(ICC_NMIAR1_EL1) == guest.ack() == SPURIOUS
    guest.line(SPI, False)
    guest.eoi(SPI)
    guest.eoi(33)
    assert guest.mrs(ICC_RPR_EL1) == 0xFF


@pytest.mark.rule("NMI-5")
def test_without_sctlr_the_new_register_takes_it_too() -> None:
    guest = machine()
    superior(guest, SPI)
    guest.line(SPI, True)
    assert guest.mrs(ICC_NMIAR1_EL1) == SPI


class Lines(Recorder):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, int, bool]] = []

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        self.told.append(("irq", cpu, irq))

    def set_nmi(self, cpu: int, nmi: bool) -> None:
        self.told.append(("nmi", cpu, nmi))


@pytest.mark.rule("NMI-6")
def test_a_sink_hears_whether_the_irq_has_superpriority() -> None:
    guest = machine(2)
    sink = Lines()
    gic = vgic.Gic(guest.config, lines=sink)
    gic.restore(guest.gic.save())
    guest.gic = gic
    superior(guest, SPI)
    guest.setup(33)
    guest.line(33, True)
    assert sink.told == [("irq", 0, True)]
    assert not gic.nmi(0)
    # The level stays; what it stands for changes.
    guest.line(SPI, True)
    assert sink.told[1:] == [("nmi", 0, True)]
    assert (gic.nmi(0), gic.nmi(1)) == (True, False)
    guest.take(SPI)
    assert sink.told[2:] == [("irq", 0, False), ("nmi", 0, False)]
    assert not Guest(1).gic.nmi(0)
    with pytest.raises(vgic.ConfigError, match="set_nmi"):
        vgic.Gic(guest.config, lines=type("Wrong", (Lines,), {"set_nmi": lambda self: None})())


@pytest.mark.rule("NMI-7")
def test_1_of_n_nmis_go_to_a_pe_that_takes_them() -> None:
    guest = machine(3)
    superior(guest, SPI, EXTENDED_SPI)
    for intid in (SPI, EXTENDED_SPI):
        guest.route(intid, 1 << 31)
    for cpu in guest.cpus:
        guest.msr(vgic.ICC_PMR_EL1, 0, cpu)
    guest.line(SPI, True)
    guest.take(SPI)
    guest.line(EXTENDED_SPI, True)
    assert guest.gic.spi(EXTENDED_SPI).target == 1
    guest.take(EXTENDED_SPI, cpu=1)


@pytest.mark.rule("NMI-7")
def test_a_reset_of_the_pe_forgets_what_was_active() -> None:
    guest = machine()
    superior(guest, SPI)
    guest.line(SPI, True)
    guest.take(SPI)
    guest.gic.reset_cpu(0)
    guest.gic.check()
    assert guest.mrs(ICC_AP1R0_EL1) == 0
    assert guest.mrs(ICC_RPR_EL1) == 0xFF
    assert guest.gic.spi(SPI).active


@pytest.mark.rule("NMI-7")
def test_a_saved_state_has_superpriority() -> None:
    guest = machine(2)
    superior(guest, *EVERY_KIND)
    raise_(guest, SPI)
    guest.take(SPI)
    raise_(guest, EXTENDED_PPI)
    raise_(guest, EXTENDED_SPI)
    state = guest.gic.save()
    assert state["vm"]["nmi"] is True
    document = json.loads(json.dumps(to_document(state)))
    assert from_document(document) == state
    names = {"GICD_INMIR1", "GICD_INMIR31E", "GICR[0].GICR_INMIR0", "GICR[0].GICR_INMIR2E"}
    assert names <= state["registers"].keys()
    assert state["registers"]["ICC[0].ICC_AP1R0_EL1"] == NMI
    other = vgic.Gic(guest.config)
    other.restore({"vm": state["vm"], "registers": dict(reversed(state["registers"].items()))})
    other.check()
    assert other.save() == state
    assert (other.outputs(0), other.nmi(0)) == (guest.gic.outputs(0), guest.gic.nmi(0)) == ((False, False), False)
    for gic in (guest.gic, other):
        gic.sysreg_write(0, vgic.ICC_EOIR1_EL1, SPI)
    assert (other.nmi(0), other.sysreg_read(0, ICC_IAR1_EL1)) == (True, SPI)
    with pytest.raises(vgic.StateError, match=r"vm\.nmi"):
        vgic.Gic(replace(guest.config, nmi=False)).restore(state)


@pytest.mark.rule("NMI-2")
def test_extended_registers_are_where_arm_says() -> None:
    assert EXTENDED[BANK.INMIR] == 0x3B00
    guest = machine()
    superior(guest, EXTENDED_SPI, EXTENDED_PPI)
    assert guest.gicd(0x3B00 + 4 * 31) == 1 << 31
    assert guest.gicr(GICR.SGI_BASE + 0xF88) == 1 << 31


@pytest.mark.rule("NMI-8")
@pytest.mark.parametrize("qemu", [False, True])
def test_qemu_keeps_the_priority_and_runs_it_as_nonsecure(qemu: bool) -> None:
    guest = machine(profile=vgic.QEMU_10_0 if qemu else vgic.ARCH)
    superior(guest, SPI, priority=0xA0)
    priority = guest.register(BANK.IPRIORITYR, SPI, 8)
    assert guest.read(priority, 1) == (0xA0 if qemu else 0)
    guest.write(priority, 0xF8, 1)
    assert guest.gic.spi(SPI).priority == (0xF8 if qemu else 0xA0)
    guest.setup(33, priority=0)
    guest.line(33, True)
    guest.line(SPI, True)
    guest.take(SPI)
    assert guest.mrs(ICC_RPR_EL1) == (1 << 62 if qemu else NMI)


@pytest.mark.rule("NMI-7")
@pytest.mark.parametrize("seed", range(4))
def test_nmis_keep_the_invariants(seed: int) -> None:
    """`check` finds anew what the model keeps; nothing that a guest does has it be another."""
    rng = random.Random(seed)
    guest = machine(3)
    gic, intids = guest.gic, [SGI, PPI, 33, SPI, EXTENDED_PPI, EXTENDED_SPI]
    for intid in intids:
        for cpu in guest.cpus:
            guest.setup(intid, priority=rng.choice((0, 0x50, 0xA0)), cpu=cpu)
    taken = 0
    for _ in range(1200):
        cpu, intid = rng.randrange(3), rng.choice(intids)
        match rng.randrange(10):
            case 0:
                guest.write(guest.word(BANK.INMIR, intid, cpu), rng.choice((0, 0xFFFF_FFFF)))
            case 1:
                guest.set_group(intid, rng.randrange(2), cpu)
            case 2 if intid in (33, SPI, EXTENDED_SPI):
                guest.route(intid, rng.choice((0, 1, 2, 7, 1 << 31)))
            case 3:
                guest.msr(vgic.ICC_PMR_EL1, rng.choice((0, 0x80, 0xFF)), cpu)
            case 4:
                guest.msr(ICC_AP1R0_EL1, rng.choice((0, NMI, NMI | 4, 1)), cpu)
            case 5:
                gic.set_pe_state(cpu, vgic.PeState(sctlr_nmi=rng.random() < 0.5))
            case 6:
                for register in (ICC_NMIAR1_EL1, ICC_IAR1_EL1, vgic.ICC_IAR0_EL1):
                    got = guest.mrs(register, cpu)
                    if got != SPURIOUS and got != WAITS:
                        taken += register == ICC_NMIAR1_EL1
                        assert gic.interrupt(cpu, got).active
                        guest.msr(
                            vgic.ICC_EOIR0_EL1 if register == vgic.ICC_IAR0_EL1 else vgic.ICC_EOIR1_EL1, got, cpu
                        )
            case 7:
                guest.set_priority(intid, rng.choice((0, 0x50, 0xA0)), cpu)
            case _:
                raise_(guest, intid, cpu) if rng.random() < 0.7 or intid == SGI else guest.line(intid, False, cpu)
        best = gic.highest_pending(cpu)
        assert not gic.nmi(cpu) or (best is not None and gic.interrupt(cpu, best.intid).nmi)
    assert taken > 5
    other = vgic.Gic(guest.config)
    other.restore(gic.save())
    other.check()
    assert other.save() == gic.save()
