"""Caches: what CCSIDR_EL1 says of one, in which of its two formats, what CLIDR_EL1 says of all, and what KVM shows.

Rules IDENT-3, IDENT-4, IDENT-5, IDENT-33 and IDENT-34.
"""

from typing import Final, NamedTuple

from vgic.identity.implementation import CCSIDR, CCSIDR_CCIDX, CLIDR, CSSELR, CTR

__all__ = ["Cache", "cache_of", "claims_idc", "generated_ccsidr", "generated_clidr", "selected", "selectors"]

_OLD_FLAGS: Final = CCSIDR.layout.mask("UNKNOWN")
_SMALLEST_LINE: Final = 16
_LEVELS: Final = 7
_HAS_DATA: Final = (2, 3, 4)
"""Ctype: data, both apart, unified."""
_HAS_INSTRUCTIONS: Final = (1, 3)
"""Ctype: instructions, both apart."""


class Cache(NamedTuple):
    """The shape of a cache."""

    sets: int
    ways: int
    line: int
    """Bytes."""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.sets * self.ways * self.line


def _read(value: int, ccidx: bool) -> Cache:
    fields = (CCSIDR_CCIDX if ccidx else CCSIDR).layout.decode(value)
    return Cache(fields["NumSets"] + 1, fields["Associativity"] + 1, _SMALLEST_LINE << fields["LineSize"])


def cache_of(value: int, ccidx: bool | None) -> Cache | None:
    """The cache that a CCSIDR_EL1 describes; None where its format is unknown and nothing in it tells.

    `ccidx` is ID_AA64MMFR2_EL1.CCIDX: the format is that of 64 bits. Where it is None, a value of more than 32
    bits is in that format, one that has flags of older CPUs is not, and a cache that is the same in
    both needs no telling.

    >>> cache_of(0x700FE03A, None)
    Cache(sets=128, ways=8, line=64)
    >>> cache_of(0x1A, None)
    """
    if ccidx is not None:
        return _read(value, ccidx)
    if value >> 32:
        return _read(value, ccidx=True)
    if value & _OLD_FLAGS:
        return _read(value, ccidx=False)
    short, long = _read(value, ccidx=False), _read(value, ccidx=True)
    return short if short == long else None


def selected(csselr: int) -> int | None:
    """The cache that CSSELR_EL1 selects, one of `vgic.identity.registers.SELECTORS`; None for an eighth level.

    TnD, which selects the allocation tags of a cache, is left aside as KVM does.
    """
    fields = CSSELR.layout.decode(csselr)
    return None if fields["Level"] >= _LEVELS else fields["Level"] << 1 | fields["InD"]


def selectors(clidr: int) -> tuple[int, ...]:
    """What selects the caches that CLIDR_EL1 lists: instructions apart, or data and unified ones.

    >>> selectors(0x82000023)
    (0, 1, 2)
    """
    kinds = CLIDR.layout.decode(clidr)
    found: list[int] = []
    for level in range(_LEVELS):
        kind = kinds[f"Ctype{level + 1}"]
        found += [2 * level] if kind in _HAS_DATA else []
        found += [2 * level + 1] if kind in _HAS_INSTRUCTIONS else []
    return tuple(found)


def claims_idc(clidr: int) -> bool:
    """True where CLIDR_EL1 says that data caches need no cleaning for instructions to see what was written."""
    fields = CLIDR.layout.decode(clidr)
    return not fields["LoC"] or not (fields["LoUU"] or fields["LoUIS"])


def generated_ccsidr(ctr: int, selector: int) -> int:
    """What KVM from 6.3 on shows for any cache: one set and one way of the least line that CTR_EL0 `ctr` tells."""
    line = CTR.layout.decode(ctr)["IminLine" if selector & 1 else "DminLine"]
    # CTR counts in words, CCSIDR in units of 16 bytes, and by three bits only.
    return CCSIDR.layout.encode({"LineSize": min(max(0, line - 2), 7)})


def generated_clidr(ctr: int) -> int:
    """What KVM from 6.3 on shows as CLIDR_EL1 of a VM without tags, made from the host's CTR_EL0 `ctr`.

    >>> [hex(generated_clidr(0x8444C004 | idc << 28 | dic << 29)) for idc in (0, 1) for dic in (0, 1)]
    ['0x9200003', '0x9200002', '0x2000021', '0x1000004']
    """
    fields = CTR.layout.decode(ctr)
    if not fields["IDC"]:
        first = 2 if fields["DIC"] else 3
        return CLIDR.layout.encode({"Ctype1": first, "LoUIS": 1, "LoC": 1, "LoUU": 1})
    if fields["DIC"]:
        return CLIDR.layout.encode({"Ctype1": 4, "LoC": 1})
    return CLIDR.layout.encode({"Ctype1": 1, "Ctype2": 4, "LoC": 2})
