"""`python -m vgic_tools.judges.fetch [KERNEL|qemu...]`: fetch kernels and a newer QEMU into the cache.

Those that are named, or all.
"""

import sys
from collections.abc import Sequence
from typing import Final

from vgic_tools.errors import UsageError
from vgic_tools.judges.kernels import SUITES, fetch_kernel
from vgic_tools.judges.qemus import fetch_qemu
from vgic_tools.progress import progress
from vgic_tools.terminal import complain, fail, print_line

__all__ = ["main"]

QEMU: Final = "qemu"


def main(names: Sequence[str]) -> None:
    """Fetch them, and say where they are."""
    wanted = names or (*SUITES, QEMU)
    done = 0
    with progress("fetching", len(wanted), lambda: done) as advance:
        for name in wanted:
            advance()
            try:
                place = fetch_qemu() if name == QEMU else fetch_kernel(name)
            except UsageError as error:
                # Without a newer QEMU there is still the system's.
                if name != QEMU or names:
                    fail(error)
                complain(str(error))
            else:
                print_line(f"newer QEMU: {place}" if name == QEMU else f"kernel {name}: {place}")
            done += 1


if __name__ == "__main__":
    main(sys.argv[1:])
