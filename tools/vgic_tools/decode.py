"""Finding the register, ITS command or ITS table entry that a user means, by name or by address."""

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import Final

from mmio import BitLayout, RegisterLayout
from vgic import Gic
from vgic.layouts import its_commands
from vgic.layouts.gicd import GICD
from vgic.layouts.gicr import RD_BASE, SGI_BASE
from vgic.layouts.gits import CONTROL, TRANSLATION
from vgic.layouts.icc import ICC
from vgic.layouts.its_tables import TableFormat
from vgic_tools.errors import UsageError

__all__ = ["find_by_address", "find_by_name", "find_record", "number", "value_of"]

_LAYOUTS: Final = (*GICD, *RD_BASE, *SGI_BASE, *CONTROL, *TRANSLATION, *ICC)

_COMMAND: Final = "COMMAND"
_ENTRIES: Final = {"DTE": "device", "ITE": "translation", "CTE": "collection", "L1": "level1"}

_OPCODE: Final = 0xFF
_DOUBLEWORD: Final = 64


def _titles() -> Iterator[tuple[str, RegisterLayout]]:
    for layout in _LAYOUTS:
        for index in range(layout.count):
            yield layout.title(index), layout


def find_by_name(name: str) -> tuple[str, RegisterLayout]:
    """The register of this name, in any case: "gicr_typer", "GICD_IROUTER42", "ICC_CTLR" for ICC_CTLR_EL1.

    A name without its number means any register of the array. Raises UsageError with the nearest names.
    """
    wanted = name.upper()
    titles = dict(_titles())
    for candidate in (wanted, f"{wanted}_EL1"):
        if candidate in titles:
            return candidate, titles[candidate]
    for layout in _LAYOUTS:
        plain = layout.name.replace("<n>", "")
        if wanted in (plain, plain.removesuffix("_EL1")) and layout.first is not None:
            return f"{layout.name if '<n>' in layout.name else layout.name + '<n>'}", layout
    near = difflib.get_close_matches(wanted, titles, n=4, cutoff=0.5)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise UsageError(f"no register {name!r}{hint}")


def find_by_address(address: int, gic: Gic) -> tuple[str, RegisterLayout]:
    """The register at an address of a machine. Raises UsageError where there is none."""
    location = gic.map.locate(address)
    if location is None:
        raise UsageError(f"nothing is mapped at {address:#x}; `vgic map` shows the machine's address map")
    if location.register is None:
        raise UsageError(f"no register at {address:#x}: {location.owner}+{location.offset:#x} is reserved")
    title = location.register.title(location.element)
    return f"{title} of {location.owner}", location.register


def find_record(name: str, value: int, entries: TableFormat) -> tuple[str, BitLayout] | None:
    """The ITS command or table entry that `name` means, in any case; None for another name.

    It is "command" or a command's own name, or that of an entry in the format `entries`: "DTE", "ITE", "CTE", "L1".
    Raises UsageError where the opcode in the value is not that of the command, or of any.
    """
    wanted = name.upper()
    if wanted in _ENTRIES:
        layout: BitLayout = getattr(entries, _ENTRIES[wanted])
        return f"{layout.name} in format {entries.name}", layout
    if wanted not in (_COMMAND, *(layout.name for layout in its_commands.COMMANDS.values())):
        return None
    opcode = value & _OPCODE
    if opcode not in its_commands.COMMANDS:
        known = ", ".join(f"{code:#04x} {layout.name}" for code, layout in its_commands.COMMANDS.items())
        raise UsageError(f"opcode {opcode:#04x} means no ITS command; there are {known}")
    command = its_commands.COMMANDS[opcode]
    if wanted not in (_COMMAND, command.name):
        raise UsageError(f"opcode {opcode:#04x} means {command.name}, not {wanted}")
    return command.name, command


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


def number(text: str) -> int | None:
    """The number that a text is (0x..., or decimal), None where it is none."""
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
        return int(text, 16)
    return int(text) if re.fullmatch(r"[0-9]+", text) else None
