"""The state at the end of a replay, held against a snapshot of the same VM.

It shows what no access of the guest may have shown: active priorities, latches, what is active, the registers of
LPIs and of an ITS.
"""

from typing import Final

from vgic import Gic, State
from vgic_tools.errors import UsageError
from vgic_tools.replay.result import Difference, Result

__all__ = ["FINAL_STATE", "compare_final_state"]

FINAL_STATE: Final = "final state"
"""What the registers are called among the outcomes that are compared."""

_IN_RAM: Final = ("pending_lpi", "cached_configuration", "last_best_lpi")
"""What follows from the guest's RAM, of which a trace shows little."""


def compare_final_state(result: Result, gic: Gic, state: State) -> None:
    """Compare, register by register, and put what differs into the result. Raises UsageError for another VM."""
    model, snapshot = State.of(gic).data, state.data
    for what in ("affinities", "spis", "gicd_base", "redistributor_regions", "its"):
        if model["vm"].get(what) != snapshot["vm"].get(what):
            raise UsageError(
                f"the snapshot is of another VM than the trace: its {what} is {snapshot['vm'].get(what)},"
                f" not {model['vm'].get(what)}"
            )
    one, other = model["registers"], snapshot["registers"]
    names = [name for name in dict.fromkeys((*one, *other)) if not _is_in_ram(name)]
    result.compared[FINAL_STATE] += len(names)
    for name in names:
        expected, got = other.get(name, 0), one.get(name, 0)
        if expected != got:
            result.divergences[FINAL_STATE] += 1
            result.final_differences.append(Difference(name, expected, got))
    if len(names) < len({*one, *other}):
        result.notes.append(
            "pending LPIs are in the guest's RAM, which no trace shows: they are left out of the final state"
        )


def _is_in_ram(name: str) -> bool:
    return any(part in name for part in _IN_RAM)
