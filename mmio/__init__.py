"""Memory-mapped registers: layouts, registers, frames, the address map and traces of accesses.

Knows nothing of interrupts: a device is whatever owns the state behind its registers.
"""

from mmio.address_map import (
    AddressMap,
    FrameArray,
    IllegalAccess,
    Location,
    MapError,
    Observer,
    Region,
)
from mmio.frame import FRAME_SIZE, ILLEGAL, Frame, Refusal
from mmio.layout import (
    AccessKind,
    BitLayout,
    Declared,
    Field,
    FieldKind,
    LayoutError,
    RegisterLayout,
    layout,
    record,
    res0,
    res1,
    ro,
    rw,
)
from mmio.registers import (
    ClearBits,
    Fixed,
    ReadOnly,
    ReadWrite,
    Register,
    SetBits,
    Word,
    WriteOnly,
)

__all__ = [
    "FRAME_SIZE",
    "ILLEGAL",
    "AccessKind",
    "AddressMap",
    "BitLayout",
    "ClearBits",
    "Declared",
    "Field",
    "FieldKind",
    "Fixed",
    "Frame",
    "FrameArray",
    "IllegalAccess",
    "LayoutError",
    "Location",
    "MapError",
    "Observer",
    "ReadOnly",
    "ReadWrite",
    "Refusal",
    "Region",
    "Register",
    "RegisterLayout",
    "SetBits",
    "Word",
    "WriteOnly",
    "layout",
    "record",
    "res0",
    "res1",
    "ro",
    "rw",
]
