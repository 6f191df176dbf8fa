"""Two VMs side by side, to show that what is Secure is isolated from the Non-secure state.

Each function raises AssertionError at the first difference.
"""

import random
from collections.abc import Iterator
from typing import Final

import vgic
from isolation import (
    BITS,
    CONTROLS,
    CPUS,
    FIRST_SPI,
    MESSAGES,
    SPIS,
    Operation,
    Operations,
    Scenario,
    frame,
    perform,
    secure_state,
)

__all__ = ["run_beside_a_twin", "run_with_other_secrets"]

ROUND: Final = 200
"""Operations between two comparisons of everything."""


def run_beside_a_twin(seed: str, operations: int, opened: bool) -> None:
    """A VM does the operations of both states, its twin only the Secure ones."""
    rng = random.Random(seed)
    scenario = Scenario.random(rng, opened)
    gic, twin = scenario.build(), scenario.build()
    source = Operations(scenario, gic, rng)
    read = 0
    for count, operation in enumerate(source.some(operations, 0.2, not opened), 1):
        got = perform(gic, operation)
        if operation.secure:
            expected = perform(twin, operation)
            assert (got ^ expected) & operation.compared == 0, (count, operation, hex(got), hex(expected))
            read += got & operation.compared != 0
        if count % ROUND == 0:
            gic.check()
            assert secure_state(gic, scenario) == secure_state(twin, scenario), count
    assert read > operations // 200
    # There was something to be changed, and what is Non-secure was.
    assert secure_state(gic, scenario)
    assert gic.save() != twin.save()


def with_other_secrets(operation: Operation, scenario: Scenario, rng: random.Random) -> Operation:
    """A Secure operation as it is, but for what it says of Secure interrupts."""
    if operation.kind == "line":
        return operation._replace(value=rng.randrange(2))
    if operation.place & 0xFFFF in MESSAGES and operation.kind == "write":
        secure = [i for i in range(FIRST_SPI, FIRST_SPI + SPIS) if scenario.groups[0, i].secure]
        return operation._replace(value=rng.choice(secure)) if operation.value in secure else operation
    return operation._replace(value=operation.value ^ rng.getrandbits(64) & operation.compared)


def nonsecure_view(gic: vgic.Gic) -> Iterator[int]:
    """All that Non-secure reads of memory show."""
    for offset, bits in BITS.values():
        for cpu in range(CPUS):
            for first in range(FIRST_SPI if bits == 64 else 0, FIRST_SPI + SPIS, max(1, 32 // bits)):
                yield gic.read(frame(gic, cpu, first) + offset + first * bits // 8, max(4, bits // 8))
    for device, offset in CONTROLS:
        for base in [gic.config.gicd_base] if device == "GICD" else gic.redistributor_bases:
            yield gic.read(base + offset, 4)


def run_with_other_secrets(seed: str, operations: int) -> None:
    """Two VMs do the same Non-secure operations, and Secure ones that differ in what is Secure."""
    rng = random.Random(seed)
    scenario = Scenario.random(rng, opened=False)
    gic, other = scenario.build(), scenario.build()
    source = Operations(scenario, gic, rng)
    for count, operation in enumerate(source.some(operations, 0.5, False), 1):
        if operation.secure:
            perform(gic, operation)
            perform(other, with_other_secrets(operation, scenario, rng))
        else:
            assert perform(gic, operation) == perform(other, operation), (count, operation)
        if count % ROUND == 0:
            other.check()
            assert list(nonsecure_view(gic)) == list(nonsecure_view(other)), count
    assert secure_state(gic, scenario) != secure_state(other, scenario)
    assert sum(value != 0 for value in nonsecure_view(gic)) > SPIS
