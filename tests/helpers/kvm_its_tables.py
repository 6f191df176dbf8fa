"""The tables of an ITS behind KVM's attributes, for tests. Entries are put together by hand, not with layouts."""

from its_driver import RAM
from kvm_its import RAM_SIZE, ItsVm
from vgic import Ram
from vgic.kvm import Group, ItsControl
from vgic.layouts import gits

VALID = 1 << 63
NOT_MAPPED = 0xFFFF_FFFF
PAGE = 0x1_0000
NO_RAM = 0x1000_0000


def dte(next_device: int, itt: int, id_bits: int) -> int:
    return VALID | next_device << 49 | itt >> 8 << 5 | id_bits - 1


def ite(next_event: int, intid: int, collection: int) -> int:
    return next_event << 48 | intid << 16 | collection


def cte(rdbase: int, collection: int) -> int:
    return VALID | rdbase << 16 | collection


class Tables:
    """A VM whose guest has set up its ITS; its tables, entry by entry."""

    def __init__(self, vm: ItsVm | None = None, **choices: int) -> None:
        self.vm = ItsVm() if vm is None else vm
        self.driver = self.vm.driver(**choices)

    @property
    def ram(self) -> Ram:
        return self.vm.ram

    def word(self, address: int) -> int:
        return int.from_bytes(self.ram.read(address, 8), "little")

    def put(self, address: int, value: int) -> None:
        self.ram.write(address, value.to_bytes(8, "little"))

    def device(self, device: int) -> int:
        """The address of a device's entry in a flat table."""
        return self.driver.devices + 8 * device

    def collection(self, place: int) -> int:
        return self.driver.collections + 8 * place

    def save(self) -> None:
        self.vm.its.set_attr(Group.CTRL, ItsControl.SAVE_TABLES)

    def restore(self) -> None:
        """Into an ITS that knows nothing, but has its registers."""
        its = self.vm.gic.its()
        its.tables.kept.clear()
        self.vm.its.set_attr(Group.CTRL, ItsControl.RESTORE_TABLES)
        self.vm.gic.check()

    def contents(self) -> bytes:
        return self.ram.read(RAM, RAM_SIZE)

    def two_devices(self) -> tuple[int, int]:
        """Devices 3 and 5, with two events and one; their translation tables."""
        tables = self.driver.map_device(3, events=16), self.driver.map_device(5, events=2)
        for device, event, cpu in ((3, 2, 0), (3, 9, 1), (5, 1, 1)):
            self.driver.map_event(device, event, cpu)
        return tables


def small_collection_table(tables: Tables, three: int, five: int) -> None:
    """With room for 8,192, of which event 0 of device 5 names another."""
    driver = tables.driver
    driver.enable(False)
    driver.write(gits.BASER, gits.BASER.encode({"Valid": 1, "Page_Size": 2}) | driver.collections, 1)
    tables.put(five, ite(0, 8200, 0x2000))
