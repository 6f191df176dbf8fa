"""What a test needs to ask a live KVM; it is skipped, and says why, where that is not there."""

from pathlib import Path

import pytest

from vgic_tools.judges.agent import missing_tool
from vgic_tools.judges.kernels import SUITES, cached_kernel

__all__ = ["KERNELS", "kernel_at_hand"]

KERNELS = [pytest.param(name, marks=[] if name == "6.12" else pytest.mark.slow) for name in SUITES]
"""One by default, all in the slow suite."""


def kernel_at_hand(name: str) -> Path:
    """A kernel whose KVM can be asked."""
    missing = missing_tool()
    if missing is not None:
        pytest.skip(missing)
    kernel = cached_kernel(name)
    if kernel is None:
        pytest.skip(f"there is no kernel {name}; `make kernels` fetches it")
    return kernel
