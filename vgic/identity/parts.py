"""Names of CPUs: who made one, and which part it is, by MIDR_EL1. Source: reference manuals, Linux's cputype.h."""

from collections.abc import Mapping
from typing import Final

from vgic.identity.implementation import MIDR

__all__ = ["cpu_name"]

_IMPLEMENTERS: Final[Mapping[int, str]] = {
    0x41: "Arm",
    0x43: "Cavium",
    0x46: "Fujitsu",
    0x48: "HiSilicon",
    0x4E: "NVIDIA",
    0x50: "APM",
    0x51: "Qualcomm",
    0x61: "Apple",
    0xC0: "Ampere",
}

_PARTS: Final[Mapping[tuple[int, int], str]] = {
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse N1",
    (0x41, 0xD40): "Neoverse V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD49): "Neoverse N2",
    (0x41, 0xD4B): "Cortex-A78C",
    (0x41, 0xD4C): "Cortex-X1C",
    (0x41, 0xD4F): "Neoverse V2",
    (0x41, 0xD84): "Neoverse V3",
    (0x41, 0xD85): "Cortex-X925",
    (0x41, 0xD87): "Cortex-A725",
    (0x43, 0x0AF): "ThunderX2",
    (0x46, 0x001): "A64FX",
    (0x48, 0xD01): "Kunpeng 920",
    (0x50, 0x000): "X-Gene",
    (0x51, 0x001): "Oryon",
    (0x61, 0x022): "M1 Icestorm",
    (0x61, 0x023): "M1 Firestorm",
    (0x61, 0x024): "M1 Pro Icestorm",
    (0x61, 0x025): "M1 Pro Firestorm",
    (0x61, 0x038): "M2 Max Blizzard",
    (0x61, 0x039): "M2 Max Avalanche",
    (0xC0, 0xAC3): "AmpereOne",
    (0xC0, 0xAC4): "AmpereOne AC04",
}


def cpu_name(midr: int) -> str:
    """A CPU by name and revision; by number what has no name here.

    >>> cpu_name(0x413FD0C1), cpu_name(0x410F1230)
    ('Arm Neoverse N1 r3p1', 'Arm part 0x123 r0p0')
    """
    fields = MIDR.layout.decode(midr)
    implementer, part = fields["Implementer"], fields["PartNum"]
    maker = _IMPLEMENTERS.get(implementer, f"implementer {implementer:#04x}")
    model = _PARTS.get((implementer, part), f"part {part:#05x}")
    return f"{maker} {model} r{fields['Variant']}p{fields['Revision']}"
