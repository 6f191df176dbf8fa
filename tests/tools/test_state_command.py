"""`vgic state`: what a user sees of state files."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import vgic
from vgic_tools.cli import main
from vgic_tools.state_words import describe, difference

CONFIG = vgic.Config(vgic.Topology([0, 0x0100_0001]), spis=64)
GICD = 0x0800_0000


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["state", *map(str, arguments)])


def guest(config: vgic.Config = CONFIG) -> vgic.Gic:
    gic = vgic.Gic(config)
    gic.write(GICD, 4, 0b11)
    gic.write(GICD + 0x104, 4, 0xFF00)
    gic.write(GICD + 0x428, 4, 0xA0A0_A0A0)
    gic.spi(42).set_level(True)
    return gic


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "a.state"
    vgic.State.of(guest()).to_file(path)
    return path


def line(output: str, start: str) -> list[str]:
    """The words of the only line that starts so."""
    [found] = [text.split() for text in output.splitlines() if text.startswith(start)]
    return found


def test_show_lists_devices_and_registers(saved: Path) -> None:
    result = run("show", saved)
    assert result.exit_code == 0
    assert line(result.stdout, "vCPUs") == ["vCPUs", "2:", "0.0.0.0,", "1.0.0.1"]
    assert line(result.stdout, "gicd_base") == ["gicd_base", "0x8000000"]
    assert line(result.stdout, "redistributor_regions")[1:] == ["2", "at", "0x80a0000"]
    assert line(result.stdout, "GICD_ISENABLER1 ") == ["GICD_ISENABLER1", "0xff00", "INTIDs", "40-47", "1"]
    assert line(result.stdout, "GICD_IPRIORITYR10") == [
        "GICD_IPRIORITYR10",
        "0xa0a0a0a0",
        "INTIDs",
        "40-43",
        "0xa0",
    ]
    assert line(result.stdout, "GICD.line_level1") == ["GICD.line_level1", "0x400", "INTID", "42", "1"]
    assert line(result.stdout, "vCPU[1].MPIDR_EL1")[-1] == "1.0.0.1"
    devices = [
        text for text in result.stdout.splitlines() if text in ("GICD", "GICR[0]", "GICR[1]", "ICC[1]", "vCPU[1]")
    ]
    assert devices == ["GICD", "GICR[0]", "vCPU[1]", "GICR[1]", "ICC[1]"]


def test_addresses_are_hexadecimal(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    config = replace(CONFIG, its=(0x0808_0000, 0x0900_0000))
    gic = guest(config)
    gic.write(0x0808_0100, 8, 1 << 63 | 0x4200_0000)
    vgic.State.of(gic).to_file(one)
    vgic.State.of(guest(replace(CONFIG, its=(0x0808_0000,)))).to_file(other)
    for command in (("show", one), ("diff", one, other)):
        text = run(*command).stdout
        assert "0x8080000, 0x9000000" in text
        # Counts and INTIDs are small.
        assert re.findall(r"(?<![\w.])\d{5,}", text) == []


def test_show_fields_of_one_register(saved: Path) -> None:
    result = run("show", saved, "--fields", "GICR[1].GICR_WAKER")
    assert result.exit_code == 0
    assert "GICR[1].GICR_WAKER = 0x6" in result.stdout
    assert "ProcessorSleep      1  the PE is to receive no interrupts" in result.stdout


def test_show_fields_of_a_register_of_every_vcpu(saved: Path) -> None:
    result = run("show", saved, "--fields", "ICC_CTLR_EL1")
    assert result.stdout.count("Aff3 can be non-zero in SGI registers") == 2
    assert "1.0.0.1" in run("show", saved, "--fields", "MPIDR_EL1").stdout


def test_show_says_which_registers_come_near(saved: Path) -> None:
    result = run("show", saved, "--fields", "GICD_ISENABLER2")
    assert result.exit_code == 2
    assert "GICD_ISENABLER2 is zero, or no register; did you mean GICD_ISENABLER1" in result.stderr


def test_diff_of_equal_states(saved: Path) -> None:
    result = run("diff", saved, saved)
    assert (result.exit_code, result.stdout) == (0, "no difference\n")


def test_diff_shows_what_changed(saved: Path, tmp_path: Path) -> None:
    gic = guest()
    gic.write(GICD, 4, 0b01)
    gic.write(GICD + 0x184, 4, 0x0F00)
    gic.write(GICD + 0x428, 4, 0xA0A0_A008)
    gic.spi(42).set_level(False)
    gic.write(GICD + 0x6000 + 8 * 40, 8, 3)
    gic.write_mpidr(1, 0x8000_0007)
    vgic.State.of(gic).to_file(tmp_path / "b.state")
    result = run("diff", saved, tmp_path / "b.state")
    assert result.exit_code == 1
    rows = {words[0]: " ".join(words[1:]) for words in map(str.split, result.stdout.splitlines()[1:])}
    assert rows == {
        "GICD_CTLR": "0x53 0x51 EnableGrp1 1 -> 0",
        "GICD_ISENABLER1": "0xff00 0xf000 INTIDs 40-43 1 -> 0",
        "GICD_IPRIORITYR10": "0xa0a0a0a0 0xa0a0a008 INTID 40 0xa0 -> 0x8",
        "GICD.line_level1": "0x400 0x0 INTID 42 1 -> 0",
        "GICD_IROUTER40": "0x0 0x3 Aff0 0 -> 0x3",
        "vCPU[1].MPIDR_EL1": "0x180000001 0x80000007 1.0.0.1 -> 0.0.0.7",
    }


def test_diff_shows_another_vm(saved: Path, tmp_path: Path) -> None:
    vgic.State.of(
        guest(replace(CONFIG, topology=vgic.Topology([0, 2, 3]), spis=96, redistributor_regions=()))
    ).to_file(tmp_path / "b.state")
    result = run("diff", saved, tmp_path / "b.state")
    assert result.exit_code == 1
    assert line(result.stdout, "vm.spis") == ["vm.spis", "64", "96"]
    assert line(result.stdout, "vm.affinities[1]") == ["vm.affinities[1]", "1.0.0.1", "0.0.0.2"]
    assert line(result.stdout, "vm.affinities[2]") == ["vm.affinities[2]", "-", "0.0.0.3"]


@pytest.mark.rule("SAVE-14")
def test_check_of_a_host_that_has_it_all(saved: Path) -> None:
    result = run("check", saved, "--host-a3v")
    assert (result.exit_code, result.stdout) == (0, "runs: the host has what the guest saw\n")


@pytest.mark.rule("SAVE-14")
def test_check_of_a_host_that_must_trap(saved: Path) -> None:
    # ListRegs 3, TDS, nV4, PREbits and PRIbits 4: five bits of priority, and no A3V.
    result = run("check", saved, "--host-vtr", "0x90180003")
    assert result.exit_code == 1, "traps would help, but KVM does not restore the VM"
    assert line(result.stdout, "ICC[0].ICC_CTLR_EL1")[1:5] == ["A3V", "1", "0", "TC"]
    assert "runs with ICH_HCR_EL2 TC set (0x400)" in result.stdout
    assert "Linux's KVM refuses to restore this ICC_CTLR_EL1" in result.stdout


@pytest.mark.rule("SAVE-14")
@pytest.mark.parametrize(
    ("options", "status"),
    [
        (("--host-a3v",), 0),
        (("--host-no-a3v",), 1),
        (("--host-a3v", "--host-seis"), 1),
        # More than the guest has: trapped, and no reason for KVM to refuse.
        (("--host-a3v", "--host-priority-bits", "8"), 0),
        (("--host-a3v", "--host-id-bits", "24"), 0),
        (("--host-vtr", "0x90180003", "--host-no-a3v"), 1),
        (("--host-vtr", "0x90180003", "--host-a3v"), 0),
    ],
)
def test_the_exit_status_is_the_verdict(options: tuple[str, ...], status: int, saved: Path) -> None:
    result = run("check", saved, *options)
    assert result.exit_code == status, result.output
    assert ("refuses" in result.stdout or "does not run" in result.stdout) == (status == 1)


@pytest.mark.rule("SAVE-14")
@pytest.mark.parametrize(
    ("bits", "stops"), [(7, "ICC[0].ICC_CTLR_EL1.PRIbits"), (6, "ICC[0].ICC_BPR0_EL1, its least value")]
)
def test_check_of_a_host_that_cannot(bits: int, stops: str, tmp_path: Path) -> None:
    path = tmp_path / "b.state"
    vgic.State.of(guest(replace(CONFIG, priority_bits=bits))).to_file(path)
    result = run("check", path, "--host-vtr", "0x90180003", "--host-a3v", "--host-priority-bits", 6)
    assert result.exit_code == 1
    assert f"does not run: {stops} stops it" in result.stdout


@pytest.mark.rule("SAVE-14", "KVM-66")
@pytest.mark.parametrize("options", [(), ("--host-a3v",), ("--host-vtr", "0x90380003")])
@pytest.mark.parametrize(
    ("config", "lost"),
    [
        (replace(CONFIG, security="two"), "two Security states"),
        (replace(CONFIG, extended_spis=32, extended_ppis=64), "32 SPIs of the extended range, 64 PPIs of the"),
        (replace(CONFIG, nmi=True), "NMIs"),
        (replace(CONFIG, list_registers=4), "4 list registers"),
    ],
)
def test_check_of_a_vm_that_has_what_kvm_does_not_carry(
    config: vgic.Config, lost: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "b.state"
    vgic.State.of(vgic.Gic(config)).to_file(path)
    result = run("check", path, *options)
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout.startswith(f"does not run: the VM has {lost}")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ((), "say what the host can do"),
        (("--host-vtr", "many"), "--host-vtr many: no number"),
        (("--host-a3v", "--host-priority-bits", "0"), "priority_bits is 5 to 8, not 0"),
        (("--host-a3v", "--host-id-bits", "17"), "id_bits is 16 or 24, not 17"),
    ],
)
def test_check_refuses_hosts_that_cannot_be(options: tuple[str, ...], reason: str, saved: Path) -> None:
    result = run("check", saved, *options)
    assert result.exit_code == 2
    assert reason in result.stderr


@pytest.mark.parametrize("command", [("show",), ("diff",), ("check", "--host-a3v")])
def test_files_that_cannot_be_used(command: tuple[str, ...], saved: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.state"
    damaged.write_bytes(saved.read_bytes()[:-1])
    for path, reason in (
        (damaged, "the contents are damaged"),
        (tmp_path / "none", "cannot be read: No such file"),
    ):
        files = (path, saved) if command == ("diff",) else (path,)
        result = run(*command, *files)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"vgic: {path}: {reason}")
        assert not result.stdout


def test_check_refuses_a_state_that_contradicts_itself(tmp_path: Path) -> None:
    state = guest().save()
    state["registers"]["ICC[0].ICC_BPR0_EL1"] = 1
    vgic.State(state).to_file(tmp_path / "b.state")
    result = run("check", tmp_path / "b.state", "--host-a3v")
    assert result.exit_code == 2
    assert "ICC[0].ICC_BPR0_EL1 = 0x1 cannot be" in result.stderr


def test_registers_in_words() -> None:
    assert describe("GICD_ICFGR2", 0b1010) == "INTIDs 32-33 0x2"
    assert describe("GICR[0].GICR_ICFGR1", 0b10) == "INTID 16 0x2"
    assert describe("GICD.next_choice", 3) == "number 0x3"
    assert describe("GICD.chosen_mpidr40", 0x1_8000_0002) == "1.0.0.2"
    assert describe("GICR[1].GICR_PENDBASER", 1 << 62 | 1) == "PTZ 1, reserved bits 1"
    assert describe("GICR[1].pending_lpi8197", 0xA3) == "INTID 8197 0xa3"
    assert describe("LPI.cached_configuration8192", 0xA3_A3_00) == "INTIDs 8193-8194 0xa3"
    assert difference("GICR[1].pending_lpi8197", 0xA3, 0) == "INTID 8197 0xa3 -> 0"
    assert difference("GICD.forwarded2", 0b1011, 0b0000) == "INTIDs 64-65 1 -> 0, INTID 67 1 -> 0"
    assert difference("GICD.chosen_mpidr40", 0, 0x8000_0000) == "none -> 0.0.0.0"
    assert describe("GITS[1].GITS_CTLR", 0x1) == "Enabled 1"
    assert describe("GITS[0].collection7", 1 << 63 | 0x30000) == "V 1, RDbase 0x3"
    assert describe("ICC[0].ICC_BPR1_EL1_NS", 3) == "BinaryPoint 0x3"
    assert describe("GICD_CTLR", 0b110) == "EnableGrp1S 1, EnableGrp1NS 1"
    assert describe("GICD_CTLR", 0x51) == "EnableGrp0 1"
    assert difference("GICD_CTLR", 0b110, 0x40) == "DS 0 -> 1, EnableGrp1S 1 -> 0, EnableGrp1NS 1 -> 0"
    assert describe("GICD_NSACR2", 0b1101) == "INTID 32 1, INTID 33 0x3"
    assert describe("GICR[0].GICR_IGRPMODR0", 0b11) == "INTIDs 0-1 1"
    assert describe("ICC[0].ICC_CTLR_EL1_S", 0b10) == "EOImode 1"
    assert describe("ICC[0].ICC_CTLR_EL3", 0b101) == "EOImode_EL3 1, CBPR_EL1S 1"
    assert describe("ICH[0].ICH_HCR_EL2", 3 << 27 | 0b11) == "EOIcount 0x3, UIE 1, En 1"
    assert describe("ICH[1].ICH_VMCR_EL2", 0xF0 << 24 | 0b1010) == "VPMR 0xf0, VENG1 1"
    assert describe("ICH[0].ICH_AP1R0_EL2", 1 << 63 | 4) == "NMI 1, P 0x4"
    assert describe("ICH[0].ICH_AP0R3_EL2", 4) == "P 0x4"
    ended, of_device = 1 << 62 | 0x80 << 48 | 1 << 41 | 42, 2 << 62 | 1 << 61 | 1 << 59 | 27 << 32 | 30
    assert describe("ICH[0].ICH_LR0_EL2", ended) == "State 1, Priority 0x80, EOI 1, vINTID 0x2a"
    assert describe("ICH[0].ICH_LR15_EL2", of_device) == "State 0x2, HW 1, NMI 1, pINTID 0x1b, vINTID 0x1e"
    assert (
        difference("ICH[0].ICH_LR0_EL2", ended, 0)
        == "State 1 -> 0, Priority 0x80 -> 0, EOI 1 -> 0, vINTID 0x2a -> 0"
    )
    assert difference("ICH[0].ICH_LR0_EL2", of_device, 0).endswith("pINTID 0x1b -> 0, vINTID 0x1e -> 0")
    assert difference("GITS[0].GITS_BASER1", 1 << 63, 1 << 62) == "Valid 1 -> 0, Indirect 0 -> 1"


def test_check_order_says_what_a_vmm_would_lose(tmp_path: Path) -> None:
    log = tmp_path / "vmm.log"
    log.write_text("create_vcpu\nset DIST_REGS 0x104 1\n")
    result = CliRunner().invoke(main, ["state", "check", "--order", str(log)])
    assert result.exit_code == 1
    assert result.output.startswith(f"{log}:2: refused: EBUSY: DIST_REGS GICD_ISENABLER1: ")

    log.write_text("set GROUPS 1\n")
    result = CliRunner().invoke(main, ["state", "check", "--order", str(log)])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"vgic: {log}:1: ")


def test_check_wants_one_thing_to_check() -> None:
    result = CliRunner().invoke(main, ["state", "check"])
    assert result.exit_code == 2
    assert result.stderr == "vgic: say what to check: a state file, or --order LOG\n"
