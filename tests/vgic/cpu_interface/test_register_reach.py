"""What a PE with EL2 reaches by an ICC encoding: the physical interface, the virtual one, or a trap."""

from itertools import product

import pytest

import vgic
from hypervisor import EN, OPEN, Hypervisor
from vgic.cpu_interface.pe_state import PeState

GROUP0 = [
    vgic.ICC_IAR0_EL1,
    vgic.ICC_EOIR0_EL1,
    vgic.ICC_HPPIR0_EL1,
    vgic.ICC_BPR0_EL1,
    vgic.ICC_IGRPEN0_EL1,
    *range(vgic.ICC_AP0R0_EL1, vgic.ICC_AP0R0_EL1 + 4),
]
GROUP1 = [
    vgic.ICC_IAR1_EL1,
    vgic.ICC_EOIR1_EL1,
    vgic.ICC_HPPIR1_EL1,
    vgic.ICC_BPR1_EL1,
    vgic.ICC_IGRPEN1_EL1,
    *range(vgic.ICC_AP1R0_EL1, vgic.ICC_AP1R0_EL1 + 4),
]
COMMON = [vgic.ICC_CTLR_EL1, vgic.ICC_PMR_EL1, vgic.ICC_RPR_EL1]
SENDING = [vgic.ICC_SGI0R_EL1, vgic.ICC_SGI1R_EL1, vgic.ICC_ASGI1R_EL1]
TC, TALL0, TALL1, TDIR = 1 << 10, 1 << 11, 1 << 12, 1 << 14
FLAGS = list(product((False, True), repeat=2))
PHYSICAL, VIRTUAL, EL2, EL3 = vgic.Reach.PHYSICAL, vgic.Reach.VIRTUAL, vgic.Reach.EL2, vgic.Reach.EL3

TABLE = [
    # Registers, what of ICH_HCR_EL2 traps them, and by IMO and FMO, then SCR_EL3.IRQ and FIQ, what becomes of them.
    (GROUP0, TALL0, lambda imo, fmo: fmo, lambda irq, fiq: fiq),
    (GROUP1, TALL1, lambda imo, fmo: imo, lambda irq, fiq: irq),
    (COMMON, TC, lambda imo, fmo: imo or fmo, lambda irq, fiq: irq and fiq),
    ([vgic.ICC_DIR_EL1], TC | TDIR, lambda imo, fmo: imo or fmo, lambda irq, fiq: irq and fiq),
]


def reach(hypervisor: Hypervisor, register: int, state: PeState) -> vgic.Reach:
    hypervisor.gic.set_pe_state(0, state)
    return hypervisor.gic.sysreg_reach(0, register)


@pytest.mark.rule("VCPU-19", "VCPU-20")
@pytest.mark.parametrize("secure", [False, True])
def test_what_el1_reaches(secure: bool) -> None:
    hypervisor = Hypervisor()
    for (registers, traps, redirected, el3), (imo, fmo), (irq, fiq) in product(TABLE, FLAGS, FLAGS):
        state = PeState(1, secure, irq, fiq, imo, fmo)
        has_el2 = not secure or imo or fmo
        expected = VIRTUAL if redirected(imo, fmo) else EL3 if el3(irq, fiq) else PHYSICAL
        for controls in (0, TC, TALL0, TALL1, TDIR):
            hypervisor.set_ich("ICH_HCR", EN | controls)
            for register in registers:
                assert reach(hypervisor, register, state) is (EL2 if controls & traps and has_el2 else expected)


@pytest.mark.rule("VCPU-20")
def test_sgis_of_a_guest_trap() -> None:
    hypervisor = Hypervisor()
    for register, (imo, fmo) in product(SENDING, FLAGS):
        for secure in (False, True):
            assert reach(hypervisor, register, PeState(1, secure, hcr_imo=imo, hcr_fmo=fmo)) is (
                EL2 if imo or fmo else PHYSICAL
            )
        hypervisor.set_ich("ICH_HCR", EN | TC)
        assert reach(hypervisor, register, PeState(1)) is EL2
        hypervisor.set_ich("ICH_HCR", EN | TALL0 | TALL1 | TDIR)
        assert reach(hypervisor, register, PeState(1)) is PHYSICAL
        assert reach(hypervisor, register, PeState(1, scr_irq=True, scr_fiq=True)) is EL3
        assert reach(hypervisor, register, PeState(1, scr_irq=True)) is PHYSICAL


@pytest.mark.rule("VCPU-19", "VCPU-20")
@pytest.mark.parametrize("el", [2, 3])
def test_el2_and_el3_reach_the_physical_interface(el: int) -> None:
    hypervisor = Hypervisor()
    hypervisor.set_ich("ICH_HCR", EN | TC | TALL0 | TALL1 | TDIR)
    for register in (*GROUP0, *GROUP1, *COMMON, *SENDING, vgic.ICC_DIR_EL1, vgic.ICC_SRE_EL1):
        assert reach(hypervisor, register, PeState(el, hcr_imo=True, hcr_fmo=True)) is PHYSICAL


@pytest.mark.rule("VCPU-20")
def test_sre_is_never_redirected() -> None:
    hypervisor = Hypervisor()
    hypervisor.set_ich("ICH_HCR", EN | TC | TALL0 | TALL1 | TDIR)
    assert reach(hypervisor, vgic.ICC_SRE_EL1, PeState(1, True, True, True, True, True)) is PHYSICAL
    state = PeState(1, scr_irq=True, scr_fiq=True, hcr_imo=True, hcr_fmo=True)
    assert reach(hypervisor, vgic.ICC_SRE_EL1, state) is PHYSICAL


@pytest.mark.rule("VCPU-2")
def test_el2_has_its_sre() -> None:
    gic = Hypervisor().gic
    gic.set_pe_state(0, PeState(2))
    gic.sysreg_write(0, vgic.ICC_SRE_EL2, 0)
    assert gic.mrs(0, vgic.ICC_SRE_EL2) == 0xF
    gic.set_pe_state(0, PeState(1))
    assert gic.mrs(0, vgic.ICC_SRE_EL2) is None


@pytest.mark.rule("VCPU-2", "API-20")
@pytest.mark.parametrize("security", ["one", "two"])
@pytest.mark.parametrize("secure", [False, True])
def test_what_is_the_hypervisors_is_undefined_below_el2(security: vgic.config.SecurityStates, secure: bool) -> None:
    config = vgic.Config(vgic.Topology.kvm(2), list_registers=4, security=security)
    illegal: list[vgic.IllegalSysReg] = []

    class Hears:
        def illegal_access(self, access: object) -> None:
            raise AssertionError(access)

        def illegal_sysreg(self, access: vgic.IllegalSysReg) -> None:
            illegal.append(access)

    gic = vgic.Gic(config, observer=Hears())
    gic.set_pe_state(1, PeState(2, secure))
    reached = [vgic.ICH_HCR_EL2, vgic.ICH_VMCR_EL2, vgic.ICH_LR0_EL2 + 3, vgic.ICH_AP1R0_EL2]
    for register in reached:
        assert gic.msr(1, register, 0)
    before = gic.save()
    for el in (0, 1):
        gic.set_pe_state(1, PeState(el, secure, hcr_imo=True, hcr_fmo=True))
        for register in reached:
            assert gic.mrs(1, register) is None
            assert gic.sysreg_read(1, register) == 0
            assert not gic.msr(1, register, -1)
            gic.sysreg_write(1, register, -1)
            assert not gic.sysreg_defined(register, 0, 1)
            assert not gic.sysreg_defined(register, 1, 1)
            assert gic.sysreg_defined(register, 1, 0), "the other PE is where it was"
    assert len(illegal) == 2 * 4 * len(reached)
    assert gic.save() == before
    for el in (2, 3):
        gic.set_pe_state(1, PeState(el, secure))
        assert all(gic.mrs(1, register) is not None for register in reached)
        assert all(gic.sysreg_defined(register, 1, 1) for register in reached)


@pytest.mark.rule("PE-1", "VCPU-2")
def test_until_it_is_told_a_pe_with_a_virtual_interface_is_where_a_hypervisor_is() -> None:
    gic = Hypervisor().gic
    assert gic.pe_state(0) == PeState(2)
    assert gic.mrs(0, vgic.ICH_VTR_EL2) is not None
    assert vgic.Gic(vgic.Config(vgic.Topology.kvm(1))).pe_state(0) == PeState()


@pytest.mark.rule("VCPU-20")
def test_secure_el1_without_an_el2_is_not_trapped() -> None:
    hypervisor = Hypervisor()
    hypervisor.set_ich("ICH_HCR", EN | TC | TALL0 | TALL1 | TDIR)
    for register in (*GROUP0, *GROUP1, *COMMON, *SENDING, vgic.ICC_DIR_EL1):
        assert reach(hypervisor, register, PeState(1, True)) is PHYSICAL


@pytest.mark.rule("VCPU-19")
def test_a_machine_without_virtual_interface_reaches_none() -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1)))
    gic.set_pe_state(0, PeState(1, hcr_imo=True, hcr_fmo=True))
    assert gic.sysreg_reach(0, vgic.ICC_IAR1_EL1) is PHYSICAL
    with pytest.raises(vgic.ConfigError, match="no vCPU 1"):
        gic.sysreg_reach(1, vgic.ICC_IAR1_EL1)


@pytest.mark.rule("VCPU-19")
@pytest.mark.parametrize("security", ["one", "two"])
@pytest.mark.parametrize(("imo", "fmo"), FLAGS)
def test_accesses_go_where_they_reach(security: vgic.config.SecurityStates, imo: bool, fmo: bool) -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1), list_registers=4, security=security))
    gic.set_pe_state(0, PeState(2))
    gic.sysreg_write(0, vgic.ICH_VMCR_EL2, OPEN)
    gic.set_pe_state(0, PeState(1, hcr_imo=imo, hcr_fmo=fmo))
    registers = {vgic.ICC_BPR0_EL1: 5, vgic.ICC_BPR1_EL1: 6, vgic.ICC_PMR_EL1: 0x50}
    for register, value in registers.items():
        gic.sysreg_write(0, register, value)
        assert gic.sysreg_read(0, register) == gic.mrs(0, register) == value
    gic.set_pe_state(0, PeState(2, hcr_imo=imo, hcr_fmo=fmo))
    vmcr = gic.sysreg_read(0, vgic.ICH_VMCR_EL2)
    assert vmcr >> 21 & 7 == (5 if fmo else 2)
    assert vmcr >> 18 & 7 == (6 if imo else 3)
    assert vmcr >> 24 == (0x50 if imo or fmo else 0xF0)
    physical = [gic.sysreg_read(0, register) for register in registers]
    assert physical == [2 if fmo else 5, 3 if imo else 6, 0 if imo or fmo else 0x50]
    gic.check()


@pytest.mark.rule("VCPU-19")
def test_a_guest_takes_its_interrupts_by_its_own_registers() -> None:
    hypervisor = Hypervisor()
    hypervisor.fill(0, 27)
    hypervisor.gic.set_pe_state(0, PeState(1, hcr_imo=True, hcr_fmo=True))
    assert hypervisor.gic.sysreg_read(0, vgic.ICC_IAR1_EL1) == 27
    hypervisor.gic.sysreg_write(0, vgic.ICC_EOIR1_EL1, 27)
    assert hypervisor.gic.sysreg_read(0, vgic.ICC_RPR_EL1) == 0xFF
    assert hypervisor.ich("ICH_LR0") >> 62 == 0
    assert hypervisor.gic.sysreg_defined(vgic.ICC_IAR1_EL1, 0)
    assert not hypervisor.gic.sysreg_defined(vgic.ICC_IAR1_EL1, 1)


@pytest.mark.rule("VCPU-19")
def test_what_is_stored_is_the_physical_interfaces_wherever_the_pe_is() -> None:
    hypervisor = Hypervisor()
    hypervisor.gic.set_pe_state(0, PeState(1, hcr_imo=True, hcr_fmo=True))
    assert hypervisor.gic.stored_sysreg(0, vgic.ICC_PMR_EL1) == 0
    hypervisor.gic.keep_sysreg(0, vgic.ICC_PMR_EL1, 0x80)
    assert hypervisor.gic.stored_sysreg(0, vgic.ICC_PMR_EL1) == 0x80
    assert hypervisor.gic.icv_read(0, vgic.ICC_PMR_EL1) == 0xF0
