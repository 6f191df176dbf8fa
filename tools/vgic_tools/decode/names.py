"""Finding the register, ITS command or ITS table entry that a user means, by name or by address."""

import difflib
import re
from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

from mmio import BitLayout, record, res1, rw
from vgic import Gic
from vgic.intids import FIRST_LPI
from vgic.layouts import extended, its_commands, nmi
from vgic.layouts.gicd import CTLR_OF_NONSECURE, GICD, GICD_OF_TWO_STATES
from vgic.layouts.gicr import RD_BASE, SGI_BASE, SGI_BASE_OF_TWO_STATES, VLPI_BASE
from vgic.layouts.gits import CONTROL, TRANSLATION
from vgic.layouts.icc import ICC, ICC_OF_HIGHER_LEVELS
from vgic.layouts.ich import ICH
from vgic.layouts.its_tables import TableFormat
from vgic_tools.errors import UsageError
from vgic_tools.numbers import number

__all__ = [
    "CONFIGURATION_BYTE",
    "PENDING_BYTE",
    "Found",
    "as_it_reads",
    "find_by_address",
    "find_by_name",
    "find_record",
    "value_of",
]

_SYSTEM_REGISTERS: Final = {
    layout.name: layout for layout in (*ICC, *ICC_OF_HIGHER_LEVELS, *ICH, *nmi.ICC_NMI, *nmi.ICH_NMI)
}
"""By name; with what they have where there are NMIs."""
_OTHERS: Final = (
    *(*nmi.GICD_NMI, *nmi.GICD_NMI_EXTENDED, *nmi.SGI_BASE_NMI, *nmi.SGI_BASE_NMI_EXTENDED),
    *(*RD_BASE, *VLPI_BASE, *CONTROL, *TRANSLATION, *_SYSTEM_REGISTERS.values()),
)
_LAYOUTS: Final = {
    False: (*GICD, *extended.GICD_EXTENDED, *SGI_BASE, *extended.SGI_BASE_EXTENDED, *_OTHERS),
    True: (
        *(*GICD_OF_TWO_STATES, *extended.GICD_EXTENDED_OF_TWO_STATES),
        *(*SGI_BASE_OF_TWO_STATES, *extended.SGI_BASE_EXTENDED_OF_TWO_STATES),
        *_OTHERS,
    ),
}
"""Of one Security state, and of two."""

_HW: Final = nmi.LR.mask("HW")
_NONSECURE: Final = "GICD_CTLR_NS"
"""What the Non-secure view of GICD_CTLR is called, as the banks of system registers are."""

_COMMAND: Final = "COMMAND"
_ENTRIES: Final = {"DTE": "device", "ITE": "translation", "CTE": "collection", "L1": "level1"}

PENDING_BYTE: Final = record("byte of an LPI pending table", 8, rw("bits", 8, "pending"))
CONFIGURATION_BYTE: Final = record(
    "configuration of an LPI",
    8,
    rw("Priority", 6, "bits [7:2] of the priority; 0 is the highest"),
    res1(1),
    rw("Enable", 1, "the LPI is enabled"),
)
_PENDING: Final = re.compile(r"PENDING\+(0X[0-9A-F]{1,8}|[0-9]{1,9})")
_LPI: Final = re.compile(r"LPI([0-9]{1,9})")

_OPCODE: Final = 0xFF
_DOUBLEWORD: Final = 64


class Found(NamedTuple):
    """What a user means."""

    title: str
    layout: BitLayout
    element: int | None = None
    """Which register of an array, None where any is meant."""
    shift: int = 0
    """How many bits of the register lie before the address that was given."""


@cache
def _titles(two_states: bool) -> dict[str, Found]:
    """Every register by its name."""
    return {
        title: Found(title, layout, index)
        for layout in _LAYOUTS[two_states]
        for index, title in enumerate(map(layout.title, range(layout.count)))
    }


def find_by_name(name: str, two_states: bool = False) -> Found:
    """The register of this name, in any case: "gicr_typer", "GICD_IROUTER42", "ICC_CTLR" for ICC_CTLR_EL1.

    An ICV register of the virtual CPU interface has the fields of the ICC one. With `two_states` it is as Secure
    accesses see it in a VM of two Security states, and "GICD_CTLR_NS" is what Non-secure ones see. A name without
    its number means any register of the array. Raises UsageError with the nearest names.
    """
    wanted = name.upper().replace("<N>", "")
    if wanted.startswith("ICV_"):
        wanted = f"ICC_{wanted.removeprefix('ICV_')}"
    if two_states and wanted == _NONSECURE:
        return Found(f"{CTLR_OF_NONSECURE.name} as Non-secure accesses see it", CTLR_OF_NONSECURE)
    titles = _titles(two_states)
    for candidate in (wanted, f"{wanted}_EL1", f"{wanted}_EL2"):
        if candidate in titles:
            return titles[candidate]
    for layout in _LAYOUTS[two_states]:
        plain = layout.name.replace("<n>", "")
        if wanted in (plain, plain.removesuffix("_EL1"), plain.removesuffix("_EL2")) and layout.first is not None:
            return Found(layout.name if "<n>" in layout.name else f"{layout.name}<n>", layout)
    near = difflib.get_close_matches(wanted, titles, n=4, cutoff=0.5)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise UsageError(f"no register {name!r}{hint}")


def as_it_reads(found: Found, value: int) -> Found:
    """The same, with the fields that a register of this value has: a list register is another one where HW is 0."""
    return found._replace(layout=nmi.LR_WITHOUT_HW) if found.layout is nmi.LR and not value & _HW else found


def find_by_address(address: int, gic: Gic) -> Found:
    """The register at an address of a machine. Raises UsageError where there is none."""
    location = gic.map.locate(address)
    if location is None:
        raise UsageError(f"nothing is mapped at {address:#x}; `vgic map` shows the machine's address map")
    if location.register is None:
        raise UsageError(f"no register at {address:#x}: {location.owner}+{location.offset:#x} is reserved")
    register = location.register
    byte = (location.offset - register.offset) % register.stride
    return Found(f"{register.title(location.element)} of {location.owner}", register, location.element, 8 * byte)


def find_record(name: str, value: int, entries: TableFormat) -> Found | None:
    """The ITS command or table entry that `name` means, in any case; None for another name.

    It is "command" or a command's own name, or that of an entry in the format `entries`: "DTE", "ITE", "CTE", "L1";
    or "pending+0x404", a byte of an LPI pending table, or "LPI8192", the byte of an LPI in the configuration table.
    Raises UsageError where the opcode in the value is not that of the command, or of any, and for an INTID that is
    no LPI.
    """
    wanted = name.upper()
    if pending := _PENDING.fullmatch(wanted):
        offset = int(pending[1], 0 if "X" in pending[1] else 10)
        return Found(f"LPI pending table, byte {offset:#x}", PENDING_BYTE, offset)
    if lpi := _LPI.fullmatch(wanted):
        if int(lpi[1]) < FIRST_LPI:
            raise UsageError(f"INTID {int(lpi[1])} is no LPI: the first is {FIRST_LPI}")
        return Found(f"configuration of LPI {int(lpi[1])}", CONFIGURATION_BYTE, int(lpi[1]))
    if wanted in _ENTRIES:
        layout: BitLayout = getattr(entries, _ENTRIES[wanted])
        return Found(f"{layout.name} in format {entries.name}", layout)
    if wanted not in (_COMMAND, *(layout.name for layout in its_commands.COMMANDS.values())):
        return None
    opcode = value & _OPCODE
    if opcode not in its_commands.COMMANDS:
        known = ", ".join(f"{code:#04x} {layout.name}" for code, layout in its_commands.COMMANDS.items())
        raise UsageError(f"opcode {opcode:#04x} means no ITS command; there are {known}")
    command = its_commands.COMMANDS[opcode]
    if wanted not in (_COMMAND, command.name):
        raise UsageError(f"opcode {opcode:#04x} means {command.name}, not {wanted}")
    return Found(command.name, command)


def value_of(texts: Sequence[str]) -> int:
    """The value in some numbers: one as it is, or doublewords in the order in which they are in memory.

    Raises UsageError for a text that is no number, or a doubleword that is larger than one.
    """
    value = 0
    for index, text in enumerate(texts):
        bits = number(text)
        if bits is None:
            raise UsageError(f"{text!r} is no value: write 0x... or a decimal number")
        if len(texts) > 1 and bits >> _DOUBLEWORD:
            raise UsageError(f"{text} does not fit into a doubleword of {_DOUBLEWORD} bits")
        value |= bits << _DOUBLEWORD * index
    return value
