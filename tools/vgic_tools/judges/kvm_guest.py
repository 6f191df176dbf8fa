"""A machine on a live KVM that performs operations: accesses of each vCPU, interleaved with input lines.

Many operations go to the host at once: a program for each vCPU, its turns, and between them what devices do. So
the cost of an operation is that of its emulation, and not that of a round trip.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Final, NamedTuple

from vgic.kvm import Control, Group
from vgic.kvm.uapi import Address, ItsAddress
from vgic_tools.judges import kvm_abi as abi
from vgic_tools.judges.answers import Answer
from vgic_tools.judges.errors import JudgeError
from vgic_tools.judges.guest import ENTRY, LEAVE, RAM, RAM_SIZE, Guest, Operation, Result
from vgic_tools.judges.kvm_host import KvmHost
from vgic_tools.judges.protocol import Line, Message, Poke

__all__ = [
    "GICD_BASE",
    "GICR_BASE",
    "ITS_BASE",
    "TABLES",
    "TABLES_SIZE",
    "GuestStep",
    "KvmGuest",
    "Step",
]

GICD_BASE: Final = 0x0800_0000
ITS_BASE: Final = 0x0808_0000
GICR_BASE: Final = 0x080A_0000
GITS_TRANSLATER: Final = ITS_BASE + 0x1_0040

TABLES: Final = 0x4800_0000
"""RAM for the tables and the queue of an ITS, where there is one."""
TABLES_SIZE: Final = 0x20_0000

_SLICE: Final = 5_000
"""Milliseconds that a turn may take: one, on an idle machine."""


class GuestStep(NamedTuple):
    """A vCPU performs an operation."""

    cpu: int
    operation: Operation


Step = GuestStep | Line | Message | Poke


class KvmGuest:
    """A VM with so many vCPUs and INTIDs below 1020, and the resident guest in it.

    It ends what else the host runs.
    """

    def __init__(self, host: KvmHost, vcpus: int, irqs: int, *, its: bool = False) -> None:
        host.reset()
        self._host = host
        vm = host.create_vm()
        self.vm = vm
        vm.add_ram(RAM, RAM_SIZE)
        for _ in range(vcpus):
            vm.create_vcpu()
        for group, attr, value in (
            (Group.NR_IRQS, 0, irqs),
            (Group.ADDR, Address.DIST, GICD_BASE),
            (Group.ADDR, Address.REDIST, GICR_BASE),
            (Group.CTRL, Control.INIT, 0),
        ):
            vm.gic.set_attr(group, attr, value)
        if its:
            vm.add_ram(TABLES, TABLES_SIZE)
            device = vm.create_its()
            device.set_attr(Group.ADDR, ItsAddress.ITS, ITS_BASE)
            device.set_attr(Group.CTRL, Control.INIT)
        self._resident = Guest(vm, vcpus, leave=LEAVE)
        for number, vcpu in enumerate(vm.vcpus):
            vcpu.set_reg(abi.PC, ENTRY)
            vcpu.set_reg(abi.X(0), number)

    def perform(self, steps: Sequence[Step]) -> list[Result | None]:
        """What comes of each step, None for one that is no vCPU's. Raises JudgeError."""
        turns: list[list[list[Operation]]] = [[] for _ in self.vm.vcpus]
        commands: list[str] = []
        for cpu, group in groupby(steps, lambda step: step.cpu if isinstance(step, GuestStep) else -1):
            if cpu < 0:
                commands += [self._happens(step) for step in group if not isinstance(step, GuestStep)]
            else:
                turns[cpu].append([step.operation for step in group if isinstance(step, GuestStep)])
                commands.append(f"run {self.vm.vcpus[cpu].file:x} {_SLICE:x}")
        for cpu, own in enumerate(turns):
            if own:
                self._resident.load(cpu, own)
        for command, answer in zip(commands, self._host.agent.ask_all(commands), strict=True):
            _check(command, answer)
        results = [iter(self._resident.results(cpu)) if own else iter(()) for cpu, own in enumerate(turns)]
        return [next(results[step.cpu]) if isinstance(step, GuestStep) else None for step in steps]

    def _happens(self, step: Line | Message | Poke) -> str:
        """What a device or the VMM does, as the agent is told."""
        vm = self.vm.file
        match step:
            case Line(cpu, intid, level):
                return f"give {vm:x} {abi.Ioctl.IRQ_LINE:x} {abi.line(intid, level, cpu).hex()}"
            case Message(device_id, event_id):
                message = abi.msi(GITS_TRANSLATER, event_id, device_id)
                return f"give {vm:x} {abi.Ioctl.SIGNAL_MSI:x} {message.hex()}"
            case Poke(address, data):
                return f"poke {vm:x} {address:x} {data.hex()}"


def _check(command: str, answer: Answer) -> None:
    if answer.errno:
        raise JudgeError(f"a guest of KVM: {command!r} fails with errno {answer.errno}")
    if command.startswith("run"):
        left = abi.exit_of(answer.data)
        if (left.reason, left.address) != (abi.EXIT_MMIO, LEAVE):
            raise JudgeError(f"a guest of KVM leaves unasked: {left}")
