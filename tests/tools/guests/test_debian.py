"""Debian runs on the machine: Linux on CPUs of mixed Aff3, U-Boot, UEFI. Skipped where they cannot be had."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("unicorn")

import vgic
from debian_guest import SPARSE, fetched
from vgic.intids import FIRST_LPI
from vgic_tools.cli import main
from vgic_tools.errors import UsageError
from vgic_tools.guests.board import Board, Load
from vgic_tools.guests.console_script import Script
from vgic_tools.guests.debian import fetch_kernel, fetched_busybox, fetched_firmware, fetched_uefi, initramfs
from vgic_tools.guests.flash import Flash
from vgic_tools.guests.machine import UART_SPI
from vgic_tools.guests.session import End, Session
from vgic_tools.inputs import read_bytes
from vgic_tools.machines.qemu_cmdline import GICD_BASE, GITS_BASE

FOUR = vgic.Topology.from_text(SPARSE.split(","))
RAM = 0x1000_0000


def test_an_initial_ram_file_system_is_the_same_each_time() -> None:
    assert initramfs(b"busybox", "true") == initramfs(b"busybox", "true")
    assert initramfs(b"busybox", "true") != initramfs(b"busybox")


def test_firmware_that_flash_memory_has_no_room_for_is_refused() -> None:
    with pytest.raises(UsageError, match=r"big\.bin: has 67,108,865 bytes; flash memory has 67,108,864"):
        Flash(bytes(0x400_0001), "big.bin")
    with pytest.raises(UsageError, match=r"none\.bin: is empty"):
        Flash(b"", "none.bin")


@pytest.mark.slow
def test_u_boot_reaches_its_prompt_and_answers(tmp_path: Path) -> None:
    firmware = tmp_path / "u-boot.bin"
    firmware.write_bytes(fetched(fetched_firmware))
    words = ("--expect", "=> ", "--send", "version", "--expect", "U-Boot 20", "--expect", "=> ", "--limit", "30")
    result = CliRunner().invoke(main, ["boot", "--firmware", str(firmware), "--cpus", "2", "--aff3", "1", *words])
    assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_uefi_reaches_its_prompt_and_answers(tmp_path: Path) -> None:
    firmware = tmp_path / "QEMU_EFI.fd"
    firmware.write_bytes(fetched(fetched_uefi))
    words = ["--expect", "seconds to skip", "--send", "", "--expect", "Shell> ", "--send", "ver"]
    words += ["--expect", "UEFI Interactive Shell v", "--expect", "Shell> ", "--limit", "60"]
    result = CliRunner().invoke(main, ["boot", "--firmware", str(firmware), "--cpus", "2", "--aff3", "1", *words])
    assert result.exit_code == 0, result.output


SCRIPT = """\
uart=$(sed -n 's/^ *\\([0-9]*\\):.*uart-pl011.*/\\1/p' /proc/interrupts)
msi=$(sed -n 's/^ *\\([0-9]*\\):.*ITS-MSI.*pciehp.*/\\1/p' /proc/interrupts)
slot() { for on in $*; do echo $on > /sys/bus/pci/slots/1/attention; done; }
slot 1 0
printf 'first> '; read line
cat /proc/interrupts
echo 8 > /proc/irq/$uart/smp_affinity
echo 8 > /proc/irq/$msi/smp_affinity
slot 1 0 1
printf 'second> '; read line
cat /proc/interrupts
echo 0 > /sys/devices/system/cpu/cpu2/online
echo "online: $(cat /sys/devices/system/cpu/online)"
echo 1 > /sys/devices/system/cpu/cpu2/online
echo "online: $(cat /sys/devices/system/cpu/online)"
"""


def counts(said: str, name: str) -> list[list[int]]:
    """The lines of /proc/interrupts with that name: how often each CPU has taken it."""
    lines = [line.split() for line in said.splitlines() if re.search(name, line)]
    return [[int(count) for count in line[1:5]] for line in lines if len(line) > 5 and line[0].endswith(":")]


@pytest.mark.slow
def test_linux_moves_interrupts_and_cpus_go_and_come_with_mixed_aff3() -> None:
    said = bytearray()
    initrd = initramfs(fetched(fetched_busybox), SCRIPT)
    kernel = read_bytes(fetched(lambda: fetch_kernel("6.1")))
    arguments = "console=ttyAMA0 quiet cryptomgr.notests panic=-1"
    load = Load(kernel, "vmlinuz", initrd, "initrd.gz", arguments)

    def sent(byte: int) -> None:
        said.append(byte)
        session.hear(byte)

    board = Board.loaded(vgic.Config(FOUR, its=(GITS_BASE,)), RAM, load, sent)
    script = Script(("first> ", "second> ", "online: 0-3\r\n"), ("one", "two"), board.uart.receive)
    session = Session(board.machine, script, limit=60.0)
    end = session.run()
    text = said.decode(errors="replace")
    assert end is End.HEARD, text
    # Timers and IPIs are taken by every CPU.
    assert all(count > 0 for count in counts(text, "arch_timer")[-1]), text
    assert all(count > 0 for count in counts(text, "Rescheduling|Function call")[-1]), text
    before, after = counts(text, "uart-pl011")
    assert before[0] > 0 == before[3], text
    # The kernel wrote GICD_IROUTER with Aff3, and what came next went there.
    assert after[0] == before[0], text
    assert after[3] > 0, text
    assert board.machine.gic.gic.read(GICD_BASE + 0x6000 + 8 * UART_SPI, 8) == FOUR.mpidr(3) & 0xFF_00FF_FFFF
    # Messages of a PCI device come as LPIs, one for each command of its slot; MOVI has moved them to Aff3 = 255.
    before, after = counts(text, "ITS-MSI.*pciehp")
    assert (before[0], before[3]) == (after[0], 0), text
    assert before[0] >= 2, text
    assert after[3] == 3, text
    lpis = {cpu: count for (cpu, intid), count in board.machine.gic.taken.items() if intid >= FIRST_LPI}
    assert lpis == {0: before[0], 3: 3}
    assert [line for line in text.splitlines() if line.startswith("online: ")] == ["online: 0-1,3", "online: 0-3"]
