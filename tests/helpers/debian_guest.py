"""What a test needs of Debian; it is skipped, and says why, where that cannot be had."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from vgic_tools.judges.errors import MissingJudgeError

__all__ = ["SPARSE", "fetched"]

SPARSE = "0.0.0.0,1.1.2.3,128.0.7.15,255.255.255.15"
"""Affinities of four CPUs, no two of which have anything in common."""

T = TypeVar("T")


def fetched(fetch: Callable[[], T]) -> T:
    """What Debian has."""
    try:
        return fetch()
    except MissingJudgeError as error:
        pytest.skip(str(error))
