"""Whether a host can show a VM the caches that it was promised, and what that takes.

CTR_EL0, CLIDR_EL1, CCSIDR_EL1, CSSELR_EL1 and DCZID_EL0. A value that differs is a read that traps. What a guest
does because of a value is another matter: told of longer lines than there are, or that caches need no maintenance,
it leaves some out, which a hypervisor does for it or cannot.

Rules IDENT-30 and IDENT-32 to IDENT-39; what KVM does is in `vgic.identity.cache_restore`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from vgic.identity.cache_restore import restore_findings
from vgic.identity.cache_traps import CacheTraps, cache_traps
from vgic.identity.cache_types import effective_idc
from vgic.identity.caches import claims_idc, selected, selectors
from vgic.identity.finding import Cost, Finding, Outcome
from vgic.identity.hardware import field_of, hardware_field
from vgic.identity.host import Cpu, View
from vgic.identity.implementation import CCSIDR, CTR, DCZID, cache_name
from vgic.identity.kvm_versions import KvmIdVersion
from vgic.identity.registers import cache_register, selector_of

__all__ = ["cache_findings"]

_TPU: Final = "HCR_EL2.TPU"
"""Traps maintenance to the Point of Unification: IC IVAU, IC IALLU and DC CVAU."""
_TPCP: Final = "HCR_EL2.TPCP"
"""Traps maintenance to the Point of Coherency by address: DC CIVAC, DC CVAC, DC IVAC."""
_TSW: Final = "HCR_EL2.TSW"
"""Traps maintenance by set and way."""
_TDZ: Final = "HCR_EL2.TDZ"
"""Traps DC ZVA, and shows DCZID_EL0.DZP as 1."""


def cache_findings(
    promised: Cpu,
    host: Cpu,
    kvm: KvmIdVersion | None = None,
    *,
    view: View = View.HARDWARE,
    system: Sequence[Cpu] = (),
) -> Iterator[Finding]:
    """What becomes of the caches that a VM was promised, on one CPU of a host. Raises nothing.

    Without `kvm`, what the architecture allows a hypervisor that virtualises everything; with it, what this KVM
    answers a VMM that restores the VM, errno included, and what it traps. `view` is that of the host's registers.
    `system` are the CPUs of each kind that the host has, this one among them, where they are several: a VM may run
    on each.
    """
    everywhere = system or (host,)
    if kvm is not None:
        yield from restore_findings(promised, host, kvm, view=view, system=everywhere)
    else:
        case = _Case(promised, host, view, everywhere)
        yield from _ctr(case)
        yield from _clidr(case)
        yield from _ccsidr(case)
        yield from _dczid(case)
    yield from _csselr(promised, host)


class _Kept(NamedTuple):
    """How a promise is kept, or why not."""

    outcome: Outcome
    why: str
    work: tuple[str, ...] = ()
    """Controls that trap what the guest does, besides those that trap its reads."""


class _Case:
    """A VM and a CPU, and the traps of reads that all of their differences need together."""

    def __init__(self, promised: Cpu, host: Cpu, view: View, system: Sequence[Cpu]) -> None:
        self.promised, self.host, self._system = promised, host, system
        self.fgt = hardware_field(host, "ID_AA64MMFR0_EL1", "FGT", view)
        topology = [name for name in promised.registers if name == "CLIDR_EL1" or selector_of(name) is not None]
        self._reads: CacheTraps = cache_traps(
            topology=any(self.differs(name) and not self.same_cache(name) for name in topology),
            ctr=self.differs(CTR.name),
            evt=hardware_field(host, "ID_AA64MMFR2_EL1", "EVT", view),
            fgt=self.fgt,
        )

    def pair(self, name: str) -> tuple[int | None, int | None]:
        """What was promised, and what the host has."""
        return self.promised.registers.get(name), self.host.registers.get(name)

    def differs(self, name: str) -> bool:
        """True where some CPU of the host has not what was promised, or nobody has told that it has."""
        promised = self.promised.registers.get(name)
        return promised is not None and any(cpu.registers.get(name) != promised for cpu in self._system)

    def same_cache(self, name: str) -> bool:
        """True where every CPU has the promised cache, in the same format of 32 bits: flags are left aside."""
        selector = selector_of(name)
        if selector is None or self.promised.ccidx is not False:
            return False
        cache = self.promised.cache(selector)
        return cache is not None and all(
            cpu.ccidx is False and cpu.cache(selector) == cache for cpu in self._system
        )

    def finding(self, name: str, kept: _Kept, rule: str, *, field: str = "", remedy: str = "") -> Finding:
        """A finding about a register, or a field of CTR_EL0."""
        promised, host = self.pair(name)
        if field and promised is not None and host is not None:
            part = CTR.layout.field(field)
            promised, host = part.extract(promised), part.extract(host)
        traps: tuple[str, ...] = ()
        cost = Cost.NONE
        if kept.outcome is Outcome.TRAP:
            traps = (*self._reads.controls, *kept.work)
            cost = Cost.PER_ACCESS if set(kept.work) - {_TSW} else self._reads.cost
        return Finding(name, field, promised, host, kept.outcome, rule, kept.why, traps, cost, remedy=remedy)

    def untold(self, name: str, remedy: str = "") -> Finding:
        """Nobody knows what the VM was promised."""
        kept = _Kept(Outcome.UNKNOWN, f"nobody has told what the VM saw in {name}")
        remedy = remedy or f"save {name} with the VM, and write it wherever the VM is restored"
        return self.finding(name, kept, "IDENT-38", remedy=remedy)

    def host_untold(self, name: str, why: str) -> Finding:
        """Nobody knows what the host has, and that decides."""
        kept = _Kept(Outcome.UNKNOWN, f"nobody has told what the host has, {why}")
        return self.finding(name, kept, "IDENT-38", remedy=f"read {name} on the host")

    def read_trapped(self, name: str) -> _Kept:
        """The guest's reads trap."""
        promised, host = self.pair(name)
        if host is None:
            why = "what the host has nobody has told; reads trap, and show what was promised whatever it is"
        elif host == promised:
            why = "another CPU of the host has another value; reads trap, and show what was promised on each"
        else:
            why = "the host has another value; reads trap, and show what was promised"
        return _Kept(Outcome.TRAP, why)


_SAME: Final = _Kept(Outcome.SAME, "the host has the same")


def _ctr(case: _Case) -> Iterator[Finding]:
    """Rules IDENT-32 and IDENT-37."""
    promised, host = case.pair(CTR.name)
    if promised is None:
        yield case.untold(CTR.name)
    elif host is None:
        yield case.host_untold(CTR.name, "by which the guest's maintenance of caches is enough or not")
    elif not case.differs(CTR.name):
        yield case.finding(CTR.name, _SAME, "IDENT-32")
    elif promised == host:
        yield case.finding(CTR.name, case.read_trapped(CTR.name), "IDENT-37")
    else:
        covered = 0
        for field in CTR.layout.fields:
            covered |= field.mask
            if (promised ^ host) & field.mask:
                kept = _ctr_field(case, field.name, field.extract(promised), field.extract(host))
                yield case.finding(CTR.name, kept, "IDENT-32", field=field.name)
        if (promised ^ host) & ~covered:
            yield case.finding(CTR.name, case.read_trapped(CTR.name), "IDENT-32")


_WIDENED: Final[Mapping[str, _Kept]] = {
    "TminLine": _Kept(
        Outcome.TRAP,
        "the guest's steps are longer than granules of tags: its maintenance traps and is widened",
        (_TPCP,),
    ),
    "DminLine": _Kept(
        Outcome.TRAP,
        "the guest's steps are longer than lines of data: its maintenance traps and is widened",
        (_TPCP, _TPU),
    ),
    "IminLine": _Kept(
        Outcome.TRAP,
        "the guest's steps are longer than lines of code: its maintenance traps and is widened",
        (_TPU,),
    ),
    "L1Ip": _Kept(
        Outcome.TRAP,
        "code may be cached under other addresses, too: invalidations trap and become those of all",
        (_TPU,),
    ),
}
"""By the field of CTR_EL0 of which a guest was promised too much: maintenance that it leaves out, done for it."""

_REFUSED: Final[Mapping[str, _Kept]] = {
    "DIC": _Kept(
        Outcome.REFUSED,
        "the guest writes code and does nothing that could trap, short of a stage 2 in which no page can be both "
        "written and executed",
    ),
    "CWG": _Kept(Outcome.REFUSED, "a write-back may write more than the guest keeps apart, and no trap helps"),
    "ERG": _Kept(Outcome.REFUSED, "an exclusive may reserve more than the guest keeps apart, and no trap helps"),
}
"""By the field of CTR_EL0 of which a guest was promised too much, and nothing helps."""


_GRANULES: Final = ("CWG", "ERG")


def _ctr_field(case: _Case, name: str, promised: int, host: int) -> _Kept:
    if CTR.safe_values[name].of(promised, host, CTR.layout.field(name).width) == promised:
        return _Kept(Outcome.TRAP, "what was promised holds on the host, and reads trap to show it")
    if name == "IDC":
        return _without_cleaning(case)
    if name in _GRANULES and not host:
        return _Kept(Outcome.UNKNOWN, f"the host does not tell its {name}: 0 says nothing")
    return _WIDENED[name] if name in _WIDENED else _REFUSED[name]


def _without_cleaning(case: _Case) -> _Kept:
    """How to keep the promise that data caches need no cleaning for instructions to see what was written."""
    needs_none, dic = effective_idc(case.host), field_of(case.promised, CTR.name, "DIC")
    if needs_none:
        return _Kept(Outcome.TRAP, "data caches of the host need no cleaning either, and reads trap to say so")
    if needs_none is None:
        why = "whether data caches of the host need cleaning, its CTR_EL0 and CLIDR_EL1 together would tell"
        return _Kept(Outcome.UNKNOWN, why)
    if dic is None:
        why = (
            "the guest cleans no data caches; whether it invalidates those of instructions, its CTR_EL0 would tell"
        )
        return _Kept(Outcome.UNKNOWN, why)
    if dic:
        return _REFUSED["DIC"]
    why = "the guest cleans no data caches: what it does to those of instructions traps, and cleaning comes first"
    return _Kept(Outcome.TRAP, why, (_TPU,))


def _clidr(case: _Case) -> Iterator[Finding]:
    """Rule IDENT-33."""
    name = "CLIDR_EL1"
    promised = case.promised.registers.get(name)
    if promised is None:
        yield case.untold(name)
    elif not case.differs(name):
        yield case.finding(name, _SAME, "IDENT-33")
    elif claims_idc(promised) and not effective_idc(case.host):
        yield case.finding(name, _without_cleaning(case), "IDENT-33")
    else:
        yield case.finding(name, case.read_trapped(name), "IDENT-33")


def _ccsidr(case: _Case) -> Iterator[Finding]:
    """Rule IDENT-34."""
    registers = case.promised.registers
    told = [name for name in registers if selector_of(name) is not None]
    if not told:
        yield case.untold(CCSIDR.name)
        return
    listed = map(cache_register, selectors(registers.get("CLIDR_EL1", 0)))
    yield from (case.untold(name) for name in listed if name not in registers)
    for name in told:
        shape = _shape(case.promised, name)
        if not case.differs(name):
            kept = _Kept(Outcome.SAME, f"the host has the same: {shape}")
        elif case.same_cache(name):
            kept = _Kept(Outcome.SAME, f"the same but for bits that mean nothing any more: {shape}")
        else:
            reads, its = case.read_trapped(name).why, _shape(case.host, name)
            why = f"{reads}: {shape}, not {its}" if its not in (shape, _UNTOLD) else f"{reads}: {shape}"
            kept = _Kept(Outcome.TRAP, why, (_TSW,))
        yield case.finding(name, kept, "IDENT-34")


_UNTOLD: Final = "what is not known"


def _shape(cpu: Cpu, name: str) -> str:
    """A cache in words."""
    selector = selector_of(name)
    if selector is None or name not in cpu.registers:
        return _UNTOLD
    cache = cpu.cache(selector)
    if cache is None:
        return f"{cache_name(selector)} in a format that is not known"
    shape = f"{_number(cache.sets, 'set')}, {_number(cache.ways, 'way')} and lines of {cache.line} bytes"
    return f"{cache_name(selector)} of {shape}" + (", in the format of 64 bits" if cpu.ccidx else "")


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _csselr(promised: Cpu, host: Cpu) -> Iterator[Finding]:
    """Rule IDENT-34."""
    name = "CSSELR_EL1"
    value = promised.registers.get(name)
    if value is not None:
        selector = selected(value)
        what = "no cache that there can be" if selector is None else cache_name(selector)
        why = f"each vCPU has its own, whatever the host's: it selects {what}"
        yield Finding(name, "", value, host.registers.get(name), Outcome.SAME, "IDENT-34", why)


def _dczid(case: _Case) -> Iterator[Finding]:
    """Rule IDENT-39."""
    promised, host = case.pair(DCZID.name)
    if promised is None:
        if host is not None:
            yield case.untold(DCZID.name, "read DCZID_EL0 in the VM, or on the host that it ran on")
    elif host is None:
        yield case.host_untold(DCZID.name, "which decides how much DC ZVA zeroes")
    else:
        kept = _zeroing(case, promised, host)
        cost = Cost.PER_ACCESS if kept.work and not _DZP.extract(promised) else Cost.NONE
        yield Finding(DCZID.name, "", promised, host, kept.outcome, "IDENT-39", kept.why, kept.work, cost)


_DZP: Final = DCZID.layout.field("DZP")
_FGT_DCZID: Final = "HFGRTR_EL2.DCZID_EL0"
_LOOKS: Final = "a guest that reads DCZID_EL0 again can tell, since without FEAT_FGT that cannot trap"


def _zeroing(case: _Case, promised: int, host: int) -> _Kept:
    """How DC ZVA goes on zeroing what the guest means. A trap of it shows it as prohibited by DCZID_EL0.DZP."""
    if promised == host:
        return _SAME
    if promised == host | _DZP.mask:
        return _Kept(Outcome.TRAP, "DC ZVA stays prohibited", (_TDZ,))
    if _DZP.extract(host) and not _DZP.extract(promised):
        return _Kept(Outcome.REFUSED, "the host prohibits DC ZVA")
    why = "DC ZVA zeroes another size on the host: it traps, and zeroes the promised one"
    if case.fgt:
        return _Kept(Outcome.TRAP, why, (_TDZ, _FGT_DCZID))
    return _Kept(Outcome.LEAK, f"{why}; {_LOOKS}", (_TDZ,))
