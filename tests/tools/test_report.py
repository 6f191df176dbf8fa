"""A replay's result as text and as JSON."""

import json
from io import StringIO

from qemu_log import awake, delivery, dist, evaluation, icc, ppi, redist, replayed, reset, sgi, spi
from vgic_tools.console import Output
from vgic_tools.replay import Result
from vgic_tools.replay.report import as_json, print_report


def text_of(result: Result) -> str:
    text = StringIO()
    print_report(Output(text), result)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def test_no_divergence() -> None:
    lines = [*awake(), ppi(0, 27, 1), *evaluation(0, 27, 0, irq=1), *evaluation(0, 27, 255, irq=0)]
    text = text_of(replayed([*lines, icc("read", "IAR1", 0, 27), "warning: [bold]low on memory[/bold]"]))
    assert text == (
        """\
boot.log: 15 events
machine: 1 vCPU, 256 SPIs, 1 redistributor region, profile qemu, from a test

inputs replayed  count
GICD writes          3
GICR writes          3
ICC writes           2
line changes         1
ICC reads            1

outcomes                    compared
access taken or refused            6
highest pending interrupts         2
IRQ and FIQ outputs                2
ICC_IAR1                           1

interrupts taken  SGI  PPI  SPI  LPI
vCPU 0.0.0.0             1

accepted, not predicted        count
lines that are no trace event      1

no divergence: 11 recorded values came out the same"""
    )


def test_a_divergence() -> None:
    lines = [dist("read", 0xFFE8, 0x3B)] * 12
    text = text_of(replayed([*awake(2), *lines, redist("read", 1, 0x14, 0b110)], cpus=2))
    before = "".join(f"{line:>10}  read GICD+0xffe8, 4 bytes: 0x3b\n" for line in range(16, 26))
    assert text.endswith(
        f"""
boot.log:26, vCPU 0.0.0.1: GICR_WAKER
  expected 0x6
  got      0x0
bits  field           expected  got  meaning
 [2]  ChildrenAsleep       0x1  0x0  the PE's CPU interface is asleep
 [1]  ProcessorSleep       0x1  0x0  the PE is to receive no interrupts
the events before it:
{before}        26  read GICR[0.0.0.1]+0x14, 4 bytes: 0x6  <- here

diverged: 1 of 35 values differ; stopped there, --keep-going counts them all"""
    )
    assert "\nGICR_WAKER                      1          1\n" in text


def test_the_model_view_of_the_interrupt() -> None:
    text = text_of(replayed([*awake(), spi(42, 1), icc("read", "IAR1", 0, 43), "warning"]))
    assert "boot.log:10, vCPU 0.0.0.0: ICC_IAR1\n  expected 0x2b\n  got      0x2a\n" in text
    assert "[23:0]  INTID      0x2b  0x2a" in text
    assert "\n  model: INTID 42: " in text
    assert "\n  model: INTID 43: idle, disabled; " in text


def test_an_outcome_that_is_no_register() -> None:
    text = text_of(replayed([*awake(2), sgi(0, 3, 0b10), delivery(0, 3), dist("read", 0xFFE8, 0x3B)], cpus=2))
    expected, got = "SGI 3 at 0.0.0.0", "SGI 3 at 0.0.0.1"
    assert f"vCPU 0.0.0.0: SGI deliveries\n  expected {expected}\n  got      {got}\n  model: INTID 3: " in text


def test_every_divergence_is_counted() -> None:
    lines = [dist("read", 0xFFE8, 0x3A)] * 3 + [dist("read", 0x4, 0)]
    assert text_of(replayed(lines, keep_going=True)).endswith("\ndiverged: 4 of 8 values differ")


def test_many_vcpus_are_summed_up() -> None:
    lines = [redist("write", cpu, 0x10080, 0xFFFF) for cpu in range(16)]
    lines += awake(16) + [redist("write", 0x100 + cpu, 0x10080, 0xFFFF) for cpu in range(2)]
    for cpu in [*range(16), 0x100, 0x101]:
        lines += [icc("write", "PMR", cpu, 0xF8), icc("write", "IGRPEN1", cpu, 1)]
        lines += [redist("write", cpu, 0x10100, 0xFFFF), sgi(cpu, 1, 1 << (cpu & 15), cluster=cpu >> 8)]
        lines += [delivery(cpu, 1), icc("read", "IAR1", cpu, 1)]
    text = text_of(replayed(lines, cpus=18))
    assert "no divergence" in text
    assert "\nvCPU 0.0.0.15       1" in text
    assert "\n2 more vCPUs        2" in text


def test_notes_are_shown() -> None:
    text = text_of(replayed([dist("read", 0xFFE8, 0x3B), reset("[0xb]")]))
    assert "\nnote: CPU resets whose vCPU the trace does not tell, left out: 1\n" in text


def test_json_round_trip() -> None:
    result = replayed([*awake(), "warning", spi(42, 1), icc("read", "IAR1", 0, 43)])
    data = json.loads(json.dumps(as_json(result)))
    assert data == as_json(result)
    first = data.pop("first_divergence")
    assert data == {
        "trace": "boot.log",
        "machine": "1 vCPU, 256 SPIs, 1 redistributor region, profile qemu, from a test",
        "events": 11,
        "diverged": True,
        "undecided": None,
        "stopped_at_first_divergence": True,
        "inputs": {"GICD writes": 3, "GICR writes": 3, "ICC writes": 2, "line changes": 1, "ICC reads": 1},
        "compared": {"access taken or refused": 6, "ICC_IAR1": 1},
        "values_compared": 7,
        "divergences": {"ICC_IAR1": 1},
        "interrupts_taken": {"0.0.0.0": {"SPI": 1}},
        "exits": None,
        "accepted_not_predicted": {"lines that are no trace event": 1},
        "notes": [],
        "final_state": [],
    }
    assert (first["line"], first["what"], first["vcpu"]) == (11, "ICC_IAR1", "0.0.0.0")
    assert (first["expected"], first["got"]) == ("0x2b", "0x2a")
    assert (first["fields_expected"], first["fields_got"]) == ({"INTID": 43}, {"INTID": 42})
    assert first["event"] == "0.0.0.0 reads ICC_IAR1: 0x2b"
    assert first["before"][-1] == {"line": 10, "event": "line of SPI 42 goes high"}
    assert len(first["before"]) == 10
    assert len(first["interrupts"]) == 2


def test_json_without_a_divergence_or_a_register() -> None:
    assert as_json(replayed([dist("read", 0xFFE8, 0x3B)]))["first_divergence"] is None
    first = as_json(replayed([dist("read", 0xC004, 1)]))["first_divergence"]
    assert isinstance(first, dict)
    assert (first["vcpu"], first["fields_expected"], first["fields_got"]) == (None, None, None)
