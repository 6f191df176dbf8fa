"""Linux's tracing, as tracefs, trace-cmd and perf print it."""

import pytest

from mmio.trace.kernel import KernelEvent, LostEvents, is_kernel_trace, read_kernel_trace

TEXT = "mmio write len 4 gpa 0x8000000 val 0x12"
STYLES = {
    "tracefs": f"       CPU 0/KVM-1234    [001] d..1.  100.000001: kvm_mmio: {TEXT}",
    "tracefs with process": f"       CPU 0/KVM-1234    (   1230) [001] .....  100.000001: kvm_mmio: {TEXT}",
    "trace-cmd": f"       CPU 0/KVM-1234  [001]   100.000001: kvm_mmio:             {TEXT}",
    "trace-cmd with flags": f"       CPU 0/KVM-1234  [001] d..1.   100.000001: kvm_mmio:             {TEXT}",
    "perf": f"       CPU 0/KVM  1234 [001]   100.000001:      kvm:kvm_mmio: {TEXT}",
    "perf with nanoseconds": f"       CPU 0/KVM  1234 [001]   100.000001000:      kvm:kvm_mmio: {TEXT}",
    "perf with a period": f"       CPU 0/KVM  1234 [001]   100.000001:          1   kvm:kvm_mmio: {TEXT}",
}


def read(text: str) -> list[KernelEvent | LostEvents]:
    return list(read_kernel_trace(enumerate(text.splitlines(), 1)))


@pytest.mark.parametrize("style", STYLES)
def test_every_style_says_the_same(style: str) -> None:
    assert read(STYLES[style]) == [KernelEvent(1, 100_000_001_000, "CPU 0/KVM", 1234, 1, "kvm_mmio", TEXT)]


@pytest.mark.parametrize("task", ["fc_vcpu 0", "kvm-vcpu-3", "a-b 1-2", "vcpu0", "<...>", "ü"])
def test_names_of_threads(task: str) -> None:
    for line in (
        f"  {task}-77 [000] ..... 5.000000: sys_enter: NR 1",
        f"  {task}  77 [000]  5.000000: raw:sys_enter: NR 1",
    ):
        [event] = read(line)
        assert isinstance(event, KernelEvent)
        assert (event.task, event.thread, event.name) == (task, 77, "sys_enter")


@pytest.mark.parametrize(
    ("line", "lost"),
    [
        ("CPU:1 [LOST 12 EVENTS]", 12),
        ("CPU:1 [12 EVENTS DROPPED]", 12),
        ("# entries-in-buffer/entries-written: 400/431   #P:2", 31),
    ],
)
def test_the_recorder_says_what_it_lost(line: str, lost: int) -> None:
    assert read(f"\n{line}\n") == [LostEvents(2, lost)]


def test_what_is_no_event() -> None:
    assert read("# tracer: nop\n#\n# entries-in-buffer/entries-written: 431/431   #P:2\ncpus=6\n\nwarning\n") == []
    assert not is_kernel_trace(["gicv3_dist_read GICv3 distributor read", "cpus=6"])
    assert is_kernel_trace(["cpus=6", STYLES["perf"]])
    assert is_kernel_trace(["# tracer: nop"])
