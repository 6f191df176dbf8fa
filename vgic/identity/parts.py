"""Names of CPUs: who made one, and which part it is, by MIDR_EL1. Source: reference manuals, Linux's cputype.h."""

from collections.abc import Mapping
from typing import Final

from vgic.identity.implementation import MIDR

__all__ = ["cpu_name", "model_of"]

_IMPLEMENTERS: Final[Mapping[int, str]] = {
    0x41: "Arm",
    0x42: "Broadcom",
    0x43: "Cavium",
    0x46: "Fujitsu",
    0x48: "HiSilicon",
    0x4E: "NVIDIA",
    0x50: "APM",
    0x51: "Qualcomm",
    0x61: "Apple",
    0x6D: "Microsoft",
    0xC0: "Ampere",
}

_PARTS: Final[Mapping[tuple[int, int], str]] = {
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse N1",
    (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD0E): "Cortex-A76AE",
    (0x41, 0xD40): "Neoverse V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD49): "Neoverse N2",
    (0x41, 0xD4B): "Cortex-A78C",
    (0x41, 0xD4C): "Cortex-X1C",
    (0x41, 0xD4D): "Cortex-A715",
    (0x41, 0xD4E): "Cortex-X3",
    (0x41, 0xD4F): "Neoverse V2",
    (0x41, 0xD80): "Cortex-A520",
    (0x41, 0xD81): "Cortex-A720",
    (0x41, 0xD82): "Cortex-X4",
    (0x41, 0xD83): "Neoverse V3AE",
    (0x41, 0xD84): "Neoverse V3",
    (0x41, 0xD85): "Cortex-X925",
    (0x41, 0xD87): "Cortex-A725",
    (0x41, 0xD89): "Cortex-A720AE",
    (0x41, 0xD8B): "C1-Pro",
    (0x41, 0xD8C): "C1-Ultra",
    (0x41, 0xD8E): "Neoverse N3",
    (0x41, 0xD90): "C1-Premium",
    (0x42, 0x100): "Brahma-B53",
    (0x42, 0x516): "Vulcan",
    (0x43, 0x0A1): "ThunderX",
    (0x43, 0x0A2): "ThunderX 81XX",
    (0x43, 0x0A3): "ThunderX 83XX",
    (0x43, 0x0AF): "ThunderX2",
    (0x43, 0x0B1): "OcteonTX2 98XX",
    (0x43, 0x0B2): "OcteonTX2 96XX",
    (0x43, 0x0B3): "OcteonTX2 95XX",
    (0x43, 0x0B4): "OcteonTX2 95XXN",
    (0x43, 0x0B5): "OcteonTX2 95XXMM",
    (0x43, 0x0B6): "OcteonTX2 95XXO",
    (0x46, 0x001): "A64FX",
    (0x48, 0xD01): "Kunpeng 920",
    (0x48, 0xD02): "HIP09",
    (0x4E, 0x004): "Carmel",
    (0x50, 0x000): "X-Gene",
    (0x51, 0x001): "Oryon",
    (0x51, 0x801): "Kryo 2XX Silver",
    (0x51, 0x803): "Kryo 3XX Silver",
    (0x51, 0x804): "Kryo 4XX Gold",
    (0x51, 0x805): "Kryo 4XX Silver",
    (0x61, 0x022): "M1 Icestorm",
    (0x61, 0x023): "M1 Firestorm",
    (0x61, 0x024): "M1 Pro Icestorm",
    (0x61, 0x025): "M1 Pro Firestorm",
    (0x61, 0x038): "M2 Max Blizzard",
    (0x61, 0x039): "M2 Max Avalanche",
    (0x6D, 0xD49): "Azure Cobalt 100",
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


_MODELS: Final[Mapping[str, int]] = {
    name: MIDR.layout.encode({"Implementer": implementer, "Architecture": 0xF, "PartNum": part})
    for (implementer, part), name in _PARTS.items()
}


def model_of(name: str) -> int:
    """MIDR_EL1 of a part by its name, variant and revision zero. Raises KeyError for a name that is not here.

    >>> hex(model_of("Neoverse N1"))
    '0x410fd0c0'
    """
    return _MODELS[name]
