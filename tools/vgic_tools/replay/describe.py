"""Events in words, for reports."""

from mmio.trace import (
    Access,
    Candidate,
    CpuReset,
    Delivery,
    Event,
    Line,
    Other,
    Outputs,
    Sgi,
    SysReg,
    Text,
)
from vgic import affinity

__all__ = ["describe"]


def describe(event: Event) -> str:
    """One event in one line, without its place in the file."""
    match event:
        case Access():
            pe = "" if event.owner is None else f"[{affinity.text(event.owner)}]"
            place = f"{event.device.upper()}{pe}+{event.offset:#x}, {event.size} bytes"
            value = "" if event.value is None else f": {event.value:#x}"
            refused = " (refused)" if event.illegal else ""
            return f"{'write' if event.write else 'read'} {place}{value}{refused}"
        case SysReg():
            verb = "writes" if event.write else "reads"
            return f"{affinity.text(event.cpu)} {verb} {event.register}: {event.value:#x}"
        case Sgi():
            low = f"{event.cluster >> 16}.{event.cluster >> 8 & 0xFF}.{event.cluster & 0xFF}"
            to = "all others" if event.irm else f"{low}, list {event.target_list:#06x}"
            return f"{affinity.text(event.cpu)} generates SGI {event.intid} to {to}"
        case Delivery():
            return f"SGI {event.intid} is pending at {affinity.text(event.cpu)}"
        case Line():
            owner = "SPI" if event.owner is None else f"{affinity.text(event.owner)} PPI"
            return f"line of {owner} {event.intid} goes {'high' if event.level else 'low'}"
        case CpuReset():
            return f"CPU {event.token} is reset"
        case Candidate():
            offer = "nothing" if event.priority == 255 else f"INTID {event.intid}, priority {event.priority:#04x}"
            return f"{affinity.text(event.cpu)} is offered {offer}"
        case Outputs():
            return f"{affinity.text(event.cpu)} drives IRQ {int(event.irq)} FIQ {int(event.fiq)}"
        case Other():
            return f"{event.name} {event.text}"
        case Text():
            return event.text
