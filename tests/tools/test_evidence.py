"""What is not modelled or not recorded is named, and no register is blamed for it."""

import gzip
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import recorded_guests
from qemu_log import awake, delivery, dist, evaluation, gits, icc, ich, msi, ppi, redist, replayed, sgi, spi
from vgic_tools.cli import main

BOOT = "linux_smp4_noits"
SPI = 42
HW, PENDING = 1 << 61, 1 << 62


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def given_to_a_guest(flags: int = HW | PENDING, ends: str = "ICV_EOIR1", virtual: int = 5) -> list[str]:
    """A hypervisor takes an SPI, and lets its guest end it as virtual INTID 5; then it comes again."""
    return [
        *awake(),
        icc("write", "CTLR", 0, 0b10),
        spi(SPI, 1),
        icc("read", "IAR1", 0, SPI),
        icc("write", "EOIR1", 0, SPI),
        ich("write", "ICH_LR2_EL2", 0, flags | SPI << 32 | 5),
        ich("read", "ICV_IAR1", 0, 5),
        ich("write", ends, 0, virtual),
        icc("read", "IAR1", 0, SPI),
    ]


@pytest.mark.parametrize("ends", ["ICV_EOIR0", "ICV_EOIR1", "ICV_DIR"])
def test_a_list_register_that_deactivates_a_physical_interrupt_is_named(ends: str) -> None:
    lines = given_to_a_guest(ends=ends)
    result = replayed(lines)
    assert result.divergences == {"ICC_IAR1": 1}
    assert result.undecided == (
        f"in line {len(lines) - 1}, the guest of a hypervisor on vCPU 0.0.0.0 ends a virtual interrupt whose list"
        " register has HW = 1; that deactivates INTID 42. The machine has no list registers"
        " (--list-registers), which touch what is active, offered and acknowledged"
    )
    assert result.accepted["accesses to ICH_LR2_EL2"] == 1


@pytest.mark.parametrize(
    "lines",
    [
        given_to_a_guest(flags=PENDING),
        given_to_a_guest(flags=HW),
        given_to_a_guest(virtual=6),
        given_to_a_guest(ends="ICV_RPR"),
        [line for line in given_to_a_guest() if "ICH_LR" not in line],
    ],
    ids=["HW is 0", "the list register is empty", "another interrupt ends", "nothing ends", "no list register"],
)
def test_other_virtual_interrupts_excuse_nothing(lines: list[str]) -> None:
    result = replayed(lines)
    assert (result.diverged, result.undecided) == (True, "")


def test_list_registers_excuse_only_what_they_touch() -> None:
    lines = [*given_to_a_guest()[:-1], dist("read", 0xFFE8, 0x3A)]
    assert replayed(lines).undecided == ""
    # The hypervisor deactivated it after all.
    lines = [*given_to_a_guest()[:-1], icc("write", "DIR", 0, SPI), icc("read", "IAR1", 0, 1023)]
    assert (replayed(lines).diverged, replayed(lines).undecided) == (True, "")


@pytest.mark.parametrize(
    "line",
    [
        dist("read", 4, 0x37A_0407),
        dist("write", 0x84, 0).replace("secure 0", "secure 1"),
        icc("write", "CTLR_EL3", 0, 0),
        *evaluation(0, 42, 0xA0, irq=0, group=1)[:1],
    ],
    ids=["GICD_TYPER", "a Secure access", "EL3", "Secure Group 1"],
)
def test_two_security_states_are_named(line: str) -> None:
    result = replayed([*awake(), line, dist("read", 0, 0x10)])
    told = f"line {len(awake()) + 1} shows two Security states, and the machine has one: --security two"
    assert result.undecided.startswith(told)


def test_without_firmware_the_state_of_a_pe_is_known() -> None:
    lines = [dist("write", 0, 2), dist("read", 0, 0x13), dist("read", 4, 0x37A_0407)]
    direct = replayed(lines, security="two", reset_group=1)
    assert (direct.diverged, direct.undecided) == (True, "")


@pytest.mark.parametrize("line", [icc("read", "PMR", 0, 0x55), dist("read", 0x204, 1), dist("read", 0x304, 1)])
def test_behind_firmware_the_state_of_a_pe_is_not_known(line: str) -> None:
    result = replayed([line], security="two")
    assert result.diverged
    assert result.undecided.startswith("the machine has two Security states and begins with firmware")


def test_what_firmware_cannot_change_is_a_divergence_all_the_same() -> None:
    lines = [dist("write", 0, 2), dist("read", 0, 0x13)]
    assert (replayed(lines, security="two").diverged, replayed(lines, security="two").undecided) == (True, "")


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (dist("read", 4, 0x37A_0207), "GICD_TYPER.NMI, of NMIs"),
        (dist("read", 4, 0x37E_0007), "GICD_TYPER.DVIS, of the virtual LPIs of GICv4"),
        (redist("read", 0, 8, 0x100_0013, size=8), "GICR_TYPER.VLPIS, of the virtual LPIs of GICv4"),
    ],
)
def test_a_field_of_what_is_not_modelled_is_accepted(line: str, field: str) -> None:
    result = replayed([line, dist("read", 0xFFE8, 0x3B)])
    assert not result.divergences
    assert result.accepted == {f"{field}, which are not modelled": 1}


def test_such_a_field_hides_no_other() -> None:
    assert replayed([dist("read", 4, 0x37A_0206)]).divergences == {"GICD_TYPER": 1}
    assert replayed([dist("read", 4, 0x837A_0007)]).divergences == {"GICD_TYPER": 1}
    # Here the model has what the trace lacks.
    assert replayed([redist("read", 0, 8, 0x100_0010, size=8)]).divergences == {"GICR_TYPER": 1}


def test_nmis_are_named_where_they_change_what_comes_first() -> None:
    told = f"line {len(awake()) + 1} makes interrupts NMIs, and the machine has none: --nmi makes it another"
    for makes in (dist("write", 0xF84, 1 << 10), redist("write", 0, 0x10F80, 1 << 27)):
        assert replayed([*awake(), makes]).undecided.startswith(told)
        refused = makes.replace("_write", "_badwrite") + ": error"
        lines = [*awake(), refused, ppi(0, 27, 1), spi(SPI, 1), icc("read", "IAR1", 0, SPI)]
        assert replayed(lines).undecided.startswith(told)
        elsewhere = makes.replace("0xf84", "0xd84").replace("0x10f80", "0x10d84")
        assert (replayed([*awake(), elsewhere]).diverged, replayed([*awake(), elsewhere]).undecided) == (True, "")
        assert replayed([*awake(), refused, dist("read", 0xFFE8, 0x3A)]).undecided == ""


@pytest.mark.parametrize(
    ("missing", "lines"),
    [
        (
            "no writes to the Distributor and the Redistributors (gicv3_dist_write, gicv3_redist_write)",
            [line for line in awake() if "icc" in line] + [spi(SPI, 1), icc("read", "IAR1", 0, SPI)],
        ),
        (
            "no writes to system registers (gicv3_icc_*_write)",
            [line for line in awake() if "icc" not in line] + [spi(SPI, 1), icc("read", "IAR1", 0, SPI)],
        ),
        (
            "no input lines (gicv3_dist_set_irq, gicv3_redist_set_irq)",
            [*awake(), *evaluation(0, SPI, 0, irq=1), dist("read", 0, 0x53)],
        ),
        ("no SGIs (gicv3_icc_generate_sgi)", [*awake(), icc("read", "IAR1", 0, 3)]),
        ("no input lines (gicv3_dist_set_irq, gicv3_redist_set_irq)", [*awake(), icc("read", "HPPIR1", 0, 27)]),
    ],
    ids=["frames", "registers", "lines", "SGIs", "PPIs"],
)
def test_inputs_that_are_not_recorded_are_named(missing: str, lines: list[str]) -> None:
    result = replayed(lines)
    assert result.diverged
    assert " shows has a cause that is not recorded: there are no " in result.undecided
    assert missing in result.undecided


def test_inputs_that_are_recorded_excuse_nothing() -> None:
    for wrong in (
        [*awake(), spi(SPI, 1), icc("read", "IAR1", 0, 43)],
        [*awake(), dist("write", 0x204, 1 << 10), icc("read", "IAR1", 0, 43)],
        [*awake(2), sgi(0, 3, 0b10), delivery(1, 3), icc("read", "IAR1", 0, 3)],
        [*awake(), ppi(0, 27, 1), icc("read", "IAR1", 0, 1023)],
    ):
        result = replayed(wrong, cpus=2)
        assert (result.diverged, result.undecided) == (True, "")


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


MACHINE = ("--cpus", "1", "--profile", "qemu")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            awake(),
            r"none of the 8 events shows a value that the model predicts; -trace 'gicv3_\*' records them all",
        ),
        ([spi(SPI, 1), spi(SPI, 0)], "none of the 2 events shows a value"),
        (["gicv3_no_such_event GICv3 does something"], "none of the 1 events shows a value"),
        ([ich("write", "ICH_HCR_EL2", 0, 1)], "none of the 1 events shows a value"),
        ([msi(8, 0)], "none of the 1 events shows a value"),
        (["gic_dist_read dist read at 0x4 size 4: 0x0"], "gic_dist_read is an event of a GICv2"),
        (["gicv5_spi GICv5 SPI"], "gicv5_spi is an event of a GICv5"),
        (["guest_cpu_reset cpu=0x1 "], "none of the 1 events shows a value"),
    ],
    ids=["writes", "lines", "unknown", "virtual", "messages", "GICv2", "GICv5", "resets"],
)
def test_nothing_compared_is_no_success(tmp_path: Path, lines: list[str], reason: str) -> None:
    trace = write(tmp_path / "boot.log", lines)
    outcome = run("replay", trace, *MACHINE)
    assert (outcome.exit_code, "no divergence" in outcome.stdout) == (2, False), outcome.output
    assert re.search(f"^no verdict: nothing could be compared: {reason}", outcome.stdout, re.MULTILINE)
    told = json.loads(run("replay", trace, *MACHINE, "--json").stdout)
    assert told["undecided"].startswith("nothing could be compared: ")


@pytest.mark.parametrize("text", ["", "\n", "qemu: warning: low on memory\n"])
def test_a_file_without_events_is_refused(tmp_path: Path, text: str) -> None:
    trace = tmp_path / "boot.log"
    trace.write_text(text)
    outcome = run("replay", trace, *MACHINE)
    assert (outcome.exit_code, outcome.stdout) == (2, "")


def test_a_register_that_is_as_after_reset_misses_the_reset() -> None:
    """One that is not zero then: EOImode of ICC_CTLR_EL1 is gone, the rest is there."""
    before = [*awake(), icc("write", "CTLR", 0, 0b10)]
    told = (
        "what ICC_CTLR shows has a cause that is not recorded: there are no CPU resets (guest_cpu_reset, cpu_reset)"
    )
    assert replayed([*before, icc("read", "CTLR", 0, 0x8C00)]).undecided == told
    # Another value is none of a reset; and where resets are recorded, one that is missing is a divergence.
    assert replayed([*before, icc("read", "CTLR", 0, 0x8400)]).undecided == ""
    assert replayed([*before, "cpu_reset 1", icc("read", "CTLR", 0, 0x8C00)], cpus=2).undecided == ""


@pytest.mark.parametrize(
    ("left_out", "status", "verdict"),
    [
        (r"gicv3_(dist|redist|its)_(bad)?read", 0, "no divergence"),
        (r"gicv3_\w+_(bad)?read", 0, "no divergence"),
        (r"gicv3_(re)?dist_write", 2, "no writes to the Distributor and the Redistributors"),
        (r"gicv3_(re)?dist_set_irq", 2, "no input lines"),
        (r"gicv3_icc_generate_sgi|gicv3_redist_send_sgi", 2, "no SGIs"),
        (r"gicv3_icc_\w+_write", 2, "no writes to system registers"),
        (r"guest_cpu_reset", 2, "no CPU resets"),
        (r"(?!gicv3_dist_write)\w+", 2, "no verdict: nothing could be compared"),
    ],
)
def test_a_part_of_a_recording(tmp_path: Path, left_out: str, status: int, verdict: str) -> None:
    lines = gzip.decompress(recorded_guests.log(BOOT, "core").read_bytes()).decode().splitlines()
    # A read of IAR is an input too: without it, an interrupt is never taken.
    acknowledgement = "_write" if left_out.startswith("(?!") else "_iar"
    kept = [line for line in lines if not re.search(rf":({left_out}) ", line) or acknowledgement in line]
    outcome = run("replay", write(tmp_path / "boot.log", kept), "--qemu-cmdline", recorded_guests.cmdline(BOOT))
    assert outcome.exit_code == status, outcome.output
    assert verdict in outcome.stdout


def test_the_machine_is_asked_for_where_its_description_differs() -> None:
    log = recorded_guests.log(BOOT, "core")
    note = "note: GICR_TYPER says what the machine is, or which version: the trace may be of another one"
    for cpus in ("2", "8"):
        outcome = run("replay", log, "--cpus", cpus, "--profile", "qemu")
        assert outcome.exit_code == 1
        assert note in outcome.stdout
    assert not replayed([*awake(), redist("read", 0, 0x14, 0b110)]).notes


@pytest.mark.parametrize("wide", [True, False])
def test_there_is_no_verdict_on_virtual_interrupts_once_a_vpe_is_resident(wide: bool) -> None:
    resident = redist("write", 0, 0x20078, 1 << 63, 8) if wide else redist("write", 0, 0x2007C, 1 << 31)
    taken = [resident, ich("read", "ICV_IAR1", 0, 8192)]
    gicv4: dict[str, object] = {"list_registers": 4, "vlpi_frames": True}
    assert replayed([*awake(), *taken], **gicv4).undecided == (
        f"line {len(awake()) + 1} makes a vPE resident (GICR_VPENDBASER.Valid), whose virtual LPIs reach a virtual"
        " CPU interface; they are not modelled"
    )
    # What else differs is a divergence, and so is this while none is resident, or where nothing can be.
    for before in (redist("write", 0, 0x20078, 1 << 62, 8), redist("write", 0, 0x20070, 1 << 63, 8)):
        result = replayed([*awake(), before, taken[1]], **gicv4)
        assert (result.divergences, result.undecided) == ({"ICV_IAR1": 1}, "")
    result = replayed([*awake(), resident, icc("read", "IAR1", 0, 40)], **gicv4)
    assert result.divergences == {"ICC_IAR1": 1}
    assert "vPE" not in result.undecided


def test_what_was_pending_for_a_vpe_is_accepted() -> None:
    """GICR_VPENDBASER.PendingLast, after a vPE was resident that had a virtual LPI pending."""
    lines = [redist("write", 0, 0x20078, 1 << 63, 8), redist("write", 0, 0x20078, 0, 8)]
    result = replayed([*lines, redist("read", 0, 0x20078, 1 << 61, 8)], vlpi_frames=True)
    assert result.first is None
    assert result.accepted == {
        "GICR_VPENDBASER.PendingLast, of the virtual LPIs of GICv4, which are not modelled": 1
    }
    assert replayed([*lines, redist("read", 0, 0x20078, 1 << 62, 8)], vlpi_frames=True).first is not None


def test_a_gicv4_is_named() -> None:
    """As QEMU's, with gic-version=4."""
    shown = [dist("read", 0xFFE8, 0x4B), gits("read", 0xFFE8, 0x4B)]
    result = replayed([*shown, gits("read", 0x110, 0x0207_0000_0000_0000, 8)], its=(0x0808_0000,))
    assert result.divergences == {"GITS_BASER": 1}
    assert result.accepted["GICD_PIDR2.ArchRev, of the virtual LPIs of GICv4, which are not modelled"] == 1
    told = (
        "line 1 shows a GICv4, and the machine is a GICv3: --vlpi-frames, or a command line with gic-version=4,"
        " makes it another"
    )
    assert result.undecided == told
    # On the machine that is told, the same is what the model says.
    result = replayed([*shown, gits("read", 0x110, 0x0207_0000_0000_0200, 8)], its=(0x0808_0000,), vlpi_frames=True)
    assert (result.first, result.accepted) == (None, {})
    # GICR_TYPER.Last.
    assert replayed([*shown, redist("read", 0, 8, 0x100_0003, 8)]).undecided == told
    # Without it, the register is what differs; and another revision is no GICv4.
    lines = [*awake(), gits("read", 0x110, 0x0207_0000_0000_0000, 8)]
    assert replayed(lines, its=(0x0808_0000,)).undecided == ""
    assert replayed([dist("read", 0xFFE8, 0x1B)]).divergences == {"GICD_PIDR2": 1}
    assert replayed([redist("read", 0, 0xFFE8, 0x4B)]).divergences == {}
