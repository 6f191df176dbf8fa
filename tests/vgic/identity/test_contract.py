"""Contracts as data, and what a host is known to show."""

import json
from dataclasses import replace

import pytest

from vgic.host import CpuInterfaceView
from vgic.identity import Cluster, Contract, Cpu, Host, HostError, Hypervisor, Implementation, View
from vgic.identity.kvm_versions import KVM_6_1, KVM_6_12, KVM_7_2
from vgic.identity.shown import shown_by, versions_like

FULL = Contract(
    "vm",
    Cpu({"MIDR_EL1": 0x413FD0C1, "ID_AA64PFR0_EL1": 0x1100000011111112}),
    has_run=True,
    writable_implementation_ids=True,
    gic=CpuInterfaceView(a3v=True, priority_bits=5, id_bits=24, seis=False),
    targets=(Implementation(0x413FD0C1, 0xFF, 0), Implementation(0x411FD401, 1, 0)),
    coherent_dma=False,
)


@pytest.mark.rule("IDENT-21")
@pytest.mark.parametrize("contract", [FULL, Contract("least", Cpu({}))], ids=lambda contract: contract.name)
def test_a_contract_is_read_as_it_was_written(contract: Contract) -> None:
    assert Contract.from_json(contract.to_json()) == contract


def changed(**entries: object) -> str:
    return json.dumps({**FULL.document(), **entries})


def gic(**entries: object) -> str:
    return changed(gic={**FULL.document()["gic"], **entries})


@pytest.mark.rule("IDENT-21")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON: "),
        ("[]", "the document: expected an object"),
        ('{"format": "vgic-contract", "format": 1}', "'format' is there twice in one object"),
        ('{"format": "vgic-contract"}', "the document: 'name' is missing"),
        (changed(format="vgic-host"), "format and version: expected 'vgic-contract' and 1"),
        (changed(more=1), "the document: 'more' is unknown"),
        (changed(name=1), "name: expected a text"),
        (changed(has_run=1), "has_run: expected true or false"),
        (changed(registers=[]), "registers: expected an object"),
        (changed(registers={"MIDR_EL1": 5}), "registers.MIDR_EL1: expected a text of hexadecimal digits"),
        (changed(registers={"SCTLR_EL1": "0x5"}), "registers: SCTLR_EL1 is no identification register"),
        (gic(a3v=1), "gic.a3v: expected true or false"),
        (gic(id_bits=True), "gic.id_bits: expected a number of bits"),
        (gic(priority_bits=9), "gic: priority_bits is 4 to 8, not 9"),
        (changed(gic={}), "gic: 'a3v' is missing"),
        (changed(coherent_dma=0), "coherent_dma: expected true or false"),
        (changed(targets=[{}]), "targets[0]: 'AIDR_EL1' is missing"),
        (
            changed(targets=[{"MIDR_EL1": "0x1", "REVIDR_EL1": "0x1", "AIDR_EL1": 0}]),
            "targets[0].AIDR_EL1: expected a text",
        ),
    ],
)
def test_what_is_no_contract_is_refused_by_place(text: str, message: str) -> None:
    with pytest.raises(HostError) as refused:
        Contract.from_json(text)
    assert str(refused.value).startswith(message)


def host(*registers: dict[str, int], view: View = View.HARDWARE, kernel: str | None = None) -> Host:
    clusters = tuple(Cluster(f"c{n}", Cpu(told)) for n, told in enumerate(registers))
    return Host("h", clusters, view, Hypervisor("KVM", kernel))


@pytest.mark.rule("IDENT-22")
def test_a_guest_view_is_what_the_host_shows() -> None:
    told = {"MIDR_EL1": 1, "ID_AA64PFR0_EL1": 2}
    shown = host(told, view=View.GUEST)
    assert dict(shown_by(shown, shown.clusters[0]).registers) == told
    assert Contract.of_host(shown, shown.clusters[0]) == Contract("h", Cpu(told), has_run=True)
    newer = host(told | {"CTR_EL0": 0x9444C004, "CCSIDR_EL1[1]": 0x203FE01A}, view=View.GUEST, kernel="6.18")
    caches = Contract.of_host(newer, newer.clusters[0]).promised.registers
    # What a file tells stays; the rest is what all kernels make that it may be.
    assert (caches["CLIDR_EL1"], caches["CCSIDR_EL1[0]"], caches["CCSIDR_EL1[1]"]) == (0x02000021, 2, 0x203FE01A)
    two = host(told, told, view=View.GUEST)
    assert Contract.of_host(two, two.clusters[1]).name == "h, c1"


@pytest.mark.rule("IDENT-22")
def test_what_the_hardware_tells_of_what_kvm_shows() -> None:
    told = {"MIDR_EL1": 1, "CNTFRQ_EL0": 54_000_000, "ID_AA64PFR0_EL1": 2, "CLIDR_EL1": 0x82000023}
    told |= {"CTR_EL0": 0x8444C004, "CCSIDR_EL1[0]": 0x701FE01A}
    one = host(told)
    shown = shown_by(one, one.clusters[0]).registers
    # CLIDR_EL1 says that no cache lies before the point of unification: that is IDC.
    assert dict(shown) == {"MIDR_EL1": 1, "CNTFRQ_EL0": 54_000_000, "CTR_EL0": 0x9444C004}
    new = shown_by(one, one.clusters[0], KVM_6_12).registers
    assert (new["CLIDR_EL1"], new["CCSIDR_EL1[0]"], new["CCSIDR_EL1[13]"]) == (0x02000021, 2, 2)
    old = shown_by(one, one.clusters[0], KVM_6_1).registers
    assert (old["CLIDR_EL1"], old["CCSIDR_EL1[0]"]) == (0x82000023, 0x701FE01A)
    assert "CCSIDR_EL1[13]" not in old


@pytest.mark.rule("IDENT-22")
def test_clusters_show_the_cache_lines_that_are_safe_for_all() -> None:
    two = host({"CTR_EL0": 0x84448004}, {"CTR_EL0": 0xA444C003})
    for cluster in two.clusters:
        assert shown_by(two, cluster).registers["CTR_EL0"] == 0x84448003
    one_alone = host({"CTR_EL0": 0x84448004}, {"MIDR_EL1": 1})
    assert "CTR_EL0" not in shown_by(one_alone, one_alone.clusters[0]).registers


@pytest.mark.rule("IDENT-22")
@pytest.mark.parametrize(
    ("version", "kernels"),
    [
        ("6.12.117", (KVM_6_12,)),
        ("6.1", (KVM_6_1,)),
        ("7.2", (KVM_7_2,)),
        ("6.6.1", (KVM_6_1, KVM_6_12)),
        ("6.14", (KVM_6_12, replace(KVM_7_2, implementation_ids=False))),
        ("6.15", (replace(KVM_6_12, implementation_ids=True), KVM_7_2)),
        ("5.10", (KVM_6_1, KVM_6_12, KVM_7_2)),
        ("7.3", (KVM_6_1, KVM_6_12, KVM_7_2)),
        ("what", (KVM_6_1, KVM_6_12, KVM_7_2)),
        (None, (KVM_6_1, KVM_6_12, KVM_7_2)),
    ],
)
def test_a_kernel_lies_between_those_that_were_measured(version: str | None, kernels: object) -> None:
    assert versions_like(version) == kernels
