"""How a GIC, a state and the outcome of a message look in a notebook."""

from collections import Counter
from typing import TYPE_CHECKING

from mmio.notebook import html_table
from vgic import affinity

if TYPE_CHECKING:
    from vgic.gic import Gic
    from vgic.its.device import MsiResult
    from vgic.state.file import State

__all__ = ["gic_html", "message_html", "state_html"]


def gic_html(gic: "Gic") -> str:
    """What each vCPU is shown, and what it has in hand."""
    headings = ("vCPU", "affinity", "IRQ", "FIQ", "highest pending", "running priority", "waiting")
    rows = []
    for cpu in range(len(gic.config.topology)):
        interface, best = gic.interface(cpu), gic.highest_pending(cpu)
        irq, fiq = gic.outputs(cpu)
        pending = "" if best is None else f"INTID {best.intid}, group {best.group}, priority {best.priority:#04x}"
        running = f"{interface.running:#04x}"
        shown = (cpu, affinity.text(gic.affinity(cpu)), int(irq), int(fiq), pending, running, interface.candidates)
        rows.append(shown)
    return html_table(repr(gic).strip("<>"), headings, rows)


def state_html(state: "State") -> str:
    """How many registers of each device are not zero."""
    counts = Counter(name.split("." if "." in name else "_")[0] for name in state.data["registers"])
    return html_table(repr(state).strip("<>"), ("device", "registers that are not zero"), counts.items())


def message_html(result: "MsiResult") -> str:
    """What became of a message, and why."""
    why = result.outcome.value if result.error is None else result.error.value
    return html_table(f"MSI {result.outcome.name.lower()}", ("why",), [(why,)])
