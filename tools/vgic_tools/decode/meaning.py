"""What a value says of interrupts and PEs, beyond its fields: INTIDs by number, PEs by affinity and vCPU."""

from collections.abc import Callable, Iterable
from typing import Final

from mmio import AccessKind, RegisterLayout
from vgic import Topology, affinity
from vgic.intids import FIRST_LPI
from vgic.layouts.intids import intids_in
from vgic_tools.decode.names import CONFIGURATION_BYTE, PENDING_BYTE, Found
from vgic_tools.identities import pe_text
from vgic_tools.lanes import in_ranges, intid_values

__all__ = ["meaning"]

_GROUPS: Final = ("Group 0", "Group 1")
_MODIFIED: Final = ("as IGROUPR says", "Secure Group 1, where IGROUPR is 0")
_ACCESSES: Final = (
    "closed to Non-secure accesses",
    "Non-secure accesses make it pending",
    "they clear it too, and see whether it is active",
    "they route it too",
)
_SGI_ACCESSES: Final = (
    "no Non-secure PE generates it",
    "Non-secure PEs generate it in Group 0",
    "Non-secure PEs generate it in either Secure group",
    "as 0b10",
)
_TRIGGERS: Final = ("level-sensitive", "0b01", "edge-triggered", "0b11")
_IN_A_BYTE: Final = 8

_TARGETS: Final = 16
"""PEs that the target list of an SGI register can name."""


def meaning(found: Found, value: int, topology: Topology | None) -> list[str]:
    """Sentences on what `value` says; `topology` tells which vCPU has an affinity, where the machine is known."""
    layout, element = found.layout, found.element
    if layout is PENDING_BYTE and element is not None:
        lanes = [(_IN_A_BYTE * element + bit, value >> bit & 1) for bit in range(_IN_A_BYTE)]
        return (
            _set(lanes, "pending") if lanes[0][0] >= FIRST_LPI else ["these INTIDs are no LPIs: it means nothing"]
        )
    if layout is CONFIGURATION_BYTE:
        return [f"LPI {element}: priority {value & 0xFC:#04x}, {'enabled' if value & 1 else 'disabled'}"]
    if isinstance(layout, RegisterLayout):
        if layout.name in ("GICD_IROUTER", "GICD_IROUTER<n>E"):
            return [_route(layout, element, value, topology)]
        if element is not None and layout.access is not AccessKind.RAZ_WI:
            lanes = intid_values(layout, element, value)
            if lanes:
                return _lanes(layout, lanes)
        if "TargetList" in (field.name for field in layout.fields):
            return [_sgi(layout, value, topology)]
    return []


def _lanes(layout: RegisterLayout, lanes: list[tuple[int, int]]) -> list[str]:
    if "IPRIORITYR" in layout.name:
        return _each(lanes, lambda priority: f"priority {priority:#04x}")
    if "ICFGR" in layout.name:
        return _each(lanes, lambda trigger: _TRIGGERS[trigger])
    if "IGRPMODR" in layout.name:
        return _each(lanes, lambda modifier: _MODIFIED[modifier])
    if layout.name == "GICD_NSACR":
        return _each(lanes, lambda access: _ACCESSES[access])
    if layout.name == "GICR_NSACR":
        return _each(lanes, lambda access: _SGI_ACCESSES[access])
    if "IGROUPR" in layout.name:
        return _each(lanes, lambda group: _GROUPS[group])
    return _set(lanes, layout.fields[0].doc)


def _each(lanes: list[tuple[int, int]], text: Callable[[int], str]) -> list[str]:
    return [f"{intids}: {said}" for intids, said in in_ranges((intid, text(part)) for intid, part in lanes)]


def _set(lanes: Iterable[tuple[int, int]], what: str) -> list[str]:
    intids = [intid for intid, part in lanes if part]
    if not intids:
        return [f"no INTID {what}"]
    return [f"{shown}: {what}" for shown, _ in in_ranges((intid, "") for intid in intids)]


def _route(layout: RegisterLayout, element: int | None, value: int, topology: Topology | None) -> str:
    intid = "the SPI" if element is None else f"INTID {next(intids_in(layout, element, 1))}"
    if value & layout.mask("Interrupt_Routing_Mode"):
        return f"{intid}: to any one participating PE (1-of-N)"
    return f"{intid}: to {pe_text(affinity.from_irouter(value), topology)}"


def _sgi(layout: RegisterLayout, value: int, topology: Topology | None) -> str:
    fields = layout.decode(value)
    if fields["IRM"]:
        return f"SGI {fields['INTID']} to every PE but the sender"
    first = affinity.pack(fields["Aff3"], fields["Aff2"], fields["Aff1"], _TARGETS * fields["RS"])
    named = [pe_text(first + bit, topology) for bit in range(_TARGETS) if fields["TargetList"] >> bit & 1]
    return f"SGI {fields['INTID']} to {', '.join(named) or 'no PE: the target list is empty'}"
