"""Saved registers in words: which device, which fields, which INTIDs."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from mmio import RegisterLayout
from vgic import affinity
from vgic.layouts import nmi
from vgic.layouts.extended import GICD_EXTENDED, SGI_BASE_EXTENDED
from vgic.layouts.gicd import CTLR_OF_TWO_STATES, GICD
from vgic.layouts.gicr import RD_BASE, SGI_BASE, VLPI_BASE
from vgic.layouts.gits import CONTROL
from vgic.layouts.icc import ICC, ICC_OF_HIGHER_LEVELS
from vgic.layouts.ich import ICH
from vgic.layouts.its_commands import FIELDS
from vgic_tools.lanes import in_ranges, intid_values

__all__ = ["describe", "device_of", "difference", "layout_of"]

# What vgic.state.registers and vgic.its.state name in lower case.
_WORD: Final = re.compile(r"(?:pending_latch|line_level|message_level|forwarded|unrouted)(\d+E?)")
_COLLECTION: Final = re.compile(r"collection\d+")
_MPIDR: Final = re.compile(r"MPIDR_EL1|chosen_mpidr\d+")
_BANK: Final = re.compile(r"(?<=_EL1)_N?S$")
_DS: Final = CTLR_OF_TWO_STATES.mask("DS")
"""While it is 0, GICD_CTLR is that of two Security states."""
_HW: Final = nmi.LR.mask("HW")
_LPI_BYTES: Final = re.compile(r"(?:pending_lpi|cached_configuration)(\d+)")


def device_of(name: str) -> str:
    """The device that a saved register belongs to.

    >>> device_of("GICR[1].GICR_WAKER"), device_of("GICD_CTLR")
    ('GICR[1]', 'GICD')
    """
    return name.split("." if "." in name else "_")[0]


def layout_of(name: str, value: int) -> RegisterLayout | None:
    """The layout of a saved register of this value, None where it is none of Arm's or has no fields."""
    found = _layout(_register(name), (value,))
    return None if found is None else found[0]


def describe(name: str, value: int) -> str:
    """What of a register is not zero: "EnableGrp1 1, EnableGrp0 1", or "INTIDs 40-43 0xa0"."""
    if _MPIDR.fullmatch(_register(name)):
        return _dotted(value)
    parts = [(part, _number(value)) for part, value in _parts(name, value, (value,)) if value]
    return ", ".join(f"{part} {text}" for part, text in in_ranges(parts))


def difference(name: str, old: int, new: int) -> str:
    """In what two values of a register differ: "EnableGrp0 0 -> 1", or "INTIDs 40-43 0 -> 0xa0"."""
    if _MPIDR.fullmatch(_register(name)):
        return f"{_dotted(old)} -> {_dotted(new)}"
    parts = [
        (part, f"{_number(before)} -> {_number(after)}")
        for (part, before), (_, after) in zip(
            _parts(name, old, (old, new)), _parts(name, new, (old, new)), strict=True
        )
        if before != after
    ]
    return ", ".join(f"{part} {text}" for part, text in in_ranges(parts))


def _register(name: str) -> str:
    """The name without the device, and without the Security state of a banked one."""
    return _BANK.sub("", name.split(".")[-1])


def _layout(register: str, values: Sequence[int]) -> tuple[RegisterLayout, int] | None:
    """Layout and place in the array of a register, to show all these values; None where it is none of Arm's."""
    if register == CTLR_OF_TWO_STATES.name and not all(value & _DS for value in values):
        return CTLR_OF_TWO_STATES, 0
    found = _layouts().get(register)
    if found is not None and found[0] is nmi.LR and not any(value & _HW for value in values):
        return nmi.LR_WITHOUT_HW, found[1]
    return found


@cache
def _layouts() -> dict[str, tuple[RegisterLayout, int]]:
    """Layout and place in the array of every register."""
    known = (
        *(*GICD, *GICD_EXTENDED, *nmi.GICD_NMI, *nmi.GICD_NMI_EXTENDED, *RD_BASE, *VLPI_BASE, *CONTROL),
        *(*SGI_BASE, *SGI_BASE_EXTENDED, *nmi.SGI_BASE_NMI, *nmi.SGI_BASE_NMI_EXTENDED),
        # Those of a VM with NMIs have a bit more than the others of their names.
        *(*ICC, *ICC_OF_HIGHER_LEVELS, nmi.AP1R0, *ICH, *nmi.ICH_NMI),
    )
    return {layout.title(index): (layout, index) for layout in known for index in range(layout.count)}


def _parts(name: str, value: int, shown: Sequence[int]) -> Iterator[tuple[int | str, int]]:
    """The INTIDs of a register and their values, or its fields by name; its layout shows all the values `shown`."""
    register = _register(name)
    lpis = _LPI_BYTES.fullmatch(register)
    if lpis is not None:
        yield from ((int(lpis[1]) + place, value >> 8 * place & 0xFF) for place in range(8))
        return
    word = _WORD.fullmatch(register)
    if word is not None:
        register = f"{device_of(name)[:4]}_ISPENDR{word[1]}"
    if _COLLECTION.fullmatch(register):
        # What MAPC said, in the doubleword in which it said it.
        yield from ((part, FIELDS[part].extract((0, 0, value))) for part in ("V", "RDbase"))
        return
    found = _layout(register, shown)
    if found is None:
        yield "number", value
        return
    layout, element = found
    lanes = intid_values(layout, element, value)
    if len(lanes) < 2:
        yield from ((field.name, field.extract(value)) for field in layout.fields)
        yield "reserved bits", layout.reserved_bits_set(value)
        return
    yield from lanes


def _number(value: int) -> str:
    return str(value) if value < 2 else f"{value:#x}"


def _dotted(mpidr: int) -> str:
    return affinity.text(affinity.from_mpidr(mpidr)) if mpidr else "none"
