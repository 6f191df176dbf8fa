"""The event model: what a trace can hold, whatever tool recorded it.

A trace is a sequence of events in the order in which they took effect. Every event starts with the same
three fields, so that a reader can be asked where anything came from:

    line      line of the file it was read from, counted from 1; 0 for an event made in memory
    time      nanoseconds since the recorder's epoch, None where the trace has no time
    thread    the recorder's thread id, None where the trace has none

PEs are named by their packed affinity (Aff3.Aff2.Aff1.Aff0, 8 bits each, Aff3 in the top byte), because that
is what identifies a PE in a recording; an index would depend on the machine.

Inputs (`Access` writes, `SysReg` writes, `Sgi`, `Line`, `CpuReset`, `Message`, `CommandStart`, `Command`) drive a
replay. Outcomes (`Access` reads, `SysReg` reads, `Delivery`, `Candidate`, `Outputs`, `VirtualCandidate`,
`VirtualOutputs`, `Maintenance`, `DeviceEntry`, `EventEntry`, `CollectionEntry`) are what it compares with. `Other`
and `Text` are kept so that nothing of a recording is lost.
"""

from typing import NamedTuple, TypeAlias

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
    "Maintenance",
    "Message",
    "Other",
    "Outputs",
    "Sgi",
    "SysReg",
    "Text",
    "VirtualCandidate",
    "VirtualOutputs",
]


class Access(NamedTuple):
    """A load or store in a device's frame."""

    line: int
    time: int | None
    thread: int | None
    device: str
    """Which kind of frame: "gicd", "gicr", "gits" or "gits_translater"."""
    owner: int | None
    """Packed affinity of the PE that a "gicr" frame belongs to (not of the one that accesses it)."""
    offset: int
    """Bytes from the start of the device, or of the owner's frames."""
    size: int
    """Bytes: 1, 2, 4 or 8."""
    value: int | None
    """What was written, or read; None where the recorder did not say."""
    write: bool
    secure: bool
    illegal: bool
    """The recorder marked the access as one that the device does not accept."""


class SysReg(NamedTuple):
    """A read or write of a system register of the CPU interface."""

    line: int
    time: int | None
    thread: int | None
    cpu: int
    register: str
    """As the recorder names it: "ICC_PMR", without the exception level where that is 1, or "ICH_LR0_EL2"."""
    value: int
    write: bool


class Sgi(NamedTuple):
    """A PE asked for a Software Generated Interrupt; which register it used is not recorded."""

    line: int
    time: int | None
    thread: int | None
    cpu: int
    intid: int
    irm: bool
    """True: to all PEs but the sender; the target fields mean nothing then."""
    cluster: int
    """Aff3.Aff2.Aff1 of the targets, 24 bits packed."""
    target_list: int
    """16 bits, bit n for Aff0 = n."""


class Delivery(NamedTuple):
    """A PE's redistributor made an SGI pending; belongs to the `Sgi` before it."""

    line: int
    time: int | None
    thread: int | None
    cpu: int
    intid: int


class Line(NamedTuple):
    """A peripheral's interrupt line changed its level."""

    line: int
    time: int | None
    thread: int | None
    owner: int | None
    """Packed affinity of the PE for a private line, None for a shared one."""
    intid: int
    level: bool


class CpuReset(NamedTuple):
    """A PE was reset."""

    line: int
    time: int | None
    thread: int | None
    token: str
    """Names the PE in the recorder's own way: the same token is always the same PE. A number counts vCPUs."""


class Candidate(NamedTuple):
    """The highest priority pending interrupt of a PE, as the recorder computed it."""

    line: int
    time: int | None
    thread: int | None
    cpu: int
    intid: int
    """Means nothing when `priority` is 255."""
    group: int
    """0: Group 0, 1: Secure Group 1, 2: Non-secure Group 1, or Group 1 where there is one Security state."""
    priority: int
    """8 bits; 255: nothing is pending."""


class Outputs(NamedTuple):
    """The levels of a PE's interrupt outputs."""

    line: int
    time: int | None
    thread: int | None
    cpu: int
    fiq: bool
    irq: bool


class VirtualCandidate(NamedTuple):
    """Where the highest priority pending virtual interrupt of a PE is, as the recorder computed it."""

    line: int
    time: int | None
    thread: int | None
    cpu: int
    list_register: int
    """Its number; negative: no list register has one. Beyond all that there are: it is the LPI that follows."""
    intid: int
    """The best virtual LPI that is directly injected; means nothing when `priority` is 255."""
    group: int
    priority: int
    """8 bits; 255: no such LPI is pending."""


class VirtualOutputs(NamedTuple):
    """The levels of a PE's virtual interrupt outputs."""

    line: int
    time: int | None
    thread: int | None
    cpu: int
    fiq: bool
    irq: bool


class Maintenance(NamedTuple):
    """The level of a PE's maintenance interrupt."""

    line: int
    time: int | None
    thread: int | None
    cpu: int
    level: bool


class Message(NamedTuple):
    """A peripheral signalled an interrupt by a message, a store to a frame of a translation service."""

    line: int
    time: int | None
    thread: int | None
    requester: int
    """Which peripheral: the DeviceID that goes with its stores."""
    offset: int
    """Bytes from the start of the frame."""
    size: int
    """Bytes: 1, 2, 4 or 8."""
    value: int
    """Which of its interrupts: the EventID."""


class CommandStart(NamedTuple):
    """A translation service takes a command from its queue."""

    line: int
    time: int | None
    thread: int | None
    slot: int
    """Which command of the queue, counted from its base."""
    opcode: int


class Command(NamedTuple):
    """What a translation service is told to do; belongs to the `CommandStart` before it.

    Operands that the command does not have, or that the recorder does not tell, are None.
    """

    line: int
    time: int | None
    thread: int | None
    name: str
    """Arm's name: "MAPTI"."""
    device: int | None = None
    event: int | None = None
    collection: int | None = None
    intid: int | None = None
    target: int | None = None
    """Where interrupts go, or are moved from, as the command holds it: a PE's number, or an address >> 16."""
    to: int | None = None
    """Where interrupts are moved to, the same way."""
    size: int | None = None
    """As the command holds it: bits of EventID less one."""
    address: int | None = None
    """Address of an interrupt translation table, in bytes."""
    valid: bool | None = None


class DeviceEntry(NamedTuple):
    """A translation service read or wrote an entry of its device table."""

    line: int
    time: int | None
    thread: int | None
    device: int
    valid: bool
    """Where False, the other fields may be leftovers."""
    size: int
    """As the entry holds it: bits of EventID less one."""
    address: int
    """Address of the device's interrupt translation table, in bytes."""
    write: bool


class EventEntry(NamedTuple):
    """A translation service read or wrote an entry of a device's interrupt translation table."""

    line: int
    time: int | None
    thread: int | None
    address: int
    """Address of the table, in bytes."""
    event: int
    valid: bool
    physical: bool
    """True: the interrupt is a physical one, whose collection the entry names."""
    intid: int
    collection: int
    vpe: int
    doorbell: int
    write: bool


class CollectionEntry(NamedTuple):
    """A translation service read or wrote an entry of its collection table."""

    line: int
    time: int | None
    thread: int | None
    collection: int
    valid: bool
    target: int
    """As in `Command`."""
    write: bool


class Other(NamedTuple):
    """A trace event that the model has no class for."""

    line: int
    time: int | None
    thread: int | None
    name: str
    text: str


class Text(NamedTuple):
    """A line that is no trace event, for example a warning in the same log."""

    line: int
    time: int | None
    thread: int | None
    text: str


Event: TypeAlias = (
    Access
    | SysReg
    | Sgi
    | Delivery
    | Line
    | CpuReset
    | Candidate
    | Outputs
    | VirtualCandidate
    | VirtualOutputs
    | Maintenance
    | Message
    | CommandStart
    | Command
    | DeviceEntry
    | EventEntry
    | CollectionEntry
    | Other
    | Text
)
