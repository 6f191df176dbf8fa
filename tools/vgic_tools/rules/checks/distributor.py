"""Rules of specs/distributor.md: the Distributor's registers."""

from typing import Final

from vgic_tools.rules.scenario import Check, get, level, put, shows, signalled, steps
from vgic_tools.rules.setting import (
    FIVE_BITS,
    MESSAGES,
    acknowledged,
    active,
    pend,
    pending,
    priority,
    ready,
    spi,
)

__all__ = ["DISTRIBUTOR"]

_ALL: Final = 0xFFFF_FFFF
_NO_E1NWF: Final = ~0x80

DISTRIBUTOR: Final = (
    Check(
        "DIST-1",
        steps(
            get("GICD_CTLR", 0x50, _NO_E1NWF),
            put("GICD_CTLR", 0x02),
            get("GICD_CTLR", 0x52, _NO_E1NWF),
            put("GICD_CTLR", 0x03),
            get("GICD_CTLR", 0x53, _NO_E1NWF),
            put("GICD_CTLR", 0x01),
            get("GICD_CTLR", 0x51, _NO_E1NWF),
        ),
    ),
    Check(
        "DIST-2",
        steps(
            ready(0),
            spi(40),
            pend(40),
            signalled(irq=True),
            put("GICD_CTLR", 0),
            signalled(),
            pending(40, True),
            pend(41),
            pending(41, True),
            put("GICD_CTLR", 3),
            acknowledged(40),
            put("GICD_CTLR", 0),
            active(40, True),
        ),
    ),
    Check(
        "DIST-3",
        steps(
            ready(0),
            put("GICD_CTLR", 1),
            get("GICD_CTLR", 0, 3),
            put("GICD_CTLR", 2),
            get("GICD_CTLR", 2, 3),
            spi(40, group=0),
            pend(40),
            signalled(fiq=True),
        ),
        of="KVM",
    ),
    Check(
        "DIST-4",
        steps(
            put("GICD_CTLR", 3),
            shows("GICD_CTLR", RWP=0),
            put("GICD_ICENABLER1", _ALL),
            shows("GICD_CTLR", RWP=0),
            put("GICR_ICENABLER0", _ALL),
            shows("GICR_CTLR", RWP=0, UWP=0),
        ),
    ),
    Check(
        "DIST-5",
        steps(
            shows("GICD_TYPER", ITLinesNumber=8),
            shows("GICD_TYPER", SecurityExtn=0, ESPI=0, NMI=0, CPUNumber=0, num_LPIs=0, DVIS=0),
            shows("GICD_TYPER", MBIS=1),
            get("GICD_TYPER2", 0),
        ),
    ),
    Check("DIST-6", steps(shows("GICD_TYPER", A3V=0, MBIS=0, No1N=0, IDbits=9, LPIS=0)), of="KVM"),
    Check("DIST-7", steps(shows("GICD_TYPER", A3V=1, No1N=1, LPIS=1, IDbits=15)), of="QEMU"),
    Check(
        "DIST-8",
        steps(shows("GICD_TYPER", ITLinesNumber=7), put("GICD_ISENABLER8", _ALL), get("GICD_ISENABLER8", _ALL)),
        of="QEMU 7.2",
    ),
    Check(
        "DIST-9",
        steps(
            get("GICD_IGROUPR1", 0),
            get("GICD_ISENABLER1", 0),
            get("GICD_ISPENDR1", 0),
            get("GICD_ISACTIVER1", 0),
            get("GICD_IPRIORITYR8", 0),
            get("GICD_ICFGR2", 0),
            get("GICD_IROUTER32", 0),
        ),
    ),
    Check("DIST-10", steps(get("GICD_IGROUPR1", _ALL), get("GICR_IGROUPR0", _ALL)), of="KVM"),
    Check("DIST-23", steps(get("GICD_ICFGR2", 0xAAAA_AAAA), get("GICD_ICFGR17", 0xAAAA_AAAA)), of="KVM"),
    Check(
        "DIST-11",
        steps(
            put("GICD_IGRPMODR1", _ALL),
            get("GICD_IGRPMODR1", 0),
            put("GICD_NSACR2", _ALL),
            get("GICD_NSACR2", 0),
            put("GICR_IGRPMODR0", _ALL),
            get("GICR_IGRPMODR0", 0),
            put("GICR_NSACR", _ALL),
            get("GICR_NSACR", 0),
            get("GICD_TYPER2", 0),
        ),
    ),
    Check(
        "DIST-12",
        steps(
            put("GICD_ICFGR2", _ALL),
            get("GICD_ICFGR2", 0xAAAA_AAAA),
            put("GICD_ICFGR2", 0x5555_5555),
            get("GICD_ICFGR2", 0),
        ),
    ),
    Check(
        "DIST-13",
        steps(
            MESSAGES,
            ready(0),
            spi(40),
            put("GICD_SETSPI_NSR", 40),
            signalled(irq=True),
            put("GICD_CLRSPI_NSR", 40),
            pending(40, False),
            put("GICD_SETSPI_NSR", 40),
            acknowledged(40),
            pending(40, False),
        ),
    ),
    Check(
        "DIST-14",
        steps(
            MESSAGES,
            ready(0),
            spi(40, edge=False),
            put("GICD_SETSPI_NSR", 40),
            put("GICD_ICPENDR1", 0x100),
            acknowledged(40),
            pending(40, True),
            level(40, True),
            put("GICD_CLRSPI_NSR", 40),
            pending(40, True),
            level(40, False),
            pending(40, False),
        ),
    ),
    Check(
        "DIST-15",
        steps(
            spi(40),
            put("GICD_SETSPI_SR", 40),
            pending(40, False),
            get("GICD_SETSPI_SR", 0),
            pend(40),
            put("GICD_CLRSPI_SR", 40),
            pending(40, True),
        ),
    ),
    Check(
        "DIST-16",
        steps(
            MESSAGES,
            spi(40),
            put("GICD_SETSPI_NSR", 10),
            get("GICR_ISPENDR0", 0),
            put("GICD_SETSPI_NSR", 1000),
            put("GICD_SETSPI_NSR", 0xFFFF_E000 | 40),
            pending(40, True),
            put("GICD_CLRSPI_NSR", 10),
            pending(40, True),
        ),
    ),
    Check(
        "DIST-17",
        steps(
            ready(0, 1),
            put("GICD_ITARGETSR10", _ALL),
            get("GICD_ITARGETSR10", 0),
            put("GICD_SGIR", 0x0203_0001),
            get("GICD_SGIR", 0),
            get("GICR_ISPENDR0", 0, cpu=0),
            get("GICR_ISPENDR0", 0, cpu=1),
            put("GICD_SPENDSGIR0", _ALL),
            get("GICD_SPENDSGIR0", 0),
            get("GICD_CPENDSGIR0", 0),
        ),
    ),
    Check(
        "DIST-18",
        steps(FIVE_BITS, priority(40, 0xFF), get("GICD_IPRIORITYR10", 0xF8, 0xFF), priority(40, 0x07))
        + steps(get("GICD_IPRIORITYR10", 0, 0xFF)),
    ),
    Check("DIST-19", steps(FIVE_BITS, priority(40, 0xFF), get("GICD_IPRIORITYR10", 0xFF, 0xFF)), of="QEMU"),
    Check("DIST-20", steps(priority(40, 0xFF), get("GICD_IPRIORITYR10", 0xF8, 0xFF)), of="KVM"),
)
"""Checks."""
