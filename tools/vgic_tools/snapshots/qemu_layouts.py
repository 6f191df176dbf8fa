"""The GIC's sections of a QEMU migration stream, for streams that do not describe themselves.

The layouts of QEMU 7.2 (measured: equal to the streams' own descriptions). Descriptions have the form of those.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any, Final, TypeAlias

__all__ = ["FIXED"]

Description: TypeAlias = Mapping[str, Any]
"""As a stream's own description has it."""

_WORDS: Final = 32
_INTIDS: Final = 1020
_MOST_CPUS: Final = 512


def _field(name: str, size: int, count: int | None = None) -> dict[str, object]:
    field: dict[str, object] = {"name": name, "type": f"uint{8 * size}", "size": size}
    return field if count is None else field | {"array_len": count}


def _cpu(subsections: Sequence[Description]) -> dict[str, object]:
    words = ("gicr_igroupr0", "gicr_ienabler0", "gicr_ipendr0", "gicr_iactiver0", "edge_trigger", "gicr_igrpmodr0")
    fields = [
        _field("level", 4),
        _field("gicr_ctlr", 4),
        _field("gicr_statusr", 4, 2),
        _field("gicr_waker", 4),
        _field("gicr_propbaser", 8),
        _field("gicr_pendbaser", 8),
        *(_field(name, 4) for name in (*words, "gicr_nsacr")),
        _field("gicr_ipriorityr", 1, 32),
        _field("icc_ctlr_el1", 8, 2),
        _field("icc_pmr_el1", 8),
        _field("icc_bpr", 8, 3),
        _field("icc_apr", 8, 12),
        _field("icc_igrpen", 8, 3),
        _field("icc_ctlr_el3", 8),
    ]
    return {"fields": fields, "subsections": list(subsections)}


_VIRTUAL: Final[Description] = {
    "vmsd_name": "arm_gicv3_cpu/virt",
    "fields": [
        _field("ich_apr", 8, 12),
        _field("ich_hcr_el2", 8),
        _field("ich_lr_el2", 8, 16),
        _field("ich_vmcr_el2", 8),
    ],
}
_SRE: Final[Description] = {"vmsd_name": "arm_gicv3_cpu/sre_el1", "fields": [_field("icc_sre_el1", 8)]}
_GICV4: Final[Description] = {
    "vmsd_name": "arm_gicv3_cpu/gicv4",
    "fields": [_field("gicr_vpropbaser", 8), _field("gicr_vpendbaser", 8)],
}
_SHIFT: Final[Description] = {
    "vmsd_name": "arm_gicv3/gicd_no_migration_shift_bug",
    "fields": [_field("gicd_no_migration_shift_bug", 1)],
}


_WITH_INTIDS: Final = [
    _field("gicd_ctlr", 4),
    _field("gicd_statusr", 4, 2),
    *(
        _field(name, 4, _WORDS)
        for name in ("group", "grpmod", "enabled", "pending", "active", "level", "edge_trigger")
    ),
    _field("gicd_ipriority", 1, _INTIDS),
    _field("gicd_irouter", 8, _INTIDS),
    _field("gicd_nsacr", 4, 64),
]

Ends: TypeAlias = Callable[[int], bool]
"""Whether a device that has so many bytes ends where its section does."""


def _gic(ends: Ends) -> Description | None:
    """Of all numbers of CPUs, and all choices of their subsections, the one that ends where the section does."""
    shared = _bytes({"fields": _WITH_INTIDS, "subsections": [_SHIFT]})
    for virtual, sre, fourth in product((False, True), repeat=3):
        chosen = [part for part, there in ((_VIRTUAL, virtual), (_SRE, sre), (_GICV4, fourth)) if there]
        cpu = _cpu(chosen)
        each = _bytes(cpu)
        for cpus in range(1, _MOST_CPUS + 1):
            if ends(shared + cpus * each):
                of_cpus = [{"name": "cpu", "struct": cpu, "index": index} for index in range(cpus)]
                return {"fields": [*_WITH_INTIDS, *of_cpus], "subsections": [_SHIFT]}
    return None


def _its(_: Ends) -> Description:
    numbers = [_field("ctlr", 4), _field("iidr", 4), _field("cbaser", 8), _field("cwriter", 8), _field("creadr", 8)]
    return {"fields": [*numbers, _field("baser", 8, 8)]}


def _bytes(description: Description) -> int:
    """How many a structure has, with its subsections: each begins with a mark, its name, and its version."""
    total = 0
    for field in description["fields"]:
        total += field["size"] * field.get("array_len", 1)
    for part in description.get("subsections", ()):
        total += 1 + 1 + len(part["vmsd_name"]) + 4 + _bytes(part)
    return total


FIXED: Final[Mapping[str, Callable[[Ends], Description | None]]] = {"arm_gicv3": _gic, "arm_gicv3_its": _its}
"""By the name of a device: its layout, None where none ends where its section does."""
