"""The commands that look at states, given what VMMs and KVM hosts have."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from vgic_tools.cli import main
from vgic_tools.snapshots.tables import missing_tables
from vmm_files import cloud_hypervisor, vm

DUMP = Path(__file__).parents[2] / "snapshots" / "kvm_6.12_vgic-state.txt"
ITS = """Device ID: 0x8, Event ID Range: [0 - 31]
EVENT_ID    INTID  HWINTID   TARGET   COL_ID HW
-----------------------------------------------
       0     8192        0        0        0  0
       1     {}        0        1        1  0
"""


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(word) for word in words])
    return done.exit_code, done.output


def test_a_hosts_vgic_state_is_shown_with_what_is_not_in_it_and_why_nothing_arrives() -> None:
    status, said = run("state", "show", DUMP)
    assert status == 0
    assert "the CPU interfaces" in said
    assert "PPI 20 of vCPU 0  not queued, though nothing here forbids it" in said
    assert "SPI 33            it is active" in said


def test_two_of_them_are_compared_and_one_is_no_state(tmp_path: Path) -> None:
    assert run("state", "diff", DUMP, DUMP) == (0, "no difference\n")
    other = tmp_path / "later.txt"
    other.write_bytes(DUMP.read_bytes().replace(b"SPI   33      0 1011001", b"SPI   33      0 1001001"))
    status, said = run("state", "diff", DUMP, other)
    assert status == 1
    assert [line.split() for line in said.splitlines()[1:]] == [["SPI", "33:", "active", "yes", "no"]]
    stream = DUMP.with_name("qemu72_smp4.mig.xz")
    status, said = run("state", "diff", DUMP, stream)
    assert status == 2
    assert "is compared with another vgic-state alone" in said
    for words in (("state", "check", DUMP), ("its", DUMP), ("state", "show", DUMP, "--fields", "GICD_CTLR")):
        status, said = run(*words)
        assert status == 2
        assert said.count("\n") == 1


def test_a_hosts_vgic_its_state_is_shown(tmp_path: Path) -> None:
    for second, status, said in (
        (8193, 0, "8193"),
        (8192, 1, "another event has this LPI, too"),
        (77, 1, "is no LPI"),
    ):
        path = tmp_path / f"{second}.txt"
        path.write_text(ITS.format(second))
        assert run("its", path)[0] == status
        assert said in run("its", path)[1]
        assert said in run("state", "show", path)[1]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    device, its = vm("cloud-hypervisor")
    assert its is not None
    path = tmp_path_factory.mktemp("ch") / "state.json"
    path.write_bytes(cloud_hypervisor(device, its, (0, 0, 0)))
    return path


def test_a_snapshot_of_a_vmm_is_checked_without_a_host_and_with_one(snapshot: Path) -> None:
    status, said = run("state", "check", snapshot)
    assert status == 1
    assert "3 vCPUs, 0 first, have the same LPI pending table" in said
    status, said = run("state", "check", snapshot, "--host-no-a3v")
    assert status == 1
    assert "LEVEL_INFO" in said
    assert "runs" in said
    status, said = run("state", "show", snapshot)
    assert status == 0
    assert said.startswith(f"{snapshot}: a snapshot of Cloud Hypervisor\n")
    assert "have the same LPI pending table" in said


class Pages:
    """RAM from 0x80000000 on, with something at one address."""

    def __init__(self, at: int) -> None:
        self.at = at

    def is_ram(self, address: int, size: int) -> bool:
        return address >= 0x8000_0000 and address + size <= 0x9000_0000

    def read(self, address: int, size: int) -> bytes:
        return b"".join(b"\1" if address + index == self.at else b"\0" for index in range(size))

    def write(self, address: int, data: bytes) -> None:
        raise AssertionError("a check changes nothing")


def test_tables_that_are_not_in_the_memory_are_missed() -> None:
    valid = 1 << 63 | 0x8002_0000 | 1  # two pages of 4 KiB
    registers = {"GITS[0].GITS_BASER0": valid, "GITS[0].GITS_CREADR": 0x40}
    assert list(missing_tables(registers, Pages(0x8002_1FFF))) == []
    assert list(missing_tables(registers, Pages(0x8002_2000))) == [
        "the table of GITS_BASER0, at 0x80020000, is empty, though the ITS has carried out commands: its mappings"
        " are lost"
    ]
    elsewhere = registers | {"GITS[0].GITS_BASER0": 1 << 63 | 0x7002_0000}
    assert [finding.split(",")[2][:21] for finding in missing_tables(elsewhere, Pages(0))] == [
        " is not in the memory"
    ]
    # Where no command was carried out, there is nothing to miss.
    assert list(missing_tables(registers | {"GITS[0].GITS_CREADR": 0}, Pages(0))) == []
