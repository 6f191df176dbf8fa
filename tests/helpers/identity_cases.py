"""CPUs whose values are published, as what a VM was promised and as a host, and findings by their place."""

from collections.abc import Iterable

from vgic.identity import Cpu, View
from vgic.identity.cache_topology import cache_findings
from vgic.identity.finding import Finding
from vgic.identity.kvm_versions import KvmIdVersion

__all__ = ["AVALANCHE", "BLIZZARD", "CORTEX_A72", "SIX", "by_place", "cache_findings_of"]

BLIZZARD = {
    "CTR_EL0": 0x8444C004,
    "CLIDR_EL1": 0x81000023,
    "CCSIDR_EL1[0]": 0x700FE03A,
    "CCSIDR_EL1[1]": 0x203FE01A,
    "CCSIDR_EL1[2]": 0x70FFE07B,
    "DCZID_EL0": 4,
}
AVALANCHE = {
    **BLIZZARD,
    "CCSIDR_EL1[0]": 0x701FE03A,
    "CCSIDR_EL1[1]": 0x203FE02A,
    "CCSIDR_EL1[2]": 0x73FFE07B,
}
CORTEX_A72 = {
    "CTR_EL0": 0x8444C004,
    "CLIDR_EL1": 0x0A200023,
    "CCSIDR_EL1[0]": 0x700FE01A,
    "CCSIDR_EL1[1]": 0x201FE012,
    "CCSIDR_EL1[2]": 0x707FE07A,
    "DCZID_EL0": 4,
}
"""The two clusters of an Apple M2, and a CPU whose data caches need cleaning."""

SIX = [f"CCSIDR_EL1[{selector}]" for selector in range(3)]
"""The caches that the kernel's discussion began with, three of each cluster."""


def by_place(findings: Iterable[Finding]) -> dict[str, Finding]:
    found = list(findings)
    assert len({finding.place for finding in found}) == len(found)
    return {finding.place: finding for finding in found}


def cache_findings_of(
    promised: dict[str, int], host: dict[str, int], kvm: KvmIdVersion | None = None, *, view: View = View.HARDWARE
) -> dict[str, Finding]:
    return by_place(cache_findings(Cpu(promised), Cpu(host), kvm, view=view))
