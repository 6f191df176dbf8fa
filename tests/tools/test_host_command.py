"""`vgic host`: the files that describe hosts, what is shown of them, and the exit status."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vgic.identity import Host, HostError, View
from vgic_tools.cli import main
from vgic_tools.errors import UsageError
from vgic_tools.hosts.reading import examples, read_host

CPUINFO = """\
processor\t: {0}
BogoMIPS\t: 125.00
Features\t: fp asimd
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x{1}
CPU part\t: 0xd0b
CPU revision\t: 1

"""
IDREGS = """\
     SYS_ID_PFR0_EL1:\t0000000000010131
       SYS_MVFR0_EL1:\t0000000010110222
          S3_0_0_4_3:\t0000000000000000
 SYS_ID_AA64PFR0_EL1:\t1100000011110112
         SYS_CTR_EL0:\t000000009444c004
"""
SYSFS = """\
/sys/devices/system/cpu/cpu0/regs/identification/midr_el1:0x00000000414fd0b1
/sys/devices/system/cpu/cpu0/regs/identification/smidr_el1:0x0000000000000000
/sys/devices/system/cpu/cpu1/regs/identification/midr_el1:0x00000000412fd050
/sys/devices/system/cpu/cpu1/regs/identification/revidr_el1:0x0000000000000001
/sys/devices/system/cpu/cpu2/regs/identification/midr_el1:0x00000000414fd0b1
"""


def fingerprint(*modifiers: object) -> str:
    """As Firecracker's cpu-template-helper writes it; a small one."""
    config = {"kvm_capabilities": [], "vcpu_features": [], "reg_modifiers": list(modifiers)}
    return json.dumps({"firecracker_version": "1.16.0", "kernel_version": "6.18.30", "guest_cpu_config": config})


def modifier(addr: str, value: int) -> dict[str, str]:
    return {"addr": addr, "bitmap": f"0b{value:0128b}"}


PC = modifier("0x6030000000100040", 0x8000_0000)
PFR0 = modifier("0x603000000013c020", 0x1100_0000_1111_1112)
CACHE = modifier("0x6020000000110002", 2)
UNKNOWN = {"addr": "0x603000000013c000", "bitmap": "0b0100000100111111110100001100000x"}


def saved(folder: Path, text: str, name: str = "host.txt") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def run(*words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, ["host", *words], input=given)


def test_every_kind_of_file(tmp_path: Path) -> None:
    shown = read_host(saved(tmp_path, IDREGS))
    assert shown.view is View.GUEST
    assert dict(shown.clusters[0].cpu.registers) == {
        "ID_PFR0_EL1": 0x10131,
        "MVFR0_EL1": 0x10110222,
        "S3_0_0_4_3": 0,
        "ID_AA64PFR0_EL1": 0x1100000011110112,
        "CTR_EL0": 0x9444C004,
    }
    cpus = read_host(saved(tmp_path, "".join(CPUINFO.format(n, v) for n, v in ((0, 4), (1, 2), (2, 4), (3, 4)))))
    assert [(cluster.name, cluster.count) for cluster in cpus.clusters] == [("cpu0,2-3", 3), ("cpu1", 1)]
    assert dict(cpus.clusters[1].cpu.registers) == {"MIDR_EL1": 0x412FD0B1, "CNTFRQ_EL0": 62_500_000}
    listed = read_host(saved(tmp_path, SYSFS))
    assert [cluster.name for cluster in listed.clusters] == ["cpu0,2", "cpu1"]
    assert listed.clusters[1].cpu.registers["REVIDR_EL1"] == 1
    taken = read_host(saved(tmp_path, fingerprint(PC, PFR0, CACHE, UNKNOWN)))
    assert dict(taken.clusters[0].cpu.registers) == {
        "ID_AA64PFR0_EL1": 0x1100000011111112,
        "CCSIDR_EL1[2]": 2,
    }
    assert taken.hypervisor is not None
    assert (taken.hypervisor.name, taken.hypervisor.version) == ("KVM", "6.18.30")


def test_a_folder_like_that_of_sysfs(tmp_path: Path) -> None:
    for cpu, midr in ((0, "0x412fd050\n"), (1, "0x414fd0b0\n")):
        folder = tmp_path / f"cpu{cpu}" / "regs" / "identification"
        folder.mkdir(parents=True)
        (folder / "midr_el1").write_text(midr)
    assert [cluster.name for cluster in read_host(str(tmp_path)).clusters] == ["cpu0", "cpu1"]
    with pytest.raises(UsageError, match="has no cpu"):
        read_host(str(tmp_path / "cpu0"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "host.txt: begins like none of a host as JSON"),
        ("\x7fELF\x00", "host.txt: begins like none of"),
        ("{", "host.txt: is no JSON: "),
        ("{}", "host.txt: the document: 'clusters' is missing"),
        ('{"guest_cpu_config": {"cpuid_modifiers": []}}', "guest_cpu_config.reg_modifiers: expected a list"),
        (fingerprint(1), "reg_modifiers[0]: expected an object"),
        (fingerprint({"addr": 5}), "reg_modifiers[0].addr: expected a number 0x..."),
        (fingerprint(PFR0, {"addr": "0x1", "bitmap": "0b2"}), "reg_modifiers[1].bitmap: expected bits 0b..."),
        (fingerprint(PFR0, PFR0), "reg_modifiers[1]: ID_AA64PFR0_EL1 is there twice"),
        (fingerprint(modifier("0x603000000013c020", 1 << 64)), "ID_AA64PFR0_EL1 has 64 bits, and this has more"),
        (IDREGS[:-3], "host.txt:5: expected the name of a register, a colon, and 16 digits"),
        (IDREGS + " SYS_TCR_EL1:\t0000000000000000\n", "host.txt:6: TCR_EL1 is no identification register"),
        (IDREGS * 2, "host.txt:6: ID_PFR0_EL1 is there twice"),
        (SYSFS + "more", "host.txt:6: expected .../cpuN/regs/identification/REGISTER:0xVALUE"),
        (SYSFS * 2, "host.txt:6: MIDR_EL1 of CPU 0 is there twice"),
        (CPUINFO.format(0, 4) * 2, "host.txt:10: expected the number of another CPU"),
        (CPUINFO.format(0, "44"), "host.txt:6: '0x44' is no Variant of 4 bits"),
        (CPUINFO.format(0, "\x1b[31m"), r"host.txt:6: '0x\x1b[31m' is no Variant of 4 bits"),
        (
            CPUINFO.format(0, 4)[:90],
            "host.txt: of processor 0, CPU implementer, variant, part or revision is missing",
        ),
        (CPUINFO.format(0, 4).replace("125.00", "fast"), "host.txt:2: 'fast' is no BogoMIPS, such as 50.00"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    done = run("show", saved(tmp_path, text))
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr


def test_every_shipped_host_is_one_and_says_where_its_values_are_from() -> None:
    hosts = {name: Host.from_json(text) for name, text in examples().items()}
    assert len(hosts) >= 30
    assert all(host.source for host in hosts.values())
    assert all(Host.from_json(host.to_json()) == host for host in hosts.values())
    listed = run("list")
    assert listed.exit_code == 0
    assert all(name in listed.stdout for name in hosts)


def test_the_m2_is_shown_with_both_clusters_and_what_differs() -> None:
    done = run("show", "apple-m2-max")
    assert done.exit_code == 0
    words = [" ".join(line.split()) for line in done.stdout.splitlines()]
    for line in (
        "Blizzard L1I 128 KiB 512 4 64 0x203fe01a",
        "Avalanche L1I 192 KiB 512 6 64 0x203fe02a",
        "CCSIDR_EL1[0] sets 128 256 ? sets of the L1D cache",
        "CCSIDR_EL1[1] ways 4 6 ? ways of the L1I cache",
        "CCSIDR_EL1[2] sets 2,048 8,192 ? sets of the L2 cache",
    ):
        assert line in words
    document = json.loads(run("show", "apple-m2-max", "--json").stdout)
    assert Host.from_document(document["host"]) == read_host("apple-m2-max")
    assert [item["field"] for item in document["inside"]["differences"]] == ["PartNum", "sets", "ways", "sets"]


def test_the_fields_of_one_register() -> None:
    done = run("show", "graviton2", "--fields", "ID_AA64PFR0_EL1")
    assert done.exit_code == 0
    assert "GIC" in done.stdout
    assert (
        "128 KiB: 512 sets of 4 ways of 64 bytes" in run("show", "apple-m2-max", "--fields", "CCSIDR_EL1[1]").stdout
    )
    done = run("show", "graviton2", "--fields", "ID_AA64SMFR0_EL1")
    assert done.exit_code == 2
    assert "ID_AA64SMFR0_EL1 is unknown; known are MIDR_EL1" in done.stderr


def test_the_exit_status_of_diff_is_the_verdict(tmp_path: Path) -> None:
    same = run("diff", "gb10", "gb10")
    assert (same.exit_code, "no difference in" in same.stdout) == (0, True)
    other = run("diff", "raspberry-pi-4", "raspberry-pi-5")
    assert other.exit_code == 1
    assert "PartNum" in other.stdout
    document = json.loads(run("diff", "graviton2", "graviton3", "--json").stdout)
    fields = {(item["register"], item["field"]) for item in document["pairs"][0]["differences"]}
    assert {("CNTFRQ_EL0", "Frequency"), ("ID_AA64MMFR2_EL1", "FWB")} <= fields
    nothing = run("diff", "rk3588", saved(tmp_path, IDREGS.splitlines()[0]))
    assert nothing.exit_code == 2
    assert "no register is known of both" in nothing.stderr
    assert run("diff", "-", "-").exit_code == 2
    assert run("show", "no-such-host").exit_code == 2
    assert run("show", "-", given=IDREGS).exit_code == 0


def test_no_name_from_a_file_reaches_a_terminal_raw(tmp_path: Path) -> None:
    document = read_host("apple-m2-max").document()
    for evil in ("name", "source"):
        document[evil] = "\x1b]0;title\x07\u202e[red]"
    document["notes"] = document["clusters"][0]["name"] = "\x9b31m"
    document["notes"] = ["\x1b[2J"]
    path = saved(tmp_path, json.dumps(document))
    for words in (("show", path), ("show", path, "--json"), ("diff", path, path), ("show", path, "--fields", "X")):
        done = run(*words)
        assert not set(done.stdout + done.stderr) & set("\x1b\x07\x9b\u202e")


def test_a_name_that_no_register_has_is_refused() -> None:
    with pytest.raises(HostError):
        Host.from_document(
            {
                "format": "vgic-host",
                "version": 1,
                "name": "h",
                "clusters": [{"name": "c", "registers": {"\x1b": "0x1"}}],
            }
        )
