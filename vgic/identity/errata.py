"""Which workarounds a guest applies, told of one CPU or of several, and whether they are enough on a host.

A guest decides when it boots, by its own MIDR_EL1 or by a list of the implementations that it may run on, and
never again: so what it was told has to hold for every host that it moves to. Rules IDENT-54 to IDENT-56.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from vgic.identity.errata_table import ERRATA
from vgic.identity.erratum import Applies, Erratum, Implementation, Quantifier, Which
from vgic.identity.finding import Finding, Outcome
from vgic.identity.host import Cpu, HostError
from vgic.identity.implementation import AIDR, MIDR, REVIDR
from vgic.identity.parts import cpu_name

__all__ = ["Workarounds", "checked_targets", "errata_findings", "lost_without", "workarounds"]

_LIST: Final = "targets"
_ERRATA: Final = "errata"
_TELL: Final = "list this CPU among the targets before the guest boots"
_BITS: Final = ((MIDR.name, 32), (REVIDR.name, 64), (AIDR.name, 64))


@dataclass(frozen=True)
class Workarounds:
    """What a guest works around, by the names of errata."""

    applied: frozenset[str]
    unknown: frozenset[str]
    """Those of which nobody can say without knowing more of what the guest sees."""


def checked_targets(targets: Iterable[tuple[int, int, int]]) -> tuple[Implementation, ...]:
    """The list as it came. Raises HostError that names the entry of which a value has too many bits."""
    found = tuple(Implementation(*target) for target in targets)
    for number, target in enumerate(found):
        for (name, bits), value in zip(_BITS, target, strict=True):
            if not 0 <= value < 1 << bits:
                raise HostError(f"{_LIST}[{number}].{name}: {value:#x} does not fit into {bits} bits")
    return found


def workarounds(
    targets: Iterable[tuple[int, int, int]],
    guest: Cpu,
    safe_if: Quantifier = Quantifier.ALL,
    errata: Sequence[Erratum] = ERRATA,
) -> Workarounds:
    """What a guest works around that was told `targets` and sees `guest` of its CPU.

    `targets` are (MIDR_EL1, REVIDR_EL1, AIDR_EL1), in any order; without any, the guest goes by its own, as one
    does that was not told. `safe_if`: see `Erratum.among`. Raises HostError as `checked_targets` does.

    >>> n1, a72 = (0x413FD0C1, 0, 0), (0x410FD083, 0, 0)
    >>> guest = Cpu({"CTR_EL0": 0x9444C004})
    >>> sorted(workarounds([n1], guest).applied - workarounds([a72], guest).applied)
    ['Arm 1418040', 'Arm 3194386', 'Arm 4118414']
    """
    cpus = _cpus(targets, guest)
    considered = [erratum for erratum in errata if not erratum.at_el2]
    if not cpus:
        return Workarounds(frozenset(), frozenset(erratum.name for erratum in considered))
    found = {erratum.name: erratum.applies(cpus, guest, safe_if) for erratum in considered}
    return Workarounds(_named(found, Applies.YES), _named(found, Applies.UNKNOWN))


def _named(found: dict[str, Applies], wanted: Applies) -> frozenset[str]:
    return frozenset(name for name, applies in found.items() if applies is wanted)


def _cpus(targets: Iterable[tuple[int, int, int]], guest: Cpu) -> list[Which]:
    """The CPUs that a guest goes by; none where there is no list and its own MIDR_EL1 is unknown."""
    listed: list[Which] = [(target.midr, target.revidr) for target in checked_targets(targets)]
    return listed or _of(guest)


def _of(cpu: Cpu) -> list[Which]:
    midr = cpu.registers.get(MIDR.name)
    return [] if midr is None else [(midr, cpu.registers.get(REVIDR.name))]


def lost_without(
    targets: Sequence[tuple[int, int, int]], left_out: tuple[int, int, int], guest: Cpu
) -> frozenset[str]:
    """The workarounds that a guest leaves out once an entry is taken off its list, wherever that stands.

    Raises HostError where the list has no such entry, or as `checked_targets` does.
    """
    kept = [target for target in targets if tuple(target) != tuple(left_out)]
    if len(kept) == len(targets):
        raise HostError(f"{_LIST}: has no entry {', '.join(f'{value:#x}' for value in left_out)}")
    return workarounds(targets, guest).applied - workarounds(kept, guest).applied


def errata_findings(
    targets: Iterable[tuple[int, int, int]], host: Cpu, promised: Cpu, errata: Sequence[Erratum] = ERRATA
) -> Iterator[Finding]:
    """Whether a guest that was told `targets`, or nothing, works around all that this CPU of a host needs.

    `promised` is what the guest sees of its CPU. Raises HostError as `checked_targets` does.
    """
    listed = checked_targets(targets)
    midr = host.registers.get(MIDR.name)
    if midr is None:
        why = "nobody has told which CPU the host has, so that nobody can say what has to be worked around there"
        yield Finding(
            MIDR.name, "", None, None, Outcome.UNKNOWN, "IDENT-55", why, remedy="tell MIDR_EL1 of the host"
        )
        return
    if listed:
        yield _listing(listed, midr, host)
    cpus = _cpus(listed, promised)
    if not cpus:
        why = "nobody has told which CPU the guest saw when it decided what to work around"
        remedy = "tell MIDR_EL1 of what the guest was shown, or the targets that it was told"
        yield Finding(MIDR.name, "", None, midr, Outcome.UNKNOWN, "IDENT-56", why, remedy=remedy)
        return
    yield from _compared(cpus, host, promised, [erratum for erratum in errata if not erratum.at_el2])


def _listing(listed: Sequence[Implementation], midr: int, host: Cpu) -> Finding:
    """Whether the host itself is on the list. Rule IDENT-55."""
    own = (midr, host.registers.get(REVIDR.name), host.registers.get(AIDR.name))
    matching = [target for target in listed if _may_be(target, own)]
    if not matching:
        why = f"the guest has not been told that it may run on {_described(own)}"
        return Finding("", _LIST, None, midr, Outcome.REFUSED, "IDENT-55", why, remedy=_TELL)
    unknown = " and ".join(name for (name, _), value in zip(_BITS, own, strict=True) if value is None)
    if unknown:
        why = f"the guest has been told of {cpu_name(midr)}, and whether this host has the same hangs on {unknown}"
        remedy = f"tell {unknown} of the host"
        return Finding("", _LIST, matching[0].midr, midr, Outcome.UNKNOWN, "IDENT-55", why, remedy=remedy)
    why = f"the guest has been told that it may run on {_described(own)}"
    return Finding("", _LIST, midr, midr, Outcome.SAME, "IDENT-55", why)


def _may_be(target: Implementation, own: tuple[int, int | None, int | None]) -> bool:
    return all(value is None or value == listed for listed, value in zip(target, own, strict=True))


def _described(own: tuple[int, int | None, int | None]) -> str:
    midr, revidr, aidr = own
    told = [f"{name} {value:#x}" for name, value in ((REVIDR.name, revidr), (AIDR.name, aidr)) if value is not None]
    return ", ".join([f"{cpu_name(midr)} (MIDR_EL1 {midr:#x})", *told])


def _compared(cpus: Sequence[Which], host: Cpu, promised: Cpu, errata: Sequence[Erratum]) -> Iterator[Finding]:
    """What the host's CPU has and the guest does not work around, or may not; else that it does. Rule IDENT-56."""
    found = [finding for erratum in errata if (finding := _of_erratum(erratum, cpus, host, promised))]
    if found:
        yield from found
        return
    own = _of(host)
    spare = [
        erratum.name
        for erratum in errata
        if erratum.applies(cpus, promised) is Applies.YES and erratum.among(own) is Applies.NO
    ]
    if spare:
        why = f"the guest works around more than this host's CPU has, which costs time alone: {'; '.join(spare)}"
        yield Finding("", _ERRATA, None, None, Outcome.WEAKER, "IDENT-56", why)
    else:
        why = "the guest works around what is known of this host's CPU, and nothing else"
        yield Finding("", _ERRATA, None, None, Outcome.SAME, "IDENT-56", why)


def _of_erratum(erratum: Erratum, cpus: Sequence[Which], host: Cpu, promised: Cpu) -> Finding | None:
    """What is wrong with one erratum; None where nothing is."""
    own = _of(host)
    needed, done, shown = erratum.among(own), erratum.among(cpus), erratum.shown_to(promised)
    if needed is Applies.NO or shown is Applies.NO:
        return None
    place = f"{_ERRATA}: {erratum.name}"
    if done is not Applies.YES:
        unknown = _unknown(erratum, needed, done, shown)
        if unknown:
            why = f"{erratum.about}; whether the guest works around what this host needs hangs on {unknown}"
            return Finding("", place, None, None, Outcome.UNKNOWN, "IDENT-56", why, remedy=f"tell {unknown}")
        why = f"on this host {erratum.about}, and the guest does not work around it"
        return Finding("", place, None, None, Outcome.REFUSED, "IDENT-56", why, remedy=_TELL)
    if erratum.among(cpus, Quantifier.ANY) is not Applies.YES:
        why = (
            f"on this host {erratum.about}, and a guest that takes one target on a safe list for all of them, "
            "as Linux does so far, does not work around it"
        )
        remedy = "find out how the guest reads its list, or let all targets be of one kind"
        return Finding("", place, None, None, Outcome.UNKNOWN, "IDENT-52", why, remedy=remedy)
    return None


def _unknown(erratum: Erratum, needed: Applies, done: Applies, shown: Applies) -> str:
    """What would have to be told, if anything, to say whether an erratum that is not worked around is there."""
    told: list[str] = []
    if shown is Applies.UNKNOWN:
        conditions = [condition for condition in (erratum.needs, erratum.unless) if condition]
        told += [f"{condition.register} of what the guest sees" for condition in conditions]
    if needed is Applies.UNKNOWN:
        told.append(f"{REVIDR.name} of the host")
    if done is Applies.UNKNOWN:
        told.append(f"{REVIDR.name} of what the guest was shown")
    return " and ".join(told)
