"""PSCI: what a guest's calls do, and what they return."""

import pytest

from vgic_tools.guests.psci import Function, Psci, Status
from vgic_tools.guests.seams import PsciResult

SMC64 = 0x4000_0000
AFFINITIES = {0x0: 0, 0x1_0000_0003: 1}
"""CPU 1 has an Aff3."""
MINUS_ONE, MINUS_TWO, MINUS_FOUR = (1 << 64) - 1, (1 << 64) - 2, (1 << 64) - 4


class Switches:
    """What was switched, in order."""

    def __init__(self) -> None:
        self.done: list[tuple[object, ...]] = []
        self.on = {0}

    def turn_on(self, cpu: int, entry: int, context: int) -> None:
        self.done.append(("on", cpu, entry, context))
        self.on.add(cpu)

    def turn_off(self, cpu: int) -> None:
        self.done.append(("off", cpu))
        self.on.discard(cpu)

    def is_on(self, cpu: int) -> bool:
        return cpu in self.on

    def system_off(self) -> None:
        self.done.append(("system off",))

    def system_reset(self) -> None:
        self.done.append(("system reset",))


@pytest.fixture
def switches() -> Switches:
    return Switches()


def call(switches: Switches, function: int, *arguments: int, cpu: int = 0) -> PsciResult:
    psci = Psci(switches, AFFINITIES.get)
    return psci.handle(cpu, function, (*arguments, 0, 0, 0)[:3])


def test_a_cpu_is_turned_on_by_its_whole_affinity(switches: Switches) -> None:
    result = call(switches, Function.CPU_ON | SMC64, 0x1_0000_0003, 0x4008_0000, 0xABCD)
    assert result == (Status.SUCCESS, True)
    assert switches.done == [("on", 1, 0x4008_0000, 0xABCD)]
    assert call(switches, Function.CPU_ON | SMC64, 0x1_0000_0003, 0x4008_0000).value == MINUS_FOUR


def test_the_narrow_call_has_no_aff3(switches: Switches) -> None:
    assert call(switches, Function.CPU_ON, 0x1_0000_0003, 0x4008_0000).value == MINUS_TWO
    assert switches.done == []


@pytest.mark.parametrize("target", [0x2, 0x8000_0000, 1 << 40, 1 << 30 | 1 << 32 | 3])
def test_nobody_is_turned_on_by_what_is_no_affinity_of_a_cpu(switches: Switches, target: int) -> None:
    assert call(switches, Function.CPU_ON | SMC64, target, 0).value == MINUS_TWO
    assert call(switches, Function.AFFINITY_INFO | SMC64, target).value == MINUS_TWO
    assert switches.done == []


def test_a_cpu_that_turns_itself_off_does_not_return(switches: Switches) -> None:
    switches.on.add(1)
    assert not call(switches, Function.CPU_OFF, cpu=1).returns
    assert switches.done == [("off", 1)]
    assert call(switches, Function.AFFINITY_INFO | SMC64, 0x1_0000_0003).value == 1
    assert call(switches, Function.AFFINITY_INFO, 0).value == 0
    assert call(switches, Function.AFFINITY_INFO, 0, 1).value == MINUS_TWO


@pytest.mark.parametrize(
    ("function", "switched"), [(Function.SYSTEM_OFF, "system off"), (Function.SYSTEM_RESET, "system reset")]
)
def test_the_machine_ends(switches: Switches, function: Function, switched: str) -> None:
    assert not call(switches, function).returns
    assert switches.done == [(switched,)]


def test_versions_and_features(switches: Switches) -> None:
    assert call(switches, Function.PSCI_VERSION).value == 0x1_0001
    assert call(switches, Function.SMCCC_VERSION).value == 0x1_0001
    assert call(switches, Function.MIGRATE_INFO_TYPE).value == 2
    assert call(switches, Function.CPU_SUSPEND | SMC64).value == 0
    for function in Function:
        assert call(switches, Function.PSCI_FEATURES, function).value == 0
    assert call(switches, Function.PSCI_FEATURES, Function.CPU_ON | SMC64).value == 0
    assert call(switches, Function.PSCI_FEATURES, Function.CPU_OFF | SMC64).value == MINUS_ONE
    assert call(switches, Function.PSCI_FEATURES, 0x8400_0012).value == MINUS_ONE


@pytest.mark.parametrize("function", [0, 0x8400_0012, 0xC400_0002, 0xFFFF_FFFF, 0x8600_0000, (1 << 64) - 1])
def test_any_other_call_is_not_supported(switches: Switches, function: int) -> None:
    assert call(switches, function, 1, 2, 3) == (MINUS_ONE, True)
    assert switches.done == []
