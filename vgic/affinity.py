"""Affinity: one packed 32-bit integer, Aff3.Aff2.Aff1.Aff0, Aff3 in the top byte.

Every register shows the same four bytes in another place. The conversions are here and nowhere else
(rules AFF-1 to AFF-6 in specs/routing.md).
"""

import re
from typing import Final

from mypy_extensions import i64

from vgic.errors import AffinityError

__all__ = [
    "IROUTER_AFFINITY",
    "AffinityError",
    "from_irouter",
    "from_kvm_key",
    "from_mpidr",
    "from_text",
    "has_aff3",
    "levels",
    "pack",
    "sgi_cluster",
    "sgi_range",
    "text",
    "to_irouter",
    "to_kvm_key",
    "to_mpidr",
    "to_sgi_cluster",
    "to_typer",
    "without_aff3",
]

# Aff2.Aff1.Aff0 lie together in MPIDR_EL1 and GICD_IROUTER alike, with Aff3 above a gap of 8 bits.
_LOW: Final = 0x00FF_FFFF
_AFF3: Final = 0xFF00_0000
_GAP: Final = 8

IROUTER_AFFINITY: Final = 0xFF_00FF_FFFF
"""The bits of GICD_IROUTER<n> and MPIDR_EL1 that are affinity: [39:32] and [23:0]."""

MPIDR_RES1: Final = 1 << 31

_DOTTED: Final = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})")


def pack(aff3: int, aff2: int, aff1: int, aff0: int) -> int:
    """The packed affinity of four levels, 0 to 255 each. Raises AffinityError for another value (AFF-1).

    >>> hex(pack(1, 2, 3, 4))
    '0x1020304'
    """
    for name, level in (("Aff3", aff3), ("Aff2", aff2), ("Aff1", aff1), ("Aff0", aff0)):
        if not 0 <= level <= 0xFF:
            raise AffinityError(f"{name} is 8 bits, {level} does not fit")
    return aff3 << 24 | aff2 << 16 | aff1 << 8 | aff0


def levels(affinity: int) -> tuple[int, int, int, int]:
    """(Aff3, Aff2, Aff1, Aff0) of a packed affinity (AFF-1).

    >>> levels(0x01020304)
    (1, 2, 3, 4)
    """
    return affinity >> 24, affinity >> 16 & 0xFF, affinity >> 8 & 0xFF, affinity & 0xFF


def has_aff3(affinity: int) -> bool:
    """True where affinity level 3 is not zero: only in a VM with A3V, and not of an AArch32 vCPU."""
    return affinity & _AFF3 != 0


def without_aff3(affinity: int) -> int:
    """The affinity as a VM without A3V shows it (A3V-1)."""
    return affinity & _LOW


def from_mpidr(mpidr: int) -> int:
    """The affinity in MPIDR_EL1 (64 bits): Aff3 [39:32], Aff2 to Aff0 [23:0]. U, MT and RES1 are not affinity.

    Rule AFF-2.

    >>> hex(from_mpidr(0x1_8100_0203))
    '0x1000203'
    """
    return mpidr >> _GAP & _AFF3 | mpidr & _LOW


def to_mpidr(affinity: int) -> int:
    """MPIDR_EL1 of a multiprocessor PE with this affinity: bit 31 is RES1, U and MT are 0 (AFF-2, MPIDR-6)."""
    return to_irouter(affinity) | MPIDR_RES1


def from_irouter(value: int) -> int:
    """The affinity in GICD_IROUTER<n> (64 bits): Aff3 [39:32], Aff2 to Aff0 [23:0] (AFF-3)."""
    return value >> _GAP & _AFF3 | value & _LOW


def to_irouter(affinity: int) -> int:
    """The affinity fields of GICD_IROUTER<n> (AFF-3)."""
    return (affinity & _AFF3) << _GAP | affinity & _LOW


def to_typer(affinity: int) -> int:
    """The affinity field of GICR_TYPER: [63:32] (AFF-5)."""
    return affinity << 32


def from_kvm_key(attr: int) -> int:
    """The affinity in a device attribute of KVM's VGICv3 (64 bits): [63:32] (KVM-18)."""
    return attr >> 32


def to_kvm_key(affinity: int) -> int:
    """The affinity field of a device attribute of KVM's VGICv3 (KVM-18)."""
    return affinity << 32


def sgi_range(value: i64) -> i64:
    """The first Aff0 that TargetList of an SGI register names: 16 * RS, with RS in [47:44] (RSS-2).

    `value` has 63 bits at most, here and in `sgi_cluster`: bit 63 is reserved.
    """
    return (value >> 44 & 0xF) << 4


def sgi_cluster(value: i64) -> i64:
    """Aff3.Aff2.Aff1 (24 bits packed) of ICC_SGI1R, ICC_ASGI1R or ICC_SGI0R: [55:48], [39:32], [23:16] (AFF-4).

    >>> hex(sgi_cluster(0x0003_0002_0001_0000))
    '0x30201'
    """
    return value >> 32 & 0xFF_0000 | value >> 24 & 0xFF00 | value >> 16 & 0xFF


def to_sgi_cluster(cluster: int) -> int:
    """The affinity fields of an SGI register that names the cluster Aff3.Aff2.Aff1 (24 bits packed).

    >>> hex(to_sgi_cluster(0x30201))
    '0x3000200010000'
    """
    return (cluster & 0xFF_0000) << 32 | (cluster & 0xFF00) << 24 | (cluster & 0xFF) << 16


def text(affinity: int) -> str:
    """Dotted text, Aff3 first (AFF-6).

    >>> text(0x010203ff)
    '1.2.3.255'
    """
    return ".".join(str(level) for level in levels(affinity))


def from_text(dotted: str) -> int:
    """The packed affinity of dotted text, Aff3 first. Raises AffinityError naming the text (AFF-6).

    >>> hex(from_text("1.2.3.255"))
    '0x10203ff'
    """
    match = _DOTTED.fullmatch(dotted.strip())
    if match is None or any(int(level) > 0xFF for level in match.groups()):
        raise AffinityError(f"{dotted!r} is no affinity; it is written Aff3.Aff2.Aff1.Aff0, 0 to 255 each")
    return pack(*(int(level) for level in match.groups()))
