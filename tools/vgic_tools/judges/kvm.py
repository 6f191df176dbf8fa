"""KVM as a judge of its devices' attributes, and the façade `vgic.kvm` that is compared with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vgic import Gic
from vgic.host.capabilities import HostCapabilities
from vgic.kvm import (
    KVM_6_1,
    KVM_6_12,
    KVM_7_2,
    Address,
    Control,
    Group,
    ItsAddress,
    KvmError,
    KvmVersion,
    VgicItsDevice,
    VgicV3Device,
)
from vgic_tools import __version__
from vgic_tools.judges.kernels import SUITES, fetch_kernel
from vgic_tools.judges.kvm_host import AttrCall, KvmHost, LiveDevice
from vgic_tools.judges.protocol import GIC, Attr, Judge, Machine, Model, Operation, Outcome, SaveRestore

__all__ = ["HOST", "AttributesOfKvm", "Facade", "kvm_version", "live_host"]

HOST: Final = HostCapabilities(a3v=True, id_bits=24)
"""Of cortex-a76, as QEMU has it: five bits of priority, INTIDs of 24 bits, A3V."""

GICD_BASE: Final = 0x0800_0000
ITS_BASE: Final = 0x0808_0000
GICR_BASE: Final = 0x080A_0000


def kvm_version(release: str) -> KvmVersion:
    """The version of KVM of a kernel: "6.12.117+deb13-cloud-arm64"."""
    major, minor = map(int, release.split(".")[:2])
    if (major, minor) < (6, 12):
        return KVM_6_1
    return KVM_6_12 if major < 7 else KVM_7_2


def live_host(kernel: str) -> KvmHost:
    """A machine that runs KVM in a kernel, by its name or path. Raises MissingJudgeError."""
    path = Path(kernel)
    return KvmHost(fetch_kernel(kernel) if kernel in SUITES or not path.is_file() else path)


def _ids(machine: Machine) -> Sequence[int]:
    return machine.ids or range(machine.cpus)


def _set_up(gic: VgicV3Device | LiveDevice, its: VgicItsDevice | LiveDevice | None) -> None:
    """What a VMM does first, which every kernel obeys."""
    gic.set_attr(Group.ADDR, Address.DIST, GICD_BASE)
    gic.set_attr(Group.ADDR, Address.REDIST, GICR_BASE)
    gic.set_attr(Group.CTRL, Control.INIT)
    if its is not None:
        its.set_attr(Group.ADDR, ItsAddress.ITS, ITS_BASE)


class AttributesOfKvm(Judge):
    """KVM in an arm64 kernel, by its name or path: how it answers a VMM. Raises MissingJudgeError."""

    name = "KVM"

    def __init__(self, kernel: str) -> None:
        self._host = live_host(kernel)
        self.version = self._host.release

    def start(self, machine: Machine) -> None:
        """A VM, initialised."""
        self._host.reset()
        vm = self._host.create_vm()
        for vcpu_id in _ids(machine):
            vm.create_vcpu(vcpu_id=vcpu_id)
        its = vm.create_its() if machine.its else None
        _set_up(vm.gic, its)
        self._devices = {GIC: vm.gic} if its is None else {GIC: vm.gic, 0: its}

    def perform(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Call attributes one after the other; to save the model is nothing to KVM."""
        calls = [self._call(operation) for operation in operations if isinstance(operation, Attr)]
        answers = iter(self._host.ask(calls))
        return [
            Outcome() if isinstance(operation, SaveRestore) else _outcome(next(answers)) for operation in operations
        ]

    def _call(self, operation: Attr) -> AttrCall:
        call, number, group, attr, value = operation
        device = self._devices[number]
        return device.has(group, attr) if call == "has" else getattr(device, call)(group, attr, value)

    def close(self) -> None:
        """End the machine that runs KVM."""
        self._host.agent.close()


def _outcome(told: tuple[int, int]) -> Outcome:
    return Outcome(told[1], told[0])


class Facade(Model):
    """`vgic.kvm` on a host as the kernel of this release has it."""

    name = "vgic.kvm"
    version = __version__

    def __init__(self, release: str) -> None:
        self._release = kvm_version(release)

    def start(self, machine: Machine) -> None:
        """A VM, initialised."""
        device = VgicV3Device(HOST, a3v_must_match=True, version=self._release)
        for vcpu_id in _ids(machine):
            device.create_vcpu(vcpu_id=vcpu_id)
        its = device.create_its() if machine.its else None
        _set_up(device, its)
        self._device, self._its = device, its
        self.gic: Gic = device.gic

    def perform_one(self, operation: Operation) -> Outcome:
        """Call an attribute."""
        if not isinstance(operation, Attr):
            raise ValueError(f"`vgic.kvm` has attributes alone, not {operation}")
        try:
            return Outcome(self._answer(*operation))
        except KvmError as error:
            return Outcome(errno=error.errno or 0)

    def _answer(self, call: str, number: int, group: int, attr: int, value: int) -> int:
        device = self._device if number == GIC or self._its is None else self._its
        match call:
            case "has":
                device.has_attr(group, attr)
            case "set":
                device.set_attr(group, attr, value)
            case _ if device is self._its:
                return device.get_attr(group, attr)
            case _:
                return self._device.get_attr(group, attr, value)
        return 0
