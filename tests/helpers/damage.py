"""Damaged inputs: bits that flip, ends that are cut off, pieces of the file in other places of it."""

import random
from collections.abc import Callable, Sequence

from vgic_tools.snapshots.errors import SnapshotError

__all__ = ["damaged", "survivors"]


def damaged(data: bytes, seed: int) -> bytes:
    """The input with one to four damages, the same for the same seed."""
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(5):
            case 0 | 1:
                changed[at % len(changed) : at % len(changed) + 1] = bytes(
                    [changed[at % len(changed)] ^ 1 << chance.randrange(8)]
                )
            case 2 if chance.random() < 0.3 and at:
                del changed[at:]
            case 2 | 3:
                start = chance.randrange(len(data))
                changed[at : at + chance.choice((0, 1, 16))] = data[start : start + chance.randint(1, 64)]
            case _:
                digit = chance.choice((b"9" * 30, b"-1", b"0", b"\xff" * 8, b"\n"))
                changed[at : at + len(digit)] = digit
    return bytes(changed)


def survivors(read: Callable[[bytes], object], originals: Sequence[bytes], seeds: range) -> int:
    """How many of the damaged inputs are read; the others are refused in a sentence, and nothing else happens."""
    count = 0
    for seed in seeds:
        refused = _refusal(read, damaged(originals[seed % len(originals)], seed))
        if refused is None:
            count += 1
        else:
            assert refused
            assert "\n" not in refused
            assert len(refused) < 1000
    return count


def _refusal(read: Callable[[bytes], object], data: bytes) -> str | None:
    """Why an input is not read; None where it is."""
    try:
        read(data)
    except SnapshotError as error:
        return str(error)
    return None
