"""What a judge needs, and what it is told where that is missing. What it answers is in tests/oracles."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from vgic_tools.cli import main
from vgic_tools.judges import agent, apt, building, fetch, guest, kvm_abi
from vgic_tools.judges.errors import MissingJudgeError
from vgic_tools.judges.kernels import cache_folder, cached_kernel, fetch_kernel


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VGIC_CACHE", str(tmp_path / "cache"))


def test_a_kernel_in_the_cache_is_not_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cached_kernel("6.1") is None
    monkeypatch.setenv("PATH", "")
    cache_folder().mkdir()
    kernel = cache_folder() / "vmlinuz-6.1"
    kernel.touch()
    assert cached_kernel("6.1") == fetch_kernel("6.1") == kernel


def test_what_cannot_be_fetched_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MissingJudgeError, match=r"there is no kernel '2\.4'; there are 6\.1, 6\.12, newest"):
        fetch_kernel("2.4")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingJudgeError, match="fetching an arm64 kernel needs apt-get"):
        fetch_kernel("6.1")
    with pytest.raises(SystemExit) as ended:
        fetch.main(["6.12"])
    assert ended.value.code == 2
    assert "needs apt-get" in capsys.readouterr().err


def test_a_failing_apt_is_told_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        (tmp_path / tool).write_text("#!/bin/sh\necho E: no network >&2\nexit 100\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(apt, "KEYRING", tmp_path)
    monkeypatch.setattr(Path, "is_file", lambda path: path == tmp_path)
    with pytest.raises(MissingJudgeError, match=r"apt-get update -qq failed, from http.*: E: no network"):
        fetch_kernel("6.1")
    assert list(cache_folder().iterdir()) == []


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert agent.missing_tool() == "asking KVM needs qemu-system-aarch64, of the Debian packages qemu-system-arm"
    with pytest.raises(MissingJudgeError, match="asking KVM needs qemu-system-aarch64"):
        agent.Agent(Path("vmlinuz"))


@pytest.mark.skipif(shutil.which(building.COMPILER) is None, reason=f"needs {building.COMPILER}")
@pytest.mark.parametrize(("name", "options"), [("agent.c", ("-O2", "-static")), ("guest.c", guest.OPTIONS)])
def test_programs_compile_without_a_warning(tmp_path: Path, name: str, options: Sequence[str]) -> None:
    source = Path(building.__file__).with_name(name)
    flags = [*options, "-Wall", "-Wextra", "-Werror", "-o", str(tmp_path / "program")]
    told = subprocess.run([building.COMPILER, *flags, str(source)], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")


def test_structures_are_those_of_the_kernel() -> None:
    assert kvm_abi.Ioctl.SET_DEVICE_ATTR == 0x4018_AEE1
    assert kvm_abi.Ioctl.CREATE_DEVICE == 0xC00C_AEE0
    assert kvm_abi.Ioctl.ARM_PREFERRED_TARGET == 0x8020_AEAF
    assert kvm_abi.MPIDR_EL1 == 0x6030_0000_0013_C005
    assert kvm_abi.X(1) == 0x6030_0000_0010_0002
    assert kvm_abi.irq_level(2, 0x101, 27, True).hex() == "1b00011201000000"
    head = (
        bytes(8)
        + b"\x06"
        + bytes(23)
        + (0x0900_0000).to_bytes(8, "little")
        + b"\x34\x12"
        + bytes(6)
        + b"\4\0\0\0\1"
    )
    assert kvm_abi.exit_of(head.ljust(72, b"\0")) == (6, 0x0900_0000, 4, True, 0x1234)


@pytest.mark.parametrize("options", [("--nmi",), ("--secure", "--nmi"), ("--virtualization", "--nmi")])
def test_a_qemu_without_nmis_cannot_be_asked_of_them(options: tuple[str, ...], tmp_path: Path) -> None:
    qemu = tmp_path / "qemu"
    qemu.write_text("#!/bin/sh\necho QEMU emulator version 7.2.22\n")
    qemu.chmod(0o755)
    result = CliRunner().invoke(main, ["compare", "qemu", *options, "--qemu", str(qemu)])
    assert result.exit_code == 2
    assert "QEMU 7.2.22 has no NMIs to compare: QEMU has them since 9.1" in result.stderr
