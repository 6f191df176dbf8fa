"""VMs without AArch32, and hosts with and without it."""

import errno

import pytest

from vgic.identity import Cluster, Contract, Cpu, Host, Hypervisor, View
from vgic.identity.check import check
from vgic.identity.common import common
from vgic.identity.finding import Finding, Outcome

WITH = {"CTR_EL0": 0x9444C004, "ID_AA64PFR0_EL1": 0x1100000011110112, "ID_DFR0_EL1": 0x03010066, "MVFR0_EL1": 0x222}
WITHOUT = {**WITH, "ID_AA64PFR0_EL1": 0x1100000011110111, "ID_DFR0_EL1": 0, "MVFR0_EL1": 0}


def host(name: str, registers: dict[str, int]) -> Host:
    return Host(name, (Cluster("all", Cpu(registers)),), View.GUEST, Hypervisor("KVM", "7.2"))


def findings(promised: dict[str, int], shown: dict[str, int], register: str) -> tuple[Finding, Finding]:
    """The worst of each engine."""
    [cluster] = check(Contract("vm", Cpu(promised)), host("h", shown)).clusters
    kvm, architecture = (
        max((found for found in told if found.register == register), key=lambda found: found.outcome)
        for told in (cluster.kvm, cluster.contract)
    )
    return kvm, architecture


@pytest.mark.rule("IDENT-76")
def test_what_a_vm_without_aarch32_reads_of_it_means_nothing() -> None:
    promised = {**WITH, "ID_AA64PFR0_EL1": WITHOUT["ID_AA64PFR0_EL1"]}
    for found in findings(promised, WITHOUT, "MVFR0_EL1"):
        assert (found.outcome, found.rule) == (Outcome.WEAKER, "IDENT-76")
    # One that was promised AArch32 misses it.
    [cluster] = check(Contract("vm", Cpu(WITH)), host("h", WITHOUT)).clusters
    assert {found.outcome for found in cluster.kvm if found.register == "MVFR0_EL1"} == {Outcome.CHANGED}
    # KVM refuses what it always refuses, for nothing.
    kvm, architecture = findings(WITHOUT, WITH, "ID_DFR0_EL1")
    assert (kvm.outcome, kvm.errno) == (Outcome.REFUSED, errno.EINVAL)
    assert architecture.outcome is Outcome.WEAKER


@pytest.mark.rule("IDENT-76")
def test_hosts_with_and_without_aarch32_have_a_contract_in_common() -> None:
    hosts = [host("with", WITH), host("without", WITHOUT)]
    found = common(hosts)
    assert not found.impossible
    assert found.contract.promised.registers["ID_DFR0_EL1"] == WITH["ID_DFR0_EL1"]
    assert found.contract.promised.registers["ID_AA64PFR0_EL1"] == WITHOUT["ID_AA64PFR0_EL1"]
    assert all(check(found.contract, one).outcome <= Outcome.TRAP for one in hosts)
