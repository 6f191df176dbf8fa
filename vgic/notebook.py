"""How a GIC, a state and the outcome of a message look in a notebook."""

from collections import Counter
from typing import TYPE_CHECKING

from mmio.notebook import html_table
from vgic import affinity
from vgic.cpu_interface.group import GROUP_NAMES
from vgic.intids import FIRST_LPI

if TYPE_CHECKING:
    from vgic.cpu_interface.pe_state import PeState
    from vgic.gic import Gic, Pending
    from vgic.its.device import MsiResult
    from vgic.state.file import State

__all__ = ["gic_html", "message_html", "state_html"]


def gic_html(gic: "Gic") -> str:
    """What each vCPU is shown, and what it has in hand."""
    config = gic.config
    headings = ["vCPU", "affinity", "IRQ", "FIQ", "highest pending", "running priority", "waiting"]
    if config.list_registers:
        headings += ["virtual IRQ", "virtual FIQ"]
    if config.two_states or config.list_registers:
        headings.append("PE")
    rows = []
    for cpu in range(len(gic.config.topology)):
        interface, best = gic.interface(cpu), gic.highest_pending(cpu)
        irq, fiq = gic.outputs(cpu)
        pending = "" if best is None else _offered(gic, cpu, best)
        running = f"{interface.running:#04x}"
        shown = [cpu, affinity.text(gic.affinity(cpu)), int(irq), int(fiq), pending, running, interface.candidates]
        if config.list_registers:
            shown += map(int, gic.virtual_outputs(cpu))
        if config.two_states or config.list_registers:
            shown.append(_level(gic.pe_state(cpu)))
        rows.append(shown)
    return html_table(repr(gic).strip("<>"), headings, rows)


def _offered(gic: "Gic", cpu: int, best: "Pending") -> str:
    """What a vCPU is offered."""
    superior = best.intid < FIRST_LPI and gic.interrupt(cpu, best.intid).nmi
    priority = "superpriority" if superior else f"priority {best.priority:#04x}"
    return f"INTID {best.intid}, {GROUP_NAMES[best.group]}, {priority}"


def _level(state: "PeState") -> str:
    """Where a PE is: "EL1", or "Secure EL1"."""
    return f"{'Secure ' if state.secure else ''}EL{state.el}"


def state_html(state: "State") -> str:
    """How many registers of each device are not zero."""
    counts = Counter(name.split("." if "." in name else "_")[0] for name in state.data["registers"])
    return html_table(repr(state).strip("<>"), ("device", "registers that are not zero"), counts.items())


def message_html(result: "MsiResult") -> str:
    """What became of a message, and why."""
    why = result.outcome.value if result.error is None else result.error.value
    return html_table(f"MSI {result.outcome.name.lower()}", ("why",), [(why,)])
