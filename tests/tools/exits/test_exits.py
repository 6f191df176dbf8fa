"""`vgic exits`: the exits of KVM guests in Linux's tracing."""

import gzip
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import vgic
from damage import damaged
from mmio.trace import TraceError
from mmio.trace.lines import TextLines
from vgic import VgicError
from vgic_tools.cli import main
from vgic_tools.exits.causes import exit_name, register_of, vcpu_of
from vgic_tools.exits.reading import guessed_machine, read_trace
from vgic_tools.machines.machine import Machine

LIVE = Path(__file__).with_name("ftrace_6.12.txt.gz")
"""Of a host with Linux 6.12, whose VMM has one thread for both vCPUs of its VM."""

GICD, GICR1 = 0x0800_0000, 0x080C_0000


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["exits", *map(str, arguments)], input=stdin)


def result(path: Path, *arguments: object) -> dict[str, object]:
    outcome = run(path, "--json", *arguments)
    assert outcome.exit_code in (0, 1), outcome.output
    return json.loads(outcome.stdout)  # type: ignore[no-any-return]


class Trace:
    """A trace of tracefs under construction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.microseconds = 0
        self.lines: list[str] = []

    def add(self, event: str, text: str, vcpu: int = 0, thread: int = 100) -> None:
        self.microseconds += 10
        task = f"CPU {vcpu}/KVM-{thread + vcpu}"
        self.lines.append(f"{task:>22} [000] d..1. 7.{self.microseconds:06}: {event}: {text}")

    def exit(self, vcpu: int = 0, cause: str = "TRAP: HSR_EC: 0x0024 (DABT_LOW), PC: 0xffff800008012345") -> None:
        self.add("kvm_exit", cause, vcpu)

    def enter(self, vcpu: int = 0) -> None:
        self.add("kvm_entry", "PC: 0xffff800008012345", vcpu)

    def write(self, address: int, value: int, size: int = 4, vcpu: int = 0) -> None:
        self.exit(vcpu)
        self.add("kvm_mmio", f"mmio write len {size} gpa {address:#x} val {value:#x}", vcpu)
        self.enter(vcpu)

    def read(self, address: int, value: int, size: int = 4, vcpu: int = 0) -> None:
        self.exit(vcpu)
        self.add("kvm_mmio", f"mmio unsatisfied-read len {size} gpa {address:#x} val 0x0", vcpu)
        self.add("kvm_mmio", f"mmio read len {size} gpa {address:#x} val {value:#x}", vcpu)
        self.enter(vcpu)

    def done(self) -> Path:
        self.path.write_text("\n".join(self.lines) + "\n")
        return self.path


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    return Trace(tmp_path / "trace.txt")


def test_a_live_host() -> None:
    told = result(LIVE)
    events = gzip.decompress(LIVE.read_bytes()).decode()
    assert told["events"]["kvm_exit"] == events.count(": kvm_exit: ")
    causes = told["exits_by_cause"]
    assert sum(cause["exits"] for cause in causes.values()) == 39
    assert causes["device at 0x9000000 write"]["to_the_vmm"] == events.count("kvm_userspace_exit")
    assert causes["ICC_SGI1R_EL1 write"]["exits"] == 2
    assert causes["IRQ"]["exits"] == 1
    assert set(told["exits_by_vcpu"]) == {"init-1"}
    # From kvm_exit at 4.477578 to kvm_entry at 4.480033: the first access to the GIC.
    assert 4_480_033_000 - 4_477_578_000 in (causes["GICR_WAKER write"]["total"] - 163_000, 2_455_000)
    assert told["writes_replayed"] == len(re.findall("mmio write len . gpa 0x80", events))
    assert told["not_predicted"] == {"GICD_ICACTIVER": 1, "GICR_ICACTIVER": 1}
    assert told["undecided"] == "no read of the GIC in it shows what was known before"
    assert result(LIVE, "--from-start")["compared"] == {"GICR_IPRIORITYR": 1}


def test_what_people_see() -> None:
    shown = run(LIVE, "--from-start").stdout
    assert "machine: 2 vCPUs, 256 SPIs, 1 redistributor region, profile kvm, from what the trace shows" in shown
    assert re.search(r"GICD_ISENABLER write +5 +12.8% +0.516 +110.0 +121.0", shown)
    assert shown.endswith("no divergence: 23 writes replayed, 1 reads compared\n")


def test_exits_are_counted_and_timed_by_vcpu(trace: Trace) -> None:
    trace.write(GICD + 0x104, 1)
    trace.exit(1, "IRQ: HSR_EC: 0x0000 (UNKNOWN), PC: 0x1")
    trace.write(GICD + 0x184, 1)
    trace.enter(1)
    trace.exit(1, "TRAP: HSR_EC: 0x0001 (WFx), PC: 0x1")
    told = result(trace.done())
    assert told["exits_by_cause"] == {
        "GICD_ISENABLER write": {
            "exits": 1,
            "timed": 1,
            "total": 20_000,
            "median": 20_000,
            "p99": 20_000,
            "to_the_vmm": 0,
        },
        "GICD_ICENABLER write": {
            "exits": 1,
            "timed": 1,
            "total": 20_000,
            "median": 20_000,
            "p99": 20_000,
            "to_the_vmm": 0,
        },
        "IRQ": {"exits": 1, "timed": 1, "total": 40_000, "median": 40_000, "p99": 40_000, "to_the_vmm": 0},
        # The trace ends before the guest goes on.
        "WFx": {"exits": 1, "timed": 0, "total": 0, "median": None, "p99": None, "to_the_vmm": 0},
    }
    assert {name: spent["exits"] for name, spent in told["exits_by_vcpu"].items()} == {"vCPU 0": 2, "vCPU 1": 2}
    assert told["accesses"][0] == {"register": "GICD_ISENABLER", "access": "write", "vcpu": "vCPU 0", "count": 1}


def test_reads_of_what_was_written_are_compared(trace: Trace) -> None:
    trace.write(GICD + 0x104, 0b0101)
    trace.write(GICD + 0x184, 0b0001)
    trace.read(GICD + 0x104, 0b0100)
    trace.write(GICD + 0x6000 + 8 * 40, 1, 8)
    trace.read(GICD + 0x6000 + 8 * 40, 1, 8)
    trace.read(GICR1 + 0x8, 1 << 32 | 1 << 8 | 1 << 4, 8)
    told = result(trace.done())
    assert told["compared"] == {"GICD_ISENABLER": 1, "GICD_IROUTER": 1, "GICR_TYPER": 1}
    # A read is two lines, and one access.
    counts = {(item["register"], item["access"]): item["count"] for item in told["accesses"]}
    assert (counts["GICD_ISENABLER", "read"], counts["GICD_IROUTER", "write"]) == (1, 1)
    assert (told["divergences"], told["undecided"]) == ({}, None)


def test_what_was_set_before_the_trace_began_is_taken_from_the_first_read(trace: Trace) -> None:
    trace.write(GICD + 0x104, 0b0001)
    trace.read(GICD + 0x184, 0b1001)  # INTID 35 was enabled before.
    trace.read(GICD + 0x104, 0b1001)
    trace.read(GICD + 0x428, 0xA0A0_A0A0)
    trace.read(GICD + 0x42A, 0xA0, 1)
    told = result(trace.done())
    assert (told["divergences"], told["adopted"]) == ({}, {"GICD_ICENABLER": 1, "GICD_IPRIORITYR": 1})
    # Where the trace begins with the VM, nothing was.
    told = result(trace.path, "--from-start")
    assert told["divergences"] == {"GICD_ICENABLER": 1, "GICD_ISENABLER": 1, "GICD_IPRIORITYR": 2}


def test_a_read_that_differs(trace: Trace) -> None:
    trace.write(GICD + 0x104, 0b0101)
    trace.read(GICD + 0x104, 0b0111)
    told = result(trace.done())
    # Nobody has written bit 1.
    assert told["divergences"] == {}
    trace.read(GICD + 0x104, 0b0110, vcpu=1)
    told = result(trace.done())
    assert told["divergences"] == {"GICD_ISENABLER": 1}
    assert told["first_divergence"]["expected"] == "0x6"
    assert told["first_divergence"]["line"] == len(trace.lines) - 1
    outcome = run(trace.path)
    assert outcome.exit_code == 1
    assert "GICD_ISENABLER1\n  expected 0x6\n  got      0x7" in outcome.stdout


def test_reads_that_the_vmm_answers(trace: Trace) -> None:
    trace.write(GICD + 0x104, 1)
    trace.read(GICD + 0x104, 1)
    trace.exit()
    trace.add("kvm_mmio", "mmio unsatisfied-read len 4 gpa 0x9000018 val 0x0")
    trace.add("kvm_userspace_exit", "reason KVM_EXIT_MMIO (6)")
    trace.add("kvm_mmio", "mmio read len 4 gpa 0x9000018 val 0x90")
    trace.enter()
    told = result(trace.done())
    assert told["exits_by_cause"]["device at 0x9000000 read"]["to_the_vmm"] == 1
    assert (told["compared"], told["unanswered"]) == ({"GICD_ISENABLER": 1}, 0)
    trace.exit()
    trace.add("kvm_mmio", f"mmio unsatisfied-read len 4 gpa {GICD:#x} val 0x0")
    assert result(trace.done())["unanswered"] == 1
    assert "1 reads of the GIC have no answer in the trace" in run(trace.path).stdout


def test_no_verdict_where_events_were_lost_or_vms_are_mixed(trace: Trace) -> None:
    trace.write(GICD + 0x104, 0b01)
    trace.read(GICD + 0x104, 0b00)
    assert run(trace.done()).exit_code == 1
    trace.lines.insert(1, "CPU:1 [LOST 12 EVENTS]")
    outcome = run(trace.done())
    assert outcome.exit_code == 0
    assert "the recorder lost 12 events: the counts are too low" in outcome.stdout
    assert "no verdict: 1 writes replayed, 1 reads compared; the recorder lost 12 events" in outcome.stdout
    del trace.lines[1]
    trace.add("kvm_exit", "IRQ: HSR_EC: 0x0000 (UNKNOWN), PC: 0x1", thread=900)
    assert result(trace.done())["undecided"].startswith(
        "the trace holds 2 VMs, whose accesses cannot be told apart"
    )
    assert set(result(trace.path)["exits_by_vcpu"]) == {"vCPU 0", "vCPU 0 (900)"}


def test_the_machine_may_be_another(trace: Trace) -> None:
    trace.write(0x2F00_0104, 1)
    trace.read(0x2F00_0104, 1)
    options = ["--cpus", 2, "--gicd-base", "0x2f000000"]
    assert result(trace.done(), *options)["compared"] == {"GICD_ISENABLER": 1}
    assert "from --cpus" in run(trace.path, *options).stdout
    assert "profile kvm (the trace is of KVM)" in run(trace.path, *options).stdout
    assert "profile arch" in run(trace.path, *options, "--profile", "arch").stdout
    assert result(trace.path)["compared"] == {}


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ("kvm_mmio", "mmio write len 3 gpa 0x8000000 val 0x0"),
        ("kvm_exit", "something else"),
        ("kvm_sys_access", "PC: zz"),
    ],
)
def test_events_that_are_not_as_they_should_be(trace: Trace, event: str, text: str) -> None:
    trace.write(GICD, 2)
    trace.add(event, text)
    outcome = run(trace.done())
    assert (outcome.exit_code, outcome.stderr) == (2, f"vgic: {trace.path}:4: malformed {event} event: {text!r}\n")


def test_inputs_that_hold_no_event_of_kvm(trace: Trace) -> None:
    trace.add("sched_switch", "prev_comm=a")
    assert (
        run(trace.done()).stderr == f"vgic: {trace.path}: holds no event of KVM: trace-cmd record -e kvm -e vgic\n"
    )
    assert run("-", stdin=b"").stderr == "vgic: standard input: is empty\n"
    assert run("-", stdin=LIVE.read_bytes()).exit_code == 0


@pytest.mark.parametrize("command", [["replay"], ["convert"]])
def test_other_commands_say_which_one_reads_it(command: list[str], tmp_path: Path) -> None:
    extra = {"replay": ["--cpus", "2"], "convert": [str(tmp_path / "out.jsonl")]}[command[0]]
    outcome = CliRunner().invoke(main, [*command, str(LIVE), *extra])
    message = "is a trace of a Linux kernel, which does not hold what a replay needs: vgic exits reads it"
    assert (outcome.exit_code, outcome.stderr) == (2, f"vgic: {LIVE}: {message}\n")


def test_words_of_the_kernel() -> None:
    assert exit_name("TRAP: HSR_EC: 0x0016 (HVC64), PC: 0x1") == "HVC64"
    assert exit_name("EL1_SERROR: HSR_EC: 0x0000 (UNKNOWN), PC: 0x1") == "EL1_SERROR"
    assert register_of("PC: 400101e4 SYS_ICC_SGI1R_EL1 (3,0,12,11,5) write") == "ICC_SGI1R_EL1 write"
    names = ("CPU 12/KVM", "fc_vcpu 3", "vcpu0", "kvm-vcpu-7", "crosvm_vcpu2", "qemu-system-aar")
    assert [vcpu_of(name) for name in names] == [12, 3, 0, 7, 2, None]


STYLES = {
    "tracefs": rb"\g<0>",
    "trace-cmd": rb"\1-\2  [\3]   \4: \5:             \6",
    "perf": rb"\1  \2 [\3]   \4:      kvm:\5: \6",
}
"""How each of the programs prints an event of tracefs."""


def survive(path: Path, style: str, count: int, seed: int, machine: Machine | None = None) -> int:
    refused = 0
    told = [line for line in gzip.decompress(LIVE.read_bytes()).splitlines(True) if b"_debug" not in line]
    sample = b"".join(line for line in told[40:] if b"_dreg32" not in line)[:2000]
    event = rb"(?m)^ *(\S.*)-(\d+) +\[(\d+)\] \S+ +([\d.]+): (\w+): (.*)"
    sample, converted = re.subn(event, STYLES[style], sample)
    assert converted > 10
    assert sample.count(b"kvm_mmio") > 2
    for contents in damaged(sample, count, seed):
        path.write_bytes(contents)
        try:
            lines = TextLines(path)
            read_trace(lines, "trace", machine or guessed_machine(lines))
        except (TraceError, VgicError):
            refused += 1
    return refused


@pytest.mark.parametrize("style", STYLES)
def test_damaged_traces(tmp_path: Path, style: str) -> None:
    assert survive(tmp_path / "trace", style, 40, 1)


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_ten_thousand_damaged_traces_of_three_styles(
    tmp_path: Path, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # To build a GIC takes longer than to read so short a trace.
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1)))
    monkeypatch.setattr(vgic, "Gic", lambda _: gic)
    assert survive(tmp_path / "trace", style, 3_400, 2, Machine(gic.config, "test"))
