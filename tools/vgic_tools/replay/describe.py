"""Events in words, for reports."""

from mmio.trace import (
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
from vgic import affinity

__all__ = ["describe", "entry_text"]


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
        case VirtualCandidate():
            best = "no list register" if event.list_register < 0 else f"list register {event.list_register}"
            return f"{best} has the best virtual interrupt of {affinity.text(event.cpu)}"
        case VirtualOutputs():
            return f"{affinity.text(event.cpu)} drives virtual IRQ {int(event.irq)} FIQ {int(event.fiq)}"
        case Maintenance():
            level = "high" if event.level else "low"
            return f"maintenance interrupt of {affinity.text(event.cpu)} goes {level}"
        case Message():
            return f"device {event.requester:#x} signals event {event.value:#x}"
        case CommandStart():
            return f"the ITS takes command {event.slot:#x} of its queue, opcode {event.opcode:#04x}"
        case Command():
            operands = (
                f"{name} {_operand(value)}"
                for name, value in zip(event._fields[4:], event[4:], strict=True)
                if value is not None
            )
            return f"command {event.name}: {', '.join(operands)}".removesuffix(": ")
        case DeviceEntry():
            return f"device table, {event.device:#x} {_verb(event.write)}: {entry_text(event)}"
        case EventEntry():
            place = f"translation table at {event.address:#x}, event {event.event:#x}"
            return f"{place} {_verb(event.write)}: {entry_text(event)}"
        case CollectionEntry():
            return f"collection table, {event.collection:#x} {_verb(event.write)}: {entry_text(event)}"
        case Other():
            return f"{event.name} {event.text}"
        case Text():
            return event.text


def entry_text(entry: DeviceEntry | EventEntry | CollectionEntry) -> str:
    """What a table entry says; an invalid one says no more than that."""
    if not entry.valid:
        return "invalid"
    match entry:
        case DeviceEntry():
            return f"table at {entry.address:#x} for {entry.size + 1} bits of EventID"
        case EventEntry():
            kind = "" if entry.physical else "virtual "
            return f"{kind}INTID {entry.intid}, collection {entry.collection:#x}"
        case CollectionEntry():
            return f"target {entry.target:#x}"


def _verb(write: bool) -> str:
    return "written" if write else "read"


def _operand(value: int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:#x}"
