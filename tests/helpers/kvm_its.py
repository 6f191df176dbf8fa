"""A VM with an ITS behind KVM's attributes, and a guest's driver for it, for tests."""

from collections.abc import Sequence

import vgic
from its_driver import RAM, ItsDriver
from vgic import Ram, affinity
from vgic.host.capabilities import HostCapabilities
from vgic.kvm import Address, Control, Group, ItsAddress, VgicItsDevice, VgicV3Device, restore, save_sequence

RAM_SIZE = 0x40_0000

GICD = 0x0800_0000
GICR = 0x0900_0000
ITS = 0x0808_0000
ITS_SIZE = 0x2_0000


def new_device(
    ram: Ram, host: HostCapabilities | None = None, profile: vgic.Profile = vgic.KVM, a3v: bool = False
) -> VgicV3Device:
    """A device for a VM with this RAM, and nothing else yet."""
    return VgicV3Device(host, profile=profile, a3v=a3v, memory=ram)


class ItsVm:
    """A VM whose vCPUs have these packed affinities, with ITSes one after the other from `ITS` on."""

    def __init__(
        self,
        affinities: Sequence[int] = (0, 1),
        profile: vgic.Profile = vgic.KVM,
        a3v: bool = False,
        itses: int = 1,
        ram_size: int = RAM_SIZE,
    ) -> None:
        self.ram = Ram.zeroed(RAM, ram_size)
        self.profile = profile
        self.a3v = a3v
        self.device = new_device(self.ram, profile=profile, a3v=a3v)
        for packed in affinities:
            self.device.create_vcpu(affinity.to_mpidr(packed))
        for _ in range(itses):
            self.device.create_its()
        self.device.set_attr(Group.NR_IRQS, 0, 64)
        self.device.set_attr(Group.ADDR, Address.DIST, GICD)
        self.device.set_attr(Group.ADDR, Address.REDIST, GICR)
        self.device.set_attr(Group.CTRL, Control.INIT)
        for its in self.device.itses:
            its.set_attr(Group.ADDR, ItsAddress.ITS, ITS + its.number * ITS_SIZE)
        with self.device.run():
            pass

    @classmethod
    def on(cls, device: VgicV3Device, ram: Ram) -> "ItsVm":
        """A VM that a test itself sets up."""
        vm = cls.__new__(cls)
        vm.device, vm.ram, vm.profile, vm.a3v = device, ram, vgic.KVM, False
        return vm

    @property
    def gic(self) -> vgic.Gic:
        return self.device.gic

    @property
    def its(self) -> VgicItsDevice:
        return self.device.itses[0]

    def driver(self, **choices: int) -> ItsDriver:
        """A driver that has brought up LPIs and the ITS."""
        driver = ItsDriver(self.gic, self.ram, **choices)
        driver.start()
        return driver

    def migrate(self, host: HostCapabilities, *drivers: ItsDriver) -> None:
        """Move the VM to a device on another host, with a copy of its RAM; `drivers` go on there."""
        sequence = save_sequence(self.device)
        self.ram = Ram(RAM, bytearray(self.ram.read(RAM, RAM_SIZE)))
        self.device = new_device(self.ram, host, self.profile, self.a3v)
        restore(self.device, sequence)
        with self.device.run():
            pass
        for driver in drivers:
            driver.gic, driver.ram, driver.memory.ram = self.gic, self.ram, self.ram
