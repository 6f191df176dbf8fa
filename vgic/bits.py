"""Bits of the integers that the hot path computes with.

`i64` is a 64-bit integer of the machine where the core is compiled, and Python's own int where it is not: it is
written in annotations only. What the model keeps for itself fits in it: 32 bits of state, keys of 34 bits, vCPUs
and INTIDs. What a guest writes may have all 64 bits and stays an `int` until the bits that a register has are left.

mypyc shifts a literal by a native integer in 32 bits, so no compiled module may do that itself: `bit(n)` and
`shifted(value, n)` are right, and a build that finds it elsewhere fails (tools/narrow_shifts.py).
"""

from typing import Final

from mypy_extensions import i64

__all__ = ["bit", "lowest", "shifted", "signed", "unsigned"]

_ALL_BITS: Final = 0xFFFF_FFFF_FFFF_FFFF


def shifted(value: i64, places: i64) -> i64:
    """`value` shifted to the left by 0 to 62 places.

    >>> hex(shifted(0xFF, 32))
    '0xff00000000'
    """
    return value << places


def bit(number: i64) -> i64:
    """The integer in which only this bit is set: 0 to 62.

    >>> bit(32) == 2**32
    True
    """
    return shifted(1, number)


def lowest(bits: i64) -> i64:
    """The number of the lowest bit that is set in `bits`, which must not be 0.

    >>> lowest(0b1010_0000)
    5
    """
    single: int = bits & -bits
    return single.bit_length() - 1


def signed(value: int) -> int:
    """The low 64 bits of a number as an integer of the machine has them: bit 63 is its sign.

    >>> signed(1 << 63 | 5) == 5 - (1 << 63), signed(1 << 64 | 5)
    (True, 5)
    """
    low = value & _ALL_BITS
    return low - _ALL_BITS - 1 if low >> 63 else low


def unsigned(value: int) -> int:
    """The number of 64 bits that `signed` has made a negative one, if it has.

    >>> unsigned(signed(1 << 63 | 5)) == 1 << 63 | 5
    True
    """
    return value & _ALL_BITS
