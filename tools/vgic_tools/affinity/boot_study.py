"""The experiment `boots`: one kernel on as many CPUs with other affinities, CPUs of Unicorn."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Final

import vgic
from vgic import affinity
from vgic.layouts import gicd, gicr
from vgic_tools.affinity.study import Study, Summary
from vgic_tools.errors import UsageError
from vgic_tools.inputs import read_bytes
from vgic_tools.judges.errors import MissingJudgeError

if TYPE_CHECKING:
    from vgic_tools.guests.board import Load
    from vgic_tools.guests.tape import Tape

__all__ = ["TOPOLOGIES", "BootPoint", "BootRow", "boot_study", "measure_boot"]

CPUS: Final = 8
KERNEL: Final = "6.1"

RAM: Final = 0x1000_0000
LIMIT: Final = 120.0
"""Seconds of the guest's own."""

_GROUP: Final = 4
_SOCKETS: Final = 2

TOPOLOGIES: Final[dict[str, tuple[str, Callable[[int, int], int]]]] = {
    "flat": ("Aff0 alone", lambda cpu, _: cpu),
    "clusters": (f"{_GROUP} to an Aff1", lambda cpu, _: affinity.pack(0, 0, cpu // _GROUP, cpu % _GROUP)),
    "sockets": (
        f"{_SOCKETS} sockets, told apart by Aff3",
        lambda cpu, cpus: affinity.pack(cpu // -(-cpus // _SOCKETS), 0, 0, cpu % -(-cpus // _SOCKETS)),
    ),
    "sparse": (
        "no two CPUs with the same Aff3, Aff2 and Aff1",
        lambda cpu, _: affinity.pack(37 * cpu % 256, 91 * cpu % 256, 7 * cpu % 256, cpu % 16),
    ),
}
"""What each is, and the packed affinity of a CPU, of so many."""

SHELL: Final = "boots: a shell"
DONE: Final = "boots: done"
CALLS: Final = 16

# Calls to other CPUs, and the UART's interrupt moved to each in turn.
_SCRIPT: Final = f"""\
echo '{SHELL}'
for n in $(seq {CALLS}); do echo 1 > /proc/sys/vm/drop_caches; done
uart=$(sed -n 's/^ *\\([0-9]*\\):.*uart-pl011.*/\\1/p' /proc/interrupts)
for cpu in $(seq 0 $(($(nproc) - 1))); do echo $cpu > /proc/irq/$uart/smp_affinity_list; done
echo '{DONE}'
"""

_TEXT: Final = f"""
Debian's kernel boots to a shell on CPUs of Unicorn, interrupted by this GIC alone. Then it drops its caches
{CALLS} times, which calls those CPUs that have some, and the interrupt of the UART is moved to every CPU in turn.
Everything but the affinities is the same, and the machine counts time in instructions: differences come from the
affinities, and from what another order of events leads to.

A write of ICC_SGI1R_EL1 reaches CPUs with the same Aff3, Aff2 and Aff1, up to 16 of them. How many of the CPUs
share these three decides what a call to all costs, and not which level tells them apart.
"""


@dataclass(frozen=True)
class BootPoint:
    """What boots."""

    topology: Annotated[str, "how CPUs have their affinities"]
    cpus: Annotated[int, "how many"]
    kernel: Annotated[str, "which of Debian's kernels"]


@dataclass(frozen=True)
class BootRow(BootPoint):
    """What came out."""

    shell_s: Annotated[float, "time to the shell, seconds of the guest's own"]
    end_s: Annotated[float, "time to the end of what the shell does"]
    sgi_writes: Annotated[int, "writes of ICC_SGI1R_EL1"]
    sgi_targets: Annotated[int, "CPUs that they reached, all together"]
    router_writes: Annotated[int, "writes of GICD_IROUTER"]
    typer_reads: Annotated[int, "reads of GICR_TYPER: CPUs that look for their Redistributors"]
    interrupts: Annotated[int, "interrupts taken"]
    accesses: Annotated[int, "accesses to the GIC"]


def boot_study(names: Sequence[str], cpus: int = CPUS, kernel: str = KERNEL) -> Study[BootPoint, BootRow]:
    """The experiment, for some of `TOPOLOGIES`."""
    points = [BootPoint(name, cpus, kernel) for name in names]
    title = "One kernel, and CPUs with other affinities"
    return Study("boots", title, _TEXT, BootRow, points, measure_boot, _summary)


def measure_boot(point: BootPoint) -> BootRow:
    """Boot once. Raises UsageError where the kernel cannot be had, or does not do as it should."""
    try:
        from vgic_tools.guests.board import Board
        from vgic_tools.guests.session import Session
    except ImportError as error:
        raise UsageError(f"needs {error.name}: pip install 'vgic[unicorn]'") from error

    place = TOPOLOGIES[point.topology][1]
    config = vgic.Config(vgic.Topology(place(cpu, point.cpus) for cpu in range(point.cpus)), rss=True)
    said = bytearray()
    counts = _Counts(config)
    shell: list[float] = []

    def sent(byte: int) -> None:
        said.append(byte)
        if said.endswith(SHELL.encode()):
            shell.append(board.machine.clock.seconds)

    board = Board.loaded(config, RAM, _load(point.kernel), sent, counts.tape())
    Session(board.machine, limit=LIMIT).run()
    if DONE.encode() not in said or not shell:
        raise UsageError(f"{point.topology}: the guest has not come to its end: {said[-200:]!r}")
    gic = board.machine.gic
    return BootRow(
        **asdict(point),
        shell_s=round(shell[0], 6),
        end_s=round(board.machine.clock.seconds, 6),
        sgi_writes=counts.sgi_writes,
        sgi_targets=counts.sgi_targets,
        router_writes=counts.router_writes,
        typer_reads=counts.typer_reads,
        interrupts=gic.taken.total(),
        accesses=gic.accesses,
    )


def _load(kernel: str) -> "Load":
    from vgic_tools.guests.board import Load
    from vgic_tools.guests.debian import fetch_kernel, fetched_busybox, initramfs

    try:
        image = read_bytes(fetch_kernel(kernel))
        initrd = initramfs(fetched_busybox(), _SCRIPT)
    except MissingJudgeError as error:
        raise UsageError(str(error)) from error
    arguments = "console=ttyAMA0 quiet cryptomgr.notests panic=-1"
    return Load(image, f"Debian's kernel {kernel}", initrd, "the initial RAM file system", arguments)


class _Counts:
    """What the GIC was asked."""

    def __init__(self, config: vgic.Config) -> None:
        self.sgi_writes = self.sgi_targets = self.router_writes = self.typer_reads = 0
        self._routers = range(config.gicd_base + gicd.IROUTER.offset, config.gicd_base + 0x1_0000)
        self._distributor = range(config.gicd_base, config.gicd_base + 0x1_0000)

    def tape(self) -> "Tape":
        """What takes note."""
        from vgic_tools.guests.tape import Tape

        counts = self

        class Counting(Tape):
            def follow(self, gic: vgic.Gic) -> None:
                self._gic = gic

            def sysreg(self, cpu: int, register: int, value: int, write: bool) -> None:
                if write and register == vgic.ICC_SGI1R_EL1:
                    counts.sgi_writes += 1
                    counts.sgi_targets += len(list(self._gic.sgi_targets(cpu, register, value)))

            def access(self, address: int, size: int, value: int, write: bool, secure: bool = False) -> None:
                counts.access(address, write)

        return Counting()

    def access(self, address: int, write: bool) -> None:
        """A load or store of a frame."""
        # Unicorn makes two accesses of one of 64 bits: the first one counts.
        if write:
            self.router_writes += address in self._routers and address % 8 == 0
        elif address not in self._distributor:
            self.typer_reads += address % 0x2_0000 == gicr.TYPER.offset


def _summary(rows: Sequence[BootRow]) -> Summary:
    headings = (
        "topology", "CPUs", "SGI writes", "CPUs reached", "reached by a write",
        "IROUTER writes", "GICR_TYPER reads", "interrupts", "shell", "end",
    )  # fmt: skip
    lines = [
        (
            f"{row.topology}: {TOPOLOGIES[row.topology][0]}",
            str(row.cpus),
            f"{row.sgi_writes:,}",
            f"{row.sgi_targets:,}",
            f"{row.sgi_targets / max(row.sgi_writes, 1):.2f}",
            str(row.router_writes),
            str(row.typer_reads),
            f"{row.interrupts:,}",
            f"{row.shell_s:.2f} s",
            f"{row.end_s:.2f} s",
        )
        for row in rows
    ]
    return Summary(headings, lines)
