"""What holds of every chapter: no file makes one raise, and what nobody has told is not guessed."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic.identity import Cpu, View
from vgic.identity.cache_topology import cache_findings
from vgic.identity.counter import counter_findings
from vgic.identity.debug import debug_findings
from vgic.identity.finding import Cost, Finding, Outcome
from vgic.identity.kvm_versions import VERSIONS, KvmIdVersion

Chapter = Callable[[Cpu, Cpu, KvmIdVersion | None, View], Iterator[Finding]]

CHAPTERS: dict[str, Chapter] = {
    "caches": lambda promised, host, kvm, view: cache_findings(promised, host, kvm, view=view),
    "clusters": lambda promised, host, kvm, view: cache_findings(
        promised, host, kvm, view=view, system=[host, promised]
    ),
    "debug": lambda promised, host, kvm, view: debug_findings(promised, host, kvm, view=view),
    "counter": lambda promised, host, kvm, view: counter_findings(promised, host, kvm, view=view),
}

NAMES = (
    "CTR_EL0",
    "CLIDR_EL1",
    "CSSELR_EL1",
    "DCZID_EL0",
    "CNTFRQ_EL0",
    "ID_AA64DFR0_EL1",
    "ID_AA64DFR1_EL1",
    "ID_AA64MMFR0_EL1",
    "ID_AA64MMFR2_EL1",
    *(f"CCSIDR_EL1[{selector}]" for selector in (0, 1, 2, 13)),
)
BITS = 64
VALUES = st.one_of(
    st.integers(0, (1 << BITS) - 1),
    st.sampled_from([0, 1, 1 << 32, (1 << BITS) - 1, 0x9444C004, 0x82000023, 0x701FE01A, 0x10305408]),
)
CPUS = st.dictionaries(st.sampled_from(NAMES), VALUES).map(Cpu)

EVERY = pytest.mark.parametrize("name", CHAPTERS)
KVMS = st.sampled_from([None, *VERSIONS.values()])


@EVERY
@pytest.mark.rule("IDENT-38")
@given(promised=CPUS, host=CPUS, kvm=KVMS, view=st.sampled_from(View))
def test_a_chapter_raises_nothing_and_says_what_it_says_once(
    name: str, promised: Cpu, host: Cpu, kvm: KvmIdVersion | None, view: View
) -> None:
    found = list(CHAPTERS[name](promised, host, kvm, view))
    places = [finding.place for finding in found]
    assert len(set(places)) == len(places)
    for finding in found:
        assert finding.rule.startswith("IDENT-")
        assert finding.why
        assert not finding.why.endswith(".")
        assert bool(finding.traps) or finding.cost is Cost.NONE
        if finding.outcome is Outcome.SAME:
            assert (finding.traps, finding.remedy, finding.errno) == ((), "", None)


@EVERY
@pytest.mark.rule("IDENT-38")
@given(host=CPUS, kvm=KVMS)
def test_what_nobody_has_promised_is_unknown(name: str, host: Cpu, kvm: KvmIdVersion | None) -> None:
    nothing = Cpu({})
    assert {finding.outcome for finding in CHAPTERS[name](nothing, host, kvm, View.HARDWARE)} <= {Outcome.UNKNOWN}


@EVERY
@pytest.mark.rule("IDENT-38")
@given(cpu=CPUS)
def test_a_cpu_keeps_what_it_has(name: str, cpu: Cpu) -> None:
    """But for numbers of breakpoints that Arm reserves, which nobody can promise."""
    for finding in CHAPTERS[name](cpu, cpu, None, View.HARDWARE):
        if finding.rule not in ("IDENT-40", "IDENT-47"):
            assert finding.outcome in (Outcome.SAME, Outcome.UNKNOWN)
