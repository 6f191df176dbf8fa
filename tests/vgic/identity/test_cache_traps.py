"""What traps so that a guest reads its own caches, and what that costs."""

from itertools import product

import pytest

from vgic.identity.cache_traps import TRAPPED_BY, cache_traps, kvm_cache_traps
from vgic.identity.finding import Cost
from vgic.identity.kvm_versions import KVM_6_1, KVM_6_12, KVM_7_2, KvmIdVersion

UNKNOWN = None


@pytest.mark.rule("IDENT-30")
def test_tid2_traps_what_programs_read_and_tid4_does_not() -> None:
    assert TRAPPED_BY["HCR_EL2.TID2"] - TRAPPED_BY["HCR_EL2.TID4"] == {"CTR_EL0"}
    assert TRAPPED_BY["HCR_EL2.TID4"] == {"CCSIDR_EL1", "CCSIDR2_EL1", "CLIDR_EL1", "CSSELR_EL1"}


@pytest.mark.rule("IDENT-30")
@pytest.mark.parametrize(
    ("topology", "ctr", "evt", "fgt", "controls", "cost"),
    [
        (False, False, 2, 1, [], Cost.NONE),
        (True, False, 0, 0, ["HCR_EL2.TID2"], Cost.PER_READ),
        (True, False, UNKNOWN, UNKNOWN, ["HCR_EL2.TID2"], Cost.PER_READ),
        (True, False, 1, 0, ["HCR_EL2.TID4"], Cost.RARE),
        (True, False, 2, UNKNOWN, ["HCR_EL2.TID4"], Cost.RARE),
        (
            *(True, False, 0, 1),
            [
                "HFGRTR_EL2.CCSIDR_EL1",
                "HFGRTR_EL2.CLIDR_EL1",
                "HFGRTR_EL2.CSSELR_EL1",
                "HFGWTR_EL2.CSSELR_EL1",
            ],
            Cost.RARE,
        ),
        (True, True, 2, 1, ["HCR_EL2.TID2"], Cost.PER_READ),
        (False, True, 2, 0, ["HCR_EL2.TID2"], Cost.PER_READ),
        (False, True, 0, 1, ["HFGRTR_EL2.CTR_EL0"], Cost.PER_READ),
    ],
)
def test_the_cheapest_trap_is_chosen(
    topology: bool, ctr: bool, evt: int | None, fgt: int | None, controls: list[str], cost: Cost
) -> None:
    chosen = cache_traps(topology=topology, ctr=ctr, evt=evt, fgt=fgt)
    assert list(chosen.controls) == controls
    assert chosen.cost is cost


@pytest.mark.rule("IDENT-30")
def test_what_must_trap_does() -> None:
    for topology, ctr, evt, fgt in product((False, True), (False, True), (None, 0, 1, 2), (None, 0, 1, 2)):
        trapped = cache_traps(topology=topology, ctr=ctr, evt=evt, fgt=fgt).trapped
        assert trapped >= ({"CCSIDR_EL1", "CLIDR_EL1", "CSSELR_EL1"} if topology else set())
        assert ctr <= ("CTR_EL0" in trapped)


@pytest.mark.rule("IDENT-31")
@pytest.mark.parametrize("version", [KVM_6_12, KVM_7_2], ids=lambda version: version.name)
def test_kvm_spares_programs_where_it_can(version: KvmIdVersion) -> None:
    for evt, mismatched, differs in product((None, 0, 1, 2), (None, False, True), (False, True)):
        spares = bool(evt) and mismatched is False and not differs
        traps = kvm_cache_traps(version, ctr_differs=differs, evt=evt, mismatched=mismatched)
        assert traps.controls == (("HCR_EL2.TID4",) if spares else ("HCR_EL2.TID2",))


@pytest.mark.rule("IDENT-31")
def test_6_1_traps_nothing_unless_cpus_differ() -> None:
    assert kvm_cache_traps(KVM_6_1, ctr_differs=False, evt=1, mismatched=False).controls == ()
    assert kvm_cache_traps(KVM_6_1, ctr_differs=False, evt=1, mismatched=True).controls == ("HCR_EL2.TID2",)
