"""What becomes of breakpoints, watchpoints and the debug architecture that a VM was promised."""

import errno
from itertools import product

import pytest

from identity_cases import by_place
from vgic.identity import Cpu, View
from vgic.identity.debug import debug_findings, debug_traps
from vgic.identity.finding import Cost, Finding, Outcome, worst
from vgic.identity.kvm_versions import KVM_6_1, KVM_6_12, KVM_7_2, VERSIONS, KvmIdVersion

DFR0, DFR1 = "ID_AA64DFR0_EL1", "ID_AA64DFR1_EL1"
FGT, NO_FGT = {"ID_AA64MMFR0_EL1": 1 << 56}, {"ID_AA64MMFR0_EL1": 0}


def has(breakpoints: int, aware: int, watchpoints: int, *, version: int = 8, lock: int = 0) -> dict[str, int]:
    numbers = (breakpoints - 1) << 12 | (watchpoints - 1) << 20 | (aware - 1) << 28
    return {DFR0: version | numbers | lock << 36}


def findings(
    promised: dict[str, int], host: dict[str, int], kvm: KvmIdVersion | None = None, *, view: View = View.HARDWARE
) -> dict[str, Finding]:
    found = by_place(debug_findings(Cpu(promised), Cpu(host), kvm, view=view))
    return {place.removeprefix(f"{DFR0}."): finding for place, finding in found.items()}


ALL = has(6, 2, 4)


@pytest.mark.rule("IDENT-42", "IDENT-47")
def test_a_host_keeps_what_it_has() -> None:
    found = findings(ALL, ALL)
    assert list(found) == ["BRPs", "CTX_CMPs", "WRPs", "DebugVer", "DoubleLock"]
    assert worst(found.values()) is Outcome.SAME


@pytest.mark.rule("IDENT-42")
@pytest.mark.parametrize(
    ("promised", "host", "outcomes"),
    [
        # BRPs, CTX_CMPs, WRPs.
        ((6, 2, 4), (6, 2, 4), "same same same"),
        ((6, 2, 4), (6, 4, 4), "same weaker same"),
        ((6, 2, 4), (8, 4, 4), "trap weaker same"),
        ((6, 2, 4), (6, 2, 8), "same same trap"),
        ((6, 2, 4), (8, 2, 4), "trap trap trap"),
        ((6, 2, 4), (8, 3, 4), "trap trap trap"),
        ((8, 2, 4), (6, 2, 4), "refused same same"),
        ((6, 4, 4), (6, 2, 4), "same refused same"),
        ((6, 2, 8), (6, 2, 4), "same same refused"),
        ((8, 2, 4), (6, 4, 8), "refused weaker trap"),
    ],
)
def test_numbers_are_kept_moved_or_missing(
    promised: tuple[int, int, int], host: tuple[int, int, int], outcomes: str
) -> None:
    found = findings(has(*promised), has(*host))
    assert [found[field].outcome.name.lower() for field in ("BRPs", "CTX_CMPs", "WRPs")] == outcomes.split()
    for field, mine, its in zip(("BRPs", "CTX_CMPs", "WRPs"), promised, host, strict=True):
        assert (found[field].guest, found[field].host) == (mine - 1, its - 1)


@pytest.mark.rule("IDENT-42")
def test_findings_say_what_it_takes() -> None:
    moved = findings(ALL, {**has(8, 2, 4), **FGT})
    assert moved["BRPs"].why == (
        "of the host's 8 breakpoints, the guest was promised 6; each is moved to where the host can do as much; "
        "FEAT_FGT traps these registers alone, which only debuggers use"
    )
    assert "links to them are rewritten" in moved["CTX_CMPs"].why
    assert moved["WRPs"].why.startswith("links to breakpoints that have other numbers on the host are rewritten; ")
    assert moved["BRPs"].remedy == ""
    kept = findings(ALL, {**has(8, 4, 4), **FGT})
    assert kept["BRPs"].remedy == "without traps the guest runs, and can tell by 2 more that are there"
    assert findings(has(8, 2, 4), ALL)["BRPs"].why == "the host has 6 breakpoints, and 8 were promised"


@pytest.mark.rule("IDENT-45")
def test_traps_and_their_price() -> None:
    found = findings(ALL, {**has(8, 4, 8), **FGT})
    for field, kind in (("BRPs", "B"), ("WRPs", "W")):
        assert set(found[field].traps) == {
            f"HDFG{way}TR_EL2.DBG{kind}{what}Rn_EL1" for way, what in product("RW", "CV")
        }
        assert found[field].cost is Cost.RARE
    for more, why in (
        (NO_FGT, "without FEAT_FGT every debug register traps"),
        ({}, "unless there is FEAT_FGT, which is not known, every debug register traps"),
    ):
        found = findings(ALL, {**has(8, 4, 8), **more})
        for field in ("BRPs", "WRPs"):
            assert (found[field].traps, found[field].cost) == (("MDCR_EL2.TDA",), Cost.PER_ACCESS)
            assert why in found[field].why
    assert debug_traps(2, "B").cost is Cost.RARE


@pytest.mark.rule("IDENT-38")
def test_what_a_hypervisor_hides_is_not_used() -> None:
    host = {**has(8, 4, 4), **NO_FGT}
    assert "which is not known" in findings(ALL, host, view=View.GUEST)["BRPs"].why
    assert findings(ALL, {**host, **FGT}, view=View.GUEST)["BRPs"].cost is Cost.RARE


@pytest.mark.rule("IDENT-40")
@pytest.mark.parametrize(
    ("promised", "field"), [(has(1, 1, 4), "BRPs"), (has(6, 2, 1), "WRPs"), (has(6, 8, 4), "CTX_CMPs")]
)
def test_numbers_that_arm_reserves_are_no_promise(promised: dict[str, int], field: str) -> None:
    found = findings(promised, ALL)
    assert found[field].outcome is Outcome.REFUSED
    assert found[field].why.startswith("Arm reserves that: ")
    # What a file tells of a host, and cannot be, is no reason to refuse.
    found = findings(ALL, promised)
    assert found[field].outcome is Outcome.UNKNOWN
    assert worst(found.values()) is Outcome.UNKNOWN


@pytest.mark.rule("IDENT-40")
def test_what_nobody_has_told_is_unknown() -> None:
    for promised, host, why in (
        ({}, ALL, "nobody has told what the VM was promised"),
        (ALL, {}, "nobody has told what the host has"),
    ):
        for kvm in (None, KVM_7_2):
            [(place, found)] = findings(promised, host, kvm).items()
            assert (place, found.outcome, found.why) == (DFR0, Outcome.UNKNOWN, why)
    many = has(16, 2, 4, version=0xB)
    for promised, host, who in ((many, ALL, "the VM"), (ALL, many, "the host")):
        found = findings(promised, host)["BRPs"]
        assert found.outcome is Outcome.UNKNOWN
        assert found.why == f"{who} may have more than 16 breakpoints: nobody has told its {DFR1}"


@pytest.mark.rule("IDENT-40")
def test_more_than_16_breakpoints_are_told_by_another_register() -> None:
    many = {**has(16, 2, 4, version=0xB), DFR1: 31 << 8}
    assert worst(findings(many, many).values()) is Outcome.SAME
    found = findings({**many, DFR1: 19 << 8}, many)
    assert (found[f"{DFR1}.BRPs"].guest, found[f"{DFR1}.BRPs"].host) == (19, 31)
    assert found[f"{DFR1}.BRPs"].outcome is Outcome.TRAP
    # 16 breakpoints of which two match contexts: as the first 16 of 32.
    assert findings(has(16, 2, 4, version=0xA), many)["CTX_CMPs"].outcome is Outcome.SAME
    assert findings(ALL, many)["CTX_CMPs"].outcome is Outcome.TRAP


@pytest.mark.rule("IDENT-47")
@pytest.mark.parametrize(
    ("promised", "host", "outcome"),
    [
        (8, 8, Outcome.SAME),
        (6, 8, Outcome.WEAKER),
        (9, 8, Outcome.REFUSED),
        (5, 8, Outcome.REFUSED),
        (0, 0, Outcome.REFUSED),
    ],
)
def test_an_earlier_debug_architecture_can_be_shown(promised: int, host: int, outcome: Outcome) -> None:
    assert findings(has(6, 2, 4, version=promised), has(6, 2, 4, version=host))["DebugVer"].outcome is outcome


@pytest.mark.rule("IDENT-47")
def test_a_double_lock_can_be_made_and_hidden() -> None:
    with_lock, without, wrong = (has(6, 2, 4, lock=lock) for lock in (0, 15, 3))
    for promised, host in ((with_lock, without), (without, with_lock)):
        found = findings(promised, host)["DoubleLock"]
        assert (found.outcome, found.traps, found.cost) == (Outcome.TRAP, ("MDCR_EL2.TDOSA",), Cost.RARE)
    assert findings(without, without)["DoubleLock"].outcome is Outcome.SAME
    assert findings(wrong, without)["DoubleLock"].outcome is Outcome.REFUSED


@pytest.mark.rule("IDENT-46")
@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_kvm_shows_the_hardwares_breakpoints(version: KvmIdVersion) -> None:
    assert worst(findings(ALL, ALL, version).values()) is Outcome.SAME
    for other in (has(5, 2, 4), has(8, 2, 4), has(6, 1, 4), has(6, 3, 4)):
        found = findings(other, ALL, version)
        refused = {field for field, finding in found.items() if finding.outcome is Outcome.REFUSED}
        assert refused == ({"BRPs"} if found["CTX_CMPs"].guest == 1 else {"CTX_CMPs"})
        assert {found[field].errno for field in refused} == {errno.EINVAL}


@pytest.mark.rule("IDENT-46")
@pytest.mark.parametrize("version", [KVM_6_12, KVM_7_2], ids=lambda version: version.name)
def test_kvm_takes_fewer_watchpoints_and_leaves_the_others_there(version: KvmIdVersion) -> None:
    found = findings(has(6, 2, 2), ALL, version)["WRPs"]
    assert (found.outcome, found.errno, found.traps) == (Outcome.LEAK, None, ())
    none = findings(has(6, 2, 1), ALL, version)["WRPs"]
    assert (none.outcome, none.why) == (Outcome.LEAK, f"{found.why}; Arm reserves 0")
    more = findings(has(6, 2, 8), ALL, version)["WRPs"]
    assert (more.outcome, more.errno) == (Outcome.REFUSED, errno.EINVAL)
    assert more.why == "KVM shows no more watchpoints than the hardware has"


@pytest.mark.rule("IDENT-46")
def test_6_1_takes_the_hardwares_watchpoints_alone() -> None:
    found = findings(has(6, 2, 2), ALL, KVM_6_1)["WRPs"]
    assert (found.outcome, found.errno) == (Outcome.REFUSED, errno.EINVAL)
    assert found.why == "KVM shows all the watchpoints that the hardware has, and takes no other number"
