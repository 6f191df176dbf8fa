"""Layouts that the Distributor and the Redistributors share: registers with a field for each of many INTIDs.

The Distributor's arrays start at register 1, because with affinity routing INTIDs 0-31 live in the
Redistributors; what lies before is RAZ/WI. The Redistributor's cover INTIDs 0-31.
"""

from typing import Final

from mmio import AccessKind, RegisterLayout, layout, res0, ro, rw

__all__ = ["bit_per_intid", "byte_per_intid", "identification", "implementation", "raz_wi", "two_bits_per_intid"]

BITS: Final = 32


def bit_per_intid(
    name: str, offset: int, access: AccessKind, doc: str, *, first: int = 0, count: int = 1
) -> RegisterLayout:
    """Registers of 32 bits, one for each INTID."""
    return layout(name, offset, BITS, access, rw("bits", BITS, doc), first=first, count=count)


def byte_per_intid(name: str, offset: int, doc: str, *, first: int = 0, count: int = 1) -> RegisterLayout:
    """Registers of four bytes, one for each INTID, accessible as bytes too."""
    fields = [rw(f"offset_{n}B", 8, doc) for n in (3, 2, 1, 0)]
    return layout(name, offset, BITS, AccessKind.RW, *fields, first=first, count=count, sizes=(1, 4))


def two_bits_per_intid(
    name: str,
    offset: int,
    access: AccessKind,
    doc: str,
    *,
    first: int | None = None,
    count: int = 1,
    reset: int = 0,
    field: str = "config_",
) -> RegisterLayout:
    """Registers of sixteen 2-bit fields, one for each INTID."""
    # Bit 2x of ICFGR is reserved; bit 2x+1 carries the meaning. One field keeps the manuals' name for both.
    declare = rw if access is AccessKind.RW else ro
    fields = [declare(f"{field}{n}", 2, doc) for n in range(15, -1, -1)]
    return layout(name, offset, BITS, access, *fields, first=first, count=count, reset=reset)


def raz_wi(
    name: str, offset: int, *, first: int | None = None, count: int = 1, sizes: tuple[int, ...] = (4,)
) -> RegisterLayout:
    """Registers that exist and are RAZ/WI in this configuration."""
    doc = "RAZ/WI here"
    return layout(
        name, offset, BITS, AccessKind.RAZ_WI, ro("bits", BITS, doc), first=first, count=count, sizes=sizes
    )


def implementation(name: str, offset: int) -> RegisterLayout:
    """Who made this, and in which revision."""
    return layout(
        name,
        offset,
        BITS,
        AccessKind.RO,
        ro("ProductID", 8, "the product"),
        res0(4),
        ro("Variant", 4, "major revision"),
        ro("Revision", 4, "minor revision"),
        ro("Implementer", 12, "JEP106 code of the implementer"),
    )


def identification(prefix: str) -> list[RegisterLayout]:
    """The CoreSight identification registers at the end of every frame (IHI 0069, "Identification registers")."""
    byte = "the low byte is the register's value"
    arch_rev = (
        ro("reserved", 24, "zero"),
        ro("ArchRev", 4, "3: GICv3, 4: GICv4"),
        ro("designer", 4, "JEDEC designer and revision bits"),
    )
    plain = (ro("reserved", 24, "zero"), ro("value", 8, byte))
    rows = [
        ("PIDR4", 0xFFD0, plain),
        ("PIDR5", 0xFFD4, plain),
        ("PIDR6", 0xFFD8, plain),
        ("PIDR7", 0xFFDC, plain),
        ("PIDR0", 0xFFE0, plain),
        ("PIDR1", 0xFFE4, plain),
        ("PIDR2", 0xFFE8, arch_rev),
        ("PIDR3", 0xFFEC, plain),
        ("CIDR0", 0xFFF0, plain),
        ("CIDR1", 0xFFF4, plain),
        ("CIDR2", 0xFFF8, plain),
        ("CIDR3", 0xFFFC, plain),
    ]
    return [layout(f"{prefix}_{name}", offset, BITS, AccessKind.RO, *fields) for name, offset, fields in rows]
