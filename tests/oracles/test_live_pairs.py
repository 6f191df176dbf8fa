"""VMs that are restored on another live KVM host: every register's verdict, beside `vgic.identity.kvm`.

Three hosts, each kernel and each way to refuse among them; `make host-pairs` asks all that there are.
"""

import pytest

from live_hosts import kernel_at_hand
from live_identity import STATES, seen_of
from live_pairs import Place, restored, tally, verdicts
from vgic.identity.kvm_versions import KVM_7_2
from vgic_tools.judges.kvm_host import Outcome
from vgic_tools.judges.qemus import cached_qemu

PLACES = [Place("6.1", "cortex-a72"), Place("6.12", "a64fx"), Place("newest", "cortex-a76")]


@pytest.mark.slow
@pytest.mark.rule("IDENT-70", "IDENT-73")
def test_every_verdict_of_every_ordered_pair() -> None:
    for place in PLACES:
        kernel_at_hand(place.kernel)
    found = tally(verdicts(PLACES, {}))
    assert not found.wrong
    assert found.compared > 1700
    assert found.refused > 300
    assert found.changed > 30


NV = 0x0F00_0000


@pytest.mark.slow
@pytest.mark.rule("IDENT-72")
def test_what_linux_7_2_hides_of_nested_virtualisation() -> None:
    """What 7.2 accepts is what 6.12 shows of the same CPU."""
    if cached_qemu() is None:
        pytest.skip("there is no newer QEMU; `make kernels` fetches it")
    older, newer = (Place(kernel, "max", newer=True) for kernel in ("6.12", "newest"))
    for place in (older, newer):
        kernel_at_hand(place.kernel)
    with older.start() as host:
        source = seen_of(host)
    with newer.start() as host:
        target = seen_of(host)
        states = {state: list(restored(host, target, source, KVM_7_2, state)) for state in STATES}
    nested = source.shown["ID_AA64MMFR2_EL1"] & NV
    assert nested
    assert target.shown["ID_AA64MMFR2_EL1"] & NV == 0
    assert target.hidden["ID_AA64MMFR2_EL1"] == nested
    for told in states.values():
        [verdict] = [verdict for verdict in told if verdict.register == "ID_AA64MMFR2_EL1"]
        assert verdict.kvm == Outcome(0, verdict.value & ~NV)
        assert all(verdict.kvm == verdict.model for verdict in told)
