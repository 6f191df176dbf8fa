"""A VM of a live KVM behind the calls that move a VM (`vgic.kvm.migration`), which drive `vgic.kvm` too.

>>> sequence = save_sequence(LiveDevices(vm))  # doctest: +SKIP
>>> restore(VgicV3Device(memory=copy_of_its_ram), sequence)  # doctest: +SKIP
"""

from vgic import affinity
from vgic_tools.judges.kvm_abi import MPIDR_EL1
from vgic_tools.judges.kvm_host import LiveDevice, LiveVm

__all__ = ["LiveDevices"]


class LiveDevices:
    """Is a `vgic.kvm.VmDevices`. Every method raises KvmError where KVM refuses."""

    def __init__(self, vm: LiveVm) -> None:
        self.vm = vm

    @property
    def vcpus(self) -> tuple[int, ...]:
        """The packed affinities of the vCPUs, in creation order."""
        return tuple(affinity.from_mpidr(vcpu.get_reg(MPIDR_EL1)) for vcpu in self.vm.vcpus)

    @property
    def vcpu_ids(self) -> tuple[int, ...]:
        """The ids of the vCPUs, in creation order."""
        return tuple(vcpu.id for vcpu in self.vm.vcpus)

    @property
    def itses(self) -> tuple[LiveDevice, ...]:
        """The ITSes, in creation order."""
        return tuple(self.vm.itses)

    def create_vcpu(self, mpidr: int | None = None, *, vcpu_id: int | None = None) -> int:
        """KVM_CREATE_VCPU, and KVM_SET_ONE_REG of MPIDR_EL1 unless None: the number of the new vCPU."""
        self.vm.create_vcpu(mpidr, vcpu_id=vcpu_id)
        return len(self.vm.vcpus) - 1

    def set_mpidr(self, cpu: int, mpidr: int) -> None:
        """KVM_SET_ONE_REG of MPIDR_EL1."""
        self.vm.vcpus[cpu].set_reg(MPIDR_EL1, mpidr)

    def create_its(self) -> LiveDevice:
        """KVM_CREATE_DEVICE of an ITS."""
        return self.vm.create_its()

    def set_attr(self, group: int, attr: int, value: int = 0) -> None:
        """KVM_SET_DEVICE_ATTR of the GIC."""
        self.vm.gic.set_attr(group, attr, value)

    def get_attr(self, group: int, attr: int, value: int = 0) -> int:
        """KVM_GET_DEVICE_ATTR of the GIC."""
        return self.vm.gic.get_attr(group, attr, value)
