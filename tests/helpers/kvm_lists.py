"""Programs for two vCPUs that show what KVM has listed for them when the Distributor is enabled (KVM-73)."""

from typing import Final

import vgic
from vgic_tools.judges.guest import msr, read, write
from vgic_tools.judges.kvm_guest import GICD_BASE, GuestStep, Step
from vgic_tools.judges.protocol import Line

__all__ = ["FREED", "LOOKS", "PREPARATION", "PROGRAMS"]


def _store(offset: int, value: int, size: int = 4) -> Step:
    return GuestStep(0, write(GICD_BASE + offset, size, value))


LOOKS: Final[list[Step]] = [GuestStep(cpu, read(GICD_BASE, 4)) for cpu in range(2)]
"""Each vCPU leaves its guest once."""

PREPARATION: Final[list[Step]] = [
    _store(0, 2),
    _store(0x104, 1),
    *(GuestStep(cpu, msr(vgic.ICC_PMR_EL1, 0xF8)) for cpu in range(2)),
    *(GuestStep(cpu, msr(vgic.ICC_IGRPEN1_EL1, 1)) for cpu in range(2)),
    *LOOKS,
]

_OFF: Final = _store(0, 0)
_ON: Final = _store(0, 2)
_UP: Final = Line(0, 32, True)


def _routed(target: int) -> Step:
    return _store(0x6100, target, 8)


_ACTIVATED: Final = [_routed(1), _store(0x304, 1), _UP]
"""SPI 32 is active at vCPU 1, and pending."""
_DEACTIVATED: Final = _store(0x384, 1)
_NOWHERE: Final = 9

PROGRAMS: Final[dict[str, tuple[list[Step], bool]]] = {
    "still-listed": ([*_ACTIVATED, _OFF, _DEACTIVATED, _ON], True),
    "has-left": ([*_ACTIVATED, _OFF, _DEACTIVATED, *LOOKS, _ON], False),
    "of-the-writer": ([_UP, _OFF, _ON], False),
    "pending-at-another": ([_routed(1), _UP, _OFF, _ON], True),
    "looked-after": ([_routed(1), _UP, _OFF, *LOOKS, _ON], False),
    "never-listed": ([_OFF, _UP, _ON], False),
    "routed-meanwhile": ([*_ACTIVATED, _OFF, _routed(0), _DEACTIVATED, _ON], True),
    "routed-back": ([*_ACTIVATED, _routed(_NOWHERE), _DEACTIVATED, _routed(0)], True),
    "lost": ([*_ACTIVATED, _routed(_NOWHERE), _DEACTIVATED, *LOOKS, _routed(0)], False),
    "pending-no-more": ([*_ACTIVATED, _OFF, _DEACTIVATED, _store(0x284, 1), _ON], False),
}
"""What happens after the preparation, and whether vCPUs are offered the SPI in the end."""

FREED: Final[list[Step]] = [*_ACTIVATED, _routed(0), *LOOKS, _DEACTIVATED]
"""vCPU 0 makes inactive what is active at vCPU 1, and pending for vCPU 0."""
