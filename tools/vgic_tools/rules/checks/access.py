"""Rules of specs/access.md: widths, halves, holes, reserved bits, identification."""

from typing import Final

from vgic_tools.rules.scenario import Check, at, get, put, shows, steps
from vgic_tools.rules.setting import MESSAGES, pending, spi

__all__ = ["ACCESS"]

_ALL: Final = 0xFFFF_FFFF
_WIDE: Final = (1 << 64) - 1

ACCESS: Final = (
    Check(
        "ACC-1",
        steps(
            put("GICD_ISENABLER1", 0xFF, size=1, byte=1),
            put("GICD_ISENABLER1", 0xFFFF, size=2),
            get("GICD_ISENABLER1", 0),
            put("GICD_ISENABLER1", _ALL),
            get("GICD_ISENABLER1", 0, size=1, byte=1),
            get("GICD_ISENABLER1", 0, size=2),
            get("GICD_ISENABLER1", _ALL),
        ),
    ),
    Check(
        "ACC-2",
        steps(
            put("GICD_IPRIORITYR10", 0x2020_2020),
            put("GICD_IPRIORITYR10", 0x40, size=1, byte=1),
            get("GICD_IPRIORITYR10", 0x2020_4020),
            get("GICD_IPRIORITYR10", 0x40, size=1, byte=1),
            put("GICR_IPRIORITYR5", 0x60, size=1, byte=2),
            get("GICR_IPRIORITYR5", 0x60_0000),
        ),
    ),
    Check("ACC-3", steps(MESSAGES, spi(40), put("GICD_SETSPI_NSR", 40, size=2), pending(40, True))),
    Check(
        "ACC-4",
        steps(
            get("GICR_TYPER", 1, cpu=1, size=4, byte=4),
            get("GICR_TYPER", 1 << 32, 0xFFFF_FFFF << 32, cpu=1),
            put("GICD_IROUTER40", 0x01_0203),
            put("GICD_IROUTER40", 0, size=4, byte=4),
            get("GICD_IROUTER40", 0x01_0203),
            put("GICD_IROUTER40", 0x04_0506, size=4),
            get("GICD_IROUTER40", 0x04_0506, size=4),
        ),
    ),
    Check(
        "ACC-5",
        steps(at("GICD", 0xC000, 0), at("GICD", 0x0070, 0), at("GICR", 0x8000, 0), at("GICR", 0x1_8000, 0, cpu=1)),
    ),
    Check(
        "ACC-6",
        steps(
            put("GICD_ISENABLER9", _ALL),
            get("GICD_ISENABLER9", 0),
            put("GICD_IPRIORITYR72", 0x8080_8080),
            get("GICD_IPRIORITYR72", 0),
            put("GICD_ICFGR18", _ALL),
            get("GICD_ICFGR18", 0),
            put("GICD_IROUTER288", 1),
            get("GICD_IROUTER288", 0),
            put("GICD_ISENABLER8", _ALL),
            get("GICD_ISENABLER8", _ALL),
        ),
    ),
    Check(
        "ACC-7",
        steps(
            put("GICR_ICENABLER0", _ALL),
            put("GICD_ISENABLER0", _ALL),
            get("GICD_ISENABLER0", 0),
            get("GICR_ISENABLER0", 0),
            put("GICD_ISPENDR0", _ALL),
            get("GICD_ISPENDR0", 0),
            get("GICR_ISPENDR0", 0),
            put("GICD_IPRIORITYR4", 0x8080_8080),
            get("GICD_IPRIORITYR4", 0),
            get("GICR_IPRIORITYR4", 0),
        ),
    ),
    Check(
        "ACC-8",
        steps(
            put("GICD_ISENABLER1", 0x0F00),
            put("GICD_ISENABLER1", 0),
            put("GICD_ICENABLER1", 0x0100),
            get("GICD_ISENABLER1", 0x0E00),
            get("GICD_ICENABLER1", 0x0E00),
            put("GICD_ISPENDR1", 0x0F00),
            put("GICD_ICPENDR1", 0x0800),
            get("GICD_ISPENDR1", 0x0700),
            get("GICD_ICPENDR1", 0x0700),
            put("GICD_ISACTIVER1", 0x0F00),
            put("GICD_ICACTIVER1", 0x0400),
            get("GICD_ISACTIVER1", 0x0B00),
            get("GICD_ICACTIVER1", 0x0B00),
        ),
    ),
    Check(
        "ACC-9",
        steps(
            put("GICD_TYPER", 0),
            shows("GICD_TYPER", SecurityExtn=0),
            put("GICD_PIDR2", 0),
            shows("GICD_PIDR2", ArchRev=3),
            put("GICR_TYPER", _WIDE, cpu=1),
            shows("GICR_TYPER", cpu=1, Affinity_Value=1, Processor_Number=1),
            put("GICD_SETSPI_NSR", 40),
            get("GICD_SETSPI_NSR", 0),
        ),
    ),
    Check(
        "ACC-11",
        steps(
            put("GICR_IPRIORITYR5", 0x4040_4040, cpu=0, of=1),
            get("GICR_IPRIORITYR5", 0x4040_4040, cpu=1),
            get("GICR_IPRIORITYR5", 0, cpu=0),
            shows("GICR_TYPER", cpu=1, of=0, Affinity_Value=0),
        ),
    ),
    Check(
        "ACC-13",
        steps(put("GICD_STATUSR", _ALL), get("GICD_STATUSR", 0), put("GICR_STATUSR", _ALL), get("GICR_STATUSR", 0)),
    ),
    Check("ACC-14", steps(get("GICD_STATUSR", _ALL), get("GICR_STATUSR", 0)), of="KVM"),
    Check(
        "ACC-15",
        steps(
            shows("GICD_IIDR", Implementer=0x43B),
            shows("GICR_IIDR", Implementer=0x43B),
            get("GICD_PIDR0", 0x92),
            get("GICR_PIDR0", 0x93),
            *(
                get(f"{frame}_{name}", value)
                for frame in ("GICD", "GICR")
                for name, value in (
                    ("PIDR1", 0xB4),
                    ("PIDR2", 0x3B),
                    ("PIDR4", 0x44),
                    ("CIDR0", 0x0D),
                    ("CIDR1", 0xF0),
                    ("CIDR2", 0x05),
                    ("CIDR3", 0xB1),
                )
            ),
        ),
    ),
    Check(
        "ACC-16",
        steps(
            get("GICD_IIDR", 0x4B00_343B),
            get("GICR_IIDR", 0x4B00_043B),
            get("GICD_PIDR2", 0x3B),
            get("GICR_PIDR2", 0x3B),
            get("GICD_PIDR0", 0),
            get("GICD_CIDR0", 0),
        ),
        of="KVM",
    ),
    Check("ACC-17", steps(get("GICD_IIDR", 0x043B), get("GICR_IIDR", 0x043B)), of="QEMU"),
    Check(
        "ACC-18",
        steps(spi(40), put("GICD_SETSPI_NSR", 40), pending(40, False), get("GICD_SETSPI_NSR", 0)),
        of="KVM",
    ),
    Check(
        "ACC-20",
        steps(
            put("GICD_ICFGR2", _ALL),
            get("GICD_ICFGR2", 0xAAAA_AAAA),
            put("GICD_CTLR", 0xFFFF_FF00),
            get("GICD_CTLR", 0, 0x7FFF_FF00),
            put("GICD_IROUTER40", 0x7F00_0000),
            get("GICD_IROUTER40", 0),
            put("ICC_PMR_EL1", _WIDE),
            get("ICC_PMR_EL1", 0, ~0xFF),
        ),
    ),
    Check("ACC-21", steps(spi(40), put("GICD_SETSPI_NSR", 40), pending(40, False)), of="QEMU"),
)
"""Checks."""
