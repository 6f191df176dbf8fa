"""Whether a sequence of calls names everything that a VM consists of: each vCPU, each ITS, each word, and once.

What has to be named is what `vgic.kvm.settings` would write into the VM that the sequence has made, but for what
cannot be other than after reset there. Not every sequence restores a VM: one that writes no register but GICD_IIDR
leaves nothing out, and one that writes only the Distributor, or Redistributors, or CPU interfaces is an excerpt,
which has to treat all vCPUs, ITSes and words alike and no more (KVM-41).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from mmio import AccessKind
from vgic import affinity
from vgic.gic import Gic
from vgic.kvm.device import VgicV3Device
from vgic.kvm.migration import CreateVcpu, SetAttr, SetItsAttr, SetMpidr, Step
from vgic.kvm.read_back import is_latch
from vgic.kvm.settings import settings, sysregs_of
from vgic.kvm.uapi import KEYED, Group, attr_key, attr_offset, describe, level_info, register_at, register_attr
from vgic.layouts import gicd, gicr, gits
from vgic.layouts.icc import ICC_SRE_EL1

__all__ = ["Completeness"]

_RESTORING: Final = (Group.DIST_REGS, Group.REDIST_REGS, Group.CPU_SYSREGS, Group.LEVEL_INFO)
_MPIDR: Final = -1
"""Stands for the group of MPIDR_EL1, which is no device attribute."""
_OF_LPIS: Final = frozenset({gicr.CTLR.name, gicr.PROPBASER.name, gicr.PENDBASER.name})
_ITS_REGISTERS: Final = (gits.CBASER.offset, gits.CWRITER.offset, gits.CREADR.offset, gits.CTLR.offset)
_SHOWN: Final = 3
"""Names that a message has at most."""


class _Place(NamedTuple):
    """A register."""

    group: int
    owner: int
    """The vCPU or the ITS that it is of; 0 for the Distributor's."""
    offset: int
    """The low half of the attribute."""


class _Gap(NamedTuple):
    """What missing registers have in common that are told of together."""

    where: str
    lists: bool
    """Their names follow."""
    others: str
    group: int


class Completeness:
    """Follows the steps that were performed on `device`."""

    def __init__(self, device: VgicV3Device) -> None:
        self._device = device
        self._lines: dict[_Place, list[int]] = defaultdict(list)
        """The lines in which a register was written."""

    def remember(self, line: int, step: Step) -> None:
        """A step has been performed."""
        match step:
            case CreateVcpu(mpidr) if mpidr is not None:
                place = _Place(_MPIDR, len(self._device.vcpus) - 1, 0)
            case SetMpidr(cpu, _):
                place = _Place(_MPIDR, cpu, 0)
            case SetItsAttr(number, Group.ITS_REGS, attr, _):
                place = _Place(Group.ITS_REGS, number, attr_offset(attr))
            case SetAttr(group, attr, _) if group in _RESTORING:
                private = group in KEYED and not (group == Group.LEVEL_INFO and level_info(attr)[1])
                owner = self._device.vcpus.index(attr_key(attr)) if private else 0
                place = _Place(group, owner, attr_offset(attr))
            case _:
                return
        self._lines[place].append(line)

    # What is left out.

    def missing(self) -> Iterator[str]:
        """What the steps ought to have named and have not."""
        named = _Named.of(self._lines)
        if not (self._device.initialised and named.restores):
            return
        yield from self._without_address()
        if not any(_is_iidr(place) for place in self._lines):
            yield "GICD_IIDR is never written: the VM gets the newest revision, whatever it had before"
        left_out: dict[_Gap, list[str]] = defaultdict(list)
        for place in self._expected():
            gap = None if place in self._lines else self._gap(place, named)
            if gap is not None:
                left_out[gap].append(self._name(place))
        for (where, lists, others, group), names in left_out.items():
            what = f"{_several(names)} never written" if lists else ""
            yield f"{where}{what}{others}: {_CONSEQUENCE[group]}"

    def _without_address(self) -> Iterator[str]:
        device = self._device
        placed = len(device.vcpus) - device.unplaced
        if placed and not device.has_distributor_address:
            yield "the Distributor has no address: no vCPU can run (ENXIO)"
        for cpu in range(placed, len(device.vcpus)) if placed else ():
            yield f"{self._vcpu(cpu)} has no Redistributor, no region has room for it: no vCPU can run (ENXIO)"
        if any(its.has_address for its in device.itses):
            for its in device.itses:
                if not its.has_address:
                    yield f"ITS {its.number} has no address: no guest finds it"

    def _expected(self) -> Iterator[_Place]:
        device = self._device
        gic, cpus = device.gic, len(device.vcpus)
        if any(place.group == _MPIDR for place in self._lines):
            # KVM gives each one of its own, so a VMM may set none; not some.
            yield from (_Place(_MPIDR, cpu, 0) for cpu in range(cpus))
        for group, cpu, offset, _ in settings(
            lambda *_: 0, cpus, gic.config.spis, device.has_lpis, sysregs_of(gic)
        ):
            if _counts(gic, group, offset) and not self._is_shared(gic, group, offset):
                yield _Place(group, cpu, offset)
        tables = [gits.BASER.offset + 8 * index for index in range(len(gic.config.profile.its.tables))]
        for its in device.itses:
            yield from (_Place(Group.ITS_REGS, its.number, offset) for offset in (*_ITS_REGISTERS, *tables))

    def _is_shared(self, gic: Gic, group: Group, offset: int) -> bool:
        """One register that every vCPU shows, and that was written for one of them."""
        if group != Group.REDIST_REGS or not gic.config.profile.lpi.one_propbaser:
            return False
        found = register_at(group, offset)
        written = any(place.group == group and place.offset == offset for place in self._lines)
        return found is not None and found[0] is gicr.PROPBASER and written

    def _gap(self, place: _Place, named: "_Named") -> _Gap | None:
        """What a missing register is told of with, as widely as nothing is named; None: an excerpt may lack it."""
        group, owner, _ = place
        if group == Group.ITS_REGS and not self._device.itses[owner].has_address:
            return None
        if group not in named.groups:
            expected = named.everything or (group == Group.LEVEL_INFO and named.latches)
            return _Gap(f"{_group_name(group)}: nothing is written", False, "", group) if expected else None
        if group == Group.ITS_REGS and owner not in named.itses:
            return _Gap(f"ITS {owner} is never named", False, "", group)
        if _kind(place) not in named.kinds:
            where = f"ITS {owner}" if group == Group.ITS_REGS else _group_name(group)
            return _Gap(f"{where}: ", True, "", group) if named.everything else None
        if group == Group.ITS_REGS:
            return _Gap(f"ITS {owner}: ", True, ", other ITSes' are", group)
        if not _is_private(place):
            return _Gap("", True, ", others of the kind are", group)
        if owner not in named.vcpus:
            return _Gap(f"{self._vcpu(owner)} is never named", False, "", Group.REDIST_REGS)
        return _Gap(f"{self._vcpu(owner)}: ", True, ", other vCPUs' are", group)

    # What is named too often.

    def repeated(self) -> Iterator[tuple[int, str]]:
        """What was written more often than others of its kind, with the line of the second time."""
        if not (self._device.initialised and _Named.of(self._lines).restores):
            return
        times = Counter({place: len(lines) for place, lines in self._lines.items()})
        fewest: dict[object, int] = {}
        for place in {*self._expected(), *self._lines}:
            fewest[_kind(place)] = min(times[place], fewest.get(_kind(place), times[place]))
        found: dict[str, list[_Place]] = defaultdict(list)
        for place, count in times.items():
            if count > max(1, fewest[_kind(place)]):
                found[self._owner(place)].append(place)
        for owner, places in found.items():
            lines = self._lines[places[0]]
            names = _several([self._name(place) for place in places])
            yield lines[1], f"{owner}{names} written again, as in line {lines[0]}; others of the kind are not"

    def _owner(self, place: _Place) -> str:
        if _is_private(place):
            return f"{self._vcpu(place.owner)}: "
        return f"ITS {place.owner}: " if place.group == Group.ITS_REGS else ""

    # Names.

    def _vcpu(self, cpu: int) -> str:
        return f"vCPU {cpu} ({affinity.text(self._device.vcpus[cpu])})"

    def _name(self, place: _Place) -> str:
        """A register without its owner."""
        if place.group == _MPIDR:
            return "MPIDR_EL1"
        named = describe(place.group, register_attr(0, place.offset)).removesuffix(" of 0.0.0.0")
        return named if place.group == Group.LEVEL_INFO else named.partition(" ")[2]


_CONSEQUENCE: Final[dict[int, str]] = {
    _MPIDR: "KVM's own affinity stays",
    Group.DIST_REGS: "they are as after reset",
    Group.REDIST_REGS: "they are as after reset",
    Group.CPU_SYSREGS: "they are as after reset",
    Group.LEVEL_INFO: "lines that were high are low",
    Group.ITS_REGS: "they are as after reset",
}


@dataclass(frozen=True)
class _Named:
    """What the places have in common that were written; GICD_IIDR and MPIDRs alone restore nothing."""

    groups: frozenset[int]
    kinds: frozenset[object]
    vcpus: frozenset[int]
    itses: frozenset[int]
    latches: bool
    """Some ISPENDR."""

    @classmethod
    def of(cls, places: Iterable[_Place]) -> "_Named":
        written = [place for place in places if not _is_iidr(place)]
        return cls(
            frozenset(place.group for place in written),
            frozenset(map(_kind, written)),
            frozenset(place.owner for place in written if _is_private(place) and place.group != _MPIDR),
            frozenset(place.owner for place in written if place.group == Group.ITS_REGS),
            any(_is_of_latches(place) for place in written),
        )

    @property
    def restores(self) -> bool:
        """Some register was written that says how the VM's interrupts are."""
        return bool(self.groups - {_MPIDR})

    @property
    def everything(self) -> bool:
        """The sequence restores a whole VM: of Distributor, Redistributors and CPU interfaces it writes two."""
        return len(self.groups & {Group.DIST_REGS, Group.REDIST_REGS, Group.CPU_SYSREGS}) > 1


def _is_of_latches(place: _Place) -> bool:
    found = register_at(place.group, place.offset) if place.group in (Group.DIST_REGS, Group.REDIST_REGS) else None
    return found is not None and is_latch(found[0])


def _is_iidr(place: _Place) -> bool:
    return place.group == Group.DIST_REGS and place.offset == gicd.IIDR.offset


def _is_private(place: _Place) -> bool:
    """A vCPU's own."""
    if place.group == Group.LEVEL_INFO:
        return not level_info(place.offset)[1]
    return place.group == _MPIDR or place.group in KEYED


def _kind(place: _Place) -> object:
    """Equal for registers of which all are written alike: an array, or one register of every vCPU or ITS."""
    if place.group == Group.DIST_REGS:
        found = register_at(place.group, place.offset)
        return place.group, place.offset if found is None else (found[0].name, found[2])
    if place.group == Group.LEVEL_INFO:
        return place.group, _is_private(place)
    return place.group, place.offset


def _counts(gic: Gic, group: Group, offset: int) -> bool:
    """A register of this VM can have a value that is not that after reset, and a restore needs it."""
    if group in (Group.CPU_SYSREGS, Group.LEVEL_INFO):
        return offset != ICC_SRE_EL1
    found = register_at(group, offset)
    assert found is not None
    layout, _, half = found
    profile, features = gic.config.profile, gic.config.features
    if layout.access in (AccessKind.RO, AccessKind.W1C) or layout.name in profile.fixed:
        return False
    if not profile.writable.get(layout.name, layout.writable):
        return False
    if layout.name in _OF_LPIS:
        return features.lpis
    return features.a3v or not (layout is gicd.IROUTER and half)


def _group_name(group: int) -> str:
    return "MPIDR_EL1" if group == _MPIDR else Group(group).name


def _several(names: Iterable[str]) -> str:
    """The first few, how many others, and the verb that they take.

    >>> _several(["A"]), _several("ABC"), _several("ABCDE")
    ('A is', 'A, B, C are', 'A, B, C and 2 others are')
    """
    names = list(dict.fromkeys(names))
    shown, others = ", ".join(names[:_SHOWN]), len(names) - _SHOWN
    if others > 0:
        return f"{shown} and {others} other{'s' if others > 1 else ''} are"
    return f"{shown} {'are' if len(names) > 1 else 'is'}"
