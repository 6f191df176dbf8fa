"""The experiment `traps`: what it costs to show a guest its own A3V where the host's bit differs, on recordings."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Annotated, Final

from mmio.trace import Sgi, SysReg, TraceError, open_trace
from vgic.host.capabilities import CpuInterfaceView, HostCapabilities
from vgic.host.trap_plan import TrapPlan, trap_plan
from vgic_tools.affinity.study import Study, Summary
from vgic_tools.errors import UsageError

__all__ = ["EXIT_COST_US", "TrapPoint", "TrapRow", "measure_traps", "mismatched", "trace_labels", "trap_study"]

EXIT_COST_US: Final = 1.0

_SPECIAL: Final = range(1020, 1024)
_ACKNOWLEDGES: Final = ("ICC_IAR0", "ICC_IAR1")
_OF_THE_GUEST: Final = "ICC_"
"""A recorded hypervisor has a guest of its own too, whose ICV registers and list registers are another matter."""
_SGI_REGISTER: Final = "ICC_SGI1R"

_TEXT: Final = """
With hardware virtualisation a guest reads its host's A3V in ICC_CTLR_EL1. To show it a different one, the
hypervisor sets ICH_HCR_EL2.TC, which makes an exit of every access to ICC_CTLR_EL1, ICC_PMR_EL1, ICC_RPR_EL1 and
ICC_DIR_EL1; only the read of ICC_CTLR_EL1 needs it. Writes of the SGI registers are exits with or without.

Counted are the accesses of recorded guests. What an exit costs is an assumption; the cost in percent is that of the
added exits against the time from the recording's first access to its last. The recordings were made under
emulation, which is slower than hardware, so on hardware the percentage is larger by as much.

The table is for a guest with A3V on a host without. The other way round is in the CSV file, and so is no mismatch.
"""


@dataclass(frozen=True)
class TrapPoint:
    """What is measured."""

    trace: Annotated[str, "the recording"]
    guest_a3v: Annotated[bool, "A3V that the guest sees"]
    host_a3v: Annotated[bool, "A3V that its host has"]
    exit_us: Annotated[float, "assumed cost of one exit, microseconds"]


@dataclass(frozen=True)
class TrapRow(TrapPoint):
    """What came out."""

    controls: Annotated[str, "trap controls of ICH_HCR_EL2 that the plan sets"]
    accesses: Annotated[int, "accesses to ICC registers, SGI registers included"]
    sgi_writes: Annotated[int, "of these, writes of SGI registers: exits with or without the plan"]
    added: Annotated[int, "of these, exits because of the plan"]
    needed: Annotated[int, "of the added exits, those that the guest would see a wrong value without"]
    added_registers: Annotated[str, "the added exits by register"]
    acknowledged: Annotated[int, "interrupts taken"]
    added_per_interrupt: Annotated[float | None, "added exits per interrupt taken"]
    wall_s: Annotated[float | None, "wall time of the recording, seconds; empty: it has no time"]
    percent: Annotated[float | None, "cost of the added exits, percent of the wall time"]


def trap_study(traces: Sequence[str], exit_us: float = EXIT_COST_US) -> Study[TrapPoint, TrapRow]:
    """The experiment for these traces. Raises UsageError naming a file that is not there."""
    for trace in traces:
        if not Path(trace).is_file():
            raise UsageError(f"{trace}: no such file")
    points = [
        TrapPoint(trace, guest, host, exit_us)
        for trace in dict.fromkeys(traces)
        for guest, host in ((True, False), (False, True), (True, True))
    ]
    title = "What a host whose A3V bit differs costs"
    return Study("traps", title, _TEXT, TrapRow, points, measure_traps, _summary)


def measure_traps(point: TrapPoint) -> TrapRow:
    """Count one trace's accesses under one trap plan. Raises UsageError for a trace that cannot be read."""
    plan = trap_plan(CpuInterfaceView(a3v=point.guest_a3v), HostCapabilities(a3v=point.host_a3v))
    accesses: Counter[tuple[str, bool]] = Counter()
    acknowledged = 0
    first: int | None = None
    last: int | None = None
    for event in _events(point.trace):
        if event.time is not None:
            first = event.time if first is None else first
            last = event.time
        if isinstance(event, Sgi):
            accesses[_SGI_REGISTER, True] += 1
            continue
        if not event.register.startswith(_OF_THE_GUEST):
            continue
        accesses[event.register, event.write] += 1
        acknowledged += event.register in _ACKNOWLEDGES and not event.write and event.value not in _SPECIAL
    added = Counter({access: count for access, count in accesses.items() if plan.traps(*access)})
    wall = None if first is None or last is None else (last - first) / 1e9
    return TrapRow(
        **asdict(point),
        controls=" ".join(control.name for control in plan.controls),
        accesses=accesses.total(),
        sgi_writes=sum(count for access, count in accesses.items() if plan.traps_anyway(*access)),
        added=added.total(),
        needed=_needed(plan, added),
        added_registers=" ".join(
            f"{register}:{'write' if write else 'read'}:{count}"
            for (register, write), count in sorted(added.items())
        ),
        acknowledged=acknowledged,
        added_per_interrupt=added.total() / acknowledged if acknowledged else None,
        wall_s=wall,
        percent=added.total() * point.exit_us / (wall * 1e6) * 100 if wall else None,
    )


def _events(trace: str) -> Iterator[SysReg | Sgi]:
    try:
        for event in open_trace(trace):
            if isinstance(event, SysReg | Sgi):
                yield event
    except TraceError as error:
        raise UsageError(str(error)) from error


def _needed(plan: TrapPlan, added: Counter[tuple[str, bool]]) -> int:
    needed = {(access.register.removesuffix("_EL1"), access.write) for access in plan.needed}
    return sum(count for access, count in added.items() if access in needed)


def trace_labels(traces: Sequence[str]) -> list[str]:
    """Short names for traces: that of the folder where the file names are all the same, else that of the file."""
    paths = [PurePath(trace) for trace in traces]
    folders = {path.parent.name for path in paths}
    same_names = len({path.name for path in paths}) < len(set(paths)) or len(set(paths)) == 1
    return [path.parent.name if same_names and "" not in folders else path.name for path in paths]


def mismatched(rows: Sequence[TrapRow]) -> list[TrapRow]:
    """The rows of guests with A3V on hosts without."""
    return [row for row in rows if row.guest_a3v and not row.host_a3v]


def _summary(rows: Sequence[TrapRow]) -> Summary:
    headings = (
        "trace",
        "ICC accesses",
        "SGI writes",
        "added exits",
        "needed",
        "interrupts",
        "added per 1,000",
        "wall time",
        "cost",
    )
    shown = mismatched(rows)
    lines = [
        (
            label,
            f"{row.accesses:,}",
            f"{row.sgi_writes:,}",
            f"{row.added:,}",
            f"{row.needed:,}",
            f"{row.acknowledged:,}",
            "" if row.added_per_interrupt is None else f"{1000 * row.added_per_interrupt:.1f}",
            "" if row.wall_s is None else f"{row.wall_s:.1f} s",
            "" if row.percent is None else f"{row.percent:.5f} %",
        )
        for row, label in zip(shown, trace_labels([row.trace for row in shown]), strict=True)
    ]
    return Summary(headings, lines)
