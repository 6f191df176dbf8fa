"""KVM as a judge of what its guests see: the resident guest on every vCPU, input lines from outside."""

from collections.abc import Sequence
from pathlib import Path

from vgic_tools.judges.errors import JudgeError
from vgic_tools.judges.guest import Result
from vgic_tools.judges.kernels import fetch_kernel
from vgic_tools.judges.kvm_guest import GuestStep, KvmGuest, LineStep, Step
from vgic_tools.judges.kvm_host import KvmHost
from vgic_tools.judges.protocol import Judge, Line, Machine, Operation, Outcome
from vgic_tools.judges.qemu_guest import packed
from vgic_tools.qemu_cmdline import QEMU_SPIS

__all__ = ["RunningKvm"]


class RunningKvm(Judge):
    """A live KVM, of a kernel by its name or path, whose guests have as many SPIs as QEMU's virt machine.

    It sees the signals of the vCPU that performs. Raises MissingJudgeError where the kernel cannot be had.
    """

    name = "KVM"

    def __init__(self, kernel: str) -> None:
        path = Path(kernel)
        self._host = KvmHost(path if path.is_file() else fetch_kernel(kernel))
        self.version = self._host.release

    def start(self, machine: Machine) -> None:
        """A VM, and the guest on every vCPU."""
        self._guest = KvmGuest(self._host, machine.cpus, 32 + QEMU_SPIS, its=machine.its)

    def perform(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Perform operations one after the other."""
        told = self._guest.perform([_step(operation) for operation in operations])
        return [_outcome(operation, result) for operation, result in zip(operations, told, strict=True)]

    def close(self) -> None:
        """End the machine that runs KVM."""
        self._host.agent.close()


def _step(operation: Operation) -> Step:
    if isinstance(operation, Line):
        return LineStep(operation.cpu, operation.intid, operation.level)
    return GuestStep(operation.cpu, packed(operation))  # type: ignore[union-attr]


def _outcome(operation: Operation, result: Result | None) -> Outcome:
    if result is None:
        return Outcome()
    if result.exception and not result.undefined:
        raise JudgeError(f"a guest of KVM took an exception, ESR_EL1 {result.exception:#x}, at {operation}")
    return Outcome(result.value, 0, result.undefined, result.isr)
