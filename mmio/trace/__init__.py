"""Traces of a device's accesses, interrupts and outcomes: the event model, and readers and writers for them.

`open_trace` reads a file of any known format; `NativeWriter` and `PackedWriter` write the project's own two, which
`mmio.trace.native` and `mmio.trace.packed` document.
"""

from typing import TYPE_CHECKING

from mmio.trace.errors import LostEventsError, TraceError
from mmio.trace.events import (
    Access,
    Candidate,
    CollectionEntry,
    Command,
    CommandStart,
    CpuReset,
    Delivery,
    DeviceEntry,
    Event,
    EventEntry,
    Line,
    Maintenance,
    Message,
    Other,
    Outputs,
    Sgi,
    SysReg,
    Text,
    VirtualCandidate,
    VirtualOutputs,
)
from mmio.trace.packed import PackedFile, PackedWriter
from mmio.trace.qemu import read_qemu
from mmio.trace.reader import TraceReader, open_trace

if TYPE_CHECKING:
    from mmio.trace.native import NativeWriter, read_native

__all__ = [
    "Access",
    "Candidate",
    "CollectionEntry",
    "Command",
    "CommandStart",
    "CpuReset",
    "Delivery",
    "DeviceEntry",
    "Event",
    "EventEntry",
    "Line",
    "LostEventsError",
    "Maintenance",
    "Message",
    "NativeWriter",
    "Other",
    "Outputs",
    "PackedFile",
    "PackedWriter",
    "Sgi",
    "SysReg",
    "Text",
    "TraceError",
    "TraceReader",
    "VirtualCandidate",
    "VirtualOutputs",
    "open_trace",
    "read_native",
    "read_qemu",
]

_NATIVE = ("NativeWriter", "read_native")


def __getattr__(name: str) -> object:
    # Most who read a trace want another format.
    if name in _NATIVE:
        from mmio.trace import native

        return getattr(native, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
