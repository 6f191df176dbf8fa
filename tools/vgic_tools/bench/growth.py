"""What grows, and by how much: the pending queue, a broadcast, and a machine of 65,536 vCPUs."""

import random
from dataclasses import dataclass
from time import thread_time_ns
from types import FunctionType
from typing import Final, Protocol

from sortedcontainers import SortedList

import vgic
from vgic.cpu_interface.pending import INTID_BITS, PendingQueue
from vgic_tools.bench.cases import cycle
from vgic_tools.bench.machines import SGI_BASE, awake_machine
from vgic_tools.bench.timing import ROUNDS, Timed, medians, timed

__all__ = [
    "FEW_PENDING",
    "MANY_PENDING",
    "Scale",
    "broadcast",
    "measure_scale",
    "queue_calls",
    "queue_update",
    "sorted_update",
]

FEW_PENDING: Final = 4
MANY_PENDING: Final = 65_536

_BROADCAST: Final = 1 << 40  # ICC_SGI1R_EL1.IRM
_ICPENDR0: Final = SGI_BASE + 0x280
_PRIORITIES: Final = 32


class _Queue(Protocol):
    def add(self, key: int) -> None: ...

    def remove(self, key: int) -> None: ...


class _EmptyQueue:
    def add(self, key: int) -> None:
        """Nothing."""

    def remove(self, key: int) -> None:
        """Nothing."""


def _perform(queue: _Queue, moves: list[tuple[int, int]]) -> None:
    for old, new in moves:
        queue.remove(old)
        queue.add(new)


def queue_update(pending: int, updates: int) -> Timed:
    """An update of the model's pending queue with `pending` entries, called from Python."""
    return _Updates(PendingQueue(), pending, updates)


def sorted_update(pending: int, updates: int) -> Timed:
    """The same with a list that is always sorted."""
    return _Updates(SortedList(), pending, updates)


def queue_calls(updates: int) -> Timed:
    """The same with a queue that does nothing: what the loop and the calls cost."""
    return _Updates(_EmptyQueue(), 0, updates)


class _Updates:
    """Updates of a queue: one interrupt is taken out, and another comes in, so that as many stay."""

    def __init__(self, queue: _Queue, pending: int, updates: int) -> None:
        self._queue = queue
        # CPython fits a call to the type that it has seen there: each queue has code of its own.
        self._perform = FunctionType(_perform.__code__.replace(), {})
        self._updates = updates
        self._random = random.Random(pending)
        intids = self._random.sample(range(8192, 8192 + 4 * MANY_PENDING), pending)
        self._keys = [self._key(intid) for intid in intids]
        for key in self._keys:
            queue.add(key)

    def __call__(self) -> float:
        moves = self._moves()
        begin = thread_time_ns()
        self._perform(self._queue, moves)
        return (thread_time_ns() - begin) / len(moves)

    def _key(self, intid: int) -> int:
        return self._random.randrange(_PRIORITIES) << INTID_BITS + 3 | intid

    def _moves(self) -> list[tuple[int, int]]:
        """What leaves and what comes: any of those there, which keeps its INTID and gets another priority."""
        keys = self._keys or [self._key(intid) for intid in range(FEW_PENDING)]
        moves = []
        for _ in range(self._updates):
            place = self._random.randrange(len(keys))
            old = keys[place]
            keys[place] = self._key(old & (1 << INTID_BITS) - 1)
            moves.append((old, keys[place]))
        return moves


def broadcast(cpus: int, times: int) -> Timed:
    """An SGI from one vCPU to all others, which are idle: what it takes for each of them."""
    gic = awake_machine(cpus)
    others = gic.redistributor_bases[1:]

    def once() -> float:
        total = 0
        for _ in range(times):
            begin = thread_time_ns()
            gic.sysreg_write(0, vgic.ICC_SGI1R_EL1, _BROADCAST)
            total += thread_time_ns() - begin
            for base in others:
                gic.write(base + _ICPENDR0, 4, 1)
        return total / times / len(others)

    return once


@dataclass(frozen=True)
class Scale:
    """What growing to the most vCPUs that there can be costs."""

    build_seconds: float
    """CPU time to build the machine."""
    sgi_ratio: float
    """An SGI to 16 vCPUs and its end at each, against the same in a machine of 16 vCPUs."""


def measure_scale(rounds: int = ROUNDS, calls: int = 100) -> Scale:
    """Build a machine of 65,536 vCPUs, and compare an SGI in it with one among 16."""
    begin = thread_time_ns()
    vgic.Gic(vgic.Config(vgic.Topology.clusters(vgic.MAX_VCPUS, 16)))
    build = thread_time_ns() - begin
    targets = list(range(16))
    times = medians(
        {
            str(cpus): timed(cycle(awake_machine(cpus, awake=16), 0xFFFF, targets), calls)
            for cpus in (16, vgic.MAX_VCPUS)
        },
        rounds,
    )
    few, most = times.values()
    return Scale(build / 1e9, most / few)
