"""Counts exits and how long they took, by cause, by vCPU, and by register."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mmio.trace import TraceError
from mmio.trace.kernel import KernelEvent
from vgic_tools.exits.causes import Mmio, exit_name, mmio_of, register_of, vcpu_of

__all__ = ["ExitCounts", "Spent"]

_SHOWN: Final = 60
_MOST_CAUSES: Final = 1000
"""Causes that are told apart: a guest could access any address."""
_MORE: Final = "other addresses"

_CAUSES: Final = {"IABT_LOW": "instruction fault (memory)", "DABT_LOW": "data fault (memory)"}
"""Exits that turn out to be no access to a device."""


@dataclass
class Spent:
    """Exits of one kind, and the time from each to the next entry of the guest, in nanoseconds."""

    count: int = 0
    times: list[int] = field(default_factory=list)
    """Of those whose end the trace shows."""

    @property
    def total(self) -> int:
        """Nanoseconds in all."""
        return sum(self.times)

    def share_below(self, share: float) -> int | None:
        """The time that this share of the exits did not exceed; None where none is known."""
        ordered = sorted(self.times)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


@dataclass
class _Open:
    """An exit of a thread that has not entered the guest again."""

    time: int
    who: str
    cause: str
    userspace: bool = False


class ExitCounts:
    """Takes the events of a trace in order. `place` names an address, "" where no device of the GIC is."""

    def __init__(self, path: str, place: Callable[[Mmio], str]) -> None:
        self.by_cause: dict[str, Spent] = {}
        self.by_vcpu: dict[str, Spent] = {}
        self.registers: Counter[tuple[str, str, str]] = Counter()
        """Accesses to the GIC that exit, by register, "read" or "write", and vCPU."""
        self.userspace: Counter[str] = Counter()
        """Exits that went to the VMM, by cause."""
        self.events: Counter[str] = Counter()
        """Events by name."""
        self.vcpu_threads: dict[int, set[int]] = {}
        """The threads that are named after a vCPU."""
        self.span: tuple[int, int] | None = None
        """Times of the first and the last event."""
        self._path = path
        self._place = place
        self._open: dict[int, _Open] = {}

    def take(self, event: KernelEvent) -> None:
        """The next event. Raises TraceError where KVM prints an event otherwise than is known."""
        self.events[event.name] += 1
        self.span = (event.time, event.time) if self.span is None else (self.span[0], event.time)
        match event.name:
            case "kvm_exit":
                self._exit(event, self._known(event, exit_name(event.text)))
            case "kvm_entry":
                self._enter(event)
            case "kvm_mmio":
                mmio = mmio_of(event.text)
                if mmio is None:
                    raise self._malformed(event)
                if mmio.kind != "read":  # The value of a read that was counted.
                    self._access(event, mmio)
            case "kvm_sys_access":
                accessed = self._known(event, register_of(event.text))
                self._specify(event, accessed)
                register, _, verb = accessed.partition(" ")
                if register.startswith("ICC_"):
                    self.registers[register, verb, self.who(event)] += 1
            case "kvm_userspace_exit":
                if event.thread in self._open:
                    self._open[event.thread].userspace = True

    def who(self, event: KernelEvent) -> str:
        """The vCPU that a thread is, or the thread."""
        vcpu = vcpu_of(event.task)
        if vcpu is None:
            return f"{event.task}-{event.thread}"
        threads = self.vcpu_threads.setdefault(vcpu, set())
        threads.add(event.thread)
        return f"vCPU {vcpu}" if len(threads) == 1 else f"vCPU {vcpu} ({event.thread})"

    def _access(self, event: KernelEvent, mmio: Mmio) -> None:
        verb = "write" if mmio.kind == "write" else "read"
        register = self._place(mmio)
        if register:
            self.registers[register, verb, self.who(event)] += 1
        self._specify(event, f"{register or f'device at {mmio.address & ~0xFFF:#x}'} {verb}")

    def _exit(self, event: KernelEvent, cause: str) -> None:
        self._close(event.thread, None)
        self._open[event.thread] = _Open(event.time, self.who(event), _CAUSES.get(cause, cause))

    def _enter(self, event: KernelEvent) -> None:
        self._close(event.thread, event.time)

    def _specify(self, event: KernelEvent, cause: str) -> None:
        """Say what the exit that a thread is in is for."""
        if event.thread in self._open:
            self._open[event.thread].cause = cause

    def _close(self, thread: int, until: int | None) -> None:
        exit_ = self._open.pop(thread, None)
        if exit_ is None:
            return
        known = exit_.cause in self.by_cause or len(self.by_cause) < _MOST_CAUSES
        cause = exit_.cause if known else _MORE
        for spent in (self.by_cause.setdefault(cause, Spent()), self.by_vcpu.setdefault(exit_.who, Spent())):
            spent.count += 1
            if until is not None:
                spent.times.append(max(until - exit_.time, 0))
        self.userspace[cause] += exit_.userspace

    def finish(self) -> None:
        """The trace is over: count the exits that it does not show the end of."""
        for thread in list(self._open):
            self._close(thread, None)

    def _known(self, event: KernelEvent, told: str | None) -> str:
        if told is None:
            raise self._malformed(event)
        return told

    def _malformed(self, event: KernelEvent) -> TraceError:
        shown = event.text if len(event.text) <= _SHOWN else event.text[: _SHOWN - 3] + "..."
        return TraceError(self._path, event.line, f"malformed {event.name} event: {shown!r}")
