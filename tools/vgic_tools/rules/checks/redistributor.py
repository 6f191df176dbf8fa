"""Rules of specs/redistributor.md."""

from typing import Final

from vgic_tools.rules.scenario import Check, get, put, shows, signalled, steps
from vgic_tools.rules.setting import NO_LPIS, awake, pend, ready, spi

__all__ = ["REDISTRIBUTOR"]

_ALL: Final = 0xFFFF_FFFF
_EDGE: Final = 0xAAAA_AAAA
_WIDE: Final = (1 << 64) - 1

REDISTRIBUTOR: Final = (
    Check(
        "RED-1",
        steps(
            shows("GICR_PIDR2", ArchRev=3),
            shows("GICR_PIDR2", of=1, ArchRev=3),
            put("GICR_ISENABLER0", 1 << 30, of=1),
            get("GICR_ISENABLER0", 1 << 30, 1 << 30, of=1),
            get("GICR_ISENABLER0", 0, 1 << 30),
        ),
    ),
    Check(
        "RED-2",
        steps(
            shows("GICR_TYPER", Affinity_Value=0, Processor_Number=0),
            shows("GICR_TYPER", cpu=1, Affinity_Value=1, Processor_Number=1),
            shows("GICR_TYPER", PPInum=0, VLPIS=0, VSGI=0, RVPEID=0, Dirty=0, MPAM=0),
        ),
    ),
    Check(
        "RED-3",
        steps(
            shows("GICR_TYPER", Last=0),
            shows("GICR_TYPER", cpu=1, Last=0),
            shows("GICR_TYPER", cpu=2, Last=1),
        ),
        cpus=3,
    ),
    Check(
        "RED-4",
        steps(
            get("GICR_WAKER", 6),
            put("GICR_WAKER", 0),
            get("GICR_WAKER", 0),
            put("GICR_WAKER", _ALL),
            get("GICR_WAKER", 6),
            put("GICR_WAKER", 4),
            get("GICR_WAKER", 0),
        ),
    ),
    Check(
        "RED-5",
        steps(
            ready(0),
            spi(40),
            pend(40),
            signalled(irq=True),
            put("GICR_WAKER", 2),
            signalled(),
            get("ICC_HPPIR1_EL1", 1023),
            awake(0),
            signalled(irq=True),
        ),
    ),
    Check("RED-6", steps(get("GICR_WAKER", 0), put("GICR_WAKER", 2), get("GICR_WAKER", 0)), of="KVM"),
    Check(
        "RED-7",
        steps(get("GICR_WAKER", 6), ready(0), spi(40), pend(40), put("GICR_WAKER", 2), get("GICR_WAKER", 6))
        + steps(signalled(irq=True)),
        of="QEMU",
    ),
    Check(
        "RED-8",
        steps(
            get("GICR_IGROUPR0", 0),
            get("GICR_ISENABLER0", 0),
            get("GICR_ISPENDR0", 0),
            get("GICR_ISACTIVER0", 0),
            get("GICR_IPRIORITYR0", 0),
            get("GICR_IPRIORITYR7", 0),
            get("GICR_ICFGR0", _EDGE),
            get("GICR_ICFGR1", 0),
            put("GICR_IPRIORITYR5", 0x8080_8080),
            get("GICR_IPRIORITYR5", 0x8080_8080),
            get("GICR_IPRIORITYR5", 0, cpu=1),
        ),
    ),
    Check("RED-9", steps(get("GICR_ISENABLER0", 0xFFFF), get("GICR_ISENABLER0", 0xFFFF, cpu=1)), of="KVM"),
    Check("RED-11", steps(get("GICR_ICFGR0", _EDGE), put("GICR_ICFGR0", 0), get("GICR_ICFGR0", _EDGE))),
    Check(
        "RED-12",
        steps(put("GICR_ICFGR1", _ALL), get("GICR_ICFGR1", _EDGE), put("GICR_ICFGR1", 0), get("GICR_ICFGR1", 0)),
    ),
    Check("RED-13", steps(get("GICR_ICFGR1", 0), put("GICR_ICFGR1", _ALL), get("GICR_ICFGR1", 0)), of="KVM"),
    Check(
        "RED-14",
        steps(
            NO_LPIS,
            put("GICR_CTLR", 1),
            get("GICR_CTLR", 0, 7),
            put("GICR_PROPBASER", _WIDE),
            get("GICR_PROPBASER", 0),
            put("GICR_PENDBASER", _WIDE),
            get("GICR_PENDBASER", 0),
            get("GICR_SYNCR", 0),
        ),
    ),
    Check("RED-15", steps(NO_LPIS, get("GICR_CTLR", 6)), of="KVM"),
    Check(
        "RED-16",
        steps(
            shows("GICR_CTLR", CES=1),
            put("GICR_PROPBASER", 0xFFFF_FFFF_4040_0FFF),
            get("GICR_PROPBASER", 0xFFFF_FFFF_4040_0FFF),
            put("GICR_PENDBASER", _WIDE),
            get("GICR_PENDBASER", _WIDE),
        ),
        of="QEMU",
    ),
    Check("RED-20", steps(shows("GICR_TYPER", PLPIS=1, CommonLPIAff=1)), of="QEMU"),
)
"""Checks."""
