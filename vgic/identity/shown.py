"""What a host shows a new VM, as far as its file tells or the rules let it be told. Rule IDENT-22."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from vgic.identity.caches import generated_ccsidr, generated_clidr
from vgic.identity.compare import safe_value
from vgic.identity.host import Cluster, Cpu, Host, View
from vgic.identity.implementation import CLIDR, CTR
from vgic.identity.kvm_versions import KVM_6_12, KVM_7_2, VERSIONS, KvmIdVersion
from vgic.identity.registers import SELECTORS, cache_register, selector_of

__all__ = ["hidden_of", "kernels_of", "shown_by", "versions_like"]

_IMPLEMENTATION_IDS_SINCE: Final = (6, 15)
"""The Linux that got KVM_CAP_ARM_WRITABLE_IMP_ID_REGS."""

_AS_THE_HARDWARE: Final = ("MIDR_EL1", "REVIDR_EL1", "AIDR_EL1", "DCZID_EL0", "CNTFRQ_EL0", "ICH_VTR_EL2")
"""Registers of which KVM shows what the CPU has that a VM starts on."""


def versions_like(version: str | None) -> tuple[KvmIdVersion, ...]:
    """The measured kernels between which Linux `version` lies: one that is measured, or both neighbours.

    All of them where nothing is known of the version, or it lies beyond. What they agree on can be said of it; of
    neighbours, that KVM_CAP_ARM_WRITABLE_IMP_ID_REGS is there is said as it is of `version`.

    >>> [known.name for known in versions_like("6.18.30")]
    ['6.12', '7.2']
    """
    known = list(VERSIONS.values())
    asked = None if version is None else _number(version)
    if asked is None:
        return tuple(known)
    below = [one for one in known if _number(one.name) <= asked]
    above = [one for one in known if _number(one.name) >= asked]
    if not below or not above:
        return tuple(known)
    if below[-1] is above[0]:
        return (below[-1],)
    capability = asked >= _IMPLEMENTATION_IDS_SINCE
    return tuple(replace(neighbour, implementation_ids=capability) for neighbour in (below[-1], above[0]))


def kernels_of(host: Host, kernel: str | None = None) -> tuple[KvmIdVersion, ...]:
    """The measured kernels that a host's is like, with the masks that its file has. Rule IDENT-74.

    `kernel` is the version of its Linux where the file does not tell.
    """
    hypervisor = host.hypervisor
    known = versions_like((hypervisor.version if hypervisor else None) or kernel)
    if hypervisor is None or hypervisor.writable is None:
        return known
    told = hypervisor.writable
    # A kernel that tells masks is like none that does not.
    telling = [version for version in known if version.has_masks] or [KVM_6_12, KVM_7_2]
    return tuple(replace(version, writable=told, implementation_ids="MIDR_EL1" in told) for version in telling)


def hidden_of(host: Host) -> Mapping[str, int]:
    """What a host's KVM accepts of fields that it does not show, as far as its file tells."""
    return host.hypervisor.hidden if host.hypervisor else {}


def _number(version: str) -> tuple[int, int]:
    """The first two numbers of a version; what is none sorts below all kernels."""
    parts = version.split(".")
    if len(parts) < 2 or not all(part.isdecimal() and len(part) < 5 for part in parts[:2]):
        return (-1, 0)
    return (int(parts[0]), int(parts[1]))


def shown_by(host: Host, cluster: Cluster, version: KvmIdVersion | None = None) -> Cpu:
    """What KVM shows a new VM that starts on this cluster; a register that nobody can tell is not there.

    Of a host in guest view, what its file has, and the caches that KVM of `version` makes. Of another, which CPU it
    is and its counter; its CTR_EL0, where the file tells that of every cluster; and what KVM of `version` makes of
    that, or leaves as the hardware has it.
    What KVM shows of the features depends on more than the hardware, and is not told.
    """
    told = cluster.cpu.registers
    if host.view is View.GUEST:
        shown, ctr = dict(told), told.get("CTR_EL0")
    else:
        shown = {name: told[name] for name in _AS_THE_HARDWARE if name in told}
        ctr = _ctr(host)
        if ctr is not None:
            shown["CTR_EL0"] = ctr
    if version is not None and not version.generated_caches:
        shown |= {name: value for name, value in told.items() if _is_of_caches(name)}
    elif version is not None and ctr is not None:
        made = {"CLIDR_EL1": generated_clidr(ctr)}
        made |= {cache_register(selector): generated_ccsidr(ctr, selector) for selector in SELECTORS}
        # A VMM may have written others.
        shown = made | shown
    return Cpu(shown)


def _is_of_caches(name: str) -> bool:
    return name == "CLIDR_EL1" or selector_of(name) is not None


def _ctr(host: Host) -> int | None:
    """CTR_EL0 that holds for all of a host's CPUs; None where one of them is unknown."""
    known = [_effective_ctr(cluster.cpu.registers) for cluster in host.clusters]
    values = [value for value in known if value is not None]
    if len(values) < len(known):
        return None
    if len(set(values)) == 1:
        return values[0]
    fields = {}
    for field in CTR.layout.fields:
        safe = safe_value(CTR, field.name, [field.extract(value) for value in values])
        if safe is None:
            return None
        fields[field.name] = safe
    return CTR.layout.encode(fields)


def _effective_ctr(registers: Mapping[str, int]) -> int | None:
    """CTR_EL0, with IDC where CLIDR_EL1 says the same: that no cache lies before the point where both meet."""
    ctr, clidr = registers.get("CTR_EL0"), registers.get("CLIDR_EL1")
    if ctr is None or clidr is None:
        return ctr
    caches = CLIDR.layout.decode(clidr)
    if not caches["LoC"] or not (caches["LoUU"] or caches["LoUIS"]):
        ctr |= CTR.layout.mask("IDC")
    return ctr
