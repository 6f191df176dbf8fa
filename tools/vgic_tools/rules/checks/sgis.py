"""Rules of specs/routing.md: software generated interrupts, and the range selector of specs/features.md."""

from typing import Final

from vgic_tools.rules.scenario import Check, get, given, put, shows, signalled, steps
from vgic_tools.rules.setting import acknowledged, finish, pending, private, ready

__all__ = ["SGIS"]

_SGI: Final = 5
_TO_1: Final = _SGI << 24 | 0b10
_IRM: Final = 1 << 40
_RANGE: Final = 1 << 44
_RSS: Final = given(shows("GICD_TYPER", RSS=1), "it has no range selector: GICD_TYPER.RSS is 0")
_NO_RSS: Final = given(shows("GICD_TYPER", RSS=0), "it has the range selector: GICD_TYPER.RSS is 1")

SGIS: Final = (
    Check(
        "SGI-1",
        steps(
            ready(0, 1, 2),
            *(private(_SGI, cpu=cpu) for cpu in range(3)),
            put("ICC_SGI1R_EL1", _SGI << 24 | 0b110),
            signalled(0),
            signalled(1, irq=True),
            signalled(2, irq=True),
            acknowledged(_SGI, cpu=1),
            acknowledged(_SGI, cpu=2),
        ),
        cpus=3,
    ),
    Check(
        "SGI-2",
        steps(
            ready(0, 1),
            *(private(_SGI, cpu=cpu) for cpu in range(2)),
            put("ICC_SGI1R_EL1", _SGI << 24 | 0xFFFC),
            signalled(0),
            signalled(1),
            put("ICC_SGI1R_EL1", _SGI << 24 | 0xFFFE),
            signalled(1, irq=True),
        ),
    ),
    Check(
        "SGI-3",
        steps(
            ready(0, 1, 2),
            *(private(_SGI, cpu=cpu) for cpu in range(3)),
            put("ICC_SGI1R_EL1", _IRM | _SGI << 24 | 1, cpu=1),
            signalled(1),
            signalled(0, irq=True),
            signalled(2, irq=True),
        ),
        cpus=3,
    ),
    Check(
        "SGI-4",
        steps(_NO_RSS, ready(0, 1), private(_SGI, cpu=1), put("ICC_SGI1R_EL1", _RANGE | _TO_1))
        + steps(signalled(1, irq=True)),
    ),
    Check(
        "SGI-5",
        steps(
            ready(0), private(_SGI), put("ICC_SGI1R_EL1", _SGI << 24 | 1), signalled(irq=True), acknowledged(_SGI)
        ),
    ),
    Check(
        "SGI-6",
        steps(
            ready(0, 1),
            private(_SGI, cpu=1),
            put("ICC_SGI0R_EL1", _TO_1),
            pending(_SGI, False, cpu=1),
            put("ICC_ASGI1R_EL1", _TO_1),
            pending(_SGI, False, cpu=1),
            private(_SGI, cpu=1, group=0),
            put("ICC_SGI0R_EL1", _TO_1),
            pending(_SGI, True, cpu=1),
            put("GICR_ICPENDR0", 1 << _SGI, cpu=1),
            put("ICC_ASGI1R_EL1", _TO_1),
            pending(_SGI, True, cpu=1),
            put("GICR_ICPENDR0", 1 << _SGI, cpu=1),
            put("ICC_SGI1R_EL1", _TO_1),
            pending(_SGI, True, cpu=1),
        ),
    ),
    Check(
        "SGI-7",
        steps(
            private(_SGI, cpu=1, group=0),
            put("ICC_SGI1R_EL1", _TO_1),
            pending(_SGI, False, cpu=1),
            put("ICC_SGI0R_EL1", _TO_1),
            pending(_SGI, True, cpu=1),
        ),
        of="QEMU",
    ),
    Check(
        "SGI-8",
        steps(
            ready(0, 1),
            private(_SGI, cpu=1, enabled=False),
            put("ICC_SGI1R_EL1", _TO_1),
            pending(_SGI, True, cpu=1),
            signalled(1),
            put("ICC_SGI1R_EL1", _TO_1),
            put("GICR_ISENABLER0", 1 << _SGI, cpu=1),
            acknowledged(_SGI, cpu=1),
            put("ICC_SGI1R_EL1", _TO_1),
            signalled(1),
            finish(_SGI, cpu=1),
            acknowledged(_SGI, cpu=1),
            finish(_SGI, cpu=1),
            signalled(1),
            put("GICR_ISPENDR0", 1 << _SGI, cpu=1),
            signalled(1, irq=True),
            put("GICR_ICPENDR0", 1 << _SGI, cpu=1),
            signalled(1),
        ),
    ),
    Check("RSS-1", steps(_RSS, shows("ICC_CTLR_EL1", RSS=1))),
    Check("RSS-1", steps(_NO_RSS, shows("ICC_CTLR_EL1", RSS=0))),
    Check(
        "RSS-2",
        steps(
            _RSS,
            ready(0, 1),
            private(_SGI, cpu=1),
            put("ICC_SGI1R_EL1", _RANGE | _TO_1),
            signalled(1),
            put("ICC_SGI1R_EL1", _TO_1),
            signalled(1, irq=True),
        ),
    ),
    Check(
        "RSS-2",
        steps(
            _NO_RSS,
            ready(0, 1),
            private(_SGI, cpu=1),
            put("ICC_SGI1R_EL1", _RANGE | _TO_1),
            get("GICR_ISPENDR0", 1 << _SGI, 1 << _SGI, cpu=1),
        ),
    ),
)
"""Checks."""
