"""Exits of a guest whose A3V is not its host's, on a trace small enough to count by hand."""

from pathlib import Path

import pytest

from mmio.trace import Event, NativeWriter, Sgi, SysReg
from vgic_tools.affinity.trap_study import TrapPoint, measure_traps, trace_labels, trap_study
from vgic_tools.errors import UsageError

SECOND = 10**9


def sysreg(time: int, register: str, value: int, write: bool) -> SysReg:
    return SysReg(0, time, None, 0, register, value, write)


EVENTS: list[Event] = [
    sysreg(0, "ICC_CTLR", 0x400, False),  # needed
    sysreg(1, "ICC_PMR", 0xF0, True),  # trapped along
    sysreg(2, "ICC_BPR1", 0, True),
    sysreg(3, "ICC_IAR1", 27, False),
    sysreg(4, "ICC_EOIR1", 27, True),
    sysreg(5, "ICC_DIR", 27, True),  # trapped along
    sysreg(6, "ICC_IAR1", 1023, False),  # spurious
    Sgi(0, 7, None, 0, 1, False, 0, 2),
    sysreg(SECOND, "ICC_IAR1", 8192, False),
]


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "some.jsonl"
    with NativeWriter(path) as writer:
        for event in EVENTS:
            writer.write(event)
    return str(path)


def test_a_mismatch_by_hand(trace):
    row = measure_traps(TrapPoint(trace, guest_a3v=True, host_a3v=False, exit_us=2.0))
    assert (row.controls, row.accesses, row.sgi_writes, row.added, row.needed) == ("TC", 9, 1, 3, 1)
    assert row.added_registers == "ICC_CTLR:read:1 ICC_DIR:write:1 ICC_PMR:write:1"
    assert (row.acknowledged, row.added_per_interrupt) == (2, 1.5)
    assert row.wall_s == 1.0
    assert row.percent == pytest.approx(100 * 3 * 2e-6)


def test_what_a_recorded_hypervisor_does_for_its_own_guest_is_not_counted(tmp_path):
    path = tmp_path / "xen.jsonl"
    others = [sysreg(9, "ICH_LR0", 1 << 62, True), sysreg(9, "ICH_HCR", 1, False), sysreg(9, "ICV_PMR", 0xF0, True)]
    with NativeWriter(path) as writer:
        for event in sorted([*EVENTS, *others], key=lambda event: event.time or 0):
            writer.write(event)
    row = measure_traps(TrapPoint(str(path), guest_a3v=True, host_a3v=False, exit_us=2.0))
    assert (row.accesses, row.added, row.acknowledged) == (9, 3, 2)


def test_both_directions_cost_the_same_and_no_mismatch_nothing(trace):
    points = trap_study([trace]).points
    rows = {(point.guest_a3v, point.host_a3v): measure_traps(point) for point in points}
    assert rows[True, False].added == rows[False, True].added == 3
    assert (rows[True, True].controls, rows[True, True].added, rows[True, True].sgi_writes) == ("", 0, 1)


def test_a_missing_or_broken_trace_is_named(tmp_path):
    with pytest.raises(UsageError, match="nowhere: no such file"):
        trap_study(["nowhere"])
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"format": "vgic-trace"')
    with pytest.raises(UsageError, match=r"broken\.jsonl"):
        measure_traps(TrapPoint(str(broken), True, False, 1.0))


@pytest.mark.parametrize(
    ("traces", "labels"),
    [
        (["a/boot/trace.gz", "a/fuzz/trace.gz"], ["boot", "fuzz"]),
        (["a/one.gz", "a/two.gz"], ["one.gz", "two.gz"]),
        (["one.gz"], ["one.gz"]),
    ],
)
def test_labels(traces, labels):
    assert trace_labels(traces) == labels
