"""Which PE a recorded CPU reset means."""

from mmio.trace import CpuReset, SysReg
from qemu_log import awake, dist, icc, on, replayed, reset
from vgic_tools.replay.resets import ResetAttribution


def access(thread: int | None, cpu: int, register: str = "ICC_IAR1", write: bool = False) -> SysReg:
    return SysReg(1, None, thread, cpu, register, 0, write)


def token(thread: int | None, name: str) -> CpuReset:
    return CpuReset(1, None, thread, name)


def test_a_thread_for_each_vcpu() -> None:
    resets = ResetAttribution()
    assert not resets.resolved(access(10, 0))
    # vCPU 1 boots: nothing is known of its thread until its first access, whichever that is.
    assert resets.reset(token(11, "b")) is None
    assert not resets.resolved(access(10, 0))
    assert resets.held == 1
    assert resets.resolved(access(11, 1))
    assert resets.held == 0
    # From then on the pointer is known, in any thread, and the thread, with any pointer.
    assert resets.reset(token(11, "b")) == 1
    assert resets.reset(token(99, "b")) == 1
    assert resets.reset(token(10, "a")) == 0


def test_one_thread_for_all() -> None:
    resets = ResetAttribution()
    resets.resolved(access(10, 0))
    assert resets.reset(token(10, "b")) is None
    # vCPU 0 goes on in the same thread; the one that sets its mask is the one that boots.
    assert not resets.resolved(access(10, 0))
    assert not resets.resolved(access(10, 2, "ICC_PMR", write=False))
    assert resets.resolved(access(10, 1, "ICC_PMR", write=True))
    assert resets.reset(token(10, "b")) == 1


def test_no_thread_ids() -> None:
    resets = ResetAttribution()
    resets.resolved(access(None, 0))
    assert resets.reset(token(None, "b")) is None
    assert not resets.resolved(access(None, 1))
    assert resets.resolved(access(None, 1, "ICC_PMR", write=True))
    assert resets.reset(token(None, "b")) == 1


def test_several_are_held_in_their_order() -> None:
    resets = ResetAttribution()
    resets.resolved(access(None, 0))
    for name in ("b", "c", "b"):
        assert resets.reset(token(None, name)) is None
    assert resets.resolved(access(None, 2, "ICC_PMR", write=True))
    # Both of the first pointer are placed now.
    assert resets.held == 1
    assert resets.resolved(access(None, 3, "ICC_PMR", write=True))
    assert (resets.reset(token(None, "b")), resets.reset(token(None, "c"))) == (2, 3)


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
