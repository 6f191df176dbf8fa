"""Reads the text log that QEMU writes with `-trace 'gicv3_*' -D FILE`.

A line is an optional prefix, the name of a trace event, a space and the event's text. There are three
prefixes, and all of them are read:

    (none)                            without `-msg timestamp=on`
    27195@1795205157.855973:          thread id, seconds and microseconds: QEMU up to 10.0
    2025-07-21T18:43:28.089797Z       UTC and a space, no thread id: QEMU from 10.1

In the texts `irq`, `interrupt`, `SGI`, `prio` and `size` are decimal; everything after `0x` is hexadecimal. A
CPU or redistributor is named by its packed affinity.

Lines that are no trace events are normal, because QEMU's warnings go to the same file. A line is an error only
if it starts like an event that this module takes apart and then reads differently, or if it says that the
recorder lost events.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import TypeAlias

from mmio.trace.errors import LostEventsError, TraceError
from mmio.trace.events import (
    Access,
    Candidate,
    CpuReset,
    Delivery,
    Event,
    Line,
    Maintenance,
    Other,
    Outputs,
    Sgi,
    SysReg,
    Text,
    VirtualCandidate,
    VirtualOutputs,
)

__all__ = ["PREFIX", "read_qemu"]


def read_qemu(lines: Iterable[tuple[int, str]], path: str) -> Iterator[Event]:
    """Yield one event for every line of a QEMU log.

    `lines` gives each line's number, counted from 1, and its text without the line end; `path` only names the
    log in errors. Raises `TraceError` for a malformed line, and `LostEventsError` where the log says that its
    recorder lost events.
    """
    for number, line in lines:
        time = thread = None
        body = line
        if prefix := PREFIX.match(line):
            tid, clock, fraction, date = prefix.groups()
            body = line[prefix.end() :]
            if date is None:
                thread = int(tid)
                time = int(clock + fraction) * 1000
            else:
                time = _utc(date)
                if time is None:
                    raise TraceError(path, number, f"malformed time stamp {date!r}: there is no such time")
        name, space, text = body.partition(" ")
        if parse := _EVENTS.get(name) or _its_parser(name) or _sysreg_parser(name):
            event = parse(number, time, thread, text)
            if event is None:
                raise TraceError(path, number, f"malformed {name} event: {_shortened(text)}")
            yield event
        elif space and _OTHER.fullmatch(name):
            yield Other(number, time, thread, name, text)
        elif _LOST.search(body):
            message = f"the recorder lost events, so a replay would mean nothing: {_shortened(body)}"
            raise LostEventsError(path, number, message)
        else:
            yield Text(number, time, thread, body)


PREFIX = re.compile(
    r"([0-9]{1,10})@([0-9]{1,11})\.([0-9]{6}):"
    # GLib leaves the fraction out when it is zero.
    r"|([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?)Z "
)
"""What comes before the name of the event: groups for thread, seconds and microseconds, or for a date."""

_OTHER = re.compile(r"(?:gic|gicv3|gicv5|memory_region_ops)_\w+", re.ASCII)
"""The names of events that are kept but not taken apart."""

_LOST = re.compile(
    r"LOST [0-9]+ (?:EVENTS|events)"  # ftrace, perf
    r"|EVENTS DROPPED\]"  # trace-cmd
    r"|^Dropped_Event\b"  # QEMU's simpletrace
)

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def _utc(date: str) -> int | None:
    """The nanoseconds from 1970 to an ISO 8601 time in UTC; None for a time that does not exist."""
    try:
        return (datetime.fromisoformat(date) - _EPOCH) // _MICROSECOND * 1000
    except ValueError:
        return None


def _shortened(text: str) -> str:
    """The text on one line, in quotes, and not longer than a message should be."""
    return repr(text if len(text) <= 100 else text[:97] + "...")


# The texts of the events. Every number has a bound on its digits, from the width of the field it goes to.

_AFFINITY = "0x([0-9a-f]{1,8})"
_HEX = "0x([0-9a-f]{1,16})"
_NUMBER = "([0-9]{1,10})"
_BIT = "([01])"
# A device may raise a line with any number that is not zero.
_LEVEL = "(-?[0-9]{1,10})"

_SGI = re.compile(
    rf"GICv3 CPU i/f {_AFFINITY} generating SGI ([0-9]{{1,2}}) IRM {_BIT}"
    # QEMU prints the 24 bits of Aff3.Aff2.Aff1 and two letters x where Aff0 would be.
    r" target affinity 0x([0-9a-f]{1,6})xx targetlist 0x([0-9a-f]{1,4})"
)
_DELIVERY = re.compile(rf"GICv3 redistributor {_AFFINITY} pending SGI ([0-9]{{1,2}})")
_SHARED_LINE = re.compile(rf"GICv3 distributor interrupt {_NUMBER} level changed to {_LEVEL}")
_PRIVATE_LINE = re.compile(rf"GICv3 redistributor {_AFFINITY} interrupt {_NUMBER} level changed to {_LEVEL}")
_CANDIDATE = re.compile(rf"GICv3 CPU i/f {_AFFINITY} HPPI update: irq {_NUMBER} group ([012]) prio ([0-9]{{1,3}})")
_OUTPUTS = re.compile(rf"GICv3 CPU i/f {_AFFINITY} HPPI update: setting FIQ {_BIT} IRQ {_BIT}")
_VIRTUAL = rf"GICv3 CPU i/f {_AFFINITY} virt HPPI update"
_VIRTUAL_CANDIDATE = re.compile(
    rf"{_VIRTUAL} LR index (-?[0-9]{{1,10}}) HPPVLPI {_NUMBER} grp ([012]) prio ([0-9]{{1,3}})"
)
_VIRTUAL_OUTPUTS = re.compile(rf"{_VIRTUAL}: setting FIQ {_BIT} IRQ {_BIT}")
_MAINTENANCE = re.compile(rf"{_VIRTUAL}: setting maintenance-irq {_BIT}")
_CPU_RESET = re.compile(r"cpu=(\S+)\s*")
_NUMBERED_CPU_RESET = re.compile(r"([0-9]{1,5})\s*")
"""As newer versions write it, 10.0 among them."""

_Parser: TypeAlias = Callable[[int, int | None, int | None, str], Event | None]
"""From line, time, thread and text to the event; None when the text is malformed."""


def _access(device: str, frame: str, secure: str, *, write: bool, bad: bool) -> _Parser:
    """Make the parser for one kind of access.

    `frame` and `secure` are the parts of the pattern that differ between devices, with one group each.
    """
    direction = "write" if write else "read"
    # A read that the device did not accept has no data; the guest got zero.
    data = "()" if bad and not write else f" data {_HEX}"
    error = ": error" if bad else ""
    pattern = re.compile(rf"GICv3 {frame} {direction}: offset {_HEX}{data} size ([1248]){secure}{error}")

    def parse(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
        if (match := pattern.fullmatch(text)) is None:
            return None
        owner, offset, value, size, is_secure = match.groups()
        return Access(
            line,
            time,
            thread,
            device,
            int(owner, 16) if owner else None,
            int(offset, 16),
            int(size),
            int(value, 16) if value else 0,
            write,
            is_secure == "1",
            bad,
        )

    return parse


def _sysreg(*, write: bool) -> _Parser:
    """Make the parser for the reads or the writes of system registers; the register's name is in the text."""
    direction = "write" if write else "read"
    pattern = re.compile(rf"GICv3 (\w+) {direction} cpu {_AFFINITY} value {_HEX}", re.ASCII)

    def parse(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
        if (match := pattern.fullmatch(text)) is None:
            return None
        register, cpu, value = match.groups()
        return SysReg(line, time, thread, int(cpu, 16), register, int(value, 16), write)

    return parse


def _sgi(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
    if (match := _SGI.fullmatch(text)) is None:
        return None
    cpu, intid, irm, cluster, targets = match.groups()
    return Sgi(line, time, thread, int(cpu, 16), int(intid), irm == "1", int(cluster, 16), int(targets, 16))


def _delivery(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
    if (match := _DELIVERY.fullmatch(text)) is None:
        return None
    return Delivery(line, time, thread, int(match[1], 16), int(match[2]))


def _shared_line(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
    if (match := _SHARED_LINE.fullmatch(text)) is None:
        return None
    return Line(line, time, thread, None, int(match[1]), match[2] != "0")


def _private_line(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
    if (match := _PRIVATE_LINE.fullmatch(text)) is None:
        return None
    return Line(line, time, thread, int(match[1], 16), int(match[2]), match[3] != "0")


def _cpu_reset(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
    if (match := _CPU_RESET.fullmatch(text)) is None:
        return None
    return CpuReset(line, time, thread, match[1])


def _numbered_cpu_reset(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
    if (match := _NUMBERED_CPU_RESET.fullmatch(text)) is None:
        return None
    return CpuReset(line, time, thread, match[1])


def _candidate(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
    if (match := _CANDIDATE.fullmatch(text)) is None:
        return None
    cpu, intid, group, priority = match.groups()
    return Candidate(line, time, thread, int(cpu, 16), int(intid), int(group), int(priority))


def _outputs(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
    if (match := _OUTPUTS.fullmatch(text)) is None:
        return None
    return Outputs(line, time, thread, int(match[1], 16), match[2] == "1", match[3] == "1")


def _virtual_candidate(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
    if (match := _VIRTUAL_CANDIDATE.fullmatch(text)) is None:
        return None
    cpu, register, intid, group, priority = match.groups()
    numbers = int(register), int(intid), int(group), int(priority)
    return VirtualCandidate(line, time, thread, int(cpu, 16), *numbers)


def _virtual_outputs(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
    if (match := _VIRTUAL_OUTPUTS.fullmatch(text)) is None:
        return None
    return VirtualOutputs(line, time, thread, int(match[1], 16), match[2] == "1", match[3] == "1")


def _maintenance(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
    if (match := _MAINTENANCE.fullmatch(text)) is None:
        return None
    return Maintenance(line, time, thread, int(match[1], 16), match[2] == "1")


_DISTRIBUTOR = ("gicd", "distributor()", f" secure {_BIT}")
_REDISTRIBUTOR = ("gicr", f"redistributor {_AFFINITY}", f" secure {_BIT}")
_ITS = ("gits", "ITS()", "()")

_EVENTS: dict[str, _Parser] = {
    f"gicv3_{name}_{'bad' if bad else ''}{'write' if write else 'read'}": _access(*device, write=write, bad=bad)
    for name, device in (("dist", _DISTRIBUTOR), ("redist", _REDISTRIBUTOR), ("its", _ITS))
    for write in (False, True)
    for bad in (False, True)
} | {
    "gicv3_icc_generate_sgi": _sgi,
    "gicv3_redist_send_sgi": _delivery,
    "gicv3_dist_set_irq": _shared_line,
    "gicv3_redist_set_irq": _private_line,
    "guest_cpu_reset": _cpu_reset,
    "cpu_reset": _numbered_cpu_reset,
    "gicv3_cpuif_update": _candidate,
    "gicv3_cpuif_set_irqs": _outputs,
    "gicv3_cpuif_virt_update": _virtual_candidate,
    "gicv3_cpuif_virt_set_irqs": _virtual_outputs,
    "gicv3_cpuif_virt_set_maint_irq": _maintenance,
}
_SYSREG_READ = _sysreg(write=False)
_SYSREG_WRITE = _sysreg(write=True)


def _sysreg_parser(name: str) -> _Parser | None:
    """The parser for an event that is a system register access; there is one name for each register."""
    if name.startswith(("gicv3_icc_", "gicv3_ich_", "gicv3_icv_")):
        if name.endswith("_read"):
            return _SYSREG_READ
        if name.endswith("_write"):
            return _SYSREG_WRITE
    return None


def _its_parser(name: str) -> _Parser | None:
    """The parser of an event of the ITS, None for another event; most logs have none, and load none."""
    if not name.startswith("gicv3_its_"):
        return None
    from mmio.trace.qemu_its import ITS_EVENTS

    return ITS_EVENTS.get(name)
