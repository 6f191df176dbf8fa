"""What the operations of a comparison can be about."""

from typing import Final

__all__ = ["AREAS"]

AREAS: Final = ("attributes", "mmio", "cpu-interface", "lines", "sgis", "its", "state")
