"""Values that several profiles share."""

from typing import Final

__all__ = ["ALL_64", "ARM_CORESIGHT", "CIDR", "identification"]

ALL_64: Final = (1 << 64) - 1

CIDR: Final = {"CIDR0": 0x0D, "CIDR1": 0xF0, "CIDR2": 0x05, "CIDR3": 0xB1}
"""The component class of CoreSight."""

ARM_CORESIGHT: Final = {"PIDR1": 0xB4, "PIDR2": 0x3B, "PIDR4": 0x44, **CIDR}
"""A GICv3 that Arm has designed."""


def identification(prefix: str, **registers: int) -> dict[str, int]:
    """Identification registers by name, of the frame whose register names start with `prefix`."""
    return {f"{prefix}_{name}": value for name, value in registers.items()}
