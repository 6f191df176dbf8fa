"""Every live judge asked at length, and what takes as long without one, which takes some hours: `make judged`.

Each line tells what was asked of whom, how much of it was compared, and what differed. A first difference ends it.
"""

import sys
import time
from collections.abc import Callable, Iterator
from itertools import permutations
from multiprocessing import Pool

from isolation_twins import Lived, run_beside_a_twin
from kvm_beside import compare_its_life, compare_life
from kvm_round_trips import round_trip
from vgic_tools.compare.run import compare
from vgic_tools.compare.ways import WAYS, Way
from vgic_tools.judges.agent import QEMU
from vgic_tools.judges.kernels import SUITES, cached_kernel
from vgic_tools.judges.kvm_host import KvmHost
from vgic_tools.judges.qemus import cached_qemu

CALLS = 100_000
"""Attribute calls on each kernel."""
ITS_LIVES = 1_000
"""Lives of an ITS, a third on each kernel: saved by KVM, restored by the model, and the other way round."""
TRIPS = 34
"""On each road from one kernel to another, by way of the model."""
GUEST_OPERATIONS = 100_000
"""Of KVM's guests, on each kernel."""
QEMU_OPERATIONS = 1_000_000
"""With the agent on every vCPU of the QEMU on PATH."""
SECURE_OPERATIONS = 1_000_000
"""Of machines with both Security states."""
HYPERVISOR_OPERATIONS = 1_000_000
"""Of hypervisors at EL2 and their guests."""
NEWER_OPERATIONS = 200_000
"""Of a newer one."""
NMI_OPERATIONS = 300_000
"""Of machines with NMIs, on a newer QEMU: each of one Security state, of two, and with list registers."""
ISOLATED_OPERATIONS = 10_000_000
"""Of the Non-secure state, beside a twin in which it does nothing."""
ISOLATED_TOGETHER = 64
"""VMs that all CPUs are given at a time."""
FIRST = 50_000
"""A seed that the tests do not use."""

Told = Iterator[tuple[str, str]]
"""What was asked of whom, and what came of it."""


def _hosts() -> Iterator[KvmHost]:
    for name in SUITES:
        with KvmHost(_kernel(name)) as host:
            yield host


def _kernel(name: str) -> str:
    kernel = cached_kernel(name)
    if kernel is None:
        sys.exit(f"there is no kernel {name}; `make kernels` fetches it")
    return str(kernel)


def _attributes() -> Told:
    for host in _hosts():
        lives = calls = 0
        while calls < CALLS:
            calls += compare_life(host, FIRST + lives)
            lives += 1
        yield f"attribute calls on Linux {host.release}", f"{calls:,} in {lives:,} VMs, none answered differently"


def _its() -> Told:
    for number, host in enumerate(_hosts()):
        seeds = range(FIRST + number, FIRST + ITS_LIVES, len(SUITES))
        answers = sum(compare_its_life(host, seed) for seed in seeds)
        yield f"ITS lives on Linux {host.release}", f"{len(seeds):,}, {answers:,} answers, RAM equal at every save"


def _trips() -> Told:
    for road in permutations(SUITES, 2):
        with KvmHost(_kernel(road[0])) as source, KvmHost(_kernel(road[1])) as target:
            trips = [round_trip(source, target, FIRST + seed) for seed in range(TRIPS)]
        steps, taken = (sum(column) for column in zip(*trips, strict=True))
        yield f"VMs from {road[0]} to {road[1]}", f"{TRIPS}, by {steps:,} calls, {taken:,} interrupts taken there"


def _guests() -> Told:
    for name in SUITES:
        yield _compared(WAYS["guests"], _kernel(name), GUEST_OPERATIONS)


def _qemu() -> Told:
    yield _compared(WAYS["running"], QEMU, QEMU_OPERATIONS)


def _secure() -> Told:
    yield _compared(WAYS["secure"], QEMU, SECURE_OPERATIONS)


def _hypervisor() -> Told:
    yield _compared(WAYS["hypervisor"], QEMU, HYPERVISOR_OPERATIONS)


def _newer() -> Told:
    yield _compared(WAYS["running"], _newer_qemu(), NEWER_OPERATIONS)


def _nmis() -> Told:
    for name in ("nmi", "secure-nmi", "listed-nmi"):
        yield _compared(WAYS[name], _newer_qemu(), NMI_OPERATIONS)


def _newer_qemu() -> str:
    newer = cached_qemu()
    if newer is None:
        sys.exit("there is no newer QEMU; `python -m vgic_tools.judges.fetch qemu` fetches it")
    return str(newer)


def _isolation() -> Told:
    lives: list[Lived] = []
    with Pool() as pool:
        while sum(life.nonsecure for life in lives) < ISOLATED_OPERATIONS:
            lives += pool.map(_isolated, range(len(lives), len(lives) + ISOLATED_TOGETHER), chunksize=1)
    nonsecure, taken, lpis, secure_taken, virtual = (sum(column) for column in zip(*lives, strict=True))
    yield (
        "Non-secure operations beside a twin without them",
        f"{nonsecure:,} in {len(lives):,} VMs, which took {taken:,} interrupts, {lpis:,} of them LPIs, and"
        f" {secure_taken:,} Secure ones, and guests of hypervisors {virtual:,} from list registers; nothing Secure"
        " differs",
    )


def _isolated(number: int) -> Lived:
    return run_beside_a_twin(
        f"{FIRST} {number}",
        20_000,
        opened=number % 4 == 0,
        nmi=number % 3 == 0,
        list_registers=4 * (number % 5 == 0),
    )


def _compared(way: Way, which: str, most: int) -> tuple[str, str]:
    comparison = way.open(which)
    with comparison.judge:
        result = compare([(way, comparison, way.areas)], seed=FIRST, most=most)
    assert not result.findings, [(kind, finding.case) for kind, finding in result.findings.items()]
    allowed = ", ".join(f"{rule} {count}" for rule, count in sorted(result.excused.items())) or "none"
    told = f"{result.operations:,} on {result.machines:,} machines, no divergence; freedoms: {allowed}"
    if result.again:
        told += f"; asked again {len(result.again)} times"
    return f"operations, {result.judges[0]}", told


PARTS: dict[str, Callable[[], Told]] = {
    "attributes": _attributes,
    "its": _its,
    "trips": _trips,
    "guests": _guests,
    "qemu": _qemu,
    "secure": _secure,
    "hypervisor": _hypervisor,
    "newer": _newer,
    "nmis": _nmis,
    "isolation": _isolation,
}


def main(names: list[str]) -> None:
    """Ask the parts of these names; all of them where there are none."""
    for name in names or PARTS:
        began = time.monotonic()
        for asked, came in PARTS[name]():
            print(f"{asked}: {came} ({time.monotonic() - began:,.0f} s)", flush=True)
            began = time.monotonic()


if __name__ == "__main__":
    main(sys.argv[1:])
