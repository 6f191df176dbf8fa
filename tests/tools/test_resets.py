"""Which PE a recorded CPU reset means."""

import pytest

from qemu_log import awake, dist, icc, on, replayed, reset
from vgic_tools.replay import ReplayError
from vgic_tools.replay.resets import ResetAttribution

NO_THREAD = 0


def test_a_thread_for_each_vcpu() -> None:
    resets = ResetAttribution()
    assert not resets.resolved(10, 0, begins=False)
    # vCPU 1 boots: nothing is known of its thread until its first access, whichever that is.
    assert resets.reset("b", 11) is None
    assert not resets.resolved(10, 0, begins=False)
    assert resets.held == 1
    assert resets.resolved(11, 1, begins=False)
    assert resets.held == 0
    # From then on the pointer is known, in any thread, and the thread, with any pointer.
    assert resets.reset("b", 11) == 1
    assert resets.reset("b", 99) == 1
    assert resets.reset("a", 10) == 0


def test_one_thread_for_all() -> None:
    resets = ResetAttribution()
    resets.resolved(10, 0, begins=False)
    assert resets.reset("b", 10) is None
    # vCPU 0 goes on in the same thread; the one that sets its mask is the one that boots.
    assert not resets.resolved(10, 0, begins=False)
    assert not resets.resolved(10, 2, begins=False)
    assert resets.resolved(10, 1, begins=True)
    assert resets.reset("b", 10) == 1


def test_no_thread_ids() -> None:
    resets = ResetAttribution()
    resets.resolved(NO_THREAD, 0, begins=False)
    assert resets.reset("b", NO_THREAD) is None
    assert not resets.resolved(NO_THREAD, 1, begins=False)
    assert resets.resolved(NO_THREAD, 1, begins=True)
    assert resets.reset("b", NO_THREAD) == 1


def test_several_are_held_in_their_order() -> None:
    resets = ResetAttribution()
    resets.resolved(NO_THREAD, 0, begins=False)
    for name in ("b", "c", "b"):
        assert resets.reset(name, NO_THREAD) is None
    assert resets.resolved(NO_THREAD, 2, begins=True)
    # Both of the first pointer are placed now.
    assert resets.held == 1
    assert resets.resolved(NO_THREAD, 3, begins=True)
    assert (resets.reset("b", NO_THREAD), resets.reset("c", NO_THREAD)) == (2, 3)


def test_a_vcpu_comes_back_twice() -> None:
    boot = [reset("0xb"), icc("read", "PMR", 1, 0), icc("write", "PMR", 1, 0xF0), icc("read", "PMR", 1, 0xF0)]
    lines = [on(10, line) for line in awake()] + [on(11, line) for line in boot * 3]
    result = replayed(lines, cpus=2)
    assert result.first is None
    assert result.inputs["CPU resets"] == 3
    assert result.compared["ICC_PMR"] == 6


def test_the_start_of_the_machine_is_no_reset() -> None:
    result = replayed([reset("0xa"), reset("0xb"), *awake(2)], cpus=2)
    assert (result.inputs["CPU resets"], result.notes, result.first) == (0, [], None)


def test_unresolved_resets_are_noted() -> None:
    result = replayed([dist("read", 0xFFE8, 0x3B), reset("0xb"), reset("0xc")], cpus=2)
    assert result.notes == ["CPU resets whose vCPU the trace does not tell, left out: 2"]


def test_a_reset_names_its_vcpu() -> None:
    """As QEMU 10.0 does."""
    boot = ["cpu_reset 1", icc("read", "PMR", 1, 0), icc("write", "PMR", 1, 0xF0), icc("read", "PMR", 1, 0xF0)]
    result = replayed([*awake(), *boot * 3], cpus=2)
    assert result.first is None
    assert (result.inputs["CPU resets"], result.notes) == (3, [])
    # Of no thread's, and of one that never said whose it is.
    assert ResetAttribution().reset("7", NO_THREAD) == 7
    with pytest.raises(ReplayError, match="vCPU 2 is reset; the machine has 2"):
        replayed([*awake(), "cpu_reset 2"], cpus=2)
