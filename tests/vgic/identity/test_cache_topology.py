"""Whether a host can show a VM the caches that it was promised, if everything is virtualised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity_cases import AVALANCHE, BLIZZARD, CORTEX_A72, SIX, by_place
from identity_cases import cache_findings_of as findings
from vgic.identity import Cpu, View
from vgic.identity.cache_topology import cache_findings
from vgic.identity.cache_traps import TRAPPED_BY
from vgic.identity.finding import Cost, Outcome, worst
from vgic.identity.implementation import CTR
from vgic.identity.kvm_versions import VERSIONS, KvmIdVersion

EVT, FGT = {"ID_AA64MMFR2_EL1": 1 << 56}, {"ID_AA64MMFR0_EL1": 1 << 56}


@pytest.mark.rule("IDENT-32", "IDENT-33", "IDENT-34", "IDENT-39")
@pytest.mark.parametrize("cpu", [BLIZZARD, AVALANCHE, CORTEX_A72])
def test_a_host_has_what_it_has(cpu: dict[str, int]) -> None:
    found = findings(cpu, cpu)
    assert set(found) == set(cpu)
    assert worst(found.values()) is Outcome.SAME
    assert found["CCSIDR_EL1[0]"].why.startswith("the host has the same: L1D of ")


@pytest.mark.rule("IDENT-34")
def test_the_six_values_of_the_m2_are_shown_by_traps() -> None:
    found = findings(BLIZZARD, AVALANCHE)
    assert [found[name].outcome for name in SIX] == [Outcome.TRAP] * 3
    assert found[SIX[1]].why == (
        "the host has another value; reads trap, and show what was promised: "
        "L1I of 512 sets, 4 ways and lines of 64 bytes, not L1I of 512 sets, 6 ways and lines of 64 bytes"
    )
    assert found[SIX[1]].traps == ("HCR_EL2.TID2", "HCR_EL2.TSW")
    assert found[SIX[1]].cost is Cost.PER_READ
    assert found["CTR_EL0"].outcome is found["CLIDR_EL1"].outcome is Outcome.SAME


@pytest.mark.rule("IDENT-30", "IDENT-34")
def test_traps_are_those_that_the_host_has() -> None:
    assert findings(BLIZZARD, {**AVALANCHE, **EVT})[SIX[0]].traps == ("HCR_EL2.TID4", "HCR_EL2.TSW")
    assert findings(BLIZZARD, {**AVALANCHE, **EVT})[SIX[0]].cost is Cost.RARE
    assert findings(BLIZZARD, {**AVALANCHE, **FGT})[SIX[0]].traps[0] == "HFGRTR_EL2.CCSIDR_EL1"
    # CTR_EL0 differs, too: one trap for all.
    another = {**AVALANCHE, **EVT, **FGT, "CTR_EL0": 0x9444C004}
    assert findings(BLIZZARD, another)[SIX[0]].traps == ("HCR_EL2.TID2", "HCR_EL2.TSW")
    assert findings(BLIZZARD, {**BLIZZARD, **FGT, "CTR_EL0": 0x9444C004})["CTR_EL0.IDC"].traps == (
        "HFGRTR_EL2.CTR_EL0",
    )


@pytest.mark.rule("IDENT-38")
def test_what_a_hypervisor_hides_traps_nothing() -> None:
    host = {**AVALANCHE, "ID_AA64MMFR2_EL1": 0, "ID_AA64MMFR0_EL1": 0}
    assert findings(BLIZZARD, host, view=View.GUEST)[SIX[0]].traps[0] == "HCR_EL2.TID2"
    assert findings(BLIZZARD, {**host, **EVT}, view=View.GUEST)[SIX[0]].traps[0] == "HCR_EL2.TID4"


@pytest.mark.rule("IDENT-37")
def test_another_cpu_of_the_host_makes_reads_trap_on_this_one() -> None:
    system = [Cpu(BLIZZARD), Cpu(AVALANCHE)]
    found = by_place(cache_findings(Cpu(BLIZZARD), Cpu(BLIZZARD), system=system))
    assert [found[name].outcome for name in SIX] == [Outcome.TRAP] * 3
    assert found[SIX[0]].why.startswith("another CPU of the host has another value; reads trap")
    ctr = {**BLIZZARD, "CTR_EL0": 0x8444C005}
    found = by_place(cache_findings(Cpu(BLIZZARD), Cpu(BLIZZARD), system=[Cpu(BLIZZARD), Cpu(ctr)]))
    assert found["CTR_EL0"].outcome is Outcome.TRAP


@pytest.mark.rule("IDENT-34")
def test_flags_that_mean_nothing_any_more_need_no_trap() -> None:
    host = {**BLIZZARD, "CCSIDR_EL1[0]": 0x600FE03A}
    found = findings(BLIZZARD, host)["CCSIDR_EL1[0]"]
    assert found.outcome is Outcome.SAME
    assert found.why == (
        "the same but for bits that mean nothing any more: L1D of 128 sets, 8 ways and lines of 64 bytes"
    )
    found = findings(BLIZZARD, {**host, **FGT, "CTR_EL0": 0x9444C004})["CTR_EL0.IDC"]
    assert found.traps == ("HFGRTR_EL2.CTR_EL0",)


@pytest.mark.rule("IDENT-34")
def test_the_same_cache_in_the_other_format_traps() -> None:
    wide = {"ID_AA64MMFR2_EL1": 1 << 20}
    found = findings({"CCSIDR_EL1[0]": 0x701FE01A}, {"CCSIDR_EL1[0]": 0xFF0000001A, **wide})["CCSIDR_EL1[0]"]
    assert found.outcome is Outcome.TRAP
    assert found.why.endswith("lines of 64 bytes, in the format of 64 bits")
    narrow = {"ID_AA64MMFR2_EL1": 0}
    found = findings({"CCSIDR_EL1[0]": 0xFF0000001A, **wide}, {"CCSIDR_EL1[0]": 0x701FE01A, **narrow})[
        "CCSIDR_EL1[0]"
    ]
    assert found.outcome is Outcome.TRAP
    found = findings({"CCSIDR_EL1[0]": 2, **wide}, {"CCSIDR_EL1[0]": 0x7000_0002, **narrow})["CCSIDR_EL1[0]"]
    assert found.outcome is Outcome.TRAP
    # What looks the same but for the old flags may be another format.
    found = findings({"CCSIDR_EL1[0]": 0x600FE03A}, {"CCSIDR_EL1[0]": 0x700FE03A, **wide})["CCSIDR_EL1[0]"]
    assert found.outcome is Outcome.TRAP


@pytest.mark.rule("IDENT-34")
def test_a_vcpu_keeps_what_it_selects() -> None:
    found = findings({**BLIZZARD, "CSSELR_EL1": 1}, {**BLIZZARD, "CSSELR_EL1": 2})["CSSELR_EL1"]
    assert (found.outcome, found.why) == (
        Outcome.SAME,
        "each vCPU has its own, whatever the host's: it selects L1I",
    )
    assert findings({"CSSELR_EL1": 14}, {})["CSSELR_EL1"].why.endswith("it selects no cache that there can be")


@pytest.mark.rule("IDENT-38")
def test_what_was_promised_is_not_guessed() -> None:
    found = findings({}, BLIZZARD)
    assert list(found) == ["CTR_EL0", "CLIDR_EL1", "CCSIDR_EL1", "DCZID_EL0"]
    for finding in found.values():
        assert finding.outcome is Outcome.UNKNOWN
        assert finding.remedy
        assert finding.guest is None
    listed = findings({"CLIDR_EL1": 0xC3000123, "CCSIDR_EL1[0]": 2}, {})
    untold = [
        place for place, finding in listed.items() if finding.why.startswith("nobody has told what the VM saw")
    ]
    assert untold == ["CTR_EL0", "CCSIDR_EL1[1]", "CCSIDR_EL1[2]", "CCSIDR_EL1[4]"]


@pytest.mark.rule("IDENT-38")
def test_what_the_host_has_need_not_be_known_where_a_trap_hides_it() -> None:
    found = findings(BLIZZARD, {})
    assert [found[name].outcome for name in SIX] == [Outcome.TRAP] * 3
    assert found[SIX[0]].host is None
    assert found["CTR_EL0"].outcome is found["DCZID_EL0"].outcome is Outcome.UNKNOWN
    # Whether the host's data caches need cleaning decides.
    assert found["CLIDR_EL1"].outcome is Outcome.UNKNOWN
    assert findings(CORTEX_A72, {})["CLIDR_EL1"].outcome is Outcome.TRAP


def holds(field: str, promised: int, host: int) -> bool:
    """By hand, what Arm says that each field of CTR_EL0 means: what was promised is true of the host."""
    if field in ("IDC", "DIC", "IminLine", "DminLine", "TminLine"):
        return promised <= host
    if field == "L1Ip":
        return promised == host or promised == 2
    return promised == host or promised == 0 or (host != 0 and promised > host)


HELP = {
    "IDC": ("HCR_EL2.TPU",),
    "IminLine": ("HCR_EL2.TPU",),
    "DminLine": ("HCR_EL2.TPCP", "HCR_EL2.TPU"),
    "TminLine": ("HCR_EL2.TPCP",),
    "L1Ip": ("HCR_EL2.TPU",),
}


@pytest.mark.rule("IDENT-32")
@pytest.mark.parametrize("field", [field.name for field in CTR.layout.fields])
def test_each_field_of_ctr_is_kept_or_not(field: str) -> None:
    where = CTR.layout.field(field)
    for promised in range(1 << where.width):
        for host in range(1 << where.width):
            if promised == host:
                continue
            values = [
                {"CLIDR_EL1": 0x0A200023, "CTR_EL0": 1 << 31 | value << where.lsb} for value in (promised, host)
            ]
            found = findings(*values)[f"CTR_EL0.{field}"]
            assert (found.guest, found.host, found.register) == (promised, host, "CTR_EL0")
            if holds(field, promised, host):
                assert (found.outcome, found.traps) == (Outcome.TRAP, ("HCR_EL2.TID2",))
                assert found.cost is Cost.PER_READ
            elif field in HELP:
                assert (found.outcome, found.traps) == (Outcome.TRAP, ("HCR_EL2.TID2", *HELP[field]))
                assert found.cost is Cost.PER_ACCESS
            else:
                worse = Outcome.REFUSED if host or field == "DIC" else Outcome.UNKNOWN
                assert (found.outcome, found.traps, found.cost) == (worse, (), Cost.NONE)


@pytest.mark.rule("IDENT-32")
def test_a_guest_that_does_nothing_cannot_be_helped() -> None:
    idc, dic = 1 << 28, 1 << 29
    host = {"CTR_EL0": 0x8444C004, "CLIDR_EL1": 0x0A200023}
    found = findings({"CTR_EL0": 0x8444C004 | idc | dic}, host)
    assert found["CTR_EL0.IDC"].outcome is found["CTR_EL0.DIC"].outcome is Outcome.REFUSED
    # The host's CLIDR_EL1 says what its IDC does not.
    found = findings({"CTR_EL0": 0x8444C004 | idc}, {**host, "CLIDR_EL1": 0x81000023})
    assert (found["CTR_EL0.IDC"].outcome, found["CTR_EL0.IDC"].traps) == (Outcome.TRAP, ("HCR_EL2.TID2",))
    assert (
        findings({"CTR_EL0": 0x8444C004 | idc}, {"CTR_EL0": 0x8444C004})["CTR_EL0.IDC"].outcome is Outcome.UNKNOWN
    )


@pytest.mark.rule("IDENT-32")
def test_bits_that_no_field_covers_trap() -> None:
    found = findings({"CTR_EL0": 0x8444C004 | 1 << 30}, {"CTR_EL0": 0x8444C004})
    assert found["CTR_EL0"].outcome is Outcome.TRAP


@pytest.mark.rule("IDENT-33")
def test_a_clidr_that_claims_idc_needs_a_host_that_has_it() -> None:
    found = findings(BLIZZARD, CORTEX_A72)["CLIDR_EL1"]
    assert (found.outcome, found.cost) == (Outcome.TRAP, Cost.PER_ACCESS)
    assert found.traps == ("HCR_EL2.TID2", "HCR_EL2.TPU")
    found = findings(CORTEX_A72, BLIZZARD)["CLIDR_EL1"]
    assert (found.outcome, found.traps, found.cost) == (Outcome.TRAP, ("HCR_EL2.TID2",), Cost.PER_READ)
    found = findings(BLIZZARD, {**BLIZZARD, "CLIDR_EL1": 0xC3000123})["CLIDR_EL1"]
    assert found.why == "the host has another value; reads trap, and show what was promised"
    dic = {**BLIZZARD, "CTR_EL0": BLIZZARD["CTR_EL0"] | 1 << 29}
    assert findings(dic, CORTEX_A72)["CLIDR_EL1"].outcome is Outcome.REFUSED
    no_ctr = {"CLIDR_EL1": BLIZZARD["CLIDR_EL1"]}
    assert findings(no_ctr, CORTEX_A72)["CLIDR_EL1"].outcome is Outcome.UNKNOWN


@pytest.mark.rule("IDENT-39")
@pytest.mark.parametrize(
    ("promised", "host", "more", "outcome", "traps"),
    [
        (4, 4, {}, Outcome.SAME, ()),
        (4, 5, {}, Outcome.LEAK, ("HCR_EL2.TDZ",)),
        (4, 5, FGT, Outcome.TRAP, ("HCR_EL2.TDZ", "HFGRTR_EL2.DCZID_EL0")),
        (4, 0x14, FGT, Outcome.REFUSED, ()),
        (0x14, 4, {}, Outcome.TRAP, ("HCR_EL2.TDZ",)),
        (0x14, 5, {}, Outcome.LEAK, ("HCR_EL2.TDZ",)),
        (0x15, 0x14, {}, Outcome.LEAK, ("HCR_EL2.TDZ",)),
    ],
)
def test_dc_zva_zeroes_what_was_promised(
    promised: int, host: int, more: dict[str, int], outcome: Outcome, traps: tuple[str, ...]
) -> None:
    found = findings({"DCZID_EL0": promised}, {"DCZID_EL0": host, **more})["DCZID_EL0"]
    assert (found.outcome, found.traps) == (outcome, traps)
    assert found.cost is (Cost.PER_ACCESS if traps and not promised & 0x10 else Cost.NONE)


@pytest.mark.rule("IDENT-39")
def test_what_neither_tells_of_dc_zva_is_passed_over() -> None:
    assert "DCZID_EL0" not in findings({}, {})
    assert findings({}, {"DCZID_EL0": 4})["DCZID_EL0"].outcome is Outcome.UNKNOWN


CTRS = st.builds(
    lambda fields: CTR.layout.encode(fields),
    st.fixed_dictionaries(
        {
            "IDC": st.integers(0, 1),
            "DIC": st.integers(0, 1),
            "CWG": st.sampled_from([0, 4, 5]),
            "ERG": st.sampled_from([0, 4, 5]),
            "DminLine": st.integers(3, 6),
            "L1Ip": st.integers(2, 3),
            "IminLine": st.integers(3, 6),
        }
    ),
)
CPUS = st.fixed_dictionaries(
    {
        "CTR_EL0": CTRS,
        "CLIDR_EL1": st.sampled_from([0x0A200023, 0x09200002, 0x82000023, 0x02000021, 0xC3000123, 0]),
        "CCSIDR_EL1[0]": st.sampled_from([0, 2, 4, 0x700FE03A, 0x600FE03A, 0x701FE03A]),
        "CCSIDR_EL1[1]": st.sampled_from([0, 2, 4, 0x203FE01A]),
        "ID_AA64MMFR2_EL1": st.sampled_from([0, 1 << 56, 2 << 56]),
        "ID_AA64MMFR0_EL1": st.sampled_from([0, 1 << 56]),
    }
)


@pytest.mark.rule("IDENT-30")
@given(promised=CPUS, host=CPUS)
def test_every_read_that_must_trap_does(promised: dict[str, int], host: dict[str, int]) -> None:
    """Whatever a guest reads is what the host has, or traps; and programs are spared where CTR_EL0 is the same."""
    told = [finding for finding in findings(promised, host).values() if finding.outcome is not Outcome.UNKNOWN]
    for finding in told:
        trapped = frozenset().union(*(TRAPPED_BY.get(control, frozenset()) for control in finding.traps))
        name = finding.register.partition("[")[0]
        if finding.outcome is Outcome.TRAP:
            assert name in trapped
            if promised["CTR_EL0"] == host["CTR_EL0"] and (host["ID_AA64MMFR2_EL1"] or host["ID_AA64MMFR0_EL1"]):
                assert "CTR_EL0" not in trapped
        elif finding.outcome is Outcome.SAME:
            assert (promised[finding.register] ^ host[finding.register]) & 0xFFF_FFFF == 0


@pytest.mark.rule("IDENT-36")
@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
@given(promised=CPUS, host=CPUS)
def test_what_kvm_takes_the_architecture_allows(
    version: KvmIdVersion, promised: dict[str, int], host: dict[str, int]
) -> None:
    taken = findings(promised, host, version)
    refused = {
        finding.register for finding in findings(promised, host).values() if finding.outcome is Outcome.REFUSED
    }
    assert not refused & {name for name, finding in taken.items() if finding.outcome < Outcome.UNKNOWN}
