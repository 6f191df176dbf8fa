"""What CTR_EL0 comes to on a CPU, and on a system of several kinds of CPUs. Rule IDENT-37."""

from collections.abc import Sequence
from typing import Final

from vgic.identity.caches import claims_idc
from vgic.identity.compare import safe_value
from vgic.identity.hardware import field_of
from vgic.identity.host import Cpu
from vgic.identity.implementation import CTR
from vgic.identity.registers import REGISTERS

__all__ = ["effective_ctr", "effective_idc", "mismatched_ctr", "system_ctr"]

_CTR: Final = "CTR_EL0"
_IDC: Final = CTR.layout.mask("IDC")
_MAY_DIFFER: Final = CTR.layout.mask("L1Ip")
"""Linux lets the policies of instruction caches differ: it takes them all for VIPT."""


def effective_idc(cpu: Cpu) -> int | None:
    """1 where data caches need no cleaning for instructions; None where that is unknown.

    Either CTR_EL0.IDC tells, or CLIDR_EL1, as on Apple's CPUs and the A64FX, whose IDC is 0.
    """
    clidr, idc = cpu.registers.get("CLIDR_EL1"), field_of(cpu, _CTR, "IDC")
    if idc or (clidr is not None and claims_idc(clidr)):
        return 1
    return None if clidr is None else idc


def effective_ctr(cpu: Cpu) -> int | None:
    """CTR_EL0 with the IDC that counts; None where either is unknown."""
    value, idc = cpu.registers.get(_CTR), effective_idc(cpu)
    if value is None or idc is None:
        return None
    return value | (_IDC if idc else 0)


def system_ctr(cpus: Sequence[Cpu]) -> int | None:
    """What software that runs on all of these, at least one, can rely on; None where one is unknown.

    It is what KVM shows its VMs, and judges their caches by.
    """
    values = [effective_ctr(cpu) for cpu in cpus]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    result = known[0]
    for field in CTR.layout.fields:
        safe = safe_value(REGISTERS[_CTR], field.name, [field.extract(value) for value in known])
        if safe is not None:
            result = result & ~field.mask | safe << field.lsb
    return result


def mismatched_ctr(cpus: Sequence[Cpu]) -> bool | None:
    """True where Linux traps its own programs' reads of CTR_EL0, since a CPU has another than the system.

    A CPU is in accord where its CTR_EL0 is the system's, with the IDC that it shows or the one that counts. None
    where one is unknown.
    """
    system = system_ctr(cpus)
    if system is None:
        return None
    return any(
        all((value ^ system) & ~_MAY_DIFFER for value in (cpu.registers[_CTR], effective_ctr(cpu) or 0))
        for cpu in cpus
    )
