"""NMIs in list registers: what a guest of a hypervisor sees of superpriority, and what its hypervisor does."""

import json
from itertools import product

import pytest

import vgic
from guest import SPURIOUS, Recorder
from hypervisor import ACTIVE, ASKS, BOTH, EN, INVALID, LRENPIE, NPIE, OPEN, PENDING, UIE, VEOIM, Hypervisor
from vgic.layouts.ich import VTR
from vgic.state.document import from_document, to_document

NMI = 1 << 63
WAITS = 1022
INTID, OTHER, LPI, PHYSICAL = 40, 41, 8200, 44
IMO = vgic.PeState(1, hcr_imo=True)
GROUPS = (0, 1)


def machine(
    profile: vgic.Profile = vgic.ARCH, vmcr: int = OPEN, sctlr: bool = False, priority_bits: int = 5
) -> Hypervisor:
    hypervisor = Hypervisor(profile=profile, vmcr=vmcr, priority_bits=priority_bits, nmi=True)
    hypervisor.gic.set_pe_state(0, vgic.PeState(1, hcr_imo=True, hcr_fmo=True, sctlr_nmi=sctlr))
    return hypervisor


@pytest.mark.rule("VCPU-23", "VCPU-29")
@pytest.mark.parametrize("profile", [vgic.ARCH, vgic.QEMU_10_0])
def test_a_list_register_gives_superpriority_to_an_interrupt_of_group_1(profile: vgic.Profile) -> None:
    for nmi, group in product((False, True), GROUPS):
        hypervisor = Hypervisor(profile=profile, nmi=nmi)
        hypervisor.fill(0, INTID, group=group, nmi=1)
        assert hypervisor.gic.virtual_nmi(0) == (nmi and group == 1)
        assert hypervisor.ich("ICH_LR0") >> 59 & 1 == nmi
    assert not hypervisor.gic.nmi(0)


@pytest.mark.rule("VCPU-29", "VCPU-33")
@pytest.mark.parametrize(("profile", "shown"), [(vgic.ARCH, 0), (vgic.QEMU_10_0, 0xA0)])
def test_it_has_no_field_of_a_priority(profile: vgic.Profile, shown: int) -> None:
    hypervisor = machine(profile)
    for state in (INVALID, PENDING, ACTIVE, BOTH):
        hypervisor.fill(0, INTID, state, priority=0xA0, nmi=1)
        assert hypervisor.ich("ICH_LR0") >> 48 & 0xFF == shown
        # The bit means nothing in Group 0, and the priority is one.
        hypervisor.fill(0, INTID, state, priority=0xA0, group=0, nmi=1)
        assert hypervisor.ich("ICH_LR0") >> 48 & 0xFF == 0xA0


@pytest.mark.rule("VCPU-29")
@pytest.mark.parametrize("group", GROUPS)
def test_it_comes_before_every_priority_and_the_lowest_list_register_first(group: int) -> None:
    hypervisor = machine()
    hypervisor.fill(0, OTHER, priority=0, group=group)
    assert hypervisor.hppir(group) == OTHER
    hypervisor.fill(2, INTID, priority=0xF8, nmi=1)
    assert hypervisor.hppir() == INTID
    hypervisor.fill(1, INTID + 2, nmi=1)
    assert hypervisor.hppir() == INTID + 2
    # That of Group 0 with the bit is like any other.
    hypervisor.fill(3, INTID + 3, priority=0, group=0, nmi=1)
    assert hypervisor.hppir() == INTID + 2


@pytest.mark.rule("VCPU-29")
def test_of_lpis_it_counts_too() -> None:
    hypervisor = machine()
    hypervisor.fill(0, OTHER, priority=0)
    hypervisor.fill(1, LPI, nmi=1)
    assert hypervisor.gic.virtual_nmi(0)
    assert hypervisor.nmiar() == LPI
    hypervisor.eoir(LPI)
    assert hypervisor.state(1) == INVALID


@pytest.mark.rule("VCPU-29")
def test_a_disabled_group_and_en_hold_it_back() -> None:
    hypervisor = machine()
    hypervisor.fill(0, INTID, nmi=1)
    for register, value in (("ICH_VMCR", OPEN & ~2), ("ICH_HCR", 0)):
        hypervisor.set_ich(register, value)
        assert (hypervisor.gic.virtual_outputs(0), hypervisor.gic.virtual_nmi(0)) == ((False, False), False)
        assert hypervisor.nmiar() == hypervisor.iar() == SPURIOUS
        hypervisor.set_ich("ICH_VMCR", OPEN)
        hypervisor.set_ich("ICH_HCR", EN)
        assert hypervisor.gic.virtual_nmi(0)


@pytest.mark.rule("VCPU-30")
@pytest.mark.parametrize("sctlr", [False, True])
def test_which_register_takes_it_depends_on_sctlr(sctlr: bool) -> None:
    hypervisor = machine(sctlr=sctlr)
    hypervisor.fill(0, INTID, nmi=1)
    assert hypervisor.iar(0) == SPURIOUS
    assert hypervisor.iar() == (WAITS if sctlr else INTID)
    assert hypervisor.state(0) == (PENDING if sctlr else ACTIVE)
    assert hypervisor.nmiar() == (INTID if sctlr else SPURIOUS)
    assert hypervisor.state(0) == ACTIVE


@pytest.mark.rule("VCPU-30")
@pytest.mark.parametrize("sctlr", [False, True])
def test_the_new_register_takes_nothing_else(sctlr: bool) -> None:
    hypervisor = machine(sctlr=sctlr)
    assert hypervisor.nmiar() == SPURIOUS
    hypervisor.fill(0, OTHER)
    assert hypervisor.nmiar() == SPURIOUS
    hypervisor.fill(1, INTID, nmi=1)
    assert hypervisor.nmiar() == INTID
    hypervisor.fill(2, INTID + 2, nmi=1)
    # One is active and blocks it: neither register says that it waits.
    assert hypervisor.nmiar() == hypervisor.iar() == SPURIOUS
    hypervisor.eoir(INTID)
    hypervisor.fill(2, 0)
    assert hypervisor.nmiar() == SPURIOUS
    assert hypervisor.iar() == OTHER


@pytest.mark.rule("VCPU-30")
def test_it_is_reached_and_trapped_as_the_other_registers_of_group_1() -> None:
    hypervisor = machine()
    gic = hypervisor.gic
    hypervisor.fill(0, INTID, nmi=1)
    for state, reached in (
        (IMO, vgic.Reach.VIRTUAL),
        (vgic.PeState(1, hcr_fmo=True), vgic.Reach.PHYSICAL),
        (vgic.PeState(2), vgic.Reach.PHYSICAL),
    ):
        gic.set_pe_state(0, state)
        assert gic.sysreg_reach(0, vgic.ICC_NMIAR1_EL1) is reached
        if reached is vgic.Reach.PHYSICAL:
            assert gic.sysreg_read(0, vgic.ICC_NMIAR1_EL1) == SPURIOUS
    hypervisor.set_ich("ICH_HCR", EN | 1 << 12)
    gic.set_pe_state(0, IMO)
    assert gic.sysreg_reach(0, vgic.ICC_NMIAR1_EL1) is vgic.Reach.EL2
    assert gic.sysreg_read(0, vgic.ICC_NMIAR1_EL1) == INTID
    # Without NMIs there is none.
    without = Hypervisor()
    without.icv(vgic.ICC_NMIAR1_EL1)
    assert [access.register for access in without.heard.sysregs] == [vgic.ICC_NMIAR1_EL1]


@pytest.mark.rule("VCPU-31")
@pytest.mark.parametrize(("group", "priority"), list(product(GROUPS, (0, 0x40))))
def test_neither_pmr_nor_what_runs_holds_it_back(group: int, priority: int) -> None:
    hypervisor = machine()
    hypervisor.fill(0, OTHER, priority=priority, group=group)
    assert hypervisor.iar(group) == OTHER
    hypervisor.set_icv(vgic.ICC_PMR_EL1, 0)
    hypervisor.set_icv(vgic.ICC_BPR0_EL1, 7)
    hypervisor.set_icv(vgic.ICC_BPR1_EL1, 7)
    hypervisor.fill(1, INTID, nmi=1)
    assert hypervisor.gic.virtual_nmi(0)
    assert hypervisor.nmiar() == INTID
    assert hypervisor.rpr() == NMI
    assert hypervisor.icv(vgic.ICC_AP1R0_EL1) & NMI
    hypervisor.fill(2, INTID + 2, nmi=1)
    assert hypervisor.gic.virtual_outputs(0) == (False, False)
    # What drops first is superpriority, whichever register ends it.
    hypervisor.eoir(INTID, group)
    assert hypervisor.rpr() == priority
    assert hypervisor.state(1) == (INVALID if group else ACTIVE)
    assert hypervisor.gic.virtual_nmi(0)


@pytest.mark.rule("VCPU-31")
@pytest.mark.parametrize("bits", [5, 7])
def test_active_superpriority_is_a_bit_of_the_guests_and_of_its_hypervisors(bits: int) -> None:
    hypervisor = machine(priority_bits=bits)
    hypervisor.set_icv(vgic.ICC_AP1R0_EL1, NMI | 0b100)
    assert hypervisor.ich("ICH_AP1R0") == hypervisor.icv(vgic.ICC_AP1R0_EL1) == NMI | 0b100
    assert hypervisor.rpr() == NMI
    hypervisor.set_ich("ICH_AP1R0", 0b100)
    assert hypervisor.rpr() == 2 << 8 - bits
    # No bit of Group 0's, nor of another word's.
    hypervisor.set_ich("ICH_AP0R0", NMI)
    assert hypervisor.ich("ICH_AP0R0") == 0
    if bits == 7:
        hypervisor.set_ich("ICH_AP1R1", NMI)
        assert hypervisor.ich("ICH_AP1R1") == 0
    hypervisor.set_ich("ICH_AP1R0", NMI)
    assert hypervisor.rpr() == NMI
    hypervisor.eoir(INTID)
    assert (hypervisor.rpr(), hypervisor.ich("ICH_AP1R0")) == (0xFF, 0)


@pytest.mark.rule("VCPU-31")
def test_what_ends_is_what_has_superpriority() -> None:
    hypervisor = machine()
    # Group priority 0, too, and active: not what dropped.
    hypervisor.fill(0, OTHER, ACTIVE, priority=0)
    hypervisor.fill(1, INTID, nmi=1)
    assert hypervisor.nmiar() == INTID
    hypervisor.eoir(OTHER)
    assert (hypervisor.state(0), hypervisor.state(1)) == (ACTIVE, ACTIVE)
    assert hypervisor.rpr() == 0xFF
    # A drop of priority 0 ends either.
    for intid, number in ((INTID, 1), (OTHER, 0)):
        hypervisor.set_ich("ICH_AP1R0", 1)
        hypervisor.eoir(intid)
        assert hypervisor.state(number) == INVALID


@pytest.mark.rule("VCPU-31")
@pytest.mark.parametrize("split", [False, True])
def test_it_ends_as_other_virtual_interrupts_do(split: bool) -> None:
    hypervisor = Hypervisor(vmcr=OPEN | VEOIM * split, nmi=True)
    hypervisor.boot()
    hypervisor.setup(PHYSICAL)
    hypervisor.line(PHYSICAL, True)
    hypervisor.take(PHYSICAL)
    hypervisor.fill(0, INTID, nmi=1, hw=1, physical=PHYSICAL)
    assert hypervisor.nmiar() == INTID
    hypervisor.eoir(INTID)
    assert hypervisor.rpr() == 0xFF
    if split:
        assert hypervisor.gic.spi(PHYSICAL).active
        hypervisor.dir(INTID)
    assert not hypervisor.gic.spi(PHYSICAL).active
    assert hypervisor.state(0) == INVALID
    # One that is in no list register is counted.
    hypervisor.set_ich("ICH_AP1R0", NMI)
    hypervisor.eoir(INTID)
    assert hypervisor.ich("ICH_HCR") == EN | (not split) << 27


@pytest.mark.rule("VCPU-31")
def test_the_conditions_of_maintenance_are_the_same() -> None:
    told = []
    for nmi in (0, 1):
        hypervisor = machine()
        hypervisor.set_ich("ICH_HCR", EN | UIE | NPIE | LRENPIE)
        seen = [hypervisor.ich("ICH_MISR")]
        hypervisor.fill(0, INTID, priority=0, nmi=nmi, physical=ASKS)
        hypervisor.fill(1, OTHER, priority=0x40)
        seen += [hypervisor.ich("ICH_MISR"), hypervisor.maintained()]
        assert hypervisor.iar() == INTID
        seen += [hypervisor.ich("ICH_MISR"), hypervisor.ich("ICH_EISR"), hypervisor.ich("ICH_ELRSR")]
        hypervisor.eoir(INTID)
        seen += [hypervisor.ich("ICH_MISR"), hypervisor.ich("ICH_EISR"), hypervisor.maintained()]
        told.append(seen)
    assert told[0] == told[1]


@pytest.mark.rule("VCPU-31")
def test_vtr_says_nothing_of_it() -> None:
    first, second = Hypervisor().ich("ICH_VTR"), Hypervisor(nmi=True).ich("ICH_VTR")
    assert first == second
    assert VTR.decode(first)["ListRegs"] == 3


class Lines(Recorder):
    """Hears of virtual interrupts, and of their superpriority."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, int, bool]] = []

    def set_virtual_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        self.told.append(("irq", cpu, irq))

    def set_virtual_nmi(self, cpu: int, nmi: bool) -> None:
        self.told.append(("nmi", cpu, nmi))


@pytest.mark.rule("VCPU-32")
def test_a_sink_hears_whether_the_virtual_irq_has_superpriority() -> None:
    hypervisor = Hypervisor(2, nmi=True)
    sink = Lines()
    gic = vgic.Gic(hypervisor.config, lines=sink)
    gic.restore(hypervisor.gic.save())
    hypervisor.gic = gic
    hypervisor.fill(0, OTHER)
    assert sink.told == [("irq", 0, True)]
    assert not gic.virtual_nmi(0)
    # The level stays; what it stands for changes.
    hypervisor.fill(1, INTID, nmi=1)
    assert sink.told[1:] == [("nmi", 0, True)]
    assert (gic.virtual_nmi(0), gic.virtual_nmi(1), gic.nmi(0)) == (True, False, False)
    assert hypervisor.nmiar() == INTID
    assert sink.told[2:] == [("irq", 0, False), ("nmi", 0, False)]
    assert not Hypervisor().gic.virtual_nmi(0)
    with pytest.raises(vgic.ConfigError, match="no virtual CPU interface"):
        vgic.Gic(vgic.Config(vgic.Topology.kvm(1), nmi=True)).virtual_nmi(0)
    with pytest.raises(vgic.ConfigError, match="set_virtual_nmi"):
        vgic.Gic(hypervisor.config, lines=type("Wrong", (Lines,), {"set_virtual_nmi": lambda self: None})())


@pytest.mark.rule("VCPU-32")
def test_a_saved_state_has_it() -> None:
    hypervisor = Hypervisor(2, nmi=True)
    hypervisor.fill(0, INTID, nmi=1, cpu=1)
    hypervisor.set_ich("ICH_AP1R0", NMI | 2)
    hypervisor.fill(0, OTHER, nmi=1)
    state = hypervisor.gic.save()
    registers = state["registers"]
    assert registers["ICH[0].ICH_AP1R0_EL2"] == NMI | 2
    assert registers["ICH[1].ICH_LR0_EL2"] >> 59 & 0b111 == 0b011
    again = vgic.Gic(hypervisor.config)
    again.restore(from_document(json.loads(json.dumps(to_document(state)))))
    again.check()
    assert again.save() == state
    assert [again.virtual_nmi(cpu) for cpu in (0, 1)] == [False, True]
    again.reset_cpu(0)
    again.reset_cpu(1)
    assert not again.virtual_nmi(1)
    assert again.sysreg_read(0, vgic.ICH_AP1R0_EL2) == 0
    # What no such VM has written is no state of it.
    registers["ICH[0].ICH_LR0_EL2"] |= 0xA0 << 48
    with pytest.raises(vgic.StateError, match="ICH_LR0_EL2"):
        again.restore(state)


@pytest.mark.rule("VCPU-33")
@pytest.mark.parametrize(
    ("profile", "keeps"), [(vgic.ARCH, False), (vgic.QEMU_10_0, True)], ids=lambda value: str(value)
)
def test_qemu_lets_it_have_a_priority(profile: vgic.Profile, keeps: bool) -> None:
    hypervisor = machine(profile)
    hypervisor.fill(0, OTHER, priority=0xA0)
    hypervisor.fill(1, INTID, priority=0xA0, nmi=1)
    assert hypervisor.hppir() == INTID
    hypervisor.set_icv(vgic.ICC_PMR_EL1, 0x50)
    assert hypervisor.gic.virtual_nmi(0)
    hypervisor.fill(2, OTHER + 1, priority=0x40)
    assert hypervisor.gic.virtual_nmi(0) != keeps
    assert hypervisor.hppir() == (OTHER + 1 if keeps else INTID)
    hypervisor.fill(2, OTHER + 1, ACTIVE, priority=0x40)
    # What runs at a better priority blocks it, at the same or a worse one does not.
    for running, blocks in ((0x40, keeps), (0xA0, False), (0xA8, False)):
        hypervisor.set_ich("ICH_AP1R0", 1 << (running >> 3))
        assert hypervisor.gic.virtual_nmi(0) != blocks
    assert hypervisor.nmiar() == INTID
    assert hypervisor.rpr() == NMI
    # Another that drops at its priority is taken for it.
    hypervisor.set_ich("ICH_AP1R0", 1 << (0xA0 >> 3))
    hypervisor.eoir(INTID)
    assert hypervisor.state(1) == (INVALID if keeps else ACTIVE)
