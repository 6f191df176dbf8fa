"""Which workarounds a guest applies for one CPU and for a list, and whether they are enough on a host."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic.identity import Cpu, HostError
from vgic.identity.errata import checked_targets, errata_findings, lost_without, workarounds
from vgic.identity.errata_table import ERRATA
from vgic.identity.erratum import Applies, Condition, Erratum, Implementation, Quantifier, Range, revision
from vgic.identity.finding import Outcome, worst
from vgic.identity.parts import model_of

A53, A55, A72 = Implementation(0x410FD034, 0, 0), Implementation(0x412FD050, 0, 0), Implementation(0x410FD083, 0, 0)
A76, N1 = Implementation(0x414FD0B1, 0, 0), Implementation(0x413FD0C1, 0xFF, 0)
V2, AMPERE = Implementation(0x410FD4F1, 0x17, 0), Implementation(0xC00FAC40, 0, 0)
MENDED = 1 << 8
"""The bit of an A53's REVIDR_EL1 that says that erratum 843419 is mended."""

GUEST = Cpu({"CTR_EL0": 0xB444C004, "ID_AA64PFR0_EL1": 0, "ID_AA64PFR1_EL1": 0})
"""With DIC, and without CSV2 and SME."""


def applied(*targets: Implementation, guest: Cpu = GUEST, safe_if: Quantifier = Quantifier.ALL) -> frozenset[str]:
    return workarounds(targets, guest, safe_if).applied


def cpu(which: Implementation) -> Cpu:
    return Cpu({"MIDR_EL1": which.midr, "REVIDR_EL1": which.revidr, "AIDR_EL1": which.aidr})


# Of each erratum a few revisions around the ends of its ranges, with REVIDR_EL1 as it mends and as it does not.
NUMBERS = sorted({number for erratum in ERRATA for one in erratum.ranges for number in (one.first, one.last)})
MODELS = sorted({one.model for erratum in ERRATA for one in erratum.ranges} | {model_of("Neoverse N3"), 0x610F0380})
implementations = st.builds(
    lambda model, number, step, bits: Implementation(
        model | max(0, min(0xFF, number + step)) >> 4 << 20 | max(0, min(0xFF, number + step)) & 0xF,
        sum(1 << bit for bit in bits),
        0,
    ),
    st.sampled_from(MODELS),
    st.sampled_from(NUMBERS),
    st.integers(-1, 1),
    st.sets(st.sampled_from([0, 8, 25])),
)
guests = st.builds(
    lambda registers: Cpu({name: value for name, value in registers.items() if value is not None}),
    st.fixed_dictionaries(
        {
            "MIDR_EL1": st.sampled_from([None, A53.midr, N1.midr]),
            "CTR_EL0": st.sampled_from([None, 0x9444C004, 0xB444C004]),
            "ID_AA64PFR0_EL1": st.sampled_from([None, *(level << 56 for level in range(4))]),
            "ID_AA64PFR1_EL1": st.sampled_from([None, 0, 1 << 24]),
        }
    ),
)


def has(one: Range, which: Implementation) -> bool:
    """Whether a range has a CPU, once more: by the hexadecimal digits of MIDR_EL1."""
    digits, model = f"{which.midr:08x}", f"{one.model:08x}"
    if digits[:2] + digits[3:7] != model[:2] + model[3:7]:
        return False
    number = int(digits[2] + digits[7], 16)
    mended = any(number == at and bin(which.revidr & mask).count("1") for at, mask in one.fixed)
    return number in range(one.first, one.last + 1) and not mended


@pytest.mark.rule("IDENT-50")
@given(implementations)
def test_a_range_is_a_model_and_revisions_of_it(which: Implementation) -> None:
    for erratum in ERRATA:
        for one in erratum.ranges:
            assert (one.has((which.midr, which.revidr)) is Applies.YES) == has(one, which)


@pytest.mark.rule("IDENT-50")
def test_variant_and_revision_are_one_number() -> None:
    one = Range(model_of("Cortex-A76"), revision(0, 0), revision(3, 1))
    for variant, minor, inside in ((0, 0, True), (2, 15, True), (3, 1, True), (3, 2, False), (4, 0, False)):
        midr = model_of("Cortex-A76") | variant << 20 | minor
        assert (one.has((midr, 0)) is Applies.YES) == inside


@pytest.mark.rule("IDENT-50")
def test_a_bit_of_revidr_mends_the_last_revision_alone() -> None:
    name = "Arm 843419"
    assert name in applied(A53)
    assert name not in applied(A53._replace(revidr=MENDED))
    assert name in applied(A53._replace(revidr=MENDED << 1))
    assert name in applied(A53._replace(midr=0x410FD033, revidr=MENDED))
    alone = [workarounds([], Cpu({**GUEST.registers, "MIDR_EL1": midr})) for midr in (A53.midr, 0x410FD033)]
    assert name in alone[0].unknown
    assert name in alone[1].applied


@pytest.mark.rule("IDENT-50")
@pytest.mark.parametrize(
    ("which", "has_it", "free_of_it"),
    [
        (N1, {"Arm 1418040", "Arm 1542419", "Arm 3194386"}, {"Arm 1165522, 1319367 and 1530923"}),
        (N1._replace(midr=0x414FD0C1), {"Arm 1542419", "Arm 3194386"}, {"Arm 1418040"}),
        (A76, {"Arm 3194386"}, {"Arm 1418040", "Arm 1286807", "Arm 1463225"}),
        (A76._replace(midr=0x412FD0B0), {"Arm 1418040", "Arm 1165522, 1319367 and 1530923"}, {"Arm 1463225"}),
        (AMPERE, {"Ampere AC03_CPU_38", "Ampere AC04_CPU_23"}, {"Arm 3194386"}),
        (AMPERE._replace(midr=0xC00FAC31), {"Ampere AC03_CPU_38"}, {"Ampere AC04_CPU_23"}),
        (Implementation(0x411FD461, 0, 0), {"Arm 2441009", "Arm 2658417"}, {"Arm 2077057"}),
        (Implementation(0x411FD461, 1 << 25, 0), {"Arm 2441009"}, {"Arm 2658417"}),
        (Implementation(0x411FD462, 0, 0), {"Spectre v2"}, {"Arm 2441009", "Arm 2658417", "Spectre BHB"}),
        (A55, set(), {"Spectre v2", "Spectre v4", "Spectre BHB"}),
        (Implementation(0x431F0A11, 0, 0), {"Cavium 27456", "Cavium 30115"}, set()),
        (Implementation(0x431F0A12, 0, 0), {"Cavium 30115"}, {"Cavium 27456"}),
    ],
)
def test_what_known_cpus_have(which: Implementation, has_it: set[str], free_of_it: set[str]) -> None:
    found = applied(which)
    assert has_it <= found
    assert not free_of_it & found


@pytest.mark.rule("IDENT-50")
def test_errata_have_names_of_their_own_and_ranges_that_are_some() -> None:
    names = [erratum.name for erratum in ERRATA]
    assert len(names) == len(set(names)) > 30
    for erratum in ERRATA:
        for one in erratum.ranges:
            assert one.model & ~0xFF0F_FFF0 == 0
            assert one.first <= one.last
            assert all(one.first <= number <= one.last and mask for number, mask in one.fixed)


@pytest.mark.rule("IDENT-51")
def test_each_entry_is_matched_for_itself() -> None:
    mended = A53._replace(revidr=MENDED)
    assert "Arm 843419" not in applied(mended, N1)
    assert "Arm 843419" not in applied(mended, A53._replace(midr=N1.midr, revidr=0))
    assert "Arm 843419" in applied(mended, A53)


@pytest.mark.rule("IDENT-51")
@given(st.lists(implementations, min_size=1, max_size=4), guests)
def test_a_guest_works_around_what_any_entry_has(targets: list[Implementation], guest: Cpu) -> None:
    each = [applied(target, guest=guest) for target in targets]
    assert applied(*targets, guest=guest) == frozenset().union(*each)


@pytest.mark.rule("IDENT-52")
def test_a_safe_list_makes_safe_what_is_on_it_as_a_whole() -> None:
    spectre = {"Spectre v2", "Spectre v4", "Spectre BHB"}
    assert not spectre & applied(A55, A53)
    assert spectre <= applied(A55, A76)
    assert not spectre & applied(A55, A76, safe_if=Quantifier.ANY)
    assert spectre <= applied(N1, A76, safe_if=Quantifier.ANY)


@pytest.mark.rule("IDENT-53")
def test_some_errata_hang_on_what_the_guest_sees() -> None:
    def seen(erratum: str, **registers: int) -> str:
        found = workarounds([N1, Implementation(0x410FD8B0, 0, 0)], Cpu(registers))
        return "yes" if erratum in found.applied else "unknown" if erratum in found.unknown else "no"

    assert [seen("Arm 1542419", CTR_EL0=ctr) for ctr in (0xB444C004, 0x9444C004)] == ["yes", "no"]
    assert [seen("Spectre v2", ID_AA64PFR0_EL1=csv2 << 56) for csv2 in (0, 1, 3)] == ["yes", "no", "no"]
    assert [seen("Spectre BHB", ID_AA64PFR0_EL1=csv2 << 56) for csv2 in (0, 2, 3)] == ["yes", "yes", "no"]
    assert [seen("Arm 4193714", ID_AA64PFR1_EL1=sme << 24) for sme in (0, 1)] == ["no", "yes"]
    for erratum in ("Arm 1542419", "Spectre v2", "Spectre BHB", "Arm 4193714"):
        assert seen(erratum) == "unknown"


@pytest.mark.rule("IDENT-53")
def test_what_only_kernels_at_el2_work_around_is_nothing_for_a_guest() -> None:
    old = A76._replace(midr=0x412FD0B0)
    [erratum] = [erratum for erratum in ERRATA if erratum.name == "Arm 1463225"]
    assert erratum.of_cpu((old.midr, 0)) is Applies.YES
    found = workarounds([old], GUEST)
    assert "Arm 1463225" not in found.applied | found.unknown
    assert not [item for item in errata_findings([], cpu(old), cpu(A55)) if "1463225" in item.field]


@pytest.mark.rule("IDENT-54")
@given(st.lists(implementations, min_size=1, max_size=4), implementations, st.integers(0, 4), guests)
def test_another_target_only_adds_workarounds(
    targets: list[Implementation], more: Implementation, place: int, guest: Cpu
) -> None:
    before = workarounds(targets, guest)
    after = workarounds([*targets[:place], more, *targets[place:]], guest)
    assert before.applied <= after.applied
    assert before.unknown <= after.applied | after.unknown


@pytest.mark.rule("IDENT-54")
def test_read_the_other_way_a_target_can_take_a_workaround_away() -> None:
    assert applied(A76, A55, safe_if=Quantifier.ANY) < applied(A76, safe_if=Quantifier.ANY) | applied(A55)


@pytest.mark.rule("IDENT-54")
@given(st.lists(implementations, min_size=1, max_size=4), st.data(), guests)
def test_the_order_of_a_list_and_what_is_twice_make_no_difference(
    targets: list[Implementation], data: st.DataObject, guest: Cpu
) -> None:
    shuffled = data.draw(st.permutations([*targets, targets[0]]))
    assert workarounds(shuffled, guest) == workarounds(targets, guest)


@pytest.mark.rule("IDENT-54")
def test_what_is_lost_where_an_entry_is_taken_off() -> None:
    assert lost_without([N1, V2, N1], N1, GUEST) == {"Arm 1418040", "Arm 1542419"}
    assert lost_without([N1, V2], V2, GUEST) == set()
    assert lost_without([V2, N1], (0x413FD0C1, 0xFF, 0), GUEST)
    with pytest.raises(HostError, match=r"^targets: has no entry 0xc00fac40, 0x0, 0x0$"):
        lost_without([N1], AMPERE, GUEST)


@pytest.mark.rule("IDENT-54")
def test_without_an_entry_a_guest_goes_by_its_own_cpu() -> None:
    for which in (A53, A53._replace(revidr=MENDED), N1, A76):
        own = Cpu({**GUEST.registers, **cpu(which).registers})
        assert workarounds([], own) == workarounds([which], GUEST)
        assert workarounds([V2], own) == workarounds([V2], GUEST)
    nobody = workarounds([], GUEST)
    assert nobody.applied == frozenset()
    assert nobody.unknown == {erratum.name for erratum in ERRATA if not erratum.at_el2}


@pytest.mark.rule("IDENT-54")
@pytest.mark.parametrize(
    ("target", "message"),
    [
        ((1 << 32, 0, 0), r"^targets\[1\]\.MIDR_EL1: 0x100000000 does not fit into 32 bits$"),
        ((0, 1 << 64, 0), r"^targets\[1\]\.REVIDR_EL1: 0x10000000000000000 does not fit into 64 bits$"),
        ((0, 0, -1), r"^targets\[1\]\.AIDR_EL1: -0x1 does not fit into 64 bits$"),
    ],
)
def test_a_value_that_does_not_fit_is_named(target: tuple[int, int, int], message: str) -> None:
    with pytest.raises(HostError, match=message):
        checked_targets([N1, target])


def findings(*targets: Implementation, host: Cpu, promised: Cpu = GUEST) -> dict[str, Outcome]:
    return {found.place: found.outcome for found in errata_findings(targets, host, promised)}


@pytest.mark.rule("IDENT-55")
def test_a_list_that_leaves_out_the_host_is_refused() -> None:
    assert findings(N1, V2, host=cpu(N1))["targets"] is Outcome.SAME
    assert findings(V2, host=cpu(N1))["targets"] is Outcome.REFUSED
    for other in (N1._replace(midr=N1.midr + 1), N1._replace(revidr=0), N1._replace(aidr=1)):
        assert findings(other, V2, host=cpu(N1))["targets"] is Outcome.REFUSED
    assert "targets" not in findings(host=cpu(N1), promised=Cpu({**GUEST.registers, **cpu(N1).registers}))


@pytest.mark.rule("IDENT-55")
def test_what_a_host_does_not_tell_of_itself_is_unknown() -> None:
    assert findings(N1, host=Cpu({})) == {"MIDR_EL1": Outcome.UNKNOWN}
    half = Cpu({"MIDR_EL1": N1.midr, "REVIDR_EL1": N1.revidr})
    [listed] = [found for found in errata_findings([N1], half, GUEST) if found.field == "targets"]
    assert (listed.outcome, listed.remedy) == (Outcome.UNKNOWN, "tell AIDR_EL1 of the host")
    assert findings(N1._replace(revidr=1), host=half)["targets"] is Outcome.REFUSED


@pytest.mark.rule("IDENT-56")
def test_what_the_host_has_and_the_guest_does_not_work_around_is_refused() -> None:
    graviton2 = Cpu({**GUEST.registers, **cpu(N1).registers})
    moved = findings(host=cpu(AMPERE), promised=graviton2)
    assert moved == {
        "errata: Ampere AC03_CPU_38": Outcome.REFUSED,
        "errata: Ampere AC04_CPU_23": Outcome.REFUSED,
    }
    told = findings(N1, AMPERE, host=cpu(AMPERE), promised=graviton2)
    assert told == {"targets": Outcome.SAME, "errata": Outcome.WEAKER}
    assert findings(host=cpu(N1), promised=graviton2) == {"errata": Outcome.SAME}
    [spare] = errata_findings([], cpu(V2), graviton2)
    assert (spare.outcome, spare.why) == (
        Outcome.WEAKER,
        "the guest works around more than this host's CPU has, which costs time alone: Arm 1418040; Arm 1542419",
    )


@pytest.mark.rule("IDENT-56")
def test_what_decides_and_is_not_told_is_named() -> None:
    def asked(promised: Cpu, host: Cpu) -> dict[str, str]:
        found = errata_findings([], host, promised)
        return {item.place: item.remedy for item in found if item.outcome is Outcome.UNKNOWN}

    assert list(asked(Cpu({}), cpu(N1))) == ["MIDR_EL1"]
    safe = cpu(A55)
    assert asked(safe, cpu(N1))["errata: Arm 1542419"] == "tell CTR_EL0 of what the guest sees"
    unmended = Cpu({"MIDR_EL1": A53.midr})
    name = "errata: Arm 843419"
    assert asked(safe, unmended)[name] == "tell REVIDR_EL1 of the host"
    assert asked(unmended, unmended)[name] == (
        "tell REVIDR_EL1 of the host and REVIDR_EL1 of what the guest was shown"
    )
    assert name not in asked(cpu(A53), unmended)
    assert findings(host=unmended, promised=Cpu({**GUEST.registers, **cpu(A53).registers})) == {
        "errata": Outcome.SAME
    }
    assert name not in asked(unmended, cpu(A53._replace(revidr=MENDED)))


@pytest.mark.rule("IDENT-52", "IDENT-56")
def test_a_safe_list_read_the_other_way_is_a_question_to_the_guest() -> None:
    spectre = {f"errata: {name}" for name in ("Spectre v2", "Spectre v4", "Spectre BHB")}
    on_a76 = findings(A55, A76, host=cpu(A76))
    assert {place for place, outcome in on_a76.items() if outcome is Outcome.UNKNOWN} == spectre
    assert worst(errata_findings([A55, A76], cpu(A55), GUEST)) is Outcome.WEAKER
    assert worst(errata_findings([N1, A76], cpu(A76), GUEST)) is Outcome.WEAKER


@pytest.mark.rule("IDENT-55", "IDENT-56")
@given(st.lists(implementations, max_size=3), implementations, guests)
def test_a_host_that_is_listed_is_never_refused(
    targets: list[Implementation], own: Implementation, guest: Cpu
) -> None:
    assert worst(errata_findings([*targets, own], cpu(own), guest)) < Outcome.REFUSED
    if own not in targets and targets:
        assert worst(errata_findings(targets, cpu(own), guest)) is Outcome.REFUSED


@pytest.mark.rule("IDENT-56")
@given(st.lists(implementations, max_size=3), implementations, guests)
def test_a_finding_refuses_what_is_needed_and_not_applied(
    targets: list[Implementation], own: Implementation, guest: Cpu
) -> None:
    done, needed = workarounds(targets, guest), workarounds([own], guest)
    refused = {
        item.field.removeprefix("errata: ")
        for item in errata_findings(targets, cpu(own), guest)
        if item.outcome is Outcome.REFUSED and item.field != "targets"
    }
    assert refused == needed.applied - done.applied - done.unknown


@pytest.mark.rule("IDENT-53")
def test_an_erratum_can_need_one_thing_and_be_cured_by_another() -> None:
    made = Erratum(
        "made up",
        "",
        (Range(model_of("Cortex-A72")),),
        needs=Condition("CTR_EL0", "DIC", 1),
        unless=Condition("ID_AA64PFR0_EL1", "CSV2", 2),
    )
    for dic in (0, 1):
        for csv2 in range(4):
            guest = Cpu({"CTR_EL0": 0x8000_0000 | dic << 29, "ID_AA64PFR0_EL1": csv2 << 56})
            wanted = Applies.YES if dic and csv2 < 2 else Applies.NO
            assert made.applies([(A72.midr, 0)], guest) is wanted
