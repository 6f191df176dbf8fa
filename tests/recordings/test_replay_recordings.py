"""Recordings of real guests replay without divergence, and every value that they hold is compared."""

import re
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from click.testing import CliRunner

import recorded_guests
from mmio.trace import open_trace
from vgic_tools.cli import main
from vgic_tools.machines.device_tree import config_from_device_tree
from vgic_tools.machines.machine import Machine
from vgic_tools.machines.qemu_cmdline import QEMU_SPIS
from vgic_tools.replay import Result, replay
from vgic_tools.replay.versions import as_recorded

RECORDINGS = [
    ("linux_smp1_icount", "core"),
    ("linux_smp1_icount", "full"),
    ("linux_smp1_its", "core"),
    ("linux_smp1_its", "full"),
    ("linux_smp4_noits", "core"),
    ("linux_smp4_noits", "full"),
    ("linux_smp4_its", "core"),
    pytest.param("linux_smp4_its", "full", marks=pytest.mark.slow),
    ("linux_smp4_secure", "core"),
    pytest.param("linux_smp4_secure", "full", marks=pytest.mark.slow),
    ("linux_smp126_hi_noits", "core"),
    ("linux612_smp4_its_qemu10", "core"),
    ("linux612_smp4_its_qemu10", "full"),
    ("linux_smp4_gicv4_its", "core"),
    ("kvm_a57_smp1", "core"),
    pytest.param("kvm_a57_smp1", "full", marks=pytest.mark.slow),
    ("xen_smp2_its", "core"),
    ("xen_smp2_quiet", "core"),
    pytest.param("xen_smp2_quiet", "full", marks=pytest.mark.slow),
    ("fuzz_ds1_smp4", "core"),
    ("fuzz_ds1_smp4", "full"),
]
WITH_ITS = [("linux_smp1_its", "core"), ("linux_smp1_its", "full"), ("linux_smp4_its", "core")]
TAKEN = {
    "linux_smp1_its": {0x2001: 14, 0x2003: 5, 0x2004: 11},
    "linux_smp4_its": {0x2001: 10, 0x2003: 57, 0x2004: 1, 0x2009: 9, 0x200A: 15},
    "linux_smp4_gicv4_its": {0x2000: 13, 0x2001: 1},
    "linux_smp4_secure": {0x2001: 17, 0x2002: 1, 0x2003: 56, 0x2009: 9, 0x200A: 13},
}
"""How often each LPI is acknowledged."""
GICV4 = "linux_smp4_gicv4_its"
LEFT_OUT_OF_GICV4 = (
    "left out of a GICv4: virtual LPIs, the ITS commands and tables of vPEs (VMAPP, VMAPTI, ...), and what a"
    " resident vPE (GICR_VPENDBASER.Valid) has pending"
)
REGISTERS = ("ICC_", "ICV_", "ICH_")

every_recording = pytest.mark.parametrize(("recording", "kind"), RECORDINGS)


@cache
def result_of(recording: str, kind: str) -> Result:
    log = recorded_guests.log(recording, kind)
    return replay(open_trace(log), str(log), recorded_guests.machine(recording), keep_going=True)


@cache
def lines_by_event(recording: str, kind: str) -> Counter[str]:
    """How many lines each event has, and each register that is read, by searching the text alone."""
    text = "\n".join(recorded_guests.lines(recording, kind))
    counts = Counter(re.findall(r"^(?:\d+@[\d.]+:)?(\w+) ", text, re.MULTILINE))
    return counts + Counter(re.findall(r"GICv3 (IC[CVH]_\w+) read cpu", text))


def maintenance_lines(recording: str, kind: str) -> int:
    """How many lines tell of the maintenance interrupt's line, where the model drives it."""
    if not recorded_guests.machine(recording).config.list_registers:
        return 0
    return sum(" interrupt 25 level changed " in line for line in recorded_guests.lines(recording, kind))


def compared(result: Result, prefix: str) -> int:
    return sum(count for name, count in result.compared.items() if name.startswith(prefix))


@every_recording
def test_nothing_diverges(recording: str, kind: str) -> None:
    result = result_of(recording, kind)
    assert result.first is None
    assert not result.divergences
    assert result.notes == ([LEFT_OUT_OF_GICV4] if recording == GICV4 else [])
    assert result.events == len(recorded_guests.lines(recording, kind))


@every_recording
def test_nothing_is_accepted_but_what_is_in_guest_ram(recording: str, kind: str) -> None:
    expected: dict[str, int] = {}
    if recording in TAKEN:
        lpis = len(TAKEN[recording])
        priorities = "as they were offered" if kind == "full" else "assumed to be 0xa0"
        expected["LPIs enabled, because they were taken or offered"] = lpis
        expected[f"priorities of LPIs, {priorities}"] = lpis
        expected["pages of two-level tables, at made-up addresses"] = 2 if recording == GICV4 else 1
    assert result_of(recording, kind).accepted == expected


@every_recording
def test_every_recorded_value_is_compared(recording: str, kind: str) -> None:
    result, lines = result_of(recording, kind), lines_by_event(recording, kind)
    assert compared(result, "GICD") == lines["gicv3_dist_read"] + lines["gicv3_dist_badread"]
    assert compared(result, "GICR") == lines["gicv3_redist_read"] + lines["gicv3_redist_badread"]
    assert compared(result, "GITS") == lines["gicv3_its_read"] + lines["gicv3_its_badread"]
    assert result.compared["ITS commands"] == lines["gicv3_its_process_command"]
    for table, name in (("device", "dte"), ("translation", "ite"), ("collection", "cte")):
        entries = lines[f"gicv3_its_{name}_read"] + lines[f"gicv3_its_{name}_write"]
        assert result.compared[f"{table} table entries"] == entries
    assert result.compared["SGI deliveries"] == lines["gicv3_redist_send_sgi"]
    assert result.compared["highest pending interrupts"] == lines["gicv3_cpuif_update"]
    assert result.compared["IRQ and FIQ outputs"] == lines["gicv3_cpuif_set_irqs"]
    assert result.compared["highest pending virtual interrupts"] == lines["gicv3_cpuif_virt_update"]
    assert result.compared["virtual IRQ and FIQ outputs"] == lines["gicv3_cpuif_virt_set_irqs"]
    maintenance = lines["gicv3_cpuif_virt_set_maint_irq"] + maintenance_lines(recording, kind)
    assert result.compared["maintenance interrupts"] == maintenance
    reads = {name: count for name, count in lines.items() if name.startswith(REGISTERS)}
    assert {name: count for name, count in result.compared.items() if name.startswith(REGISTERS)} == reads


@every_recording
def test_every_recorded_input_is_replayed(recording: str, kind: str) -> None:
    inputs, lines = result_of(recording, kind).inputs, lines_by_event(recording, kind)
    changes = lines["gicv3_dist_set_irq"] + lines["gicv3_redist_set_irq"]
    assert inputs["line changes"] == changes - maintenance_lines(recording, kind)
    assert inputs["GICD writes"] == lines["gicv3_dist_write"] + lines["gicv3_dist_badwrite"]
    assert inputs["GICR writes"] == lines["gicv3_redist_write"] + lines["gicv3_redist_badwrite"]
    assert inputs["GITS writes"] == lines["gicv3_its_write"] + lines["gicv3_its_badwrite"]
    assert inputs["MSIs"] == lines["gicv3_its_translation_write"]
    assert inputs["ITS commands"] == lines["gicv3_its_process_command"]
    sgis = sum(count for name, count in inputs.items() if name.startswith("SGIs"))
    assert sgis == lines["gicv3_icc_generate_sgi"]
    for face in ("icc", "icv", "ich"):
        writes = [name for name in lines if name.startswith(f"gicv3_{face}_") and name.endswith("_write")]
        assert inputs[f"{face.upper()} writes"] == sum(lines[name] for name in writes)


@every_recording
def test_every_access_is_taken_or_refused_as_recorded(recording: str, kind: str) -> None:
    result, lines = result_of(recording, kind), lines_by_event(recording, kind)
    accesses = sum(
        count for name, count in lines.items() if re.match(r"gicv3_(dist|redist|its)_(bad)?(read|write)$", name)
    )
    # Random operations write read-only registers, of which QEMU calls some writes errors and others not.
    unrecorded = 358 if recording == "fuzz_ds1_smp4" else 0
    assert result.compared["access taken or refused"] == accesses - unrecorded


@pytest.mark.parametrize("kind", ["core", "full"])
def test_four_vcpus_in_figures(kind: str) -> None:
    result = result_of("linux_smp4_noits", kind)
    assert compared(result, "GICR") == 122
    assert compared(result, "GICD") == 89 + 1
    assert result.compared["ICC_IAR1"] == 4_342
    assert result.compared["SGI deliveries"] == 1_213
    assert result.inputs["CPU resets"] == 6
    evaluations = 69_796 if kind == "full" else 0
    assert result.compared["highest pending interrupts"] == evaluations
    assert result.compared["IRQ and FIQ outputs"] == evaluations


@pytest.mark.parametrize(("recording", "kind"), WITH_ITS)
def test_every_lpi_that_is_taken_was_made_pending_by_a_message_before(recording: str, kind: str) -> None:
    """By the text alone: an MSI is followed by the entry of its event, which names the LPI."""
    pending: Counter[int] = Counter()
    taken: Counter[int] = Counter()
    message = False
    for line in recorded_guests.lines(recording, kind):
        if "gicv3_its_translation_write" in line:
            message = True
        elif message and (entry := re.search(r"gicv3_its_ite_read .* valid 1 inttype 1 intid 0x(\w+) ", line)):
            pending[int(entry[1], 16)] += 1
            message = False
        elif acknowledged := re.search(r"gicv3_icc_iar1_read .* value 0x(\w{4,})$", line):
            intid = int(acknowledged[1], 16)
            taken[intid] += 1
            assert taken[intid] <= pending[intid], line
    assert taken == pending == TAKEN[recording]
    assert sum(
        count for (_, interrupt), count in result_of(recording, kind).acknowledged.items() if interrupt == "LPI"
    ) == sum(TAKEN[recording].values())


@pytest.mark.rule("VLPI-2")
def test_a_gicv4_is_replayed_but_for_its_virtual_lpis() -> None:
    result = result_of(GICV4, "core")
    assert "1 ITS, 4 list registers, frames of a GICv4, profile qemu (inferred from GICD_TYPER)" in result.machine
    figures = {
        "GICR_TYPER": 46,
        "GICR_VPENDBASER": 8,
        "GICR_PIDR2": 6,
        "GITS_PIDR2": 2,
        "GITS_TYPER": 6,
        "ICH_VTR": 1,
        "ITS commands": 49,
        "ICC_IAR1": 4_225,
    }
    assert {name: result.compared[name] for name in figures} == figures
    assert result.inputs["CPU resets"] == 4
    # The trace alone tells that the GIC is a GICv4; on the machine of a GICv3, it is asked for.
    machine = recorded_guests.machine(GICV4)
    log = recorded_guests.log(GICV4, "core")
    plain = Machine(replace(machine.config, vlpi_frames=False), "another command line")
    assert as_recorded(plain, open_trace(log)).config == machine.config
    other = replay(open_trace(log), str(log), plain)
    assert other.undecided.endswith("--vlpi-frames, or a command line with gic-version=4, makes it another")


@pytest.mark.parametrize("kind", ["core", pytest.param("full", marks=pytest.mark.slow)])
def test_an_its_in_figures(kind: str) -> None:
    result = result_of("linux_smp4_its", kind)
    assert result.inputs["MSIs"] == 92
    lpis = {pe: count for (pe, interrupt), count in result.acknowledged.items() if interrupt == "LPI"}
    assert lpis == {"0.0.0.0": 12, "0.0.0.1": 2, "0.0.0.2": 64, "0.0.0.3": 14}
    assert compared(result, "GITS") == 377
    assert result.compared["GITS_CREADR"] == 344
    assert result.compared["device table entries"] == 165
    assert result.compared["translation table entries"] == 197
    assert result.compared["collection table entries"] == 182
    assert result.compared["ITS commands"] == 170
    assert result.compared["ICC_IAR1"] == 4_990
    assert result.compared["highest pending interrupts"] == (78_396 if kind == "full" else 0)


@pytest.mark.parametrize(
    ("recording", "kind"),
    [
        ("linux_smp1_icount", "core"),
        ("linux_smp4_its", "core"),
        ("linux_smp4_noits", "full"),
        ("linux_smp126_hi_noits", "core"),
    ],
)
def test_the_device_tree_describes_the_same_machine(recording: str, kind: str) -> None:
    log, tree = recorded_guests.log(recording, kind), recorded_guests.TRACES / recording / "virt.dtb"
    machine = Machine(config_from_device_tree(tree, QEMU_SPIS), "its device tree")
    result = replay(open_trace(log), str(log), machine, keep_going=True)
    assert replace(result, machine="") == replace(result_of(recording, kind), machine="")


@pytest.mark.parametrize("machine", ["--qemu-cmdline=cmd.txt", "--dtb=virt.dtb"])
def test_the_command_says_so(machine: str) -> None:
    option, _, file = machine.partition("=")
    path = recorded_guests.TRACES / "linux_smp4_noits" / file
    log = recorded_guests.log("linux_smp4_noits", "core")
    outcome = CliRunner().invoke(main, ["replay", str(log), option, str(path)])
    assert outcome.exit_code == 0, outcome.output
    assert "no divergence: 6,608 recorded values came out the same" in outcome.stdout
    assert not outcome.stderr


@pytest.mark.parametrize(
    ("recording", "kind", "figures"),
    [
        (
            "kvm_a57_smp1",
            "core",
            {"ICH_LR0_EL2": 520, "ICH_ELRSR": 520, "ICV_IAR1": 111, "maintenance interrupts": 72},
        ),
        pytest.param(
            "kvm_a57_smp1",
            "full",
            {
                "highest pending virtual interrupts": 47_638,
                "virtual IRQ and FIQ outputs": 47_638,
                "maintenance interrupts": 3_463 + 72,
            },
            marks=pytest.mark.slow,
        ),
        (
            "xen_smp2_its",
            "core",
            {"ICC_IAR1": 11_373, "ICV_IAR1": 3_951, "ICH_VMCR_EL2": 3_334, "ICH_HCR_EL2": 7_407},
        ),
        pytest.param(
            "xen_smp2_quiet",
            "full",
            {
                "highest pending virtual interrupts": 26_038,
                "virtual IRQ and FIQ outputs": 26_038,
                "maintenance interrupts": 9_390,
                "ICV_IAR1": 1_403,
            },
            marks=pytest.mark.slow,
        ),
    ],
)
def test_hypervisors_in_figures(recording: str, kind: str, figures: dict[str, int]) -> None:
    result = result_of(recording, kind)
    assert {name: result.compared[name] for name in figures} == figures
