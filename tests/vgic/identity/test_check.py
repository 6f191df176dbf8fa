"""Whether a VM can run on a host: both engines, and the verdict."""

import errno
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgic.host import CpuInterfaceView, HostCapabilities
from vgic.identity import (
    Cluster,
    Contract,
    Cost,
    Cpu,
    Finding,
    Host,
    Hypervisor,
    Implementation,
    Outcome,
    View,
    check,
)
from vgic.identity.architecture import contract_findings
from vgic.identity.check import Side
from vgic.identity.gic_findings import gic_findings
from vgic.identity.kvm_restore import kvm_findings
from vgic.identity.kvm_versions import KVM_6_1, KVM_6_12, KVM_7_2
from vgic.identity.places import in_kvms_order
from vgic.identity.registers import REGISTERS

# What KVM shows a vCPU without SVE and PMU on QEMU's cortex-a76.
A76 = {
    "MIDR_EL1": 0x414FD0B1,
    "REVIDR_EL1": 0,
    "AIDR_EL1": 0,
    "CTR_EL0": 0x9444C004,
    "CLIDR_EL1": 0x02000021,
    "CCSIDR_EL1[0]": 2,
    "ID_AA64PFR0_EL1": 0x1100000011110112,
    "ID_AA64DFR0_EL1": 0x10305008,
    "ID_AA64MMFR0_EL1": 0x101122,
    "ID_AA64MMFR1_EL1": 0x10212122,
    "ID_AA64MMFR2_EL1": 0x1011,
    "CNTFRQ_EL0": 62_500_000,
    "DCZID_EL0": 4,
}


def guest_view(registers: dict[str, int], kernel: str | None = "7.2", name: str = "h") -> Host:
    return Host(name, (Cluster("all", Cpu(registers)),), View.GUEST, Hypervisor("KVM", kernel))


def at(findings: list[Finding], place: str) -> Finding:
    [found] = [finding for finding in findings if finding.place == place]
    return found


def restored(**changes: int) -> list[Finding]:
    return kvm_findings(Cpu({**A76, **changes}), Cpu(A76), [KVM_7_2])


def kept(**changes: int) -> list[Finding]:
    return list(contract_findings(Contract("vm", Cpu({**A76, **changes})), Cpu(A76), View.HARDWARE))


@pytest.mark.rule("IDENT-23")
def test_registers_are_written_as_kvm_lists_them() -> None:
    names = ["ID_AA64PFR0_EL1", "CTR_EL0", "CCSIDR_EL1[1]", "MIDR_EL1", "CLIDR_EL1", "CCSIDR_EL1[0]", "S3_0_0_4_3"]
    assert in_kvms_order(dict.fromkeys(names, 0)) == [
        "CCSIDR_EL1[0]",
        "CCSIDR_EL1[1]",
        "MIDR_EL1",
        "ID_AA64PFR0_EL1",
        "CLIDR_EL1",
        "CTR_EL0",
        "S3_0_0_4_3",
    ]
    assert [finding.place for finding in restored()][:3] == ["CCSIDR_EL1[0]", "MIDR_EL1", "REVIDR_EL1"]


@pytest.mark.rule("IDENT-23")
def test_the_field_that_kvm_refuses_is_named_and_no_other() -> None:
    # PARange may be lower; ASIDBits may not differ; TGran16 cannot be higher.
    found = restored(ID_AA64MMFR0_EL1=0x201111)
    told = {finding.field: finding for finding in found if finding.register == "ID_AA64MMFR0_EL1"}
    assert {field: finding.outcome for field, finding in told.items()} == {
        "TGran16": Outcome.REFUSED,
        "ASIDBits": Outcome.REFUSED,
        "PARange": Outcome.WEAKER,
    }
    assert told["ASIDBits"].why == "KVM lets no VMM change this field"
    assert told["TGran16"].why == "the host's cannot stand for it: the lower is safe"
    assert {told[field].errno for field in ("TGran16", "ASIDBits")} == {errno.EINVAL}
    assert (told["PARange"].guest, told["PARange"].host, told["PARange"].errno) == (1, 2, None)


@pytest.mark.rule("IDENT-23")
def test_bits_that_no_field_covers_are_blamed_alone() -> None:
    found = restored(CTR_EL0=A76["CTR_EL0"] - 1 | 1 << 8, CLIDR_EL1=0x02000021 | 1 << 50)
    told = {finding.place: finding.outcome for finding in found if finding.register in ("CTR_EL0", "CLIDR_EL1")}
    assert told == {
        "CTR_EL0.IminLine": Outcome.WEAKER,
        "CTR_EL0.reserved": Outcome.REFUSED,
        "CLIDR_EL1": Outcome.REFUSED,
    }
    assert at(found, "CTR_EL0.reserved").guest == A76["CTR_EL0"] & 1 << 31 | 1 << 8


@pytest.mark.rule("IDENT-23")
def test_what_kvm_takes_is_read_back() -> None:
    changed = at(restored(ID_AA64DFR0_EL1=A76["ID_AA64DFR0_EL1"] | 0xF00), "ID_AA64DFR0_EL1.PMUVer")
    assert (changed.outcome, changed.guest, changed.host, changed.rule) == (Outcome.CHANGED, 15, 0, "IDENT-12")
    assert at(restored(CTR_EL0=A76["CTR_EL0"] - 1), "CTR_EL0.IminLine").outcome is Outcome.WEAKER
    assert at(restored(), "CTR_EL0").outcome is Outcome.SAME


@pytest.mark.rule("IDENT-23")
def test_what_no_vmm_writes_is_the_hosts() -> None:
    found = restored(CNTFRQ_EL0=25_000_000, DCZID_EL0=5)
    for register in ("CNTFRQ_EL0", "DCZID_EL0"):
        assert at(found, register).outcome is Outcome.LEAK
        assert at(found, register).errno is None
    assert "25 MHz, and its clock goes at 62.5 MHz, 2.5 times the rate" in at(found, "CNTFRQ_EL0").why


@pytest.mark.rule("IDENT-73")
def test_a_cache_that_linux_6_1_does_not_have_is_refused() -> None:
    found = kvm_findings(Cpu({"CCSIDR_EL1[2]": 2}), Cpu({**A76, "CLIDR_EL1": 3}), [KVM_6_1])
    refused = at(found, "CCSIDR_EL1[2]")
    assert (refused.outcome, refused.errno, refused.rule) == (Outcome.REFUSED, errno.ENOENT, "IDENT-73")


@pytest.mark.rule("IDENT-23")
def test_writes_after_a_vcpu_has_run() -> None:
    promised = Cpu({**A76, "ID_AA64MMFR0_EL1": A76["ID_AA64MMFR0_EL1"] - 1})
    found = kvm_findings(promised, Cpu(A76), [KVM_7_2], has_run=True)
    assert at(found, "ID_AA64MMFR0_EL1.PARange").errno == errno.EBUSY
    assert at(found, "ID_AA64PFR0_EL1").outcome is Outcome.SAME


@pytest.mark.rule("IDENT-23")
def test_which_cpu_it_is_needs_the_capability() -> None:
    promised = Cpu({**A76, "MIDR_EL1": 0x413FD0C1})
    refused = at(kvm_findings(promised, Cpu(A76), [KVM_7_2]), "MIDR_EL1")
    assert (refused.outcome, refused.errno) == (Outcome.REFUSED, errno.EINVAL)
    assert refused.why == "the VM was promised Arm Neoverse N1 r3p1, and this is Arm Cortex-A76 r4p1"
    assert "KVM_CAP_ARM_WRITABLE_IMP_ID_REGS" in refused.remedy
    taken = at(kvm_findings(promised, Cpu(A76), [KVM_7_2], implementation_ids=True), "MIDR_EL1")
    assert (taken.outcome, taken.traps) == (Outcome.TRAP, ("VPIDR_EL2",))
    without = kvm_findings(promised, Cpu(A76), [KVM_6_12], implementation_ids=True)
    assert at(without, "KVM_CAP_ARM_WRITABLE_IMP_ID_REGS").errno == errno.EINVAL


@pytest.mark.rule("IDENT-23")
def test_kernels_that_differ_leave_it_unknown() -> None:
    no_gic = Cpu({**A76, "ID_AA64PFR0_EL1": A76["ID_AA64PFR0_EL1"] & ~0x1000_0000})
    both = [KVM_6_12, KVM_7_2]
    found = at(kvm_findings(no_gic, Cpu(A76), both), "ID_AA64PFR0_EL1.RAS")
    assert found.outcome is Outcome.UNKNOWN
    assert "Linux 6.12: refused, Linux 7.2: weaker" in found.why
    asid = Cpu({**A76, "ID_AA64MMFR0_EL1": A76["ID_AA64MMFR0_EL1"] - 0x10})
    assert at(kvm_findings(asid, Cpu(A76), both), "ID_AA64MMFR0_EL1.ASIDBits").outcome is Outcome.REFUSED


@pytest.mark.rule("IDENT-22", "IDENT-23")
def test_what_nobody_tells_is_unknown_unless_the_hardware_has_less() -> None:
    promised = Cpu({"ID_AA64MMFR0_EL1": 0x101122, "ID_AA64PFR0_EL1": 0x1100000011110112, "AIDR_EL1": 0})
    hardware = Cpu({"ID_AA64MMFR0_EL1": 0x101121, "ID_AA64PFR0_EL1": 0x10110112})
    found = kvm_findings(promised, Cpu({"MIDR_EL1": 1}), [KVM_7_2], hardware=hardware)
    assert at(found, "ID_AA64MMFR0_EL1.PARange").outcome is Outcome.REFUSED
    # KVM may show CSV2, CSV3 and GIC where the hardware does not.
    assert at(found, "ID_AA64PFR0_EL1").outcome is Outcome.UNKNOWN
    assert at(found, "AIDR_EL1").outcome is Outcome.UNKNOWN
    # What the host shows and nobody says the VM was shown.
    assert at(found, "MIDR_EL1").outcome is Outcome.UNKNOWN


@pytest.mark.rule("IDENT-24")
@pytest.mark.parametrize(
    ("change", "place", "outcome"),
    [
        ({"ID_AA64MMFR0_EL1": 0x101112}, "ID_AA64MMFR0_EL1.ASIDBits", Outcome.WEAKER),
        ({"ID_AA64MMFR0_EL1": 0x101123}, "ID_AA64MMFR0_EL1.PARange", Outcome.REFUSED),
        ({"ID_AA64MMFR1_EL1": 0x11212122}, "ID_AA64MMFR1_EL1.SpecSEI", Outcome.WEAKER),
        ({"CTR_EL0": 0x8444C004}, "CTR_EL0.IDC", Outcome.WEAKER),
        ({"CTR_EL0": 0xB444C004}, "CTR_EL0.DIC", Outcome.REFUSED),
        ({"ID_AA64DFR0_EL1": 0xF10305008}, "ID_AA64DFR0_EL1.PMSVer", Outcome.REFUSED),
    ],
)
def test_a_field_is_kept_where_the_host_stands_for_it(change: dict[str, int], place: str, outcome: Outcome) -> None:
    found = at(kept(**change), place)
    assert (found.outcome, found.rule) == (outcome, "IDENT-24")
    if outcome is Outcome.WEAKER:
        of_ctr = place.startswith("CTR_EL0")
        assert found.traps == (("HCR_EL2.TID2",) if of_ctr else ("HCR_EL2.TID3",))
        assert found.cost is (Cost.PER_READ if of_ctr else Cost.RARE)


@pytest.mark.rule("IDENT-24")
def test_what_kvm_hides_the_hardware_may_have() -> None:
    contract = Contract("vm", Cpu({"ID_AA64DFR0_EL1": 0x10305408, "ID_AA64MMFR0_EL1": 0x101123}))
    for view, pmu in ((View.GUEST, Outcome.UNKNOWN), (View.HARDWARE, Outcome.REFUSED)):
        found = list(contract_findings(contract, Cpu(A76), view))
        assert at(found, "ID_AA64DFR0_EL1.PMUVer").outcome is pmu
        assert at(found, "ID_AA64MMFR0_EL1.PARange").outcome is Outcome.REFUSED
    [unknown] = contract_findings(Contract("vm", Cpu({"CTR_EL0": 1})), Cpu({}), View.HARDWARE)
    assert unknown.outcome is Outcome.UNKNOWN


@pytest.mark.rule("IDENT-25")
def test_what_only_el2_uses_can_be_anything() -> None:
    higher = kept(ID_AA64MMFR2_EL1=0x1011 | 1 << 40, ID_AA64MMFR1_EL1=0x10212122 | 1 << 40)
    assert at(higher, "ID_AA64MMFR2_EL1.FWB").outcome is Outcome.TRAP
    assert at(higher, "ID_AA64MMFR1_EL1.HCX").outcome is Outcome.TRAP
    assert at(kept(ID_AA64MMFR2_EL1=0x1011 | 1 << 20), "ID_AA64MMFR2_EL1.CCIDX").outcome is Outcome.TRAP


@pytest.mark.rule("IDENT-25")
def test_what_a_trap_shows_and_what_nothing_traps() -> None:
    found = kept(CNTFRQ_EL0=25_000_000, CLIDR_EL1=0x0A200023, DCZID_EL0=5)
    assert at(found, "CNTFRQ_EL0").outcome is Outcome.REFUSED
    [untold] = contract_findings(Contract("vm", Cpu({"CCSIDR_EL1[0]": 2})), Cpu({}), View.GUEST)
    assert untold.outcome is Outcome.TRAP
    assert at(found, "CLIDR_EL1").traps == ("HCR_EL2.TID2", "HCR_EL2.TSW")
    assert at(found, "DCZID_EL0").outcome is Outcome.LEAK
    fgt = Cpu({**A76, "ID_AA64MMFR0_EL1": A76["ID_AA64MMFR0_EL1"] | 1 << 56})
    found = list(contract_findings(Contract("vm", Cpu({"DCZID_EL0": 5})), fgt, View.HARDWARE))
    assert at(found, "DCZID_EL0").outcome is Outcome.TRAP


@pytest.mark.rule("IDENT-26")
def test_another_cpu_can_be_shown_and_has_its_own_errata() -> None:
    contract = Contract("vm", Cpu({"MIDR_EL1": 0x413FD0C1, "REVIDR_EL1": 0xFF}))
    found = list(contract_findings(contract, Cpu(A76), View.GUEST))
    assert (at(found, "MIDR_EL1").outcome, at(found, "MIDR_EL1").traps) == (Outcome.TRAP, ("VPIDR_EL2",))
    assert at(found, "REVIDR_EL1").traps == ("HCR_EL2.TID1",)
    assert "errata differ" in at(found, "MIDR_EL1").remedy
    n1, a76 = Implementation(0x413FD0C1, 0xFF, 0), Implementation(0x414FD0B1, 0, 0)
    for targets, outcome in (((n1, a76), Outcome.SAME), ((n1,), Outcome.REFUSED)):
        listed = replace(contract, targets=targets)
        [cluster] = check(listed, guest_view(A76)).clusters
        assert at(list(cluster.contract), "targets").outcome is outcome


WITH_A3V = CpuInterfaceView(a3v=True)


@pytest.mark.rule("IDENT-27")
def test_another_a3v_is_refused_by_kvm_and_bridged_by_a_trap() -> None:
    host = Cpu({"ICH_VTR_EL2": HostCapabilities(a3v=False, priority_bits=7, preemption_bits=5).to_vtr()})
    kvm, traps = ({one.field: one for one in gic_findings(WITH_A3V, host, 3, kvm=kvm)} for kvm in (True, False))
    assert (kvm["A3V"].outcome, kvm["A3V"].errno) == (Outcome.REFUSED, errno.EINVAL)
    assert (traps["A3V"].outcome, traps["A3V"].traps) == (Outcome.TRAP, ("ICH_HCR_EL2.TC",))
    # KVM takes fewer priority bits, and traps nothing for them.
    assert (kvm["PRIbits"].outcome, traps["PRIbits"].outcome) == (Outcome.LEAK, Outcome.TRAP)


@pytest.mark.rule("IDENT-27")
def test_a_gicv3_needs_one_and_what_it_can_do() -> None:
    for kvm in (True, False):
        [refused] = gic_findings(WITH_A3V, Cpu({}), 2, kvm=kvm)
        assert (refused.outcome, refused.errno) == (Outcome.REFUSED, errno.ENODEV if kvm else None)
        [unknown] = gic_findings(WITH_A3V, Cpu({}), 3, kvm=kvm)
        assert unknown.outcome is Outcome.UNKNOWN
        [broken] = gic_findings(WITH_A3V, Cpu({"ICH_VTR_EL2": 0}), 3, kvm=kvm)
        assert broken.outcome is Outcome.UNKNOWN
        same = Cpu({"ICH_VTR_EL2": HostCapabilities(a3v=True).to_vtr()})
        [found] = gic_findings(WITH_A3V, same, 3, kvm=kvm)
        assert found.outcome is Outcome.SAME


@pytest.mark.rule("IDENT-28")
def test_a_verdict_shows_in_what_the_engines_differ() -> None:
    promised = {**A76, "ID_AA64MMFR0_EL1": A76["ID_AA64MMFR0_EL1"] - 0x10, "CNTFRQ_EL0": 25_000_000}
    host = replace(guest_view(A76), gic=2, view=View.HARDWARE)
    shown = replace(host, view=View.GUEST)
    [hardware] = check(Contract("vm", Cpu(promised), has_run=True), host).clusters
    assert [(one.side, one.kvm.place) for one in hardware.contrasts] == [(Side.TAKEN_ALL_THE_SAME, "CNTVCT_EL0")]
    verdict = check(Contract("vm", Cpu(promised), has_run=True, gic=WITH_A3V), shown)
    [cluster] = verdict.clusters
    assert verdict.outcome is Outcome.REFUSED
    assert [(contrast.side, contrast.kvm.place) for contrast in cluster.contrasts] == [
        (Side.KVM_ALONE, "ID_AA64MMFR0_EL1.ASIDBits"),
    ]
    assert at(list(cluster.kvm), "GIC").outcome is Outcome.REFUSED


@pytest.mark.rule("IDENT-28")
def test_a_chapter_takes_the_place_of_what_is_said_of_its_fields() -> None:
    promised = {**A76, "CTR_EL0": A76["CTR_EL0"] - (1 << 20), "ID_AA64DFR0_EL1": A76["ID_AA64DFR0_EL1"] - (1 << 20)}
    contract = Contract("vm", Cpu(promised))
    [cluster] = check(contract, guest_view(A76)).clusters
    for findings in (cluster.kvm, cluster.contract):
        places = [finding.place for finding in findings]
        assert len(places) == len(set(places))
    # A guest can find watchpoints that it was not promised.
    assert at(list(cluster.kvm), "ID_AA64DFR0_EL1.WRPs").outcome is Outcome.LEAK
    # Which field of CTR_EL0 is to blame is known here, that it is refused there.
    assert [one.place for one in cluster.kvm if one.register == "CTR_EL0"] == ["CTR_EL0.ERG"]
    [late] = check(contract, guest_view(A76), has_run=True).clusters
    assert at(list(late.kvm), "ID_AA64DFR0_EL1.WRPs").errno == errno.EBUSY


@pytest.mark.rule("IDENT-28")
def test_which_cluster_decides() -> None:
    big, small = A76, {**A76, "MIDR_EL1": 0x412FD050}
    host = Host("two", (Cluster("A55", Cpu(small)), Cluster("A76", Cpu(big))), View.GUEST, Hypervisor("KVM", "7.2"))
    verdict = check(Contract.of_host(host, host.clusters[1]), host)
    assert [cluster.outcome <= Outcome.TRAP for cluster in verdict.clusters] == [False, True]
    assert (verdict.outcome, verdict.depends) == (Outcome.REFUSED, True)
    assert not check(Contract("vm", Cpu(A76)), guest_view(A76)).depends


@pytest.mark.rule("IDENT-28")
def test_where_no_feature_is_known_of_both_nothing_is_known() -> None:
    host = guest_view({"MIDR_EL1": 0x410FD083})
    verdict = check(Contract.of_host(host, host.clusters[0]), host)
    assert verdict.outcome is Outcome.UNKNOWN
    assert {finding.place for finding in verdict.clusters[0].kvm} == {"MIDR_EL1", "features"}


@pytest.mark.rule("IDENT-28")
def test_a_kernel_is_what_the_hosts_file_tells_or_else_what_is_said() -> None:
    contract = Contract("vm", Cpu(A76))
    assert check(contract, guest_view(A76, "6.12.9"), "6.1").kernels == (KVM_6_12,)
    assert check(contract, guest_view(A76, None), "6.1").kernels == (KVM_6_1,)
    assert check(contract, guest_view(A76, None)).kernels == (KVM_6_1, KVM_6_12, KVM_7_2)


FEATURES = [name for name in REGISTERS if name.startswith("ID_AA64")]
VALUES = st.dictionaries(st.sampled_from(FEATURES), st.integers(0, (1 << 64) - 1), min_size=1)


@pytest.mark.rule("IDENT-28")
@settings(max_examples=50, deadline=None)
@given(registers=VALUES, kernel=st.sampled_from(["6.1", "6.12", "7.2", "6.18", None]), view=st.sampled_from(View))
def test_a_host_can_run_what_it_has_shown(registers: dict[str, int], kernel: str | None, view: View) -> None:
    """But for values that no host has, which are refused even of its own: rules IDENT-12, IDENT-13 and IDENT-40."""
    if "ID_AA64DFR0_EL1" in registers:
        layout = REGISTERS["ID_AA64DFR0_EL1"].layout
        usual = {"BRPs": 5, "WRPs": 3, "CTX_CMPs": 1, "DebugVer": 8, "PMUVer": 4}
        fields = layout.decode(registers["ID_AA64DFR0_EL1"])
        registers["ID_AA64DFR0_EL1"] = layout.encode({**fields, **usual})
    if "ID_AA64PFR0_EL1" in registers:
        registers["ID_AA64PFR0_EL1"] |= 0x11
    host = replace(guest_view(registers, kernel), view=view)
    verdict = check(Contract.of_host(host, host.clusters[0], kernel), host)
    assert verdict.outcome in (Outcome.SAME, Outcome.UNKNOWN)
    if view is View.GUEST:
        [cluster] = verdict.clusters
        # What memory types hang on is not among these registers.
        assert {one.register for one in cluster.kvm if one.outcome is Outcome.UNKNOWN} == set()
