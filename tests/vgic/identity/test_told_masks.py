"""Hosts whose files have what their KVM has told: the bits that a VMM may change, and what it hides."""

import errno
import json
from typing import Any

import pytest

from vgic.identity import Cluster, Contract, Cpu, Host, HostError, Hypervisor, View
from vgic.identity.check import check
from vgic.identity.finding import Finding, Outcome
from vgic.identity.kvm_versions import KVM_6_1, KVM_6_12, KVM_7_2
from vgic.identity.shown import kernels_of

PFR0, MMFR2 = "ID_AA64PFR0_EL1", "ID_AA64MMFR2_EL1"
NV = 0x0200_0000
SHOWN = {"MIDR_EL1": 0x414FD0B1, "CTR_EL0": 0x9444C004, PFR0: 0x1100000011110112, MMFR2: 0x1011}
WITHOUT_RAS = SHOWN[PFR0] - (1 << 28)
"""Linux 7.2 lets it be written, and 6.12 does not."""


def host(version: str | None, writable: dict[str, int] | None, hidden: dict[str, int] | None = None) -> Host:
    told = Hypervisor("KVM", version, writable=writable, hidden=hidden or {})
    return Host("h", (Cluster("all", Cpu(SHOWN)),), View.GUEST, told)


def judged(where: Host, register: str, value: int, *, capability: bool = False) -> Finding:
    """The worst of what KVM says to a register."""
    contract = Contract("vm", Cpu({**SHOWN, register: value}), writable_implementation_ids=capability)
    [cluster] = check(contract, where).clusters
    return max((found for found in cluster.kvm if found.register == register), key=lambda found: found.outcome)


@pytest.mark.rule("IDENT-74")
def test_masks_of_the_file_hold() -> None:
    assert judged(host("6.18.2", None), PFR0, WITHOUT_RAS).outcome is Outcome.UNKNOWN
    refused = judged(host("6.18.2", {MMFR2: 0xF}), PFR0, WITHOUT_RAS)
    assert (refused.outcome, refused.errno) == (Outcome.REFUSED, errno.EINVAL)
    assert judged(host("6.18.2", {PFR0: 0xF000_0000}), PFR0, WITHOUT_RAS).outcome is Outcome.WEAKER
    # Which CPU it is can be written where its mask says so.
    for writable, outcome in (({"MIDR_EL1": 0xFFFF_FFFF}, Outcome.TRAP), ({MMFR2: 0xF}, Outcome.REFUSED)):
        assert judged(host("7.2", writable), "MIDR_EL1", 0x414FD0B0, capability=True).outcome is outcome


@pytest.mark.rule("IDENT-74")
def test_a_kernel_that_tells_masks_is_like_none_that_does_not() -> None:
    assert kernels_of(host("9.0", None)) == (KVM_6_1, KVM_6_12, KVM_7_2)
    for version in ("9.0", "6.1.5", None):
        known = kernels_of(host(version, {MMFR2: 0xF}))
        assert [kernel.name for kernel in known] == ["6.12", "7.2"]
        assert all(kernel.writable == {MMFR2: 0xF} for kernel in known)
    # Of 6.6, none is known below but 6.1.
    assert [kernel.name for kernel in kernels_of(host("6.7.1", {MMFR2: 0xF}))] == ["6.12"]


@pytest.mark.rule("IDENT-74")
def test_what_the_file_says_is_hidden_is_accepted_and_changed() -> None:
    promised = SHOWN[MMFR2] | NV
    assert judged(host("7.2", None), MMFR2, promised).outcome is Outcome.UNKNOWN
    changed = judged(host("7.2", None, {MMFR2: NV}), MMFR2, promised)
    assert (changed.outcome, changed.field, changed.host) == (Outcome.CHANGED, "NV", 0)
    assert judged(host("7.2", None, {MMFR2: 0}), MMFR2, promised).outcome is Outcome.REFUSED


@pytest.mark.rule("IDENT-74")
def test_a_file_is_read_as_it_was_written() -> None:
    for writable in (None, {}, {"MIDR_EL1": 0xFFFF_FFFF}):
        for hidden in ({}, {MMFR2: 0}):
            captured = host("7.2", writable, hidden)
            assert Host.from_json(captured.to_json()) == captured


@pytest.mark.rule("IDENT-74")
@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"writable": []}, "hypervisor.writable: expected an object"),
        ({"writable": {MMFR2: 1}}, f"hypervisor.writable.{MMFR2}: expected a text of hexadecimal digits"),
        ({"hidden": {"TTBR0_EL1": "0x1"}}, "hypervisor.hidden: TTBR0_EL1 is no identification register"),
    ],
)
def test_what_tells_no_bits_is_refused_by_place(entry: dict[str, Any], message: str) -> None:
    document = {**host(None, None).document(), "hypervisor": {"name": "KVM", **entry}}
    with pytest.raises(HostError) as refused:
        Host.from_json(json.dumps(document))
    assert str(refused.value).startswith(message)
