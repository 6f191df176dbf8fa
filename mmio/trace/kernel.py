"""Reads what Linux's tracing prints: tracefs, `trace-cmd report` and `perf script`.

A line is the name of a thread, its number, the CPU it ran on, perhaps flags, a time in seconds, and the event:

       CPU 0/KVM-1234    [001] d..1.  100.000001: kvm_mmio: mmio write len 4 gpa 0x8000000 val 0x12     tracefs
       CPU 0/KVM-1234    [001]   100.000001: kvm_mmio:             mmio write len 4 ...                 trace-cmd
       CPU 0/KVM  1234 [001]   100.000001:      kvm:kvm_mmio: mmio write len 4 ...                      perf

The name may hold blanks, slashes and hyphens, so a line is matched from the right. What the events mean is left to
whoever reads them. The recorder itself says where it lost events.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

__all__ = ["KernelEvent", "LostEvents", "is_kernel_trace", "read_kernel_trace"]


class KernelEvent(NamedTuple):
    """An event of the kernel."""

    line: int
    """Line of the file, counted from 1."""
    time: int
    """Nanoseconds of the recorder's clock."""
    task: str
    """The name of the thread."""
    thread: int
    """Its number."""
    cpu: int
    """The host's CPU that it ran on."""
    name: str
    """The event's, without the system that it belongs to."""
    text: str


class LostEvents(NamedTuple):
    """The recorder says that it lost events."""

    line: int
    events: int


_Told: TypeAlias = KernelEvent | LostEvents

_EVENT: Final = re.compile(
    r"\s*(?P<task>\S.{0,63}?)(?:-|\s+)(?P<thread>[0-9]{1,10})\s+(?:\(\s*[0-9-]{1,10}\)\s+)?\[(?P<cpu>[0-9]{1,5})\]\s+"
    r"(?:\S{3,8}\s+)?(?P<seconds>[0-9]{1,10})\.(?P<fraction>[0-9]{3,9}):\s+"
    # A period, where perf was asked for it.
    r"(?:[0-9]{1,20}\s+)?(?:\w{1,64}:)?(?P<name>\w{1,64}):\s*(?P<text>.*)",
    re.ASCII,
)

_LOST: Final = re.compile(
    r"\[LOST ([0-9]{1,15}) EVENTS\]|\[([0-9]{1,15}) EVENTS DROPPED\]|\bLOST ([0-9]{1,15}) events"
)
_BUFFER: Final = re.compile(r"#\s*entries-in-buffer/entries-written:\s*([0-9]{1,15})/([0-9]{1,15})")
_TIME_DIGITS: Final = 9


def is_kernel_trace(lines: Iterable[str]) -> bool:
    """True where one of the lines is an event of the kernel, or the head of a file of tracefs."""
    return any(line.startswith("# tracer:") or _EVENT.fullmatch(line) for line in lines)


def read_kernel_trace(lines: Iterable[tuple[int, str]]) -> Iterator[_Told]:
    """Every event, and every place where the recorder says that it lost some; other lines are left out.

    `lines` gives each line's number, counted from 1, and its text without the line end.
    """
    for number, line in lines:
        if found := _EVENT.fullmatch(line):
            fraction = found["fraction"].ljust(_TIME_DIGITS, "0")
            time = int(found["seconds"]) * 1_000_000_000 + int(fraction)
            yield KernelEvent(
                number,
                time,
                found["task"].strip(),
                int(found["thread"]),
                int(found["cpu"]),
                found["name"],
                found["text"],
            )
        elif found := _LOST.search(line):
            yield LostEvents(number, int(found[1] or found[2] or found[3]))
        elif (found := _BUFFER.match(line)) and int(found[1]) < int(found[2]):
            yield LostEvents(number, int(found[2]) - int(found[1]))
