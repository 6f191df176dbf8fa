"""What interrupts and lines are called in outputs."""

from vgic.intids import kind_of
from vgic_tools.report.timeline import Interrupt, Timeline

__all__ = ["interrupt_name", "line_name"]


def interrupt_name(intid: int) -> str:
    """An interrupt by type and INTID: "PPI 27"."""
    return f"{kind_of(intid) or 'INTID'} {intid}"


def line_name(timeline: Timeline, line: Interrupt) -> str:
    """An input line: "SPI 33", or "PPI 27 of 0.0.0.1"."""
    of = "" if line.cpu is None else f" of {timeline.cpus[line.cpu]}"
    return f"{interrupt_name(line.intid)}{of}"
