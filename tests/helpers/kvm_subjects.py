"""A VM of a live KVM and one of `vgic.kvm` behind the same calls, so that one scenario drives both.

A call gives an `Outcome`: KVM's number, and the value where there is one. Nothing raises but what is wrong with the
judge itself.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from vgic import Ram, RamRegions
from vgic.kvm import KvmError, VgicItsDevice, VgicV3Device
from vgic_tools.judges.kvm_abi import MPIDR_EL1
from vgic_tools.judges.kvm_host import KvmHost, LiveDevice, Outcome

__all__ = ["DEFAULT_RAM", "GIC", "Call", "Facade", "Live", "Subject"]

GIC: Final = None
"""The device that is no ITS."""

DEFAULT_RAM: Final = ((0x4000_0000, 0x10_0000),)
"""Base and size of the stretches of RAM that a VM has."""

Call = tuple[str, int | None, int, int, int]
"""has, get or set; which ITS, or GIC; group, attribute, value."""


class Subject(Protocol):
    """A VM with a GIC."""

    def create_vcpu(self, vcpu_id: int | None = None) -> Outcome:
        """The next vCPU, with this id; None: its number."""

    def set_mpidr(self, cpu: int, mpidr: int) -> Outcome:
        """MPIDR_EL1 of the vCPU that was created as number `cpu`."""

    def create_its(self) -> Outcome:
        """Another ITS."""

    def ask(self, calls: Iterable[Call]) -> list[Outcome]:
        """Several calls on attributes."""

    def run(self, cpu: int = 0) -> Outcome:
        """Run a vCPU, which has nothing to do."""

    def signal_msi(self, address: int, data: int, device_id: int | None) -> Outcome:
        """A message."""

    def write(self, address: int, data: bytes) -> None:
        """Store bytes in RAM."""

    def read(self, address: int, size: int) -> bytes:
        """Bytes of RAM."""

    def remove_ram(self, stretch: int) -> None:
        """Take a stretch of RAM away."""


def _outcome(call: Callable[[], object]) -> Outcome:
    try:
        value = call()
    except KvmError as error:
        return Outcome(error.errno or 0)
    return Outcome(0, value if isinstance(value, int) else 0)


class Live:
    """A VM of a live KVM, the only one that is there."""

    def __init__(self, host: KvmHost, ipa_bits: int = 0, ram: Iterable[tuple[int, int]] = DEFAULT_RAM) -> None:
        host.reset()
        self.host = host
        self.vm = host.create_vm(ipa_bits)
        for stretch in ram:
            self.vm.add_ram(*stretch)

    def _device(self, its: int | None) -> LiveDevice:
        return self.vm.gic if its is GIC else self.vm.itses[its]

    def create_vcpu(self, vcpu_id: int | None = None) -> Outcome:
        return _outcome(lambda: self.vm.create_vcpu(vcpu_id=vcpu_id))

    def set_mpidr(self, cpu: int, mpidr: int) -> Outcome:
        return _outcome(lambda: self.vm.vcpus[cpu].set_reg(MPIDR_EL1, mpidr))

    def create_its(self) -> Outcome:
        return _outcome(self.vm.create_its)

    def ask(self, calls: Iterable[Call]) -> list[Outcome]:
        return self.host.ask(
            getattr(self._device(its), kind)(group, attr, *([] if kind == "has" else [value]))
            for kind, its, group, attr, value in calls
        )

    def run(self, cpu: int = 0) -> Outcome:
        return _outcome(lambda: self.vm.vcpus[cpu].run(20))

    def signal_msi(self, address: int, data: int, device_id: int | None) -> Outcome:
        return _outcome(lambda: self.vm.signal_msi(address, data, device_id))

    def write(self, address: int, data: bytes) -> None:
        self.vm.write(address, data)

    def read(self, address: int, size: int) -> bytes:
        return self.vm.read(address, size)

    def remove_ram(self, stretch: int) -> None:
        self.vm.remove_ram(stretch)


class _Stretches:
    """RAM in stretches that can be taken away."""

    def __init__(self, stretches: list[Ram]) -> None:
        self.stretches = stretches
        self.present = [True] * len(stretches)

    def _there(self) -> RamRegions:
        return RamRegions([ram for ram, there in zip(self.stretches, self.present, strict=True) if there])

    def is_ram(self, address: int, size: int) -> bool:
        return self._there().is_ram(address, size)

    def read(self, address: int, size: int) -> bytes:
        return self._there().read(address, size)

    def write(self, address: int, data: bytes) -> None:
        self._there().write(address, data)


class Facade:
    """A VM of `vgic.kvm`."""

    def __init__(self, ipa_bits: int = 40, ram: Iterable[tuple[int, int]] = DEFAULT_RAM, **options: object) -> None:
        self.memory = _Stretches([Ram.zeroed(base, size) for base, size in ram])
        self.device = VgicV3Device(ipa_bits=ipa_bits or 40, memory=self.memory, **options)  # type: ignore[arg-type]

    def _device(self, its: int | None) -> VgicV3Device | VgicItsDevice:
        return self.device if its is GIC else self.device.itses[its]

    def create_vcpu(self, vcpu_id: int | None = None) -> Outcome:
        return _outcome(lambda: self.device.create_vcpu(vcpu_id=vcpu_id) and 0)

    def set_mpidr(self, cpu: int, mpidr: int) -> Outcome:
        return _outcome(lambda: self.device.set_mpidr(cpu, mpidr))

    def create_its(self) -> Outcome:
        return _outcome(self.device.create_its)

    def ask(self, calls: Iterable[Call]) -> list[Outcome]:
        return [self._one(*call) for call in calls]

    def _one(self, kind: str, its: int | None, group: int, attr: int, value: int) -> Outcome:
        device = self._device(its)
        match kind:
            case "has":
                return _outcome(lambda: device.has_attr(group, attr))
            case "set":
                return _outcome(lambda: device.set_attr(group, attr, value))
        if its is GIC:
            return _outcome(lambda: self.device.get_attr(group, attr, value))
        return _outcome(lambda: device.get_attr(group, attr))

    def run(self, cpu: int = 0) -> Outcome:
        def run() -> None:
            with self.device.run(cpu):
                pass

        return _outcome(run)

    def signal_msi(self, address: int, data: int, device_id: int | None) -> Outcome:
        return _outcome(lambda: self.device.signal_msi(address, data, device_id))

    def write(self, address: int, data: bytes) -> None:
        self.memory.write(address, data)

    def read(self, address: int, size: int) -> bytes:
        return self.memory.read(address, size)

    def remove_ram(self, stretch: int) -> None:
        self.memory.present[stretch] = False
