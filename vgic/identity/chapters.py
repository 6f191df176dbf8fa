"""What the chapters on caches, debug, the counter, errata and memory types say, beside what is said field by field.

A chapter knows what lies behind its registers: which traps, at which price, what a guest does because of a value.
So its findings take the place of those that judge the same fields by their order alone. Rule IDENT-28.
"""

from collections.abc import Iterable, Iterator, Sequence

from vgic.identity.cache_topology import cache_findings
from vgic.identity.cacheability import cacheability_findings
from vgic.identity.contract import Contract
from vgic.identity.counter import counter_findings
from vgic.identity.debug import debug_findings
from vgic.identity.errata import errata_findings
from vgic.identity.finding import Finding, Outcome
from vgic.identity.host import Cpu, View
from vgic.identity.kvm_versions import KvmIdVersion

__all__ = ["contract_chapters", "kvm_chapters"]


def contract_chapters(contract: Contract, host: Cpu, view: View, system: Sequence[Cpu]) -> list[Finding]:
    """What the architecture allows on one CPU of a host; `system` is one of each kind that the host has."""
    promised = contract.promised
    found = [
        *cache_findings(promised, host, view=view, system=system),
        *debug_findings(promised, host, view=view),
        *counter_findings(promised, host, view=view, has_run=contract.has_run),
        *errata_findings(contract.targets, host, promised),
        *cacheability_findings(promised, host, coherent_dma=contract.coherent_dma),
    ]
    return list(_told(found, promised, host))


def kvm_chapters(
    contract: Contract, host: Cpu, version: KvmIdVersion, view: View, system: Sequence[Cpu]
) -> list[Finding]:
    """What KVM of `version` does, on a new VM of which no vCPU has run."""
    promised = contract.promised
    found = [
        *cache_findings(promised, host, version, view=view, system=system),
        *debug_findings(promised, host, version, view=view),
        *counter_findings(promised, host, version, view=view, has_run=contract.has_run),
    ]
    return list(_told(found, promised, host))


def _told(found: Iterable[Finding], promised: Cpu, host: Cpu) -> Iterator[Finding]:
    """Without what is unknown of registers that neither the VM's file nor the host's tells."""
    told = {*promised.registers, *host.registers}
    same_ctr = promised.registers.get("CTR_EL0") == host.registers.get("CTR_EL0")
    for finding in found:
        register = finding.register
        if register == "CLIDR_EL1" or register.startswith("CCSIDR_EL1"):
            # KVM makes these of CTR_EL0, and of the same the same.
            untold = finding.guest is None and same_ctr
        else:
            untold = finding.guest is None and bool(register) and register not in told
        if finding.outcome is not Outcome.UNKNOWN or not untold:
            yield finding
