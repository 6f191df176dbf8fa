"""What KVM makes of the caches that a VM was promised; tests/oracles/test_live_caches.py asks KVM itself."""

import errno

import pytest

from identity_cases import AVALANCHE, BLIZZARD, CORTEX_A72, SIX, by_place
from identity_cases import cache_findings_of as findings
from vgic.identity import Cpu
from vgic.identity.cache_topology import cache_findings
from vgic.identity.caches import generated_clidr
from vgic.identity.finding import Cost, Outcome, worst
from vgic.identity.kvm_versions import KVM_6_1, KVM_6_12, KVM_7_2, KvmIdVersion

NEW = pytest.mark.parametrize("version", [KVM_6_12, KVM_7_2], ids=lambda version: version.name)

A64FX = {
    "CTR_EL0": 0x86668006,
    "CLIDR_EL1": 0x80000023,
    "CCSIDR_EL1[0]": 0x7007E01C,
    "CCSIDR_EL1[1]": 0x2007E01C,
    "CCSIDR_EL1[2]": 0x70FFE07C,
    "DCZID_EL0": 4,
}
IDC = 1 << 28
OLD_VM = {**BLIZZARD, "CTR_EL0": 0x9444C004}
"""A VM of an M2 whose KVM showed what the hardware has, and the IDC that counts."""


@NEW
@pytest.mark.rule("IDENT-36")
@pytest.mark.parametrize("cluster", [BLIZZARD, AVALANCHE])
@pytest.mark.parametrize("host", [BLIZZARD, CORTEX_A72, {"CTR_EL0": 0x9444C004}])
def test_the_six_values_of_the_m2_are_taken_where_lines_have_64_bytes(
    version: KvmIdVersion, cluster: dict[str, int], host: dict[str, int]
) -> None:
    found = findings(cluster, host, version)
    for name in SIX:
        assert (found[name].outcome, found[name].errno) == (Outcome.TRAP, None)
        assert (found[name].guest, found[name].host) == (cluster[name], 2)


@NEW
@pytest.mark.rule("IDENT-36")
@pytest.mark.parametrize("cluster", [BLIZZARD, AVALANCHE])
def test_the_six_values_of_the_m2_are_refused_where_lines_are_longer(
    version: KvmIdVersion, cluster: dict[str, int]
) -> None:
    found = findings(cluster, A64FX, version)
    for name in SIX:
        assert (found[name].outcome, found[name].errno) == (Outcome.REFUSED, errno.EINVAL)
        assert found[name].why.startswith("its lines are shorter than the host's shortest")


@pytest.mark.rule("IDENT-36")
def test_6_1_takes_what_the_hardware_has_and_nothing_else() -> None:
    found = findings(OLD_VM, BLIZZARD, KVM_6_1)
    assert worst(found.values()) is Outcome.SAME
    for host in (AVALANCHE, CORTEX_A72, A64FX):
        found = findings(OLD_VM, host, KVM_6_1)
        assert [found[name].outcome for name in SIX] == [Outcome.REFUSED] * 3
        assert {found[name].errno for name in SIX} == {errno.EINVAL}
        assert "shows what the hardware has" in found[SIX[0]].why


@pytest.mark.rule("IDENT-38")
def test_6_1_is_not_guessed_where_the_hardware_is_unknown() -> None:
    found = findings(OLD_VM, {"CTR_EL0": 0x9444C004}, KVM_6_1)
    assert [found[name].outcome for name in ("CLIDR_EL1", *SIX)] == [Outcome.UNKNOWN] * 4
    assert found[SIX[0]].remedy == "read CCSIDR_EL1[0] on the host"
    assert findings({"CTR_EL0": 0x9444C004}, OLD_VM, KVM_6_1)["CLIDR_EL1"].outcome is Outcome.UNKNOWN


@pytest.mark.rule("IDENT-37")
def test_on_6_1_a_vm_sees_the_caches_of_whichever_cpu_it_runs_on() -> None:
    system = [Cpu(BLIZZARD), Cpu(AVALANCHE)]
    by_cluster = [by_place(cache_findings(Cpu(OLD_VM), cpu, KVM_6_1, system=system)) for cpu in system]
    outcomes = [[found[name].outcome for name in SIX] for found in by_cluster]
    assert outcomes == [[Outcome.LEAK] * 3, [Outcome.REFUSED] * 3]
    assert by_cluster[0]["CLIDR_EL1"].outcome is Outcome.SAME
    for version in (KVM_6_12, KVM_7_2):
        for cpu in system:
            found = by_place(cache_findings(Cpu(OLD_VM), cpu, version, system=system))
            assert [found[name].outcome for name in SIX] == [Outcome.TRAP] * 3


@NEW
@pytest.mark.rule("IDENT-37")
def test_ctr_is_judged_by_what_all_cpus_have(version: KvmIdVersion) -> None:
    small = {**BLIZZARD, "CTR_EL0": 0x8444C005}
    system = [Cpu(small), Cpu(BLIZZARD)]
    found = by_place(cache_findings(Cpu({"CTR_EL0": 0x9444C005}), Cpu(small), version, system=system))["CTR_EL0"]
    assert (found.outcome, found.host) == (Outcome.REFUSED, 0x9444C004)
    assert findings({"CTR_EL0": 0x9444C005}, small, version)["CTR_EL0"].outcome is Outcome.SAME


@NEW
@pytest.mark.rule("IDENT-31")
def test_a_ctr_of_its_own_costs_programs_of_the_vm_an_exit(version: KvmIdVersion) -> None:
    host = {"CTR_EL0": 0xB444C004, "ID_AA64MMFR2_EL1": 1 << 56}
    promised = {"CTR_EL0": 0xB444C004, "CCSIDR_EL1[0]": 0x701FE01A}
    found = findings(promised, host, version)
    assert found["CTR_EL0"].outcome is Outcome.SAME
    assert (found[SIX[0]].traps, found[SIX[0]].cost) == (("HCR_EL2.TID4",), Cost.RARE)
    found = findings({**promised, "CTR_EL0": 0x9444C004}, host, version)
    assert found["CTR_EL0"].outcome is Outcome.TRAP
    for name in ("CTR_EL0", SIX[0]):
        assert (found[name].traps, found[name].cost) == (("HCR_EL2.TID2",), Cost.PER_READ)


@NEW
@pytest.mark.rule("IDENT-35")
def test_a_contract_has_to_pin_clidr(version: KvmIdVersion) -> None:
    """What two hosts have in common, IDC 0, does not move without."""
    with_idc, without = {"CTR_EL0": 0x9444C004}, CORTEX_A72
    common = {"CTR_EL0": 0x8444C004}
    first = findings(common, with_idc, version)["CLIDR_EL1"]
    assert (first.outcome, first.host) == (Outcome.UNKNOWN, generated_clidr(with_idc["CTR_EL0"]))
    assert "of this host's CTR_EL0, not of the VM's" in first.why
    assert first.host is not None
    saved = findings({**common, "CLIDR_EL1": first.host}, without, version)["CLIDR_EL1"]
    assert (saved.outcome, saved.errno) == (Outcome.REFUSED, errno.EINVAL)
    assert first.remedy.endswith("a VM that has not run can be given 0x9200003, which its CTR_EL0 comes to")
    pinned = {**common, "CLIDR_EL1": 0x9200003}
    for host in (with_idc, without):
        found = findings(pinned, host, version)
        assert found["CTR_EL0"].outcome <= Outcome.TRAP
        assert found["CLIDR_EL1"].outcome <= Outcome.TRAP


@NEW
@pytest.mark.rule("IDENT-38")
def test_nothing_is_guessed(version: KvmIdVersion) -> None:
    unknown = findings(BLIZZARD, {"CTR_EL0": 0x8444C004}, version)
    assert [(finding.place, finding.outcome) for finding in unknown.values()] == [
        ("CTR_EL0", Outcome.UNKNOWN),
        ("DCZID_EL0", Outcome.UNKNOWN),
    ]
    untold = findings({}, BLIZZARD, version)
    assert {finding.outcome for finding in untold.values()} == {Outcome.UNKNOWN}
    assert list(untold) == ["CTR_EL0", "CLIDR_EL1", "CCSIDR_EL1", "DCZID_EL0"]
    assert "DCZID_EL0" not in findings({}, {}, version)


@NEW
@pytest.mark.rule("IDENT-36")
def test_kvm_has_no_room_for_the_format_of_64_bits(version: KvmIdVersion) -> None:
    found = findings({"CCSIDR_EL1[0]": 0xFF0000001A}, BLIZZARD, version)["CCSIDR_EL1[0]"]
    assert (found.outcome, found.errno) == (Outcome.REFUSED, None)


@NEW
@pytest.mark.rule("IDENT-39")
@pytest.mark.parametrize(
    ("promised", "host", "outcome"),
    [(4, 4, Outcome.SAME), (4, 5, Outcome.REFUSED), (4, 0x14, Outcome.REFUSED), (0x14, 4, Outcome.LEAK)],
)
def test_kvm_says_nothing_of_dc_zva(version: KvmIdVersion, promised: int, host: int, outcome: Outcome) -> None:
    found = findings({"DCZID_EL0": promised}, {**BLIZZARD, "DCZID_EL0": host}, version)["DCZID_EL0"]
    assert (found.outcome, found.errno) == (outcome, None)
