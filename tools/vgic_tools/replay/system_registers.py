"""What a replay does with a system register, by the name that recorders have for it."""

from typing import Final

from mmio import RegisterLayout
from vgic.layouts.icc import ICC, ICC_OF_HIGHER_LEVELS
from vgic.layouts.ich import ICH
from vgic.layouts.nmi import NMIAR1

__all__ = ["SystemRegister", "system_register"]

# Recorders name system registers without the exception level where that is EL1, and ICH registers now and then.
_PHYSICAL: Final = {
    layout.title(index).removesuffix("_EL1"): (layout, layout.offset + index)
    for layout in (*ICC, *ICC_OF_HIGHER_LEVELS, NMIAR1)
    for index in range(layout.count)
}
_VIRTUAL: Final = {f"ICV{name.removeprefix('ICC')}": found for name, found in _PHYSICAL.items()}
_HYPERVISOR: Final = {
    layout.title(index).removesuffix("_EL2"): (layout, layout.offset + index)
    for layout in ICH
    for index in range(layout.count)
}


class SystemRegister:
    """A register and how often it was accessed; one that the model does not know has no layout."""

    def __init__(self, name: str, layout: RegisterLayout | None, encoding: int) -> None:
        self.name = name
        self.layout = layout
        self.encoding = encoding
        self.face = name[:3]
        """ICC, ICV or ICH."""
        self.virtual = self.face == "ICV"
        self.acknowledges = name in ("ICC_IAR0", "ICC_IAR1", "ICC_NMIAR1")
        self.ends = name in ("ICC_EOIR0", "ICC_EOIR1")
        self.of_higher_level = self.face == "ICC" and name.endswith(("_EL2", "_EL3"))
        """Only EL3 reaches all of these, and a hypervisor's."""
        self.needs_el3 = self.of_higher_level or self.face == "ICH"
        self.begins = name == "ICC_PMR"
        """A PE that comes out of reset writes this one first."""
        self.reads = 0
        self.writes = 0
        self.compared = 0


def system_register(name: str, list_registers: int) -> SystemRegister:
    """The register of this name, of a machine that has so many list registers."""
    found = _PHYSICAL.get(name)
    if found is None and list_registers:
        found = _VIRTUAL.get(name) or _HYPERVISOR.get(name.removesuffix("_EL2"))
    layout, encoding = (None, 0) if found is None else found
    return SystemRegister(name, layout, encoding)
