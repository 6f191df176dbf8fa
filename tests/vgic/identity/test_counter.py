"""Whether time in a VM goes on as it was promised."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from identity_cases import by_place
from vgic.identity import Cpu, View
from vgic.identity.counter import counter_findings
from vgic.identity.finding import Cost, Finding, Outcome, worst
from vgic.identity.kvm_versions import KVM_7_2, VERSIONS, KvmIdVersion

FREQUENCY = "CNTFRQ_EL0.Frequency"
RATE = "CNTVCT_EL0"


def counter(hertz: int, ecv: int | None = None) -> dict[str, int]:
    return {"CNTFRQ_EL0": hertz} | ({} if ecv is None else {"ID_AA64MMFR0_EL1": ecv << 60})


def findings(
    promised: dict[str, int],
    host: dict[str, int],
    kvm: KvmIdVersion | None = None,
    *,
    view: View = View.HARDWARE,
    has_run: bool = True,
) -> dict[str, Finding]:
    return by_place(counter_findings(Cpu(promised), Cpu(host), kvm, view=view, has_run=has_run))


ALTRA, GRACE, PI_4 = counter(25_000_000, ecv=0), counter(1_000_000_000), counter(54_000_000)


@pytest.mark.rule("IDENT-48")
@pytest.mark.parametrize("kvm", [None, KVM_7_2])
@given(hertz=st.integers(1, (1 << 32) - 1))
@example(hertz=54_000_000)
def test_one_frequency_is_the_same(kvm: KvmIdVersion | None, hertz: int) -> None:
    found = findings(counter(hertz), counter(hertz), kvm)
    assert [(place, finding.outcome) for place, finding in found.items()] == [(FREQUENCY, Outcome.SAME)]


@pytest.mark.rule("IDENT-48", "IDENT-49")
def test_another_frequency_is_seen_and_blocks_where_counters_cannot_trap() -> None:
    found = findings(GRACE, ALTRA)
    assert {place: finding.outcome for place, finding in found.items()} == {
        FREQUENCY: Outcome.LEAK,
        RATE: Outcome.REFUSED,
    }
    assert (found[FREQUENCY].guest, found[FREQUENCY].host) == (1_000_000_000, 25_000_000)
    assert found[FREQUENCY].traps == found[RATE].traps == ()
    assert found[RATE].why.startswith("the host lacks FEAT_ECV")
    assert found[RATE].remedy == "let the VM move between hosts of one frequency alone"


@pytest.mark.rule("IDENT-49")
@pytest.mark.parametrize("ecv", [1, 2])
def test_with_ecv_every_read_of_a_counter_is_the_price(ecv: int) -> None:
    found = findings(ALTRA, counter(1_000_000_000, ecv))
    assert worst(found.values()) is Outcome.LEAK
    assert (found[RATE].outcome, found[RATE].cost) == (Outcome.TRAP, Cost.PER_READ)
    assert {"CNTHCTL_EL2.EL1TVCT", "CNTHCTL_EL2.EL1TVT"} <= set(found[RATE].traps)
    assert "by the device tree" in found[RATE].remedy


@pytest.mark.rule("IDENT-38", "IDENT-49")
def test_whether_counters_can_trap_is_not_guessed() -> None:
    assert findings(ALTRA, GRACE)[RATE].outcome is Outcome.UNKNOWN
    assert findings(GRACE, ALTRA, view=View.GUEST)[RATE].outcome is Outcome.UNKNOWN
    assert findings(ALTRA, counter(1_000_000_000, 1), view=View.GUEST)[RATE].outcome is Outcome.TRAP


@pytest.mark.rule("IDENT-49")
@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
@pytest.mark.parametrize("ecv", [None, 0, 2])
def test_kvm_scales_no_counter(version: KvmIdVersion, ecv: int | None) -> None:
    found = findings(ALTRA, counter(1_000_000_000, ecv), version)
    assert [finding.outcome for finding in found.values()] == [Outcome.LEAK, Outcome.REFUSED]
    assert found[RATE].errno is None
    assert "KVM" in found[RATE].why


@pytest.mark.rule("IDENT-48")
@pytest.mark.parametrize("kvm", [None, KVM_7_2])
def test_a_vm_that_has_not_run_takes_the_hosts(kvm: KvmIdVersion | None) -> None:
    found = findings(GRACE, ALTRA, kvm, has_run=False)
    assert [(place, finding.outcome) for place, finding in found.items()] == [(FREQUENCY, Outcome.LEAK)]


@pytest.mark.rule("IDENT-48")
@pytest.mark.parametrize(
    ("promised", "host", "why"),
    [
        ({}, PI_4, "nobody has told what the VM was promised"),
        (PI_4, {}, "nobody has told what the host has"),
        (counter(0), PI_4, "0 is no frequency: firmware has not told the VM what it is"),
        (PI_4, counter(0), "0 is no frequency: firmware has not told the host what it is"),
        (counter(0), counter(0), "0 is no frequency: firmware has not told the VM what it is"),
        (counter(54_004_999), PI_4, "the two may be one, of which /proc/cpuinfo tells multiples of 5 kHz"),
        (PI_4, counter(54_000_001), "the two may be one, of which /proc/cpuinfo tells multiples of 5 kHz"),
    ],
)
def test_a_frequency_that_is_not_known_is_not_guessed(
    promised: dict[str, int], host: dict[str, int], why: str
) -> None:
    for kvm in (None, KVM_7_2):
        found = findings(promised, host, kvm)
        assert list(found) == [FREQUENCY]
        assert (found[FREQUENCY].outcome, found[FREQUENCY].why) == (Outcome.UNKNOWN, why)


@pytest.mark.rule("IDENT-48")
@pytest.mark.parametrize("other", [54_005_000, 53_995_000, 53_999_999, 24_000_000])
def test_frequencies_that_no_rounding_explains_differ(other: int) -> None:
    assert findings(PI_4, counter(other))[FREQUENCY].outcome is Outcome.LEAK
