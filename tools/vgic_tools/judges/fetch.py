"""`python -m vgic_tools.judges.fetch [KERNEL...]`: fetch kernels into the cache, those that are named, or all."""

import sys
from collections.abc import Sequence

from vgic_tools.errors import UsageError
from vgic_tools.judges.kernels import SUITES, fetch_kernel
from vgic_tools.terminal import fail, stdout

__all__ = ["main"]


def main(names: Sequence[str]) -> None:
    """Fetch them, and say where they are."""
    for name in names or tuple(SUITES):
        try:
            with stdout().status(f"kernel {name}"):
                kernel = fetch_kernel(name)
        except UsageError as error:
            fail(error)
        stdout().print(f"kernel {name}: {kernel}", soft_wrap=True, markup=False, highlight=False)


if __name__ == "__main__":
    main(sys.argv[1:])
