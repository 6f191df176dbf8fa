"""Waveforms, read back with a parser that is not the writer's."""

import io
from pathlib import Path

import pytest
from click.testing import CliRunner

import recorded_guests
from qemu_log import awake, icc, ich
from read_waveforms import VCDVCD
from small_timeline import small_timeline
from vgic_tools.cli import main
from vgic_tools.errors import UsageError
from vgic_tools.report.timeline import Timeline
from vgic_tools.report.waveform import write_vcd


def read(timeline: Timeline, title: str = "a test") -> VCDVCD:
    file = io.StringIO()
    write_vcd(file, timeline, title)
    return VCDVCD(vcd_string=file.getvalue())


def numbers(vcd: VCDVCD, name: str) -> list[tuple[int, int | str]]:
    """The changes of a signal; what is not 0 or 1 stays a text."""
    [found] = [key for key in vcd.references_to_ids if key.partition("[")[0] == name]
    return [(time, value if set(value) - {"0", "1"} else int(value, 2)) for time, value in vcd[found].tv]


def test_a_vcpu() -> None:
    vcd = read(small_timeline())
    scope = "vcpu1_aff_1_0_0_0"
    assert vcd.timescale["timescale"] * 10**9 == 1
    assert numbers(vcd, f"{scope}.irq") == [(0, 0), (10_000, 1), (20_000, 0), (30_000, 1), (40_000, 0)]
    assert numbers(vcd, f"{scope}.fiq") == [(0, 0), (30_000, 1), (90_000, 0)]
    assert numbers(vcd, f"{scope}.waiting") == [(0, 0), (10_000, 2), (20_000, 1), (40_000, 0)]
    assert numbers(vcd, f"{scope}.depth") == [
        (0, 0),
        (20_000, 1),
        (40_000, 2),
        (50_000, 1),
        (60_000, 0),
        (80_000, 1),
    ]
    assert numbers(vcd, f"{scope}.intid") == [
        (0, "z"),
        (20_000, 27),
        (40_000, 3),
        (50_000, 27),
        (60_000, "z"),
        (80_000, 8195),
    ]
    assert vcd.endtime == 100_000


def test_virtual_outputs_of_a_hypervisors_guest(tmp_path: Path) -> None:
    log, dump = tmp_path / "a.log", tmp_path / "a.vcd"
    listed = 1 << 62 | 1 << 60 | 0xA0 << 48 | 27
    log.write_text(
        "\n".join(
            [
                *awake(),
                ich("write", "ICH_VMCR_EL2", 0, 0xF0 << 24 | 0b11),
                ich("write", "ICH_LR0_EL2", 0, listed),
                ich("write", "ICH_HCR_EL2", 0, 1),
                ich("read", "ICV_IAR1", 0, 27),
                icc("read", "PMR", 0, 0xF8),
            ]
        )
    )
    options = ["--qemu-cmdline", str(tmp_path / "cmd.txt"), "--vcd", str(dump)]
    (tmp_path / "cmd.txt").write_text("qemu-system-aarch64 -machine virt,gic-version=3,virtualization=on -smp 1")
    done = CliRunner().invoke(main, ["replay", str(log), *options])
    assert done.exit_code == 0, done.output
    vcd = VCDVCD(vcd_string=dump.read_text())
    assert [level for _, level in numbers(vcd, "vcpu0_aff_0_0_0_0.virq")] == [0, 1, 0]
    assert [level for _, level in numbers(vcd, "vcpu0_aff_0_0_0_0.vfiq")] == [0]


def test_lines_and_what_is_idle() -> None:
    timeline = small_timeline()
    timeline.sgis.clear()
    vcd = read(timeline)
    assert numbers(vcd, "lines.spi42") == [(0, 0), (5_000, 1)]
    assert numbers(vcd, "lines.ppi27_vcpu1") == [(0, 0), (10_000, 1), (20_000, 0), (75_000, 1), (76_000, 0)]
    assert not [name for name in vcd.references_to_ids if name.startswith("vcpu0")]


def test_a_title_cannot_end_its_comment() -> None:
    file = io.StringIO()
    write_vcd(file, small_timeline(), "a $end\n$dumpoff ünïcode")
    assert file.getvalue().count("$end") == file.getvalue().replace("?end", "").count("$end")
    assert "a ?end" in file.getvalue()
    assert file.getvalue().isascii()


def test_a_real_boot(tmp_path: Path) -> None:
    out = tmp_path / "boot.vcd"
    trace, cmdline = recorded_guests.log("linux_smp1_its", "core"), recorded_guests.cmdline("linux_smp1_its")
    words = ["replay", str(trace), "--qemu-cmdline", str(cmdline), "--vcd", str(out)]
    assert CliRunner().invoke(main, words).exit_code == 0
    changes = numbers(VCDVCD(str(out)), "vcpu0_aff_0_0_0_0.intid")
    taken = (recorded_guests.TRACES / "linux_smp1_its" / "counts.txt").read_text()
    assert f"{sum(value != 'z' for _, value in changes)} gicv3_icc_iar1_read" in taken


def test_without_pyvcd_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "vcd", None)
    with pytest.raises(UsageError, match=r"pip install 'vgic\[report\]'"):
        write_vcd(io.StringIO(), small_timeline(), "a test")
    words = ["replay", "nowhere.log", "--cpus", "1", "--vcd", str(tmp_path / "x.vcd")]
    assert CliRunner().invoke(main, words).exit_code == 2
