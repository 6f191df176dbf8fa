"""A guest with LPIs: RAM with a configuration table for all vCPUs and a pending table for each."""

import vgic
from guest import DEFAULT_PRIORITY, Guest
from offsets import GICD, GICR

RAM = 0x4000_0000
ENABLE_LPIS = 1
PTZ = 1 << 62
FIRST_LPI = 8192


class LpiGuest(Guest):
    """`id_bits` is the width of INTIDs that the tables have room for, `lpi_id_bits` that of the VM."""

    def __init__(
        self,
        cpus: int = 1,
        profile: vgic.Profile = vgic.ARCH,
        id_bits: int = 14,
        lpi_id_bits: int = 16,
        priority_bits: int = 5,
    ) -> None:
        self.id_bits = id_bits
        room = (1 << max(16, id_bits)) + (cpus << max(16, id_bits - 3))
        self.ram = vgic.Ram.zeroed(RAM, room)
        super().__init__(
            cpus, profile, priority_bits=priority_bits, lpis=True, lpi_id_bits=lpi_id_bits, memory=self.ram
        )

    # The tables, as a driver lays them out.

    def pending_table(self, cpu: int = 0) -> int:
        return RAM + (1 << max(16, self.id_bits)) + (cpu << max(16, self.id_bits - 3))

    def configure(self, intid: int, priority: int = DEFAULT_PRIORITY, enabled: bool = True) -> None:
        """Write a configuration byte, and tell nobody."""
        self.ram.write(RAM + intid - FIRST_LPI, bytes([priority & 0xFC | enabled]))

    def set_table_bit(self, intid: int, cpu: int = 0) -> None:
        address = self.pending_table(cpu) + intid // 8
        self.ram.write(address, bytes([self.ram.read(address, 1)[0] | 1 << intid % 8]))

    def table_bit(self, intid: int, cpu: int = 0) -> int:
        return self.ram.read(self.pending_table(cpu) + intid // 8, 1)[0] >> intid % 8 & 1

    # The registers.

    def place_tables(self, cpu: int = 0, flags: int = 0) -> None:
        self.set_gicr(GICR.PROPBASER, RAM | self.id_bits - 1, 8, cpu)
        self.set_gicr(GICR.PENDBASER, self.pending_table(cpu) | flags, 8, cpu)

    def enable_lpis(self, cpu: int = 0, enabled: bool = True) -> None:
        self.set_gicr(GICR.CTLR, ENABLE_LPIS if enabled else 0, cpu=cpu)

    def boot_lpis(self, flags: int = 0) -> "LpiGuest":
        """Wake every vCPU, let every priority through, and enable LPIs with tables in RAM."""
        self.boot()
        for cpu in self.cpus:
            self.place_tables(cpu, flags)
            self.enable_lpis(cpu)
        return self

    def arrive(self, intid: int, cpu: int = 0) -> bool:
        """An LPI arrives; True where the Redistributor can take it."""
        taken = self.gic.lpis(cpu).make_pending(intid)
        self.gic.check()
        return taken

    def invalidate(self, intid: int, cpu: int = 0) -> None:
        """What the command INV does."""
        self.gic.lpis(cpu).reload(intid)
        self.gic.check()

    def invalidate_all(self, cpu: int = 0) -> None:
        """What the command INVALL does."""
        self.gic.lpis(cpu).reload_all()
        self.gic.check()

    def drain(self, cpu: int = 0) -> list[int]:
        """Take and finish interrupts until there is none, as a handler does."""
        taken: list[int] = []
        while (intid := self.ack(cpu)) != 1023:
            taken.append(intid)
            self.eoi(intid, cpu)
        return taken


def booted(profile: vgic.Profile = vgic.ARCH, cpus: int = 1, **configured: int) -> LpiGuest:
    """A guest whose LPIs are enabled, with some of them configured: lpi0=0xA0 is INTID 8192, enabled."""
    guest = LpiGuest(cpus, profile)
    for name, priority in configured.items():
        guest.configure(FIRST_LPI + int(name.removeprefix("lpi")), priority)
    return guest.boot_lpis()


def group1(guest: Guest, enabled: bool) -> None:
    """Let the Distributor forward Group 1, or not."""
    guest.set_gicd(GICD.CTLR, 0b11 if enabled else 0b01)
