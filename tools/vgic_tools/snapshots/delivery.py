"""Why an interrupt that KVM lists as pending does not arrive."""

from typing import Final

from vgic import affinity
from vgic_tools.snapshots.debugfs import Dump, Listed

__all__ = ["why_not"]

_LOWEST: Final = 0xF8
"""The lowest of KVM's 32 priorities. ICC_PMR_EL1 can be no larger, and lets pass what is above it."""


def why_not(item: Listed, dump: Dump) -> list[str]:
    """What keeps a pending interrupt from the vCPU, a sentence each; what only its CPU interface shows comes last.

    KVM queues an interrupt that is pending, enabled and has a target, as long as the distributor is on. The CPU
    interface lies in the hardware; no vgic-state shows it.
    """
    reasons = []
    if not dump.enabled:
        reasons.append("the distributor is off (GICD_CTLR)")
    if not item.enabled:
        reasons.append(_disabled(item))
    if item.active:
        reasons.append("it is active: it comes again when it has been deactivated")
    if item.target is None:
        there = f"{affinity.text(item.affinity)}, which no vCPU has" if item.kind == "SPI" else "no vCPU"
        reasons.append(f"there is no such target: it is routed to {there}")
    if item.priority >= _LOWEST:
        reasons.append(f"its priority {item.priority:#x} is masked by every ICC_PMR_EL1")
    if reasons:
        return reasons
    if item.queued is None and not item.hardware:
        return [
            f"not queued, though nothing here forbids it: KVM has not looked at it since it could go to vCPU"
            f" {item.target}"
        ]
    return [
        f"on the list of vCPU {item.queued if item.queued is not None else item.target}: it arrives when that runs,"
        f" with ICC_IGRPEN{item.group}_EL1 on, ICC_PMR_EL1 and the running priority above {item.priority:#x} as"
        " numbers, and interrupts not masked"
    ]


def _disabled(item: Listed) -> str:
    if item.kind == "LPI":
        return "the LPI was never enabled, in the configuration table as KVM last read it (INV, INVALL)"
    return f"it is disabled (GIC{'D' if item.vcpu is None else 'R'}_ISENABLER{item.intid // 32})"
