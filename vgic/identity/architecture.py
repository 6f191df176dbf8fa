"""The `contract` engine: what the architecture would let a host keep, if its hypervisor virtualised all it could.

Field by field: an ID register can be trapped (HCR_EL2.TID3) and show what the host's feature stands for safely; a
feature that the hardware lacks cannot be shown. Rules IDENT-24 and IDENT-25.
"""

from collections.abc import Iterator
from typing import Final

from vgic.identity.aarch32_features import is_aarch32, without_aarch32
from vgic.identity.contract import Contract
from vgic.identity.declaring import IdRegister
from vgic.identity.finding import Cost, Finding, Outcome
from vgic.identity.host import Cpu, View
from vgic.identity.places import LEFT_ALONE, MEANS_NOTHING, hertz, in_kvms_order, part_of, value_words
from vgic.identity.registers import REGISTERS, selector_of

__all__ = ["contract_findings"]

_IMPLEMENTATION: Final = ("MIDR_EL1", "REVIDR_EL1", "AIDR_EL1")

_OF_EL2: Final = frozenset(
    {
        *(("ID_AA64PFR0_EL1", field) for field in ("EL2", "EL3", "SEL2", "RME")),
        ("ID_AA64PFR1_EL1", "RNDR_trap"),
        *(("ID_AA64MMFR0_EL1", field) for field in ("FGT", "TGran4_2", "TGran16_2", "TGran64_2")),
        *(("ID_AA64MMFR1_EL1", field) for field in ("VH", "VMIDBits", "XNX", "HCX")),
        *(("ID_AA64MMFR2_EL1", field) for field in ("EVT", "FWB", "NV")),
        *(("ID_AA64MMFR3_EL1", field) for field in ("S2POE", "S2PIE", "D128_2")),
        *(("ID_AA64MMFR4_EL1", field) for field in ("FGWTE3", "E3DSE", "RMEGDI", "E2H0", "NV_frac")),
        ("ID_AA64DFR0_EL1", "HPMN0"),
    }
)
"""Fields of what EL2 or EL3 alone can use."""

_HIDDEN: Final = frozenset(
    {
        *(("ID_AA64PFR0_EL1", field) for field in ("AMU", "MPAM", "SVE")),
        *(("ID_AA64PFR1_EL1", field) for field in ("MTE", "MPAM_frac", "SME", "NMI", "GCS", "THE", "MTEX")),
        *(("ID_AA64ISAR1_EL1", field) for field in ("API", "APA", "GPI", "GPA", "LS64")),
        *(("ID_AA64ISAR2_EL1", field) for field in ("APA3", "GPA3")),
        ("ID_AA64MMFR2_EL1", "CCIDX"),
        *(
            ("ID_AA64DFR0_EL1", field)
            for field in ("PMUVer", "PMSVer", "BRBE", "TraceVer", "TraceFilt", "TraceBuffer", "DebugVer")
        ),
    }
)
"""Fields of which KVM shows a VM less than the hardware has, always or unless the VMM asks for the feature."""


def contract_findings(contract: Contract, host: Cpu, view: View) -> Iterator[Finding]:
    """What becomes of each register, and of each field that differs, on one CPU of a host.

    `view` is whose view of its registers that CPU's file has: what a hypervisor hides, the hardware may have.
    Raises nothing.
    """
    yield from _implementation(contract, host)
    for name in in_kvms_order(contract.promised.registers):
        if name in LEFT_ALONE or name in _IMPLEMENTATION:
            continue
        value, has = contract.promised.registers[name], host.registers.get(name)
        if value == has:
            yield Finding(name, "", value, has, Outcome.SAME, "IDENT-24", "the host has what was promised")
        elif _is_of_caches(name):
            yield _shown_instead(name, value, has)
        elif is_aarch32(name) and without_aarch32(contract.promised.registers):
            yield Finding(name, "", value, has, Outcome.WEAKER, "IDENT-76", MEANS_NOTHING)
        elif has is None:
            why = "nobody has told what the host has there"
            yield Finding(name, "", value, None, Outcome.UNKNOWN, "IDENT-24", why)
        else:
            for field, mine, hosts in part_of(name, value, has):
                yield _field(name, field, mine, hosts, host, view)


def _field(name: str, field: str, mine: int, has: int, host: Cpu, view: View) -> Finding:
    """One field, or register, in which the host differs from what was promised."""
    if name == "CNTFRQ_EL0":
        return _counter(mine, has)
    if name == "DCZID_EL0":
        return _zeroing(mine, has, host)
    if name not in REGISTERS:
        why = "the fields of this register are not declared here"
        return Finding(name, "", mine, has, Outcome.UNKNOWN, "IDENT-19", why)
    if field == "reserved":
        why = "bits that have no name yet: nobody can say whether the host can stand for them"
        return Finding(name, field, mine, has, Outcome.UNKNOWN, "IDENT-24", why)
    return _feature(REGISTERS[name], field, mine, has, view)


def _feature(register: IdRegister, field: str, mine: int, has: int, view: View) -> Finding:
    """Rule IDENT-24."""
    name, trap = register.name, "HCR_EL2.TID3"
    cost = Cost.RARE
    if name == "CTR_EL0":
        trap, cost = "HCR_EL2.TID2", Cost.PER_READ
    safe = register.safe_values[field]
    if (name, field) in _OF_EL2:
        why = "only EL2 or EL3 can use it, and the guest has neither: what it reads can be anything"
        return Finding(name, field, mine, has, Outcome.TRAP, "IDENT-25", why, (trap,), cost)
    if (name, field) == ("ID_AA64MMFR2_EL1", "CCIDX"):
        why = "it is the format of CCSIDR_EL1, which is trapped and answered in either"
        return Finding(name, field, mine, has, Outcome.TRAP, "IDENT-25", why, (trap, "HCR_EL2.TID2"), cost)
    if safe.of(mine, has, register.layout.field(field).width) == mine:
        why = "the host can stand for it, and a trapped read shows it"
        return Finding(name, field, mine, has, Outcome.WEAKER, "IDENT-24", why, (trap,), cost)
    if view is not View.HARDWARE and (name, field) in _HIDDEN:
        why = "the hypervisor shows less than was promised; whether the hardware has it, nobody has told"
        return Finding(name, field, mine, has, Outcome.UNKNOWN, "IDENT-24", why)
    why = f"the host cannot stand for it: {safe}"
    return Finding(name, field, mine, has, Outcome.REFUSED, "IDENT-24", why, remedy=_LESS)


_LESS: Final = "a VM that is promised no more than all its hosts have, from its start"


def _is_of_caches(name: str) -> bool:
    return name == "CLIDR_EL1" or selector_of(name) is not None


def _shown_instead(name: str, mine: int, has: int | None) -> Finding:
    """What describes caches is trapped and answered with what was promised, whatever the host has."""
    why = "a trapped read shows it; what is cleaned by set and way is the hypervisor's to trap"
    traps = ("HCR_EL2.TID2", "HCR_EL2.TSW")
    return Finding(name, "", mine, has, Outcome.TRAP, "IDENT-25", why, traps, Cost.RARE)


def _counter(mine: int, has: int) -> Finding:
    why = f"nothing traps a read of it: the guest reckons with {hertz(mine)}, and the counter has {hertz(has)}"
    remedy = "a host whose counter has the same frequency"
    return Finding("CNTFRQ_EL0", "", mine, has, Outcome.REFUSED, "IDENT-25", why, remedy=remedy)


def _zeroing(mine: int, has: int, host: Cpu) -> Finding:
    """DC ZVA zeroes the host's blocks: it must be trapped, and with FEAT_FGT the read that tells their size."""
    fgt = _known_field(host, "ID_AA64MMFR0_EL1", "FGT")
    place = ("DCZID_EL0", "", mine, has)
    if fgt:
        why = "DC ZVA and the read of its size are trapped"
        traps = ("HCR_EL2.TDZ", "HFGRTR_EL2.DCZID_EL0")
        return Finding(*place, Outcome.TRAP, "IDENT-25", why, traps, Cost.PER_ACCESS)
    why = "DC ZVA is trapped; a program that looks reads that it is prohibited"
    return Finding(*place, Outcome.LEAK, "IDENT-25", why, ("HCR_EL2.TDZ",), Cost.PER_ACCESS)


def _known_field(host: Cpu, name: str, field: str) -> int | None:
    value = host.registers.get(name)
    return None if value is None else REGISTERS[name].layout.field(field).extract(value)


def _implementation(contract: Contract, host: Cpu) -> Iterator[Finding]:
    """Which CPU it is: registers that can show anything, and errata that cannot be hidden. Rule IDENT-26."""
    told = contract.promised.registers
    for name in _IMPLEMENTATION:
        if name not in told:
            continue
        value, has = told[name], host.registers.get(name)
        if has is None:
            why = "nobody has told what the host has there"
            yield Finding(name, "", value, None, Outcome.UNKNOWN, "IDENT-24", why)
        elif value == has:
            yield Finding(name, "", value, has, Outcome.SAME, "IDENT-24", "the host has what was promised")
        else:
            trap, cost = ("VPIDR_EL2", Cost.NONE) if name == "MIDR_EL1" else ("HCR_EL2.TID1", Cost.RARE)
            words = value_words(name, "", value)
            why = f"the guest can be shown {words}"
            remedy = "" if contract.targets else "a list of both CPUs for the guest, whose errata differ"
            yield Finding(name, "", value, has, Outcome.TRAP, "IDENT-26", why, (trap,), cost, remedy=remedy)
