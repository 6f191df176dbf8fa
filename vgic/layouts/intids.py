"""Which INTIDs a register is about."""

from collections.abc import Iterator
from typing import Final

from mmio import RegisterLayout
from vgic.layouts.extended import GICD_EXTENDED, SGI_BASE_EXTENDED
from vgic.layouts.gicd import GICD
from vgic.layouts.gicr import SGI_BASE
from vgic.layouts.nmi import GICD_NMI, GICD_NMI_EXTENDED, SGI_BASE_NMI, SGI_BASE_NMI_EXTENDED

__all__ = ["intids_in"]

_ONE_BIT: Final = ("IGROUPR", "ISENABLER", "ICENABLER", "ISPENDR", "ICPENDR", "ISACTIVER", "ICACTIVER")

_BITS_PER_INTID: Final[dict[str, int]] = {
    **{f"{frame}_{name}": 1 for frame in ("GICD", "GICR") for name in _ONE_BIT},
    "GICD_IPRIORITYR": 8,
    "GICR_IPRIORITYR": 8,
    "GICD_ICFGR": 2,
    "GICR_ICFGR0": 2,
    "GICR_ICFGR1": 2,
    "GICD_IROUTER": 64,
    "GICD_ITARGETSR": 8,
    "GICD_IGRPMODR": 1,
    "GICR_IGRPMODR": 1,
    **{f"{frame}_{name}<n>E": 1 for frame in ("GICD", "GICR") for name in (*_ONE_BIT, "IGRPMODR")},
    **{f"{frame}_IPRIORITYR<n>E": 8 for frame in ("GICD", "GICR")},
    **{f"{frame}_ICFGR<n>E": 2 for frame in ("GICD", "GICR")},
    "GICD_IROUTER<n>E": 64,
    "GICD_NSACR<n>E": 2,
    **{f"{frame}_INMIR{suffix}": 1 for frame in ("GICD", "GICR") for suffix in ("", "<n>E")},
    "GICD_NSACR": 2,
    "GICR_NSACR": 2,
}

# The configuration of PPIs is a register of its own, not the second of an array.
_FIRST_INTID: Final = {"GICR_ICFGR1": 16}

# Where the numbers of extended registers count from.
_EXTENDED: Final = {
    **{layout.name: 4096 for layout in (*GICD_EXTENDED, *GICD_NMI_EXTENDED)},
    **{layout.name: 1024 for layout in (*SGI_BASE_EXTENDED, *SGI_BASE_NMI_EXTENDED)},
}

_KNOWN: Final = {layout.name for layout in (*GICD, *GICD_NMI, *SGI_BASE, *SGI_BASE_NMI)} | _EXTENDED.keys()
assert _BITS_PER_INTID.keys() <= _KNOWN


def intids_in(layout: RegisterLayout, element: int, bits: int) -> Iterator[int]:
    """The INTIDs that the set bits of `bits` stand for, in register `element` of an array; none where it has none.

    >>> [layout] = [known for known in GICD if known.name == "GICD_ISENABLER" and known.count > 1]
    >>> list(intids_in(layout, 0, 0b101))
    [32, 34]
    """
    width = _BITS_PER_INTID.get(layout.name)
    if width is None:
        return
    number = (layout.first or 0) + element
    first = _FIRST_INTID.get(layout.name, _EXTENDED.get(layout.name, 0) + number * layout.width // width)
    for lane in range(layout.width // width):
        if bits >> lane * width & ((1 << width) - 1):
            yield first + lane
