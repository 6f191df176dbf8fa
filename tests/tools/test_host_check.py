"""`vgic host check`: verdicts that a stranger understands, and the exit status."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import vgic
from vgic.identity import Contract, Cpu
from vgic_tools.cli import main
from vgic_tools.hosts.reading import read_host

A76 = {
    "MIDR_EL1": 0x414FD0B1,
    "CTR_EL0": 0x9444C004,
    "ID_AA64PFR0_EL1": 0x1100000011110112,
    "ID_AA64MMFR0_EL1": 0x101122,
}


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["host", *words])


def lines(done: Result) -> list[str]:
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def saved(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def guest_view(folder: Path, **changes: int) -> str:
    registers = {name: f"{value:#x}" for name, value in {**A76, **changes}.items()}
    document = {
        "format": "vgic-host",
        "version": 1,
        "name": "an A76",
        "view": "guest",
        "hypervisor": {"name": "KVM", "version": "7.2"},
        "clusters": [{"name": "all", "registers": registers}],
    }
    return saved(folder, "host.json", json.dumps(document))


def test_a_vm_stays_where_it_is(tmp_path: Path) -> None:
    done = run("check", "graviton2", "graviton2")
    assert done.exit_code == 0
    assert "graviton2 yes the same the same" in lines(done)


def test_two_clusters_and_which_one_the_vmm_starts_on() -> None:
    done = run("check", "rk3588", "rk3588", "--cluster", "A55", "--kernel", "6.12")
    assert done.exit_code == 1
    shown = lines(done)
    assert "rk3588: the cluster that the VMM starts on decides: A55 unknown, A76 no" in shown
    assert "MIDR_EL1 Arm Cortex-A55 r2p0 Arm Cortex-A76 r4p0 no, EINVAL (1) by traps (2)" in shown
    assert "KVM does not keep what the architecture would allow: MIDR_EL1" in shown
    assert any("the VM was promised Arm Cortex-A55 r2p0, and this is Arm Cortex-A76 r4p0" in line for line in shown)
    both = json.loads(run("check", "rk3588", "rk3588", "--json").stdout)["verdicts"]
    assert [[cluster["outcome"] for cluster in verdict["clusters"]] for verdict in both] == [
        ["unknown", "refused"],
        ["refused", "unknown"],
    ]
    assert all(verdict["depends_on_cluster"] for verdict in both)


def test_a_raspberry_pi_5_is_no_4(tmp_path: Path) -> None:
    done = run("check", "raspberry-pi-4", "raspberry-pi-5")
    assert done.exit_code == 1
    assert "MIDR_EL1 Arm Cortex-A72 r0p3 Arm Cortex-A76 r4p1 no, EINVAL (1) by traps (2)" in lines(done)
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1), spis=32))
    state = tmp_path / "vm.state"
    vgic.State.of(gic).to_file(str(state))
    done = run("check", "raspberry-pi-4", "raspberry-pi-5", "--state", str(state))
    assert any(line.startswith("GIC 0x3 0x2 no, ENODEV") for line in lines(done))
    assert "the host has a GICv2, and no system registers for the VM's GICv3" in done.stdout


def test_the_counter_blocks_between_gravitons() -> None:
    shown = lines(run("check", "graviton2", "graviton3", "graviton4"))
    assert any(line.startswith("CNTFRQ_EL0.Frequency 121.875 MHz 1,050 MHz leaks") for line in shown)
    # KVM cannot scale it; the architecture can with FEAT_ECV, of which KVM tells nothing.
    assert any(line.startswith("CNTVCT_EL0 121.875 MHz 1,050 MHz no (11) unknown") for line in shown)
    assert any(line.startswith("CNTVCT_EL0 121.875 MHz 1,000 MHz no") for line in shown)


def test_what_was_said_of_fleets_on_the_list() -> None:
    """Another CPU, another frequency; of AmpereOne's what was published is Altra's, and the note says so."""
    shown = lines(run("check", "altra", "ampereone", "ampereone-ac04"))
    assert any(line.startswith("CNTVCT_EL0 25 MHz 1,000 MHz no") for line in shown)
    assert sum(line.startswith("CNTVCT_EL0") for line in shown) == 1
    assert "note: 25 MHz is what was published; Armv8.6 wants 1 GHz" in shown
    for pair in (("ampereone-ac04", "grace"), ("grace", "ampereone-ac04")):
        shown = lines(run("check", *pair))
        # Both count at 1 GHz; a VMM that may write MIDR_EL1 leaves the errata.
        assert not any(line.startswith("CNT") for line in shown)
        assert any(line.startswith("MIDR_EL1") and " no, EINVAL " in line for line in shown)
        assert any(line.startswith("errata: ") for line in shown)


def test_caches_of_which_the_same_is_said_take_one_line() -> None:
    shown = lines(run("check", "apple-m2-max", "a64fx", "--cluster", "Blizzard", "--kernel", "6.12"))
    assert any(line.startswith("CCSIDR_EL1 of 14 caches 0x2 0x4 no, EINVAL") for line in shown)
    assert not any(line.startswith("CCSIDR_EL1[") for line in shown)


def test_the_exit_status_of_check(tmp_path: Path) -> None:
    host = guest_view(tmp_path)
    for changes, status in (({}, 0), ({"ID_AA64MMFR0_EL1": 0x101121}, 0), ({"ID_AA64MMFR0_EL1": 0x101123}, 1)):
        contract = Contract("vm", Cpu({**A76, **changes}))
        assert run("check", saved(tmp_path, "vm.json", contract.to_json()), host).exit_code == status
    other = saved(tmp_path, "vm.json", Contract("vm", Cpu({**A76, "MIDR_EL1": 0x413FD0C1})).to_json())
    assert run("check", other, host).exit_code == 1
    assert run("check", other, host, "--capability").exit_code == 0


def test_a_vm_that_is_written_late(tmp_path: Path) -> None:
    contract = Contract("vm", Cpu({**A76, "ID_AA64MMFR0_EL1": 0x101121}))
    done = run("check", saved(tmp_path, "vm.json", contract.to_json()), guest_view(tmp_path), "--ran")
    assert done.exit_code == 1
    assert "no, EBUSY" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("no-such", "graviton2"), "no-such: is no file"),
        (("graviton2", "no-such"), "no-such: is no file"),
        (("-", "-"), "standard input can be one input"),
        (("rk3588", "rk3588", "--cluster", "A57"), "has no cluster 'A57', but A55, A76"),
        (("graviton2", "graviton2", "--kernel", "new"), "'new' is no version of Linux"),
        (("graviton2", "graviton2", "--state", "no-such"), "no-such: cannot be read"),
    ],
)
def test_what_cannot_be_checked_is_named(words: tuple[str, ...], message: str) -> None:
    done = run("check", *words)
    assert done.exit_code == 2
    assert message in done.stderr


def test_a_damaged_contract_is_named_with_its_place(tmp_path: Path) -> None:
    text = Contract("vm", Cpu(A76)).to_json()
    for damaged, message in (
        (text[:-30], "vm.json: is no JSON"),
        (text.replace("has_run", "hasrun"), "vm.json: the document: 'hasrun' is unknown"),
        (text.replace("MIDR_EL1", "SCTLR_EL1"), "vm.json: registers: SCTLR_EL1 is no identification register"),
    ):
        done = run("check", saved(tmp_path, "vm.json", damaged), "graviton2")
        assert (done.exit_code, message in done.stderr, done.stderr.count("\n")) == (2, True, 1)
    done = run("check", saved(tmp_path, "vm.json", text), "graviton2", "--cluster", "all")
    assert "is a contract, which has no clusters" in done.stderr


def test_nothing_from_a_file_reaches_a_terminal_raw(tmp_path: Path) -> None:
    evil = "\x1b]0;title\x07\u202e[red]"
    document = read_host("rk3588").document() | {"name": evil}
    document["clusters"][0]["name"] = evil
    host = saved(tmp_path, "host.json", json.dumps(document))
    vm = saved(tmp_path, "vm.json", Contract(evil, Cpu(A76)).to_json())
    for words in ((vm, host), (host, host), (vm, host, "--json"), (host, host, "--cluster", "x")):
        done = run("check", *words)
        assert not set(done.stdout + done.stderr) & set("\x1b\x07\u202e")
