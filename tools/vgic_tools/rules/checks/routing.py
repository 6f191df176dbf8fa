"""Rules of specs/routing.md and specs/features.md: affinities, routes, 1-of-N."""

from typing import Final

from vgic_tools.rules.scenario import Check, at, get, given, mpidr, put, shows, signalled, steps
from vgic_tools.rules.setting import NONE, acknowledged, finish, pend, pending, ready, spi

__all__ = ["ROUTING"]

_ALL: Final = 0xFFFF_FFFF
_WIDE: Final = (1 << 64) - 1
_ANY: Final = 1 << 31
_AFF3: Final = given(shows("GICD_TYPER", A3V=1), "it has no affinity level 3: GICD_TYPER.A3V is 0")
_NO_AFF3: Final = given(shows("GICD_TYPER", A3V=0), "it has affinity level 3: GICD_TYPER.A3V is 1")
_ONE_OF_N: Final = given(shows("GICD_TYPER", No1N=0), "it has no 1-of-N: GICD_TYPER.No1N is 1")
_NO_ONE_OF_N: Final = given(shows("GICD_TYPER", No1N=1), "it has 1-of-N: GICD_TYPER.No1N is 0")

ROUTING: Final = (
    Check("AFF-2", steps(mpidr(0x8000_0000, 0xFF_C1FF_FFFF), mpidr(0x8000_0001, 0xFF_C1FF_FFFF, cpu=1))),
    Check(
        "AFF-3",
        steps(
            put("GICD_IROUTER40", 0x12_3456),
            get("GICD_IROUTER40", 0x12_3456, 0xFF_FFFF),
            get("GICD_IROUTER40", 0x12_3456, 0xFF_FFFF, size=4),
            get("GICD_IROUTER40", 0, size=4, byte=4),
        ),
    ),
    Check(
        "AFF-4",
        steps(
            ready(0, 1),
            put("GICR_IGROUPR0", _ALL, cpu=1),
            put("GICR_ISENABLER0", 0xFFFF, cpu=1),
            put("ICC_SGI1R_EL1", 5 << 24 | 1 << 16 | 2),
            put("ICC_SGI1R_EL1", 5 << 24 | 1 << 32 | 2),
            signalled(1),
            put("ICC_SGI1R_EL1", 5 << 24 | 2),
            signalled(1, irq=True),
        ),
    ),
    Check(
        "AFF-5",
        steps(
            shows("GICR_TYPER", Affinity_Value=0),
            get("GICR_TYPER", 1, cpu=1, size=4, byte=4),
            get("GICR_TYPER", 2, cpu=2, size=4, byte=4),
        ),
        cpus=3,
    ),
    Check(
        "AFF-9",
        steps(
            shows("GICD_TYPER", A3V=1),
            shows("ICC_CTLR_EL1", A3V=1),
            put("GICD_IROUTER40", 0x12 << 32),
            get("GICD_IROUTER40", 0x12 << 32),
        ),
    ),
    Check("A3V-1", steps(_AFF3, shows("ICC_CTLR_EL1", A3V=1))),
    Check("A3V-1", steps(_NO_AFF3, shows("ICC_CTLR_EL1", A3V=0))),
    Check(
        "A3V-3",
        steps(mpidr(1, 0xFF_00FF_FFFF, cpu=1), shows("GICR_TYPER", cpu=1, Affinity_Value=1)),
    ),
    Check(
        "A3V-5",
        steps(
            _AFF3,
            put("GICD_IROUTER40", 0x12, size=4, byte=4),
            put("GICD_IROUTER40", 0x34, size=4),
            get("GICD_IROUTER40", 0x12_0000_0034),
            get("GICD_IROUTER40", 0x12, size=4, byte=4),
        ),
    ),
    Check(
        "A3V-5",
        steps(_NO_AFF3, put("GICD_IROUTER40", _ALL, size=4, byte=4), get("GICD_IROUTER40", 0, size=4, byte=4)),
    ),
    Check(
        "ROUTE-1",
        steps(
            ready(0, 1),
            spi(40, to=1),
            spi(41, to=0),
            pend(40),
            signalled(1, irq=True),
            signalled(0),
            acknowledged(NONE),
            acknowledged(40, cpu=1),
            pend(41),
            signalled(0, irq=True),
        ),
    ),
    Check(
        "ROUTE-2",
        steps(
            ready(0, 1),
            spi(40, to=0x1_0000),
            pend(40),
            put("GICD_IROUTER40", 0, size=4, byte=4),
            signalled(0),
            signalled(1),
            put("GICD_IROUTER40", 1, size=4),
            signalled(1, irq=True),
            get("GICD_IROUTER40", 1),
        ),
    ),
    Check(
        "ROUTE-3",
        steps(
            ready(0, 1),
            spi(40, to=0x50),
            pend(40),
            signalled(0),
            signalled(1),
            pending(40, True),
            get("GICD_IROUTER40", 0x50),
            put("GICD_IROUTER40", 1),
            signalled(1, irq=True),
        ),
    ),
    Check(
        "ROUTE-4",
        steps(
            ready(0, 1),
            spi(40),
            pend(40),
            signalled(0, irq=True),
            put("GICD_IROUTER40", 1),
            signalled(0),
            signalled(1, irq=True),
            acknowledged(40, cpu=1),
            put("GICD_IROUTER40", 0),
            get("ICC_RPR_EL1", 0x80, cpu=1),
            pend(40),
            signalled(0),
            finish(40, cpu=1),
            signalled(1),
            signalled(0, irq=True),
        ),
    ),
    Check(
        "ROUTE-5",
        steps(
            _NO_ONE_OF_N,
            ready(0, 1),
            spi(40, to=_ANY | 1),
            get("GICD_IROUTER40", 1),
            pend(40),
            signalled(1, irq=True),
            signalled(0),
        ),
    ),
    Check(
        "ROUTE-6",
        steps(put("GICD_IROUTER40", _WIDE & ~_ANY), get("GICD_IROUTER40", 0xFF_FFFF, ~(0xFF << 32))),
    ),
    Check("ROUTE-7", steps(at("GICD", 0x6000, 0), at("GICD", 0x60D8, 0), at("GICD", 0x60D8, 0, size=8))),
    Check("ROUTE-8", steps(put("GICD_IROUTER40", _WIDE), get("GICD_IROUTER40", 0xFF_FFFF)), of="KVM"),
    Check(
        "ROUTE-9",
        steps(
            put("GICD_IROUTER40", _WIDE),
            get("GICD_IROUTER40", _WIDE),
            ready(0, 1),
            spi(40, to=_ANY | 1),
            pend(40),
            signalled(1, irq=True),
        ),
        of="QEMU",
    ),
    Check(
        "ROUTE-10",
        steps(
            get("GICD_IROUTER40", 0),
            ready(0, 1),
            put("GICD_IGROUPR1", _ALL),
            put("GICD_ISENABLER1", 0x100),
            pend(40),
            signalled(0, irq=True),
            signalled(1),
        ),
    ),
    Check(
        "ONEN-1",
        steps(
            _ONE_OF_N,
            shows("GICR_TYPER", DPGS=1),
            put("GICD_IROUTER40", _ANY),
            shows("GICD_IROUTER40", Interrupt_Routing_Mode=1),
            put("GICD_CTLR", 0x80),
            shows("GICD_CTLR", E1NWF=1),
            put("GICR_CTLR", 0x0300_0000),
            shows("GICR_CTLR", DPG0=1, DPG1NS=1, DPG1S=0),
        ),
    ),
    Check(
        "ONEN-1",
        steps(
            _NO_ONE_OF_N,
            shows("GICR_TYPER", DPGS=0),
            put("GICD_IROUTER40", _ANY),
            shows("GICD_IROUTER40", Interrupt_Routing_Mode=0),
            put("GICD_CTLR", 0x80),
            shows("GICD_CTLR", E1NWF=0),
            put("GICR_CTLR", 0x0700_0000),
            shows("GICR_CTLR", DPG0=0, DPG1NS=0, DPG1S=0),
        ),
    ),
    Check(
        "ONEN-2",
        steps(
            _ONE_OF_N,
            ready(0, 1, groups=(1,)),
            put("ICC_IGRPEN1_EL1", 0, cpu=0),
            spi(40, to=_ANY),
            pend(40),
            signalled(0),
            signalled(1, irq=True),
            acknowledged(NONE, cpu=0),
            acknowledged(40, cpu=1),
        ),
    ),
    Check(
        "ONEN-4",
        steps(
            _ONE_OF_N,
            ready(0, 1),
            put("ICC_PMR_EL1", 0, cpu=0),
            spi(40, to=_ANY),
            pend(40),
            signalled(0),
            signalled(1, irq=True),
            acknowledged(40, cpu=1),
            put("ICC_PMR_EL1", 0xFF, cpu=0),
            spi(41, at=0x40, to=_ANY),
            pend(41),
            signalled(0, irq=True),
            signalled(1),
        ),
    ),
)
"""Checks."""
