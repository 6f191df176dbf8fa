"""Whether a host can keep what a VM was promised of self-hosted debug: ID_AA64DFR0_EL1. Rules IDENT-40 to IDENT-46.

Fields of the performance monitors, of profiling and of trace are not looked at.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from vgic.identity.breakpoints import DEFERRED, DFR0, DFR1, FIELDS, NAMES, debug_resources, reserved
from vgic.identity.debug_map import DebugMap, debug_map, lacking
from vgic.identity.finding import Cost, Finding, Outcome
from vgic.identity.hardware import field_of, hardware_field
from vgic.identity.host import Cpu, View
from vgic.identity.kvm import KvmIdRegisters
from vgic.identity.kvm_versions import KvmIdVersion
from vgic.identity.memory_features import AA64DFR0
from vgic.kvm.errors import KvmError

__all__ = ["DebugTraps", "debug_findings", "debug_traps"]


class DebugTraps(NamedTuple):
    """Controls, and what they cost."""

    controls: tuple[str, ...]
    cost: Cost
    why: str


def debug_traps(fgt: int | None, kind: str) -> DebugTraps:
    """What traps a guest's breakpoints, `kind` "B", or its watchpoints, "W". Rule IDENT-45.

    `fgt` is ID_AA64MMFR0_EL1.FGT, None where that is unknown.
    """
    if fgt:
        registers = (f"DBG{kind}CRn_EL1", f"DBG{kind}VRn_EL1")
        controls = tuple(f"{control}.{name}" for control in ("HDFGRTR_EL2", "HDFGWTR_EL2") for name in registers)
        return DebugTraps(controls, Cost.RARE, "FEAT_FGT traps these registers alone, which only debuggers use")
    why = "every debug register traps, MDSCR_EL1 and the OS Lock among them"
    why = f"without FEAT_FGT {why}" if fgt == 0 else f"unless there is FEAT_FGT, which is not known, {why}"
    return DebugTraps(("MDCR_EL2.TDA",), Cost.PER_ACCESS, why)


def debug_findings(
    promised: Cpu, host: Cpu, kvm: KvmIdVersion | None = None, *, view: View = View.HARDWARE
) -> Iterator[Finding]:
    """What becomes of breakpoints, watchpoints and the debug architecture that a VM was promised. Raises nothing.

    Without `kvm`, what the architecture allows a hypervisor that virtualises everything. With it, what this KVM,
    which virtualises none of the registers, answers a VMM that writes their numbers, and leaves there. `view` is
    that of the host's registers.
    """
    mine, its = promised.registers.get(DFR0), host.registers.get(DFR0)
    if mine is None or its is None:
        who = "what the VM was promised" if mine is None else "what the host has"
        yield Finding(DFR0, "", mine, its, Outcome.UNKNOWN, "IDENT-40", f"nobody has told {who}")
    elif kvm is not None:
        for field in FIELDS:
            yield _kvm_number(field, mine, its, kvm)
    else:
        yield from _numbers(promised, host, hardware_field(host, "ID_AA64MMFR0_EL1", "FGT", view))
        yield _version(mine, its)
        yield _double_lock(mine, its)


def _numbers(promised: Cpu, host: Cpu, fgt: int | None) -> Iterator[Finding]:
    """Rules IDENT-40 to IDENT-42."""
    guest, its = debug_resources(promised), debug_resources(host)
    if guest is None or its is None:
        whose = "the VM" if guest is None else "the host"
        why = f"{whose} may have more than 16 breakpoints: nobody has told its {DFR1}"
        yield _number(promised, host, "BRPs", Outcome.UNKNOWN, "IDENT-40", why)
        return
    wrong, unlikely = reserved(guest), reserved(its)
    if wrong:
        yield _number(promised, host, wrong[0], Outcome.REFUSED, "IDENT-40", f"Arm reserves that: {wrong[1]}")
    elif unlikely:
        why = f"what is told of the host no CPU has: {unlikely[1]}"
        yield _number(promised, host, unlikely[0], Outcome.UNKNOWN, "IDENT-40", why)
    else:
        missing = lacking(guest, its)
        placed = None if missing else debug_map(guest, its)
        for field, mine, has in zip(FIELDS, guest, its, strict=True):
            if field in missing:
                why = f"the host has {has} {NAMES[field]}, and {mine} were promised"
                yield _number(promised, host, field, Outcome.REFUSED, "IDENT-42", why)
            else:
                yield _enough(promised, host, field, mine, has, placed, fgt)


def _enough(
    promised: Cpu, host: Cpu, field: str, mine: int, has: int, placed: DebugMap | None, fgt: int | None
) -> Finding:
    """What becomes of a number of which the host has no fewer."""
    moved = placed is not None and not placed.identity
    if mine == has and not moved:
        return _number(promised, host, field, Outcome.SAME, "IDENT-42", "the host has as many")
    if field == "CTX_CMPs" and not moved:
        why = "more breakpoints of the host match contexts, of which the guest knows nothing and loses nothing"
        return _number(promised, host, field, Outcome.WEAKER, "IDENT-42", why)
    reasons, remedy = [], ""
    if mine != has:
        reasons.append(f"of the host's {has} {NAMES[field]}, the guest was promised {mine}")
    if moved:
        reasons.append(_MOVED[field])
    else:
        remedy = f"without traps the guest runs, and can tell by {has - mine} more that are there"
    traps = debug_traps(fgt, "W" if field == "WRPs" else "B")
    why = "; ".join([*reasons, traps.why])
    found = _number(promised, host, field, Outcome.TRAP, "IDENT-42", why)
    return replace(found, traps=traps.controls, cost=traps.cost, remedy=remedy)


_MOVED: Final[Mapping[str, str]] = {
    "BRPs": "each is moved to where the host can do as much",
    "CTX_CMPs": "those that match contexts have other numbers on the host, and links to them are rewritten",
    "WRPs": "links to breakpoints that have other numbers on the host are rewritten",
}
"""By the field, what it takes that breakpoints do not keep their numbers."""


def _number(promised: Cpu, host: Cpu, field: str, outcome: Outcome, rule: str, why: str) -> Finding:
    """A finding about a field that counts: of ID_AA64DFR1_EL1 where both have ID_AA64DFR0_EL1 refer to it."""
    register = DFR0
    mine, its = field_of(promised, DFR0, field), field_of(host, DFR0, field)
    if mine == its == DEFERRED and field_of(promised, DFR1, field) != field_of(host, DFR1, field):
        register = DFR1
        mine, its = field_of(promised, DFR1, field), field_of(host, DFR1, field)
    return Finding(register, field, mine, its, outcome, rule, why)


def _kvm_number(name: str, promised: int, host: int, kvm: KvmIdVersion) -> Finding:
    """Rule IDENT-46: the number alone is written, beside what the host has."""
    field = AA64DFR0.layout.field(name)
    mine, its = field.extract(promised), field.extract(host)
    # CTR_EL0, without which no vCPU is made, decides nothing here.
    vcpu = KvmIdRegisters({"CTR_EL0": 0, DFR0: host}, kvm)
    errno = None
    try:
        vcpu.set(DFR0, host & ~field.mask | mine << field.lsb)
    except KvmError as error:
        outcome, errno = Outcome.REFUSED, error.errno
        why = f"KVM shows all the {NAMES[name]} that the hardware has, and takes no other number"
        if name == "WRPs" and kvm.generated_caches:
            why = "KVM shows no more watchpoints than the hardware has"
    else:
        outcome, why = Outcome.SAME, "KVM shows as many"
        if mine != its:
            outcome, why = Outcome.LEAK, f"KVM takes it, and leaves the {NAMES[name]} above, which a guest can find"
            if not mine:
                why += "; Arm reserves 0"
    return Finding(DFR0, name, mine, its, outcome, "IDENT-46", why, errno=errno)


_LEAST: Final = 6
"""DebugVer of Armv8.0."""


def _version(promised: int, host: int) -> Finding:
    """Rule IDENT-47."""
    field = AA64DFR0.layout.field("DebugVer")
    mine, its = field.extract(promised), field.extract(host)
    if mine < _LEAST:
        outcome, why = Outcome.REFUSED, f"Arm reserves what is below {_LEAST}"
    elif mine == its:
        outcome, why = Outcome.SAME, "the host has the same"
    elif mine < its:
        outcome, why = Outcome.WEAKER, "the host's debug architecture is a later one"
    else:
        outcome, why = Outcome.REFUSED, "the host's debug architecture is an earlier one"
    return Finding(DFR0, field.name, mine, its, outcome, "IDENT-47", why)


_LOCK: Final = 0
_NO_LOCK: Final = 0xF


def _double_lock(promised: int, host: int) -> Finding:
    """Rule IDENT-47."""
    field = AA64DFR0.layout.field("DoubleLock")
    mine, its = field.extract(promised), field.extract(host)
    traps: tuple[str, ...] = ()
    cost = Cost.NONE
    if mine == its:
        outcome, why = Outcome.SAME, "the host has the same"
    elif mine in (_LOCK, _NO_LOCK):
        outcome, why = Outcome.TRAP, "OSDLR_EL1 traps, and does what was promised"
        traps, cost = ("MDCR_EL2.TDOSA",), Cost.RARE
    else:
        outcome, why = Outcome.REFUSED, "Arm reserves what is neither 0 nor 15"
    return Finding(DFR0, field.name, mine, its, outcome, "IDENT-47", why, traps, cost)
