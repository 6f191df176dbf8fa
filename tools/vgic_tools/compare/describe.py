"""Operations and what they come to, as people read them."""

import errno
from collections.abc import Iterable
from typing import Final

import vgic
from mmio import RegisterLayout
from vgic.kvm.uapi import Group
from vgic.layouts.gicd import GICD
from vgic.layouts.gicr import RD_BASE, SGI_BASE
from vgic.layouts.gits import CONTROL
from vgic.layouts.icc import ICC, ICC_OF_HIGHER_LEVELS
from vgic.layouts.ich import ICH
from vgic_tools.decode.meaning import meaning
from vgic_tools.decode.names import Found, find_by_address
from vgic_tools.errors import UsageError
from vgic_tools.judges import pe_places
from vgic_tools.judges.model import FIQ, IRQ, ISR_EL1
from vgic_tools.judges.protocol import (
    GIC,
    Attr,
    Line,
    Load,
    Message,
    Mrs,
    Msr,
    Operation,
    Outcome,
    Peek,
    Poke,
    SaveRestore,
    Store,
)

__all__ = ["describe", "kind_of", "outcome_text", "register_of", "says"]


SGI_FRAME: Final = 0x1_0000


def _register_of_attr(operation: Attr) -> Found | None:
    """The register behind an attribute: a 32-bit one, or its half of a wider one."""
    offset = operation.attr & 0xFFFF_FFFF
    layouts = {
        Group.DIST_REGS: GICD,
        Group.REDIST_REGS: RD_BASE if offset < SGI_FRAME else SGI_BASE,
        Group.ITS_REGS: CONTROL,
        Group.CPU_SYSREGS: ICC,
    }.get(Group(operation.group) if operation.group in list(Group) else Group.ADDR, [])
    if operation.group == Group.REDIST_REGS:
        offset %= SGI_FRAME
    for layout in layouts:
        index, within = divmod(offset - layout.offset, layout.stride)
        if 0 <= index < layout.count and within < layout.width // 8:
            return Found(layout.title(index), layout, index, 8 * within)
    return None


def register_of(operation: Operation, gic: vgic.Gic) -> Found | None:
    """The register that an operation is about, None where it is about none that there is."""
    match operation:
        case Load(_, address) | Store(_, address):
            try:
                return find_by_address(address, gic)
            except UsageError:
                return None
        case Attr():
            return _register_of_attr(operation)
        case Mrs(_, register) | Msr(_, register):
            for layout in (*ICC, *ICC_OF_HIGHER_LEVELS, *ICH):
                if 0 <= register - layout.offset < layout.count:
                    index = register - layout.offset
                    return Found(layout.title(index), layout, index)
    return None


def describe(operation: Operation, gic: vgic.Gic) -> str:
    """What is done: "vCPU 1 writes GICD_ISENABLER1 of GICD = 0x400"."""
    match operation:
        case Load(_, _, size):
            return f"{_who(operation)} reads {_place(operation, gic)}, {size} bytes"
        case Store(_, _, size, value):
            return f"{_who(operation)} writes {_place(operation, gic)}, {size} bytes: {value:#x}"
        case Mrs():
            return f"{_who(operation)} reads {_place(operation, gic)}"
        case Msr(_, _, value):
            return f"{_who(operation)} writes {_place(operation, gic)}: {value:#x}"
        case Line(cpu, intid, level):
            name = f"SPI {intid}" if intid >= 32 else f"PPI {intid} of vCPU {cpu}"
            return f"the line of {name} goes {'up' if level else 'down'}"
        case Message(device_id, event_id):
            return f"device {device_id:#x} sends event {event_id}"
        case Poke(address, data):
            return f"RAM at {address:#x} becomes {data.hex() if any(data) else f'{len(data)} zeros'}"
        case Peek(address, size):
            return f"{size} bytes of RAM at {address:#x} are read"
        case Attr(call, device, group, attr, value):
            whose = "" if device == GIC else f"ITS {device}: "
            found = register_of(operation, gic)
            name = "" if found is None else f", {found.title}"
            return f"{whose}{call} group {group} attribute {attr:#x}{name}" + (
                f": {value:#x}" if call == "set" else ""
            )
        case SaveRestore():
            return "the model is saved, and restored"


def _who(operation: Load | Store | Mrs | Msr) -> str:
    where = f" at {pe_places.describe(operation.place)}" if operation.place else ""
    return f"vCPU {operation.cpu}{where}"


def _place(operation: Load | Store | Mrs | Msr, gic: vgic.Gic) -> str:
    found = register_of(operation, gic)
    if isinstance(operation, Mrs | Msr):
        if operation.register == ISR_EL1:
            return "ISR_EL1"
        return f"system register {operation.register:#x}" if found is None else found.title
    location = gic.map.locate(operation.address)
    place = f"{operation.address:#x}" if location is None else f"{location.owner}+{location.offset:#x}"
    return place if found is None else f"{found.title.partition(' of ')[0]} ({place})"


def says(operation: Operation, gic: vgic.Gic, value: int) -> list[str]:
    """What a value of the operation's register says of interrupts and PEs."""
    found = register_of(operation, gic)
    if found is None or not isinstance(found.layout, RegisterLayout):
        return []
    shifted = value << found.shift & (1 << found.layout.width) - 1
    return meaning(found, shifted, gic.config.topology)


def outcome_text(outcome: Outcome, other: Outcome) -> str:
    """What an operation came to, where it is not the same as the other outcome."""
    parts = []
    if outcome.errno != other.errno:
        parts.append(errno.errorcode.get(outcome.errno, str(outcome.errno)) if outcome.errno else "no error")
    if outcome.undefined != other.undefined:
        parts.append("UNDEFINED" if outcome.undefined else "not UNDEFINED")
    if outcome.value != other.value:
        parts.append(f"{outcome.value:#x}")
    if outcome.level != other.level:
        parts.append(f"an exception to EL{outcome.level}" if outcome.level else "performed")
    if None not in (outcome.signals, other.signals) and outcome.signals != other.signals:
        irq, fiq = bool((outcome.signals or 0) & IRQ), bool((outcome.signals or 0) & FIQ)
        parts.append(f"then IRQ {irq:d} FIQ {fiq:d}")
    if outcome.offers is not None and other.offers is not None:
        pairs = enumerate(zip(outcome.offers, other.offers, strict=True))
        parts += [f"then vCPU {cpu} is offered {_offer(ours)}" for cpu, (ours, theirs) in pairs if ours != theirs]
    return ", ".join(parts) or "the same"


def _offer(offer: vgic.Pending | None) -> str:
    if offer is None:
        return "nothing"
    return f"INTID {offer.intid} of Group {offer.group}, priority {offer.priority:#04x}"


def kind_of(operation: Operation, gic: vgic.Gic, told: Outcome, got: Outcome) -> str:
    """The kind of a difference: what was done, without numbers, and what differs."""
    match operation:
        case Load() | Store() | Mrs() | Msr():
            found = register_of(operation, gic)
            verb = "read" if isinstance(operation, Load | Mrs) else "write"
            about = f"{verb} of {'no register' if found is None else found.layout.name}"
        case Attr(call, device, group, _, _):
            about = f"{call} of {'the GIC' if device == GIC else 'an ITS'}'s group {group}"
        case _:
            about = type(operation).__name__.lower()
    names = Outcome._fields
    pairs: Iterable[tuple[str, object, object]] = zip(names, told, got, strict=True)
    different = [name for name, ours, theirs in pairs if None not in (ours, theirs) and ours != theirs]
    return f"{about}: {', '.join(different)}"
