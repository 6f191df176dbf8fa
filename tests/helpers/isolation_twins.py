"""Two VMs side by side, to show that what is Secure is isolated from the Non-secure state.

Each function raises AssertionError at the first difference.
"""

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

import vgic
from isolated_hypervisors import GUEST
from isolated_vm import BITS, CPUS, FIRSTS, LPIS, SHARED, address, isolated_vm, registers
from isolation import (
    CONTROLS,
    DS,
    MESSAGES,
    NONSECURE_ALONE,
    SENDING,
    USUALLY_ALL,
    Operation,
    Operations,
    Scenario,
    perform,
    secure_state,
)
from offsets import GICR
from vgic.intids import SPURIOUS

__all__ = ["Lived", "run_beside_a_twin", "run_beside_one_state", "run_with_other_secrets"]

ROUND: Final = 500
"""Operations between two comparisons of everything."""


class Lived(NamedTuple):
    """What was done beside a twin."""

    nonsecure: int
    """Operations of the Non-secure state."""
    taken: int
    """Interrupts that it took."""
    lpis: int
    """Those of them that were LPIs."""
    secure_taken: int
    """Those that Secure software took."""
    virtual: int
    """Those that the guest of a Non-secure hypervisor took."""


def run_beside_a_twin(
    seed: str, operations: int, opened: bool, nmi: bool = False, list_registers: int = 0
) -> Lived:
    """A VM does the operations of both states, its twin only the Secure ones."""
    rng = random.Random(seed)
    scenario = Scenario.random(rng, opened, nmi, list_registers)
    gic, twin = scenario.build(), scenario.build()
    source = Operations(scenario, gic, rng)
    read = nonsecure = 0
    taken = {True: 0, False: 0}
    lpis = virtual = 0
    for count, operation in enumerate(source.some(operations, 0.35, not opened), 1):
        got = perform(gic, operation)
        if source.took(operation, got):
            taken[operation.secure] += 1
            lpis += got >= LPIS.start
        virtual += operation.pe == GUEST and operation.kind == "mrs" and got < SPURIOUS
        if not operation.secure:
            nonsecure += 1
        else:
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
    return Lived(nonsecure, taken[False], lpis, taken[True], virtual)


def with_other_secrets(operation: Operation, scenario: Scenario, rng: random.Random) -> Operation:
    """A Secure operation as it is, but for what it says of Secure interrupts."""
    if operation.kind == "line":
        return operation._replace(value=rng.randrange(2))
    if operation.place in (*SENDING, vgic.ICC_DIR_EL1):
        return operation  # It may be about Non-secure interrupts.
    if operation.place & 0xFFFF in MESSAGES and operation.kind == "write":
        secure = [i for i in SHARED if scenario.groups[0, i].secure]
        return operation._replace(value=rng.choice(secure)) if operation.value in secure else operation
    return operation._replace(value=operation.value ^ rng.getrandbits(64) & operation.compared)


def nonsecure_view(gic: vgic.Gic) -> Iterator[int]:
    """All that Non-secure reads of memory show."""
    for name, (_, bits) in BITS.items():
        for cpu in range(CPUS):
            for first in FIRSTS[name]:
                yield gic.read(address(gic, cpu, name, first), max(4, bits // 8))
    for device, offset in CONTROLS:
        for base in [gic.config.gicd_base] if device == "GICD" else gic.redistributor_bases:
            yield gic.read(base + offset, 4)


def run_with_other_secrets(seed: str, operations: int, nmi: bool = False) -> None:
    """Two VMs do the same Non-secure operations, and Secure ones that differ in what is Secure."""
    rng = random.Random(seed)
    scenario = Scenario.random(rng, False, nmi)
    gic, other = scenario.build(), scenario.build()
    source = Operations(scenario, gic, rng)
    for count, operation in enumerate(source.some(operations, 0.5, True), 1):
        if operation.secure:
            perform(gic, operation)
            perform(other, with_other_secrets(operation, scenario, rng))
        elif operation.kind not in ("mrs", "msr") or operation.place in NONSECURE_ALONE:
            assert perform(gic, operation) == perform(other, operation), (count, operation)
        if count % ROUND == 0:
            other.check()
            assert list(nonsecure_view(gic)) == list(nonsecure_view(other)), count
    assert secure_state(gic, scenario) != secure_state(other, scenario)
    assert sum(value != 0 for value in nonsecure_view(gic)) > len(SHARED)


def run_beside_one_state(seed: str, operations: int, nmi: bool = False) -> None:
    """A VM in which GICD_CTLR.DS was set does what one of one Security state does."""
    rng = random.Random(seed)
    joined, one = isolated_vm(True, nmi=nmi), isolated_vm(False, nmi=nmi)
    joined.write(joined.config.gicd_base, 4, DS, secure=True)
    for cpu in range(CPUS):
        joined.set_pe_state(cpu, vgic.PeState(el=1))
        for gic in (joined, one):
            gic.write(gic.redistributor_bases[cpu] + GICR.WAKER, 4, 0)
            for first in registers(cpu, "ISENABLER"):
                gic.write(address(gic, cpu, "ISENABLER", first), 4, 0xFFFF_FFFF)
            for register in USUALLY_ALL:
                gic.sysreg_write(cpu, register, 0xFF)
    taken = 0
    source = Operations(Scenario.random(rng, True, nmi), one, rng)
    for count, operation in enumerate(source.some(operations, 0.5, True)):
        secure = rng.random() < 0.5
        got, expected = (perform_on_pes_of_one_state(gic, operation, secure) for gic in (joined, one))
        assert got == expected, (count, operation, hex(got), hex(expected))
        source.took(operation, got)
        for cpu in range(CPUS):
            assert joined.outputs(cpu) == one.outputs(cpu), (count, operation)
            taken += any(one.outputs(cpu))
    joined.check()
    assert taken > operations // 10


def perform_on_pes_of_one_state(gic: vgic.Gic, operation: Operation, secure: bool) -> int:
    """Do it, as an access to memory of either state."""
    if operation.kind == "mrs":
        return gic.sysreg_read(operation.cpu, operation.place)
    if operation.kind == "msr":
        gic.sysreg_write(operation.cpu, operation.place, operation.value)
        return 0
    return perform(gic, operation._replace(secure=secure))
