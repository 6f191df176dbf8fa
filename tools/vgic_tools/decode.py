"""Finding the register that a user means, by name or by address."""

import difflib
import re
from collections.abc import Iterator
from typing import Final

from mmio import RegisterLayout
from vgic import Gic
from vgic.layouts.gicd import GICD
from vgic.layouts.gicr import RD_BASE, SGI_BASE
from vgic.layouts.icc import ICC
from vgic_tools.errors import UsageError

__all__ = ["find_by_address", "find_by_name", "number"]

_LAYOUTS: Final = (*GICD, *RD_BASE, *SGI_BASE, *ICC)


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


def number(text: str) -> int | None:
    """The number that a text is (0x..., or decimal), None where it is none."""
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
        return int(text, 16)
    return int(text) if re.fullmatch(r"[0-9]+", text) else None
