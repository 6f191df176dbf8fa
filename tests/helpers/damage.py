"""Damaged copies of a file: bits flipped, the end cut off, a piece put elsewhere, a number made huge."""

import random
from collections.abc import Iterator

__all__ = ["damaged"]


def damaged(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """`count` copies, each damaged in one to four ways."""
    rng = random.Random(seed)
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            if not copy:
                break
            at = rng.randrange(len(copy))
            match rng.randrange(5):
                case 0:
                    copy[at] ^= 1 << rng.randrange(8)
                case 1:
                    del copy[at:]
                case 2:
                    piece = copy[at : at + rng.randrange(1, 200)]
                    to = rng.randrange(len(copy))
                    copy[to : to + rng.choice((0, len(piece)))] = piece
                case 3:
                    copy[at : at + rng.choice((1, 2, 4, 8))] = rng.choice((b"\xff", b"\0", b"9", b"f")) * 4
                case _:
                    del copy[at : at + rng.randrange(1, 60)]
        yield bytes(copy)
