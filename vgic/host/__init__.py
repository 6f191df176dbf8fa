"""Hosts: what a host's virtual CPU interface can do, and what must be trapped so that a guest keeps its view."""

from vgic.host.capabilities import CpuInterfaceView, HostCapabilities
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
    "CpuInterfaceView",
    "Difference",
    "HostCapabilities",
    "RegisterAccess",
    "TrapPlan",
    "trap_plan",
]
