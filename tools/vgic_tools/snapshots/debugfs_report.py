"""What KVM's debugfs says of a VM's GIC, on a terminal."""

from collections import Counter

from vgic import affinity
from vgic.intids import FIRST_LPI
from vgic_tools.console import Output, Table, styled, table
from vgic_tools.snapshots.debugfs import Dump, ItsDump, Listed
from vgic_tools.snapshots.delivery import why_not

__all__ = ["differences", "print_dump", "print_its_dump"]

_NOT_SHOWN = (
    "the CPU interfaces, the group enables of GICD_CTLR, GICD_IROUTER.Interrupt_Routing_Mode and the registers of"
    " LPIs are not in a vgic-state; what is in a list register is as old as the vCPU's last exit"
)


def print_dump(console: Output, name: str, dump: Dump) -> None:
    """Print what is not as a reset leaves it, and of each pending interrupt why it does not arrive."""
    console.print(f"{name}: vgic-state of a KVM host")
    console.print(styled("note:", "yellow"), _NOT_SHOWN)
    console.print()
    shown = table("VM", "")
    told = ", ".join(map(affinity.text, dump.affinities[:8]))
    shown.add_row("vCPUs", f"{dump.vcpus}: {told or 'their affinities are not told'}")
    shown.add_row("SPIs", f"{dump.spis}")
    shown.add_row("LPIs", f"{dump.lpis}")
    shown.add_row("distributor", "on" if dump.enabled else "off")
    console.print(shown)
    if not dump.interrupts:
        console.print("The GIC is not initialised yet: no interrupt is listed.")
        return
    console.print()
    console.print(_interrupts(dump))
    pending = [item for item in dump.interrupts if item.pending]
    if pending:
        console.print()
        reasons = table("pending", "why it has not arrived")
        for item in pending:
            reasons.add_row(item.name, "; ".join(why_not(item, dump)))
        console.print(reasons)


def _interrupts(dump: Dump) -> Table:
    shown = table("interrupt", "goes to", "priority", "group", "trigger", "state", right=("priority", "group"))
    for item in dump.interrupts:
        if item.enabled or item.active or item.pending or item.level:
            trigger = "level" if item.by_level else "edge"
            target = f"vCPU {item.target}" if item.target is not None else affinity.text(item.affinity)
            shown.add_row(item.name, target, f"{item.priority:#x}", str(item.group), trigger, _state(item))
    return shown


def _state(item: Listed) -> str:
    words = {
        "enabled": item.enabled,
        "pending": item.pending,
        "latched": item.latch and item.by_level,
        "line high": item.level,
        "active": item.active,
        f"queued at vCPU {item.queued}": item.queued is not None,
        f"host's INTID {item.host_intid}": item.hardware,
    }
    return ", ".join(word for word, holds in words.items() if holds)


def differences(one: Dump, other: Dump) -> list[tuple[str, str, str]]:
    """Where two dumps differ: what, in the one, and in the other."""
    found = []
    for name in ("spis", "lpis", "enabled"):
        before, after = getattr(one, name), getattr(other, name)
        if before != after:
            found.append((name, str(before), str(after)))
    before_all, after_all = ({item.name: item for item in dump.interrupts} for dump in (one, other))
    for name in dict.fromkeys((*before_all, *after_all)):
        old, new = before_all.get(name), after_all.get(name)
        if old == new:
            continue
        if old is None or new is None:
            found.append((name, "-" if old is None else _state(old), "-" if new is None else _state(new)))
            continue
        for field in Listed._fields:
            if getattr(old, field) != getattr(new, field):
                found.append((f"{name}: {field.replace('_', ' ')}", _shown(old, field), _shown(new, field)))
    return found


def _shown(item: Listed, field: str) -> str:
    value = getattr(item, field)
    if field == "affinity":
        return affinity.text(item.affinity)
    if value is None:
        return "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value}"


def print_its_dump(console: Output, name: str, dump: ItsDump) -> bool:
    """Print what an ITS translates; True where nothing is wrong with it."""
    console.print(f"{name}: vgic-its-state of a KVM host")
    uses = Counter(event.intid for device in dump.devices for event in device.events)
    fits = True
    for device in dump.devices:
        console.print()
        console.print(styled(f"device {device.device:#x}", "bold"), f", events 0 to {device.last_event}", sep="")
        shown = table("event", "INTID", "collection", "vCPU", "", right=("event", "INTID", "collection", "vCPU"))
        for event in device.events:
            wrong = _wrong(event.intid, event.event, device.last_event, uses)
            fits = fits and not wrong
            said = wrong or (f"host's INTID {event.host_intid}" if event.hardware else "")
            shown.add_row(str(event.event), str(event.intid), str(event.collection), str(event.target), said)
        console.print(shown if device.events else "no event is mapped")
    return fits


def _wrong(intid: int, event: int, last: int, uses: Counter[int]) -> str:
    if intid < FIRST_LPI:
        return f"INTID {intid} is no LPI"
    if event > last:
        return "the device has no such event"
    return "another event has this LPI, too" if uses[intid] > 1 else ""
