"""`python -m vgic_tools.judges.fetch [KERNEL...]`: fetch kernels into the cache, those that are named, or all."""

import sys
from collections.abc import Sequence

from vgic_tools.errors import UsageError
from vgic_tools.judges.kernels import SUITES, fetch_kernel
from vgic_tools.terminal import fail, print_line

__all__ = ["main"]


def main(names: Sequence[str]) -> None:
    """Fetch them, and say where they are."""
    for name in names or tuple(SUITES):
        try:
            print_line(f"kernel {name}: {fetch_kernel(name)}")
        except UsageError as error:
            fail(error)


if __name__ == "__main__":
    main(sys.argv[1:])
