"""The trap plan where embedders import it; it lives in `vgic.host`."""

from vgic.host.trap_plan import (
    ALWAYS_TRAPPED,
    TRAPPED_BY,
    Accesses,
    Control,
    Difference,
    RegisterAccess,
    TrapPlan,
    trap_plan,
)

__all__ = [
    "ALWAYS_TRAPPED",
    "TRAPPED_BY",
    "Accesses",
    "Control",
    "Difference",
    "RegisterAccess",
    "TrapPlan",
    "trap_plan",
]
