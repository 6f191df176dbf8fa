"""The virtual CPU interface behind list registers: what the guest sees, and what its hypervisor."""

from typing import Any

import pytest

import vgic
from hypervisor import (
    ACTIVE,
    ASKS,
    BOTH,
    EN,
    EOI,
    INVALID,
    LRENP,
    LRENPIE,
    NP,
    NPIE,
    OPEN,
    PENDING,
    UIE,
    VEOIM,
    VGRP0D,
    VGRP0E,
    VGRP1D,
    VGRP1E,
    Hypervisor,
    U,
)
from vgic.layouts.ich import VTR

SPURIOUS = 1023
LPI = 8200
PHYSICAL = 40

_REGISTERS = {
    vgic.ICC_PMR_EL1: 0x70,
    vgic.ICC_BPR0_EL1: 4,
    vgic.ICC_BPR1_EL1: 5,
    vgic.ICC_IGRPEN0_EL1: 0,
    vgic.ICC_IGRPEN1_EL1: 0,
    vgic.ICC_AP0R0_EL1: 2,
    vgic.ICC_AP1R0_EL1: 4,
}


@pytest.mark.rule("VCPU-1")
def test_the_same_registers_are_the_virtual_interfaces_apart_from_the_physical_ones() -> None:
    hypervisor = Hypervisor()
    before = {register: hypervisor.gic.sysreg_read(0, register) for register in _REGISTERS}
    for register, value in _REGISTERS.items():
        hypervisor.set_icv(register, value)
    for register, value in _REGISTERS.items():
        assert hypervisor.icv(register) == value
        assert hypervisor.gic.sysreg_read(0, register) == before[register]


@pytest.mark.rule("VCPU-1")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"extended_spis": 32},
        {"extended_ppis": 32},
        {"priority_bits": 7},
        {"rss": False},
        {"lpi_id_bits": 17},
        {"security": "two"},
    ],
    ids=str,
)
def test_the_virtual_ctlr_has_no_pmhe(options: dict[str, Any]) -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1), list_registers=4, **options))
    physical, virtual = gic.sysreg_read(0, vgic.ICC_CTLR_EL1), gic.icv_read(0, vgic.ICC_CTLR_EL1)
    assert physical ^ virtual == 1 << 6


@pytest.mark.rule("VCPU-1")
@pytest.mark.parametrize("register", [vgic.ICC_SGI1R_EL1, vgic.ICC_SRE_EL1, 0, 1 << 70, vgic.ICH_HCR_EL2])
def test_other_registers_have_no_virtual_face(register: int) -> None:
    hypervisor = Hypervisor()
    assert hypervisor.icv(register) == 0
    hypervisor.set_icv(register, 1)
    assert [(access.register, access.value) for access in hypervisor.heard.sysregs] == [
        (register, None),
        (register, 1),
    ]


@pytest.mark.rule("VCPU-1")
def test_write_only_registers_are_not_read_nor_read_only_ones_written() -> None:
    hypervisor = Hypervisor()
    hypervisor.icv(vgic.ICC_EOIR1_EL1)
    hypervisor.set_icv(vgic.ICC_RPR_EL1, 0)
    assert len(hypervisor.heard.sysregs) == 2


@pytest.mark.rule("VCPU-2")
@pytest.mark.parametrize("count", [1, 4, 16])
def test_there_are_as_many_list_registers_as_the_config_says(count: int) -> None:
    gic = Hypervisor(list_registers=count).gic
    assert [gic.sysreg_defined(vgic.ICH_LR0_EL2 + n, 1) for n in range(16)] == [n < count for n in range(16)]
    assert VTR.decode(gic.sysreg_read(0, vgic.ICH_VTR_EL2))["ListRegs"] == count - 1


@pytest.mark.rule("VCPU-2")
@pytest.mark.parametrize(("bits", "words"), [(5, 1), (6, 2), (7, 4), (8, 4)])
def test_vtr_tells_what_there_is(bits: int, words: int) -> None:
    gic = Hypervisor(priority_bits=bits).gic
    vtr = VTR.decode(gic.sysreg_read(0, vgic.ICH_VTR_EL2))
    preemption = min(bits, 7)
    assert vtr["PRIbits"] == bits - 1
    assert vtr["PREbits"] == preemption - 1
    assert (vtr["TDS"], vtr["nV4"], vtr["A3V"], vtr["SEIS"], vtr["DVIM"]) == (1, 1, 1, 0, 0)
    for first in (vgic.ICH_AP0R0_EL2, vgic.ICH_AP1R0_EL2):
        assert [gic.sysreg_defined(first + n, 1) for n in range(4)] == [n < words for n in range(4)]


@pytest.mark.rule("VCPU-2")
@pytest.mark.parametrize("register", [vgic.ICH_VTR_EL2, vgic.ICH_MISR_EL2, vgic.ICH_EISR_EL2, vgic.ICH_ELRSR_EL2])
def test_what_is_read_only_is_not_written(register: int) -> None:
    hypervisor = Hypervisor()
    assert hypervisor.gic.sysreg_defined(register, 0)
    assert not hypervisor.gic.sysreg_defined(register, 1)
    assert not hypervisor.gic.msr(0, register, 1)
    hypervisor.gic.sysreg_write(0, register, 1)
    assert [access.register for access in hypervisor.heard.sysregs] == [register, register]


@pytest.mark.rule("VCPU-2")
def test_without_list_registers_there_is_no_virtual_interface() -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1)))
    assert not gic.sysreg_defined(vgic.ICH_HCR_EL2, 0)
    assert gic.mrs(0, vgic.ICH_HCR_EL2) is None
    for ask in (gic.virtual_outputs, gic.virtual_control):
        with pytest.raises(vgic.ConfigError, match="has no virtual CPU interface"):
            ask(0)
    with pytest.raises(vgic.ConfigError, match="has no virtual CPU interface"):
        gic.icv_read(0, vgic.ICC_IAR1_EL1)
    with pytest.raises(vgic.ConfigError, match="no vCPU 1"):
        gic.icv_write(1, vgic.ICC_PMR_EL1, 0)


@pytest.mark.rule("VCPU-3")
def test_a_reset_empties_the_list_registers() -> None:
    hypervisor = Hypervisor(2)
    for cpu in hypervisor.cpus:
        hypervisor.fill(0, 27, cpu=cpu)
        hypervisor.set_ich("ICH_HCR", EN | UIE | 3 << 27, cpu)
    assert hypervisor.maintained()
    hypervisor.gic.reset_cpu(0)
    hypervisor.gic.check()
    assert [hypervisor.ich(name) for name in ("ICH_LR0", "ICH_HCR", "ICH_VMCR")] == [0, 0, 2 << 21 | 3 << 18 | 8]
    assert not hypervisor.maintained()
    assert hypervisor.gic.virtual_outputs(0) == (False, False)
    assert hypervisor.gic.virtual_outputs(1) == (True, False)
    assert hypervisor.maintained(1)


@pytest.mark.rule("VCPU-4")
def test_nothing_is_signalled_while_the_hypervisor_has_it_off() -> None:
    hypervisor = Hypervisor()
    hypervisor.fill(0, 27)
    hypervisor.set_ich("ICH_HCR", 0)
    assert hypervisor.gic.virtual_outputs(0) == (False, False)
    assert hypervisor.iar() == SPURIOUS
    assert hypervisor.hppir() == 27
    hypervisor.set_ich("ICH_HCR", EN)
    assert hypervisor.gic.virtual_outputs(0) == (True, False)
    assert hypervisor.iar() == 27


@pytest.mark.rule("VCPU-5")
def test_the_highest_priority_comes_first_and_of_equal_ones_the_lowest_list_register() -> None:
    hypervisor = Hypervisor()
    for number, (intid, priority) in enumerate([(27, 0xB0), (30, 0xA0), (28, 0xA0), (29, 0xC0)]):
        hypervisor.fill(number, intid, priority=priority)
    assert hypervisor.hppir() == 30
    assert hypervisor.iar() == 30
    assert hypervisor.hppir() == 28


@pytest.mark.rule("VCPU-5")
@pytest.mark.parametrize("state", [INVALID, ACTIVE, BOTH])
def test_only_what_is_pending_and_not_active_counts(state: int) -> None:
    hypervisor = Hypervisor()
    hypervisor.fill(0, 27, state)
    assert hypervisor.hppir() == SPURIOUS
    assert hypervisor.gic.virtual_outputs(0) == (False, False)


@pytest.mark.rule("VCPU-5")
def test_the_idle_priority_is_never_the_best() -> None:
    hypervisor = Hypervisor(priority_bits=8)
    hypervisor.set_icv(vgic.ICC_PMR_EL1, 0xFF)
    hypervisor.fill(0, 27, priority=0xFF)
    assert hypervisor.hppir() == SPURIOUS
    hypervisor.fill(0, 27, priority=0xFE)
    assert hypervisor.hppir() == 27


@pytest.mark.rule("VCPU-5")
@pytest.mark.parametrize("profile", [vgic.ARCH, vgic.QEMU])
def test_a_disabled_virtual_group_hides_nothing(profile: vgic.Profile) -> None:
    hypervisor = Hypervisor(profile=profile)
    hypervisor.fill(0, 27, priority=0x10, group=0)
    hypervisor.fill(1, 28, priority=0x20)
    assert (hypervisor.hppir(0), hypervisor.hppir(1)) == (27, SPURIOUS)
    assert hypervisor.gic.virtual_outputs(0) == (False, True)
    hypervisor.set_icv(vgic.ICC_IGRPEN0_EL1, 0)
    assert (hypervisor.hppir(0), hypervisor.hppir(1)) == (SPURIOUS, 28)
    assert hypervisor.gic.virtual_outputs(0) == (True, False)


@pytest.mark.rule("VCPU-6")
def test_vmcr_shows_what_the_guest_wrote() -> None:
    hypervisor = Hypervisor(vmcr=0)
    for register, value in _REGISTERS.items():
        hypervisor.set_icv(register, value)
    hypervisor.set_icv(vgic.ICC_CTLR_EL1, 0b11)
    assert hypervisor.ich("ICH_VMCR") == 0x70 << 24 | 4 << 21 | 5 << 18 | VEOIM | 1 << 4 | 8
    assert (hypervisor.ich("ICH_AP0R0"), hypervisor.ich("ICH_AP1R0")) == (2, 4)


@pytest.mark.rule("VCPU-6")
def test_the_guest_sees_what_vmcr_is_given() -> None:
    hypervisor = Hypervisor(vmcr=0xA8 << 24 | 7 << 21 | 3 << 18 | VEOIM | 1 << 1)
    registers = (vgic.ICC_PMR_EL1, vgic.ICC_BPR0_EL1, vgic.ICC_BPR1_EL1, vgic.ICC_IGRPEN0_EL1, vgic.ICC_IGRPEN1_EL1)
    assert [hypervisor.icv(register) for register in registers] == [0xA8, 7, 3, 0, 1]
    assert hypervisor.icv(vgic.ICC_CTLR_EL1) & 0b11 == 0b10
    hypervisor.set_ich("ICH_VMCR", 0)
    assert hypervisor.ich("ICH_VMCR") == 2 << 21 | 3 << 18 | 8
    hypervisor.set_ich("ICH_VMCR", 6 << 21 | 1 << 4)
    assert hypervisor.icv(vgic.ICC_BPR1_EL1) == 7
    hypervisor.set_icv(vgic.ICC_BPR1_EL1, 5)
    assert hypervisor.ich("ICH_VMCR") >> 18 & 7 == 3


@pytest.mark.rule("VCPU-6")
def test_active_priorities_are_those_of_the_guest() -> None:
    hypervisor = Hypervisor()
    hypervisor.set_ich("ICH_AP1R0", 1 << 8)
    assert hypervisor.rpr() == 0x40
    hypervisor.set_ich("ICH_AP0R0", 1 << 4)
    assert hypervisor.rpr() == 0x20
    hypervisor.fill(0, 27, priority=0x30)
    assert hypervisor.gic.virtual_outputs(0) == (False, False)
    hypervisor.set_ich("ICH_AP0R0", 0)
    assert hypervisor.gic.virtual_outputs(0) == (True, False)


@pytest.mark.rule("VCPU-7", "VCPU-9")
def test_taking_and_ending_an_interrupt() -> None:
    hypervisor = Hypervisor()
    hypervisor.fill(2, 27)
    assert (hypervisor.iar(0), hypervisor.state(2)) == (SPURIOUS, PENDING)
    assert hypervisor.iar() == 27
    assert (hypervisor.state(2), hypervisor.rpr()) == (ACTIVE, 0xA0)
    assert hypervisor.iar() == SPURIOUS
    hypervisor.eoir(27)
    assert (hypervisor.state(2), hypervisor.rpr()) == (INVALID, 0xFF)


@pytest.mark.rule("VCPU-7")
@pytest.mark.parametrize("intid", [3, 27, 40, LPI])
def test_whatever_is_taken_becomes_active(intid: int) -> None:
    hypervisor = Hypervisor()
    hypervisor.fill(0, intid)
    assert hypervisor.iar() == intid
    assert hypervisor.state(0) == ACTIVE


@pytest.mark.rule("VCPU-7")
def test_the_guest_is_preempted_as_by_the_physical_interface() -> None:
    hypervisor = Hypervisor()
    hypervisor.fill(0, 27, priority=0x88)
    assert hypervisor.iar() == 27
    hypervisor.fill(1, 28, priority=0x88)
    assert hypervisor.iar() == SPURIOUS
    hypervisor.fill(2, 29, priority=0x80)
    hypervisor.set_icv(vgic.ICC_BPR1_EL1, 4)
    assert hypervisor.iar() == SPURIOUS
    hypervisor.set_icv(vgic.ICC_BPR1_EL1, 3)
    hypervisor.set_icv(vgic.ICC_PMR_EL1, 0x80)
    assert hypervisor.iar() == SPURIOUS
    hypervisor.set_icv(vgic.ICC_PMR_EL1, 0x88)
    assert hypervisor.iar() == 29


@pytest.mark.rule("VCPU-8")
@pytest.mark.parametrize("intid", [1020, 1023])
def test_a_special_intid_in_a_list_register_is_read_and_gone(intid: int) -> None:
    hypervisor = Hypervisor()
    hypervisor.fill(0, intid)
    assert hypervisor.iar() == intid
    assert (hypervisor.state(0), hypervisor.rpr()) == (INVALID, 0xFF)


@pytest.mark.rule("VCPU-9")
def test_eoir_drops_the_highest_priority_and_deactivates_only_what_had_it() -> None:
    hypervisor = Hypervisor()
    hypervisor.fill(0, 27, priority=0x80)
    hypervisor.iar()
    hypervisor.fill(1, 28, priority=0x40)
    hypervisor.iar()
    # The one that runs below, and the other group's register: no more than a priority drop.
    hypervisor.eoir(27)
    assert ([hypervisor.state(n) for n in (0, 1)], hypervisor.rpr()) == ([ACTIVE, ACTIVE], 0x80)
    hypervisor.eoir(27, group=0)
    assert ([hypervisor.state(n) for n in (0, 1)], hypervisor.rpr()) == ([ACTIVE, ACTIVE], 0xFF)
    # With nothing active, nothing is looked for.
    hypervisor.eoir(27)
    assert hypervisor.state(0) == ACTIVE
    assert hypervisor.ich("ICH_HCR") == EN


@pytest.mark.rule("VCPU-9")
def test_between_equal_active_priorities_group_0_drops_first() -> None:
    hypervisor = Hypervisor()
    hypervisor.set_ich("ICH_AP0R0", 1 << 4)
    hypervisor.set_ich("ICH_AP1R0", 1 << 4)
    hypervisor.fill(0, 27, ACTIVE, priority=0x20)
    hypervisor.eoir(27)
    assert (hypervisor.ich("ICH_AP0R0"), hypervisor.ich("ICH_AP1R0")) == (0, 1 << 4)
    assert hypervisor.state(0) == INVALID


@pytest.mark.rule("VCPU-9")
def test_what_is_pending_again_is_a_candidate_after_its_end() -> None:
    hypervisor = Hypervisor()
    hypervisor.fill(0, 27)
    hypervisor.iar()
    hypervisor.fill(0, 27, BOTH)
    assert hypervisor.iar() == SPURIOUS
    hypervisor.eoir(27)
    assert hypervisor.state(0) == PENDING
    assert hypervisor.iar() == 27


@pytest.mark.rule("VCPU-9")
def test_eoir_of_a_special_intid_is_ignored() -> None:
    hypervisor = Hypervisor()
    hypervisor.fill(0, 27)
    hypervisor.iar()
    hypervisor.eoir(1023)
    assert hypervisor.rpr() == 0xA0


@pytest.mark.rule("VCPU-10")
def test_an_lpi_ends_with_eoir_whatever_eoimode_is() -> None:
    hypervisor = Hypervisor(vmcr=OPEN | VEOIM)
    hypervisor.fill(0, LPI)
    hypervisor.iar()
    hypervisor.eoir(LPI)
    assert hypervisor.state(0) == INVALID
    hypervisor.set_ich("ICH_AP1R0", 1)
    hypervisor.eoir(LPI)
    assert hypervisor.ich("ICH_HCR") == EN


@pytest.mark.rule("VCPU-11")
def test_with_eoimode_dir_deactivates() -> None:
    hypervisor = Hypervisor(vmcr=OPEN | VEOIM)
    hypervisor.fill(0, 27)
    hypervisor.iar()
    hypervisor.eoir(27)
    assert (hypervisor.state(0), hypervisor.rpr()) == (ACTIVE, 0xFF)
    hypervisor.dir(28)
    hypervisor.dir(1021)
    assert hypervisor.state(0) == ACTIVE
    hypervisor.dir(27)
    assert hypervisor.state(0) == INVALID


@pytest.mark.rule("VCPU-11")
def test_without_eoimode_dir_is_ignored() -> None:
    hypervisor = Hypervisor()
    hypervisor.fill(0, 27, ACTIVE)
    hypervisor.dir(27)
    assert hypervisor.state(0) == ACTIVE
    hypervisor.dir(28)
    assert hypervisor.ich("ICH_HCR") == EN


def with_physical(split: bool = False, physical: int = PHYSICAL) -> Hypervisor:
    """A hypervisor has taken a physical interrupt, and given it to its guest, which has taken it in turn."""
    hypervisor = Hypervisor(vmcr=OPEN | VEOIM if split else OPEN)
    hypervisor.boot()
    hypervisor.setup(PHYSICAL)
    hypervisor.gic.sysreg_write(0, vgic.ICC_CTLR_EL1, 0b10)
    hypervisor.line(PHYSICAL, True)
    assert hypervisor.gic.sysreg_read(0, vgic.ICC_IAR1_EL1) == PHYSICAL
    hypervisor.gic.sysreg_write(0, vgic.ICC_EOIR1_EL1, PHYSICAL)
    hypervisor.fill(0, 27, hw=1, physical=physical)
    assert hypervisor.iar() == 27
    assert hypervisor.gic.spi(PHYSICAL).active
    return hypervisor


@pytest.mark.rule("VCPU-12")
@pytest.mark.parametrize("split", [False, True])
def test_the_end_of_a_virtual_interrupt_deactivates_the_physical_one(split: bool) -> None:
    hypervisor = with_physical(split)
    assert hypervisor.gic.outputs(0) == (False, False)
    hypervisor.eoir(27)
    if split:
        assert hypervisor.gic.spi(PHYSICAL).active
        hypervisor.dir(27)
    assert not hypervisor.gic.spi(PHYSICAL).active
    # Its line is high.
    assert hypervisor.gic.outputs(0) == (True, False)


@pytest.mark.rule("VCPU-12")
@pytest.mark.parametrize("physical", [1020, 1023, 2000, 0x1FFF, 41])
def test_only_a_physical_interrupt_that_there_is_is_deactivated(physical: int) -> None:
    hypervisor = with_physical(physical=physical)
    hypervisor.eoir(27)
    assert hypervisor.gic.spi(PHYSICAL).active
    assert hypervisor.state(0) == INVALID


@pytest.mark.rule("VCPU-12")
def test_without_hw_the_physical_interrupt_stays_active() -> None:
    hypervisor = with_physical()
    hypervisor.fill(0, 27, ACTIVE, physical=PHYSICAL)
    hypervisor.eoir(27)
    assert hypervisor.gic.spi(PHYSICAL).active


@pytest.mark.rule("VCPU-13")
def test_ends_of_what_is_in_no_list_register_are_counted() -> None:
    hypervisor = Hypervisor()
    for count in (1, 2):
        hypervisor.set_ich("ICH_AP1R0", 1)
        hypervisor.fill(0, 28, PENDING)
        hypervisor.eoir(28)
        assert hypervisor.ich("ICH_HCR") >> 27 == count
    hypervisor.set_ich("ICH_HCR", EN | 31 << 27)
    hypervisor.set_ich("ICH_AP1R0", 1)
    hypervisor.eoir(99)
    assert hypervisor.ich("ICH_HCR") >> 27 == 0


@pytest.mark.rule("VCPU-13", "VCPU-16")
@pytest.mark.parametrize(
    ("profile", "counts"), [(vgic.ARCH, [0, 1, 1]), (vgic.QEMU, [1, 2, 2])], ids=["arch", "qemu"]
)
def test_with_eoimode_only_what_would_deactivate_is_counted(profile: vgic.Profile, counts: list[int]) -> None:
    hypervisor = Hypervisor(profile=profile, vmcr=OPEN | VEOIM)
    hypervisor.set_ich("ICH_AP1R0", 1)
    found = []
    for end in (lambda: hypervisor.eoir(28), lambda: hypervisor.dir(28), lambda: hypervisor.dir(LPI)):
        end()
        found.append(hypervisor.ich("ICH_HCR") >> 27)
    assert found == counts


@pytest.mark.rule("VCPU-24")
@pytest.mark.parametrize(("profile", "stays"), [(vgic.ARCH, False), (vgic.QEMU, True)], ids=["arch", "qemu"])
def test_dir_of_an_lpi(profile: vgic.Profile, stays: bool) -> None:
    hypervisor = Hypervisor(profile=profile, vmcr=OPEN | VEOIM)
    hypervisor.fill(0, LPI, ACTIVE)
    hypervisor.dir(LPI)
    assert (hypervisor.ich("ICH_LR0") >> 62 == ACTIVE) == stays
    assert hypervisor.ich("ICH_HCR") >> 27 == 0


@pytest.mark.rule("VCPU-25")
@pytest.mark.parametrize(("profile", "looked_at"), [(vgic.ARCH, 0), (vgic.QEMU, 1)], ids=["arch", "qemu"])
def test_the_condition_of_a_disabled_group_0(profile: vgic.Profile, looked_at: int) -> None:
    for enabled in range(4):
        hypervisor = Hypervisor(profile=profile, vmcr=enabled)
        hypervisor.set_ich("ICH_HCR", EN | VGRP0D)
        assert (hypervisor.ich("ICH_MISR") == VGRP0D) == (not enabled >> looked_at & 1)


@pytest.mark.rule("VCPU-14", "VCPU-15")
@pytest.mark.parametrize(
    ("control", "vmcr", "states", "status"),
    [
        (0, OPEN, [INVALID], 0),
        (UIE, OPEN, [PENDING, ACTIVE], 0),
        (UIE, OPEN, [PENDING], U),
        (UIE, OPEN, [BOTH], U),
        (NPIE, OPEN, [PENDING], 0),
        (NPIE, OPEN, [BOTH, ACTIVE], NP),
        (LRENPIE, OPEN, [], 0),
        (LRENPIE | 1 << 27, OPEN, [], LRENP),
        (VGRP0E, OPEN, [], VGRP0E),
        (VGRP0D, OPEN, [], 0),
        (VGRP1E, OPEN, [], VGRP1E),
        (VGRP1D, OPEN, [], 0),
        (VGRP0E | VGRP1E, 0, [], 0),
        (VGRP0D | VGRP1D, 0, [], VGRP0D | VGRP1D),
        (VGRP0E | VGRP0D | VGRP1E | VGRP1D, 1, [], VGRP0E | VGRP1D),
    ],
)
def test_conditions_of_the_maintenance_interrupt(control: int, vmcr: int, states: list[int], status: int) -> None:
    hypervisor = Hypervisor(vmcr=vmcr)
    for number, state in enumerate(states):
        hypervisor.fill(number, 27 + number, state)
    hypervisor.set_ich("ICH_HCR", EN | control)
    assert hypervisor.ich("ICH_MISR") == status
    assert hypervisor.maintained() == (status != 0)
    hypervisor.set_ich("ICH_HCR", control)
    assert hypervisor.ich("ICH_MISR") == status
    assert not hypervisor.maintained()


@pytest.mark.rule("VCPU-14")
def test_what_became_of_list_registers() -> None:
    hypervisor = Hypervisor()
    hypervisor.fill(0, 27, INVALID, physical=ASKS)
    hypervisor.fill(1, 28, INVALID, physical=ASKS, hw=1)
    hypervisor.fill(2, 29, PENDING, physical=ASKS)
    assert (hypervisor.ich("ICH_EISR"), hypervisor.ich("ICH_ELRSR")) == (0b0001, 0b1010)
    hypervisor.fill(0, 0, INVALID)
    hypervisor.iar()
    assert (hypervisor.ich("ICH_EISR"), hypervisor.ich("ICH_ELRSR")) == (0, 0b1011)
    assert hypervisor.ich("ICH_MISR") == 0
    hypervisor.eoir(29)
    assert (hypervisor.ich("ICH_EISR"), hypervisor.ich("ICH_ELRSR")) == (0b0100, 0b1011)
    assert hypervisor.ich("ICH_MISR") == EOI
    assert hypervisor.maintained()


@pytest.mark.rule("VCPU-15")
def test_the_maintenance_interrupt_is_an_interrupt_of_the_machine() -> None:
    config = vgic.Config(vgic.Topology.kvm(1), list_registers=1, maintenance_intid=20)
    gic = vgic.Gic(config)
    gic.sysreg_write(0, vgic.ICH_HCR_EL2, EN | NPIE)
    assert gic.ppi(0, 20).pending
    assert not gic.ppi(0, 25).pending
    for interrupt in (gic.ppi(0, 20), gic.interrupt(0, 20)):
        with pytest.raises(vgic.ConfigError, match="INTID 20 is the maintenance interrupt"):
            interrupt.set_level(0)
    gic.ppi(0, 25).set_level(1)
    gic.check()


@pytest.mark.rule("VCPU-17")
def test_the_sink_hears_of_virtual_interrupts() -> None:
    hypervisor = Hypervisor(2)
    hypervisor.fill(0, 27, cpu=1)
    hypervisor.fill(1, 28, priority=0x10, group=0, cpu=1)
    hypervisor.set_ich("ICH_HCR", 0, cpu=1)
    assert hypervisor.heard.virtual_lines == [(1, True, False), (1, False, True), (1, False, False)]
    assert hypervisor.heard.lines == []


@pytest.mark.rule("VCPU-17")
def test_a_sink_need_not_hear_of_virtual_interrupts() -> None:
    class Lines:
        def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
            raise AssertionError

    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1), list_registers=1), lines=Lines())
    gic.sysreg_write(0, vgic.ICH_HCR_EL2, EN)
    gic.sysreg_write(0, vgic.ICH_VMCR_EL2, OPEN)
    gic.sysreg_write(0, vgic.ICH_LR0_EL2, 1 << 62 | 1 << 60 | 27)
    assert gic.virtual_outputs(0) == (True, False)


@pytest.mark.rule("VCPU-18", "VCPU-23")
@pytest.mark.parametrize(
    ("profile", "bits", "register", "reads"),
    [
        (vgic.ARCH, 5, "ICH_LR0", 0xF0F8_1FFF_0000_FFFF),
        (vgic.ARCH, 8, "ICH_LR0", 0xF0FF_1FFF_0000_FFFF),
        (vgic.QEMU, 5, "ICH_LR0", 0xFFF8_FFFF_FFFF_FFFF),
        (vgic.ARCH, 5, "ICH_HCR", 0xF800_5CFF),
        (vgic.QEMU, 5, "ICH_HCR", 0xF800_7CFF),
        (vgic.ARCH, 5, "ICH_VMCR", 0xF8FC_021B),
        (vgic.QEMU, 5, "ICH_VMCR", 0xFFFC_021B),
        (vgic.ARCH, 5, "ICH_AP1R0", 0xFFFF_FFFF),
    ],
)
def test_the_bits_that_there_are(profile: vgic.Profile, bits: int, register: str, reads: int) -> None:
    hypervisor = Hypervisor(profile=profile, priority_bits=bits)
    hypervisor.set_ich(register, (1 << 64) - 1)
    assert hypervisor.ich(register) == reads


@pytest.mark.rule("VCPU-18")
def test_an_intid_has_as_many_bits_as_vtr_says() -> None:
    config = vgic.Config(vgic.Topology.kvm(1), list_registers=1, lpis=True, lpi_id_bits=20)
    gic = vgic.Gic(config)
    assert VTR.decode(gic.sysreg_read(0, vgic.ICH_VTR_EL2))["IDbits"] == 1
    gic.sysreg_write(0, vgic.ICH_LR0_EL2, 0xFFFF_FFFF)
    assert gic.sysreg_read(0, vgic.ICH_LR0_EL2) == 0xFF_FFFF


@pytest.mark.rule("VCPU-21")
@pytest.mark.parametrize("profile", [vgic.ARCH, vgic.QEMU])
def test_the_virtual_interface_is_saved(profile: vgic.Profile) -> None:
    hypervisor = Hypervisor(2, profile, list_registers=3)
    hypervisor.fill(0, 27, cpu=1)
    hypervisor.fill(2, 28, BOTH, hw=1, physical=33, priority=0x40, cpu=1)
    hypervisor.set_ich("ICH_AP0R0", 0x100, 1)
    hypervisor.set_ich("ICH_HCR", EN | UIE | 5 << 27, 0)
    state = vgic.State.of(hypervisor.gic)
    assert state.data["vm"]["list_registers"] == 3
    assert state.data["registers"]["ICH[1].ICH_LR0_EL2"] == 1 << 62 | 1 << 60 | 0xA0 << 48 | 27
    again = vgic.State.from_bytes(state.to_bytes()).build(lines=hypervisor.heard)
    again.check()
    assert again.save() == state.data
    assert again.virtual_outputs(1) == hypervisor.gic.virtual_outputs(1) == (False, False)
    assert again.ppi(0, 25).level
    again.sysreg_write(1, vgic.ICH_AP0R0_EL2, 0)
    assert again.virtual_outputs(1) == (True, False)
    again.restore(state.data)
    assert again.virtual_outputs(1) == (False, False)
    assert hypervisor.heard.virtual_lines[-2:] == [(1, True, False), (1, False, False)]


@pytest.mark.rule("VCPU-21")
def test_a_state_whose_maintenance_line_is_another_is_refused() -> None:
    hypervisor = Hypervisor()
    state = hypervisor.gic.save()
    state["registers"]["GICR[0].line_level0"] = 1 << 25
    with pytest.raises(vgic.StateError, match="maintenance interrupt is False, its line True; should be False"):
        hypervisor.gic.restore(state)


@pytest.mark.rule("VCPU-22")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"list_registers": 17}, "list_registers is 0 to 16, not 17"),
        ({"list_registers": -1}, "list_registers is 0 to 16, not -1"),
        ({"list_registers": "4"}, "list_registers is an integer, not '4'"),
        ({"maintenance_intid": 15}, "maintenance_intid is a PPI, 16 to 31, not 15"),
        ({"maintenance_intid": 32}, "maintenance_intid is a PPI, 16 to 31, not 32"),
        ({"list_registers": 1, "priority_bits": 4}, "priority_bits is 4, but a virtual CPU interface"),
        ({"list_registers": 1, "profile": vgic.KVM}, "list_registers is 1, but a guest of kvm is offered none"),
    ],
)
def test_list_registers_that_cannot_be(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(vgic.ConfigError, match=message):
        vgic.Config(vgic.Topology.kvm(1), **arguments)  # type: ignore[arg-type]
