"""KVM as a judge of its guests: the resident guest on every vCPU of a VM, input lines from its VMM."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import vgic
from vgic.kvm import KVM_7_2
from vgic_tools.judges.errors import JudgeError
from vgic_tools.judges.guest import Result
from vgic_tools.judges.kvm import kvm_version, live_host
from vgic_tools.judges.kvm_guest import (
    GICD_BASE,
    GICR_BASE,
    ITS_BASE,
    TABLES,
    TABLES_SIZE,
    GuestStep,
    KvmGuest,
    Step,
)
from vgic_tools.judges.model import ModelJudge
from vgic_tools.judges.protocol import (
    Judge,
    Line,
    Load,
    Machine,
    Message,
    Mrs,
    Msr,
    Operation,
    Outcome,
    Poke,
    SaveRestore,
    Store,
)
from vgic_tools.judges.qemu_guest import packed

__all__ = ["GuestsOfKvm", "guest_config", "guests_model", "outcome_of", "profile_of", "step_of"]

IRQS: Final = 288
"""INTIDs of a VM."""
PRIORITY_BITS: Final = 5
"""Of cortex-a76, as QEMU has it."""


def profile_of(release: str) -> vgic.Profile:
    """The profile of the KVM of a kernel: "6.12.117+deb13-cloud-arm64"."""
    return vgic.KVM_7_2 if kvm_version(release) is KVM_7_2 else vgic.KVM


def guest_config(machine: Machine, profile: vgic.Profile = vgic.KVM) -> vgic.Config:
    """The machine that `KvmGuest` has."""
    # A host that has Aff3 shows its guests so in ICC_CTLR_EL1.
    ctlr = {**profile.cpu_interface_ctlr, "A3V": 1, "IDbits": 1}
    return vgic.Config(
        vgic.Topology.kvm(machine.cpus),
        IRQS - 32,
        replace(profile, cpu_interface_ctlr=ctlr),
        PRIORITY_BITS,
        gicd_base=GICD_BASE,
        redistributor_regions=(vgic.RedistributorRegion(GICR_BASE, machine.cpus),),
        its=(ITS_BASE,) if machine.its else (),
    )


def guests_model(release: str) -> ModelJudge:
    """The model to be compared with guests of the KVM of a kernel."""
    return ModelJudge(partial(guest_config, profile=profile_of(release)), ram_base=TABLES, ram_size=TABLES_SIZE)


class GuestsOfKvm(Judge):
    """KVM in an arm64 kernel, by its name or path, with a guest. Raises MissingJudgeError.

    It sees the signals of the vCPU that performs.
    """

    name = "KVM"

    def __init__(self, kernel: str) -> None:
        self._kernel = kernel
        self.host = live_host(kernel)
        self.version = self.host.release

    def renew(self) -> None:
        """Another machine: one whose vCPU stays in KVM_RUN runs nothing else."""
        self.close()
        self.host = live_host(self._kernel)

    def start(self, machine: Machine) -> None:
        """A VM, and the guest in it."""
        self._guest = KvmGuest(self.host, machine.cpus, IRQS, its=machine.its)

    def perform(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Perform operations one after the other; to save the model is nothing to KVM."""
        steps = [step_of(operation) for operation in operations if not isinstance(operation, SaveRestore)]
        results = iter(self._guest.perform(steps))
        return [
            Outcome() if isinstance(operation, SaveRestore) else outcome_of(operation, next(results))
            for operation in operations
        ]

    def close(self) -> None:
        """End the machine that runs KVM."""
        self.host.agent.close()


def step_of(operation: Operation) -> Step:
    """An operation as `KvmGuest` performs it."""
    match operation:
        case Line() | Message() | Poke():
            return operation
        case Load() | Store() | Mrs() | Msr():
            return GuestStep(operation.cpu, packed(operation))
    raise JudgeError(f"no guest of KVM performs {operation}")


def outcome_of(operation: Operation, result: Result | None) -> Outcome:
    """What an operation came to."""
    if result is None:
        return Outcome()
    if result.exception and not result.undefined:
        raise JudgeError(f"a guest of KVM took an exception, ESR_EL1 {result.exception:#x}, at {operation}")
    return Outcome(result.value, 0, result.undefined, result.isr)
