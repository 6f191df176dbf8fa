"""What KVM makes of the caches that a VM was promised, where a VMM restores them.

`vgic.identity.kvm` answers each write; here is why, what KVM traps for it, and what it leaves to chance.
Rules IDENT-31 and IDENT-35 to IDENT-39.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from vgic.identity.cache_traps import CacheTraps, kvm_cache_traps
from vgic.identity.cache_types import mismatched_ctr, system_ctr
from vgic.identity.caches import generated_clidr
from vgic.identity.finding import Finding, Outcome
from vgic.identity.hardware import hardware_field
from vgic.identity.host import Cpu, View
from vgic.identity.implementation import DCZID
from vgic.identity.kvm import KvmIdRegisters
from vgic.identity.kvm_versions import KvmIdVersion
from vgic.identity.registers import selector_of
from vgic.kvm.errors import KvmError

__all__ = ["restore_findings"]

_CTR: Final = "CTR_EL0"
_CLIDR: Final = "CLIDR_EL1"


def restore_findings(
    promised: Cpu, host: Cpu, kvm: KvmIdVersion, *, view: View, system: Sequence[Cpu]
) -> Iterator[Finding]:
    """What this KVM says to each register of caches that a VMM writes, and shows of those that nobody promised."""
    ctr = system_ctr(system)
    if ctr is None:
        why = "KVM judges all that is said of caches by what the host's CPUs have in common, which nobody has told"
        yield Finding(
            _CTR,
            "",
            promised.registers.get(_CTR),
            host.registers.get(_CTR),
            Outcome.UNKNOWN,
            "IDENT-38",
            why,
            remedy="read CTR_EL0 and CLIDR_EL1 of every kind of CPU of the host",
        )
    else:
        yield from _Restore.of(promised, host, kvm, view, system, ctr).findings()
    yield from _dczid(promised, host)


@dataclass(frozen=True)
class _Restore:
    """A VM's promises, written into a vCPU of this host."""

    promised: Cpu
    host: Cpu
    kvm: KvmIdVersion
    system: Sequence[Cpu]
    vcpu: KvmIdRegisters
    traps: CacheTraps

    @classmethod
    def of(
        cls, promised: Cpu, host: Cpu, kvm: KvmIdVersion, view: View, system: Sequence[Cpu], ctr: int
    ) -> "_Restore":
        shown = {} if kvm.generated_caches else _of_caches(host)
        evt = hardware_field(host, "ID_AA64MMFR2_EL1", "EVT", view)
        differs = promised.registers.get(_CTR, ctr) != ctr
        traps = kvm_cache_traps(kvm, ctr_differs=differs, evt=evt, mismatched=mismatched_ctr(system))
        return cls(promised, host, kvm, system, KvmIdRegisters({**shown, _CTR: ctr}, kvm), traps)

    def findings(self) -> Iterator[Finding]:
        told = self.promised.registers
        if _CTR in told:
            yield self._written(_CTR)
        else:
            yield self._untold(_CTR)
        if _CLIDR in told:
            yield self._written(_CLIDR)
        else:
            yield self._unpinned()
        caches = [name for name in told if selector_of(name) is not None]
        if not caches:
            yield self._untold("CCSIDR_EL1")
        yield from map(self._written, caches)

    def _written(self, name: str) -> Finding:
        """Rules IDENT-36 and IDENT-37."""
        value, rule = self.promised.registers[name], "IDENT-36"
        if selector_of(name) is not None and value >> 32:
            why = "KVM keeps 32 bits of CCSIDR_EL1, in the format without FEAT_CCIDX"
            return Finding(name, "", value, None, Outcome.REFUSED, rule, why)
        if name != _CTR and not self.kvm.generated_caches and name not in self.host.registers:
            why = f"KVM of Linux {self.kvm.name} shows what the hardware has, which nobody has told"
            remedy = f"read {name} on the host"
            return Finding(name, "", value, None, Outcome.UNKNOWN, "IDENT-38", why, remedy=remedy)
        shown = self.vcpu.get(name)
        try:
            self.vcpu.set(name, value)
        except KvmError as error:
            return Finding(name, "", value, shown, Outcome.REFUSED, rule, self._refusal(name), errno=error.errno)
        if name != _CTR and not self.kvm.generated_caches and self._differs_inside(name):
            why = "KVM traps no reads: a vCPU sees the caches of whichever CPU it runs on"
            return Finding(name, "", value, shown, Outcome.LEAK, "IDENT-37", why)
        if value == shown:
            return Finding(name, "", value, shown, Outcome.SAME, rule, "KVM shows the same")
        why = "KVM takes it, and traps reads to show it"
        return Finding(name, "", value, shown, Outcome.TRAP, rule, why, self.traps.controls, self.traps.cost)

    def _refusal(self, name: str) -> str:
        if name == _CTR:
            return (
                "KVM takes of CTR_EL0 what promises less than the host has, in the fields that it lets be written"
            )
        if not self.kvm.generated_caches:
            return f"KVM of Linux {self.kvm.name} shows what the hardware has, and takes nothing else"
        if name == _CLIDR:
            return "it says that data caches need no cleaning, and the host's do, or it has bits that are reserved"
        return "its lines are shorter than the host's shortest, or it has bits that are reserved"

    def _differs_inside(self, name: str) -> bool:
        return len({cpu.registers.get(name) for cpu in self.system}) > 1

    def _untold(self, name: str) -> Finding:
        return Finding(
            name,
            "",
            None,
            self.vcpu.get(name) if name == _CTR else None,
            Outcome.UNKNOWN,
            "IDENT-38",
            f"nobody has told what the VM saw in {name}; KVM shows its own",
            remedy=f"save {name} with the VM, and write it wherever the VM is restored",
        )

    def _unpinned(self) -> Finding:
        """Rule IDENT-35."""
        if not self.kvm.generated_caches:
            return self._untold(_CLIDR)
        shown = self.vcpu.get(_CLIDR)
        why = f"nobody has told what the VM saw; KVM makes one of this host's CTR_EL0, not of the VM's: {shown:#x}"
        remedy = "save CLIDR_EL1 with the VM, and write it wherever the VM is restored"
        ctr = self.promised.registers.get(_CTR)
        if ctr is not None:
            remedy += f"; a VM that has not run can be given {generated_clidr(ctr):#x}, which its CTR_EL0 comes to"
        return Finding(_CLIDR, "", None, shown, Outcome.UNKNOWN, "IDENT-35", why, remedy=remedy)


def _of_caches(host: Cpu) -> dict[str, int]:
    told = host.registers.items()
    return {name: value for name, value in told if name == _CLIDR or selector_of(name) is not None}


def _dczid(promised: Cpu, host: Cpu) -> Iterator[Finding]:
    """Rule IDENT-39."""
    name = DCZID.name
    mine, its = promised.registers.get(name), host.registers.get(name)
    if mine is None and its is None:
        return
    if mine is None or its is None:
        outcome, rule = Outcome.UNKNOWN, "IDENT-38"
        why = "KVM shows the host's, and nobody has told whether that is what the VM saw"
    elif mine == its:
        outcome, rule, why = Outcome.SAME, "IDENT-39", "the host has the same"
    elif DCZID.layout.field("DZP").extract(mine):
        outcome, rule = Outcome.LEAK, "IDENT-39"
        why = "KVM shows the host's; the VM uses no DC ZVA, and notices where it looks again"
    else:
        outcome, rule = Outcome.REFUSED, "IDENT-39"
        why = "KVM shows the host's and does not say so: what has read it before goes on zeroing by another size"
    yield Finding(name, "", mine, its, outcome, rule, why)
