"""A timeline as a value change dump (IEEE 1364), for GTKWave, Surfer and other waveform viewers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TextIO

from vgic_tools.errors import UsageError
from vgic_tools.report.timeline import FIQ, IRQ, Changes, Handled, Timeline
from vgic_tools.report.words import interrupt_name
from vgic_tools.terminal import visible

if TYPE_CHECKING:
    from vcd.writer import Variable

__all__ = ["check_waveforms", "write_vcd"]

_INTID_BITS: Final = 24
_NO_INTID: Final = "z"
"""What waveform viewers draw as nobody driving a bus."""


def check_waveforms() -> None:
    """Raise UsageError where waveforms cannot be written, before there is work to do for them."""
    try:
        import vcd  # noqa: F401  # whether it is there
    except ImportError as error:
        raise UsageError("--vcd needs pyvcd: pip install 'vgic[report]'") from error


def write_vcd(file: TextIO, timeline: Timeline, title: str) -> None:
    """Write a timeline, in nanoseconds; `title` says what it is of. Raises UsageError without pyvcd.

    A scope for each vCPU has `irq` and `fiq`, `intid` (what it handles, z: nothing), `depth` (how many interrupts
    it has in hand) and `waiting`, and `virq` and `vfiq` where its virtual interrupts were ever raised; a scope
    `lines` has the input lines.
    """
    check_waveforms()
    from vcd import VCDWriter

    clock = "" if timeline.timed else "; a line of the trace counts as 1 us"
    comment = f"{visible(title)}{clock}".encode("ascii", "replace").decode().replace("$", "?")
    with VCDWriter(file, timescale="1 ns", version="vgic", comment=comment) as writer:
        changes: list[tuple[int, Variable[int | str], int | str]] = []

        def add(
            scope: str, name: str, bits: int, start: int | str, signal: Changes | list[tuple[int, int | str]]
        ) -> None:
            variable = writer.register_var(scope, name, "wire", bits, init=start)
            changes.extend((time, variable, value) for time, value in signal)

        # Viewers sort by name.
        digits = len(str(len(timeline.cpus) - 1))
        for cpu in timeline.busy():
            handled, outputs = timeline.handled[cpu], timeline.outputs[cpu]
            scope = f"vcpu{cpu:0{digits}d}_aff_{timeline.cpus[cpu].replace('.', '_')}"
            add(scope, "irq", 1, 0, [(time, levels & IRQ and 1) for time, levels in outputs])
            add(scope, "fiq", 1, 0, [(time, levels & FIQ) for time, levels in outputs])
            virtual = timeline.virtual_outputs[cpu]
            if virtual:
                add(scope, "virq", 1, 0, [(time, levels & IRQ and 1) for time, levels in virtual])
                add(scope, "vfiq", 1, 0, [(time, levels & FIQ) for time, levels in virtual])
            add(scope, "intid", _INTID_BITS, _NO_INTID, [(time, intid) for time, intid, _ in _in_hand(handled)])
            add(scope, "depth", 8, 0, [(time, min(depth, 255)) for time, _, depth in _in_hand(handled)])
            add(scope, "waiting", 32, 0, timeline.waiting[cpu])
        for line, signal in sorted(timeline.lines.items(), key=lambda item: (item[0].intid, item[0].cpu or 0)):
            of = "" if line.cpu is None else f"_vcpu{line.cpu:0{digits}d}"
            add("lines", f"{interrupt_name(line.intid).lower().replace(' ', '')}{of}", 1, 0, signal)
        for time, variable, value in sorted(changes, key=lambda change: change[0]):
            writer.change(variable, time, value)
        writer.flush(timeline.duration)


def _in_hand(all_handled: list[Handled]) -> Iterator[tuple[int, int | str, int]]:
    """When that changes: what a vCPU handles, and how many interrupts it has in hand."""
    open_slices: list[Handled] = []

    def ended(depth: int) -> Iterator[tuple[int, int | str, int]]:
        while len(open_slices) > depth:
            end = open_slices.pop().end
            if end is not None:
                yield end, open_slices[-1].intid if open_slices else _NO_INTID, len(open_slices)

    for handled in all_handled:
        yield from ended(handled.depth)
        open_slices.append(handled)
        yield handled.start, handled.intid, len(open_slices)
    yield from ended(0)
