"""Random operations for the areas that a comparison is about, and the machines that they are performed on."""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Final

import vgic
from vgic_tools.compare.accesses import Access, every_register, random_operations
from vgic_tools.compare.attributes import random_attributes
from vgic_tools.compare.guest_operations import random_guest_operations
from vgic_tools.compare.its_operations import random_its_operations
from vgic_tools.compare.its_places import every_its_register, stretches
from vgic_tools.judges.protocol import Machine, Operation, Peek, SaveRestore

__all__ = ["GUEST_AREAS", "machine_of", "operations_of", "saved_now_and_then", "sweep_of"]

GUEST_AREAS: Final = ("mmio", "cpu-interface", "lines", "sgis", "its", "state")
"""What the operations of a guest can be about."""

ATTRIBUTES: Final = "attributes"
PEEKED: Final = 1 << 10
"""Bytes of memory that are looked at at once."""
SAVE: Final = 150
"""Random operations, on average, between two times that the model is saved and restored."""


def machine_of(random: Random, areas: frozenset[str], cpus: int | None) -> Machine:
    """A machine for these areas, with this many vCPUs unless None."""
    if ATTRIBUTES in areas:
        ids = random.sample(range(40), cpus or random.randint(1, 4))
        return Machine(len(ids), random.random() < 0.4, tuple(ids))
    return Machine(cpus or random.choice((1, 2, 3, 4, 4)), its="its" in areas)


def operations_of(random: Random, machine: Machine, gic: vgic.Gic, areas: frozenset[str]) -> Iterator[Operation]:
    """Random operations of these areas on a machine, without end.

    Each is drawn when it is asked for, and may depend on what `gic` shows then.
    """
    if ATTRIBUTES in areas:
        yield from random_attributes(random, machine.ids, machine.its)
    yield from saved_now_and_then(random, _source(random, gic, areas), areas)


def saved_now_and_then(
    random: Random, operations: Iterable[Operation], areas: frozenset[str]
) -> Iterator[Operation]:
    """The operations, and where areas name the state, the model saved and restored between some of them."""
    for operation in operations:
        yield operation
        if "state" in areas and random.random() * SAVE < 1:
            yield SaveRestore()


def sweep_of(gic: vgic.Gic, areas: frozenset[str]) -> list[Operation]:
    """A read of every register, each by the vCPU whose Redistributor it is."""
    if ATTRIBUTES in areas:
        return []
    accesses = every_register(len(gic.config.topology)) + (every_its_register() if "its" in areas else [])
    looks: list[Operation] = [access.on(gic, max(0, access.frame)) for access in accesses]
    if "its" in areas:
        for start, size in stretches(len(gic.config.topology)):
            looks += [Peek(address, PEEKED) for address in range(start, start + size, PEEKED)]
    return looks


def _source(random: Random, gic: vgic.Gic, areas: frozenset[str]) -> Iterator[Operation]:
    seed = random.getrandbits(32)
    if areas & {"cpu-interface", "sgis"}:
        yield from random_guest_operations(seed, gic, areas)
    elif "its" in areas:
        for operation in random_its_operations(seed, gic):
            yield operation.on(gic) if isinstance(operation, Access) else operation
    else:
        for access in random_operations(seed, gic, lines="lines" in areas):
            yield access.on(gic) if isinstance(access, Access) else access
