"""What differs between CPUs, register by register and field by field; caches by their shape.

Rules IDENT-6 and IDENT-7.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vgic.identity.declaring import IdRegister
from vgic.identity.host import Cluster, Cpu, Host
from vgic.identity.implementation import cache_name
from vgic.identity.registers import REGISTERS, selector_of

__all__ = ["Comparison", "Difference", "Pair", "compare", "compare_hosts", "inside", "pairs", "safe_value"]

_OF_ITSELF: Final = frozenset({"MPIDR_EL1", "CSSELR_EL1"})
"""Registers that tell nothing about the kind of CPU: which one it is, and what software selected last."""


@dataclass(frozen=True)
class Difference:
    """One field in which CPUs differ."""

    register: str
    field: str
    """Arm's name, or "sets", "ways" or "line" of a cache, or "" where the whole register is compared."""
    values: tuple[int, ...]
    """Of each CPU, in the order in which they were given."""
    meaning: str
    safe: int | None = None
    """What software that runs on all of them can rely on; None where nothing is said of that."""


@dataclass(frozen=True)
class Comparison:
    """What comparing CPUs has come to."""

    compared: tuple[str, ...]
    """The registers that are known of all."""
    unknown: tuple[str, ...]
    """Those that are known of some of them only: nobody can say whether they differ."""
    differences: tuple[Difference, ...]


def compare(cpus: Sequence[Cpu]) -> Comparison:
    """Compare CPUs, at least two. Raises nothing."""
    names = [name for name in _in_order(cpu.registers for cpu in cpus) if name not in _OF_ITSELF]
    known = tuple(name for name in names if all(name in cpu.registers for cpu in cpus))
    found = tuple(difference for name in known for difference in _differences(name, cpus))
    return Comparison(known, tuple(name for name in names if name not in known), found)


def _in_order(registers: Iterable[Mapping[str, int]]) -> list[str]:
    """Every register that one of them has: declared ones first, as they are declared."""
    names = dict.fromkeys(name for of_one in registers for name in of_one)
    order = {name: place for place, name in enumerate(REGISTERS)}
    return sorted(names, key=lambda name: order.get(name, len(order)))


def _differences(name: str, cpus: Sequence[Cpu]) -> Iterator[Difference]:
    values = tuple(cpu.registers[name] for cpu in cpus)
    if len(set(values)) == 1 and selector_of(name) is None:
        return
    selector = selector_of(name)
    if selector is not None:
        yield from _cache_differences(name, selector, values, cpus)
    elif name in REGISTERS:
        yield from _field_differences(REGISTERS[name], values)
    else:
        yield Difference(name, "", values, "its fields are not declared")


def _cache_differences(
    name: str, selector: int, values: tuple[int, ...], cpus: Sequence[Cpu]
) -> Iterator[Difference]:
    caches = [cpu.cache(selector) for cpu in cpus]
    shapes = [cache for cache in caches if cache is not None]
    if len(shapes) < len(caches):
        if len(set(values)) > 1:
            yield Difference(name, "", values, f"{cache_name(selector)}: the format of one of them is unknown")
        return
    for field in ("sets", "ways", "line"):
        numbers = tuple(int(getattr(shape, field)) for shape in shapes)
        if len(set(numbers)) > 1:
            yield Difference(name, field, numbers, f"{field} of the {cache_name(selector)} cache")


def _field_differences(register: IdRegister, values: tuple[int, ...]) -> Iterator[Difference]:
    for field in register.layout.fields:
        numbers = tuple(map(field.extract, values))
        if len(set(numbers)) > 1:
            safe = safe_value(register, field.name, numbers)
            yield Difference(register.name, field.name, numbers, field.doc, safe)
    reserved = tuple(map(register.layout.reserved_bits_set, values))
    if len(set(reserved)) > 1:
        yield Difference(register.name, "reserved", reserved, "bits that no field covers")


def safe_value(register: IdRegister, field: str, values: Sequence[int]) -> int | None:
    """What software that meets every one of a field's values can rely on; None where nothing is said of that.

    Only features have safe values: no MIDR_EL1 can stand for two.
    """
    rule = register.safe_values.get(field)
    if rule is None or not _is_feature(register.name):
        return None
    width = register.layout.field(field).width
    first, *others = values
    for value in others:
        first = rule.of(first, value, width)
    return first


def _is_feature(name: str) -> bool:
    return name.startswith("ID_AA64") or name == "CTR_EL0"


def inside(host: Host) -> Comparison:
    """What differs between the clusters of a host: its VMs see one or the other, as its hypervisor has it."""
    return compare([cluster.cpu for cluster in host.clusters])


@dataclass(frozen=True)
class Pair:
    """A cluster of one host beside one of another, and what comparing them has come to."""

    a: Cluster
    b: Cluster
    comparison: Comparison


def compare_hosts(a: Host, b: Host) -> list[Pair]:
    """Two hosts, cluster by cluster: what differs is the same in whichever order their clusters are listed."""
    return [Pair(one, other, compare([one.cpu, other.cpu])) for one, other in pairs(a.clusters, b.clusters)]


def pairs(a: Sequence[Cluster], b: Sequence[Cluster]) -> list[tuple[Cluster, Cluster]]:
    """Which clusters are compared: those of one MIDR_EL1 with each other, what is left over with all that is left.

    A cluster that is left over alone is compared with every cluster of the other host.
    """
    paired: list[tuple[Cluster, Cluster]] = []
    mine, theirs = list(a), list(b)
    for one in a:
        midr = one.cpu.registers.get("MIDR_EL1")
        partner = next((other for other in theirs if other.cpu.registers.get("MIDR_EL1") == midr), None)
        if midr is not None and partner is not None:
            paired.append((one, partner))
            mine.remove(one)
            theirs.remove(partner)
    if mine or theirs:
        paired += [(one, other) for one in mine or a for other in theirs or b]
    return paired
