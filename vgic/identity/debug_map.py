"""Where a guest's breakpoints and watchpoints lie on a host that has more of them. Rules IDENT-42 to IDENT-44.

A guest knows by a breakpoint's number whether it can match a context. Where the host has others of that kind, a
hypervisor that traps the registers puts each breakpoint elsewhere, and rewrites the numbers by which addresses are
linked to contexts. Watchpoints are all of one kind, and keep their numbers.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from mmio import RegisterLayout
from vgic.identity.breakpoints import FIELDS, DebugError, DebugResources, context_aware, reserved
from vgic.layouts.debug import DBGBCR, DBGWCR, LINKED_BITS

__all__ = ["DebugMap", "DebugPoint", "SavedDebug", "debug_map", "lacking"]

_BITS: Final = 64


class DebugPoint(NamedTuple):
    """A breakpoint or a watchpoint, as it is saved."""

    control: int = 0
    """DBGBCR<n>_EL1 or DBGWCR<n>_EL1, 64 bits."""
    value: int = 0
    """DBGBVR<n>_EL1 or DBGWVR<n>_EL1, 64 bits."""


class SavedDebug(NamedTuple):
    """Every breakpoint and watchpoint of a vCPU, by number."""

    breakpoints: tuple[DebugPoint, ...]
    watchpoints: tuple[DebugPoint, ...]


def lacking(guest: DebugResources, host: DebugResources) -> tuple[str, ...]:
    """In what the host has fewer than the guest was promised, by the field of ID_AA64DFR0_EL1. Rule IDENT-42."""
    return tuple(field for field, mine, its in zip(FIELDS, guest, host, strict=True) if mine > its)


@dataclass(frozen=True)
class DebugMap:
    """Where a guest's breakpoints lie on a host; `debug_map` makes it."""

    guest: DebugResources
    host: DebugResources
    breakpoints: tuple[int, ...]
    """The host's number of each of the guest's."""

    @property
    def identity(self) -> bool:
        """Every breakpoint keeps its number."""
        return self.breakpoints == tuple(range(self.guest.breakpoints))

    def rewrite(self, saved: SavedDebug) -> SavedDebug:
        """What to put into the host's registers so that they do what the guest's say. Rules IDENT-43 and IDENT-44.

        Raises DebugError that names the register: for a number of registers that is not the guest's; and, in one
        that is enabled, for a link to a breakpoint that is not there or cannot match a context, for a context that
        a breakpoint cannot match, and for FEAT_ABLE's links to addresses.
        """
        _check_numbers(self.guest, saved)
        breakpoints = [DebugPoint()] * self.host.breakpoints
        for number, point in enumerate(saved.breakpoints):
            control = self._breakpoint(number, point.control)
            breakpoints[self.breakpoints[number]] = DebugPoint(control, point.value)
        watchpoints = [
            DebugPoint(self._watchpoint(number, point.control), point.value)
            for number, point in enumerate(saved.watchpoints)
        ]
        watchpoints += [DebugPoint()] * (self.host.watchpoints - self.guest.watchpoints)
        return SavedDebug(tuple(breakpoints), tuple(watchpoints))

    def _breakpoint(self, number: int, control: int) -> int:
        name, fields = DBGBCR.title(number), DBGBCR.decode(control)
        if not fields["E"]:
            return control
        if fields["BT2"]:
            raise DebugError(
                f"{name}: {control:#x} lets others link to an address (FEAT_ABLE), which is not modelled"
            )
        if fields["BT"] & _CONTEXT:
            if number not in context_aware(self.guest.breakpoints, self.guest.context_aware):
                raise DebugError(f"{name}: {control:#x} matches a context, and breakpoint {number} cannot")
            return control
        return self._linked(DBGBCR, name, control) if fields["BT"] & _LINKED else control

    def _watchpoint(self, number: int, control: int) -> int:
        fields = DBGWCR.decode(control)
        if not (fields["E"] and fields["WT"]):
            return control
        return self._linked(DBGWCR, DBGWCR.title(number), control)

    def _linked(self, layout: RegisterLayout, name: str, control: int) -> int:
        """A control register with the host's number of the breakpoint that it links to."""
        low, high = layout.field("LBN"), layout.field("LBNX")
        target = low.extract(control) | high.extract(control) << LINKED_BITS
        if target >= self.guest.breakpoints:
            raise DebugError(f"{name}: {control:#x} links to breakpoint {target} of {self.guest.breakpoints}")
        if target not in context_aware(self.guest.breakpoints, self.guest.context_aware):
            raise DebugError(f"{name}: {control:#x} links to breakpoint {target}, which cannot match a context")
        there = self.breakpoints[target]
        rest = control & ~(low.mask | high.mask)
        return rest | (there & low.extract(-1)) << low.lsb | there >> LINKED_BITS << high.lsb


_CONTEXT: Final = 0b1010
"""Of BT: set in a type that matches a context."""
_LINKED: Final = 0b0001
"""Of BT: set in a type that is linked, or can be linked to."""


def _check_numbers(guest: DebugResources, saved: SavedDebug) -> None:
    for layout, what, expected, points in (
        (DBGBCR, "breakpoints", guest.breakpoints, saved.breakpoints),
        (DBGWCR, "watchpoints", guest.watchpoints, saved.watchpoints),
    ):
        if len(points) != expected:
            raise DebugError(f"the guest has {expected} {what}, and {len(points)} are saved")
        for number, point in enumerate(points):
            if any(not 0 <= value < 1 << _BITS for value in point):
                raise DebugError(f"{layout.title(number)}: {point} does not fit into {_BITS} bits each")


def debug_map(guest: DebugResources, host: DebugResources) -> DebugMap:
    """Where to put a guest's breakpoints: each at its own number, if the host's there can do as much.

    Raises DebugError naming what the host has too few of, or what no CPU has. Rule IDENT-42.

    >>> debug_map(DebugResources(6, 2, 4), DebugResources(8, 2, 4)).breakpoints
    (0, 1, 2, 3, 6, 7)
    """
    for resources in (guest, host):
        wrong = reserved(resources)
        if wrong:
            raise DebugError(wrong[1])
    missing = lacking(guest, host)
    if missing:
        raise DebugError(f"{host} has too few for {guest}: {', '.join(missing)}")
    mine = context_aware(guest.breakpoints, guest.context_aware)
    its = context_aware(host.breakpoints, host.context_aware)
    placed = {number: number for number in mine if number in its}
    spare = [number for number in its if number not in placed]
    for number in mine:
        if number not in placed:
            placed[number] = spare.pop(0)
    # An address can be matched anywhere, so that only those move whose number has been taken.
    free = [number for number in range(host.breakpoints) if number not in placed.values()]
    others = [number for number in range(guest.breakpoints) if number not in mine]
    placed |= {number: number for number in others if number in free}
    left = [number for number in free if number not in placed.values()]
    placed |= {number: left.pop(0) for number in others if number not in placed}
    return DebugMap(guest, host, tuple(placed[number] for number in range(guest.breakpoints)))
