"""The resident guest does on every machine what it is told, and records what comes of it."""

import time
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path

import pytest

import vgic
from live_hosts import kernel_at_hand
from vgic.kvm import Control, Group
from vgic.kvm.uapi import Address
from vgic_tools.judges import child, guest, kvm_abi
from vgic_tools.judges.agent import QEMU, missing_tool
from vgic_tools.judges.guest import Guest, mrs, msr, read, wait, write
from vgic_tools.judges.kvm_host import KvmHost

MPIDR_EL1 = 0xC005
GICD_PIDR2 = 0x0800_FFE8
BASE = 0x4000_0000
SCRATCH = guest.RAM + 0x10_0000


@pytest.fixture(autouse=True)
def _tools() -> None:
    missing = missing_tool()
    if missing is not None:
        pytest.skip(missing)


@pytest.fixture(scope="module")
def host() -> Iterator[KvmHost]:
    with KvmHost(kernel_at_hand("6.12")) as live:
        yield live


def turns() -> dict[int, list[list[guest.Operation]]]:
    """Of two vCPUs: vCPU 1 takes its own between those of vCPU 0."""
    return {
        0: [
            [read(GICD_PIDR2, 4), read(GICD_PIDR2, 1), mrs(MPIDR_EL1), msr(vgic.ICC_PMR_EL1, 0xF0)],
            [mrs(vgic.ICC_PMR_EL1), msr(vgic.ICC_IAR1_EL1, 0), mrs(0xC000 | 0x7FF), write(SCRATCH, 8, 1 << 40)],
            [read(SCRATCH, size) for size in (8, 4, 2, 1)] + [read(SCRATCH + 5, 1), wait(SCRATCH + 4, 0x100)],
        ],
        1: [
            [
                mrs(MPIDR_EL1),
                write(0x080D_0080, 4, 0xFFFF_FFFF),
                write(0x080D_0100, 4, 1),
                msr(vgic.ICC_PMR_EL1, 0xF0),
            ],
            [
                write(0x0800_0000, 4, 2),
                msr(vgic.ICC_IGRPEN1_EL1, 1),
                msr(vgic.ICC_SGI1R_EL1, 2),
                mrs(vgic.ICC_IAR1_EL1),
            ],
        ],
    }


def check(results: dict[int, list[guest.Result]]) -> None:
    first, second = results[0], results[1]
    values = [result.value for result in first]
    assert values[:2] == [0x3B, 0]
    assert [values[2] & 0xFF_FFFF, second[0].value & 0xFF_FFFF] == [0, 1]
    assert values[4] == 0xF0
    assert [place for place, result in enumerate(first) if result.undefined] == [5, 6]
    assert all(result.exception == 0 for result in second)
    assert values[8:] == [1 << 40, 0, 0, 0, 1, 0]
    assert [result.irq for result in second] == [False] * 6 + [True, False]
    assert not any(result.fiq or result.irq for result in first)
    assert second[7].value == 0


def test_in_a_guest_of_kvm(host: KvmHost) -> None:
    host.reset()
    vm = host.create_vm()
    vm.add_ram(guest.RAM, guest.RAM_SIZE)
    vcpus = [vm.create_vcpu() for _ in range(2)]
    vm.gic.set_attr(Group.ADDR, Address.DIST, 0x0800_0000)
    vm.gic.set_attr(Group.ADDR, Address.REDIST, 0x080A_0000)
    vm.gic.set_attr(Group.CTRL, Control.INIT)
    resident = Guest(vm, 2, leave=guest.LEAVE)
    for number, vcpu in enumerate(vcpus):
        vcpu.set_reg(kvm_abi.PC, guest.ENTRY)
        vcpu.set_reg(kvm_abi.X(0), number)
        resident.load(number, turns()[number])
    for number in (0, 1, 0, 1, 0):
        left = vcpus[number].run()
        assert left is not None
        assert (left.reason, left.address) == (kvm_abi.EXIT_MMIO, guest.LEAVE)
    check({number: resident.results(number) for number in range(2)})


class Machine:
    """QEMU's bare machine of two PEs."""

    def __init__(self, folder: Path) -> None:
        with (folder / "ram").open("w+b") as file:
            file.truncate(128 << 20)
            self._ram = mmap(file.fileno(), 128 << 20)
        self.resident = Guest(self, 2, starts=(0, 1))
        command = [QEMU, "-machine", "virt,gic-version=3,memory-backend=ram", "-smp", "2", "-cpu", "cortex-a57"]
        command += ["-object", f"memory-backend-file,id=ram,share=on,size=128M,mem-path={folder}/ram", "-m", "128"]
        command += ["-accel", "tcg,thread=single", "-nodefaults", "-display", "none"]
        command += ["-device", f"loader,addr={guest.ENTRY:#x},cpu-num=0"]
        self.process = child.start(command, folder / "stderr.txt")

    def read(self, address: int, size: int) -> bytes:
        return self._ram[address - BASE : address - BASE + size]

    def write(self, address: int, data: bytes) -> None:
        self._ram[address - BASE : address - BASE + len(data)] = data

    def turn(self, vcpu: int) -> None:
        end = self.resident.let_go(vcpu)
        limit = time.monotonic() + 60
        while self.resident.done(vcpu) < end:
            assert time.monotonic() < limit


def test_on_a_bare_machine(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    try:
        for number, program in turns().items():
            machine.resident.load(number, program)
        for number in (0, 1, 0, 1, 0):
            machine.turn(number)
        check({number: machine.resident.results(number) for number in range(2)})
    finally:
        child.stop(machine.process)
