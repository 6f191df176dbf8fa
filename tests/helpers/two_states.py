"""A guest with two Security states, which says of each access by which state it is."""

from typing import Final

import vgic
from offsets import BANK, GICD, GICR

DS: Final = 1 << 6


class TwoStates:
    """A `Gic` with two Security states; each access ends with `Gic.check`."""

    def __init__(
        self, cpus: int = 2, spis: int = 32, memory: vgic.GuestMemory | None = None, **options: object
    ) -> None:
        self.config = vgic.Config(vgic.Topology.kvm(cpus), spis, security="two", **options)  # type: ignore[arg-type]
        self.gic = vgic.Gic(self.config, memory=memory)

    def gicd(self, offset: int, secure: bool, size: int = 4) -> int:
        return self._read(self.config.gicd_base + offset, secure, size)

    def set_gicd(self, offset: int, value: int, secure: bool, size: int = 4) -> None:
        self._write(self.config.gicd_base + offset, value, secure, size)

    def gicr(self, offset: int, secure: bool, cpu: int = 0, size: int = 4) -> int:
        return self._read(self.gic.redistributor_bases[cpu] + offset, secure, size)

    def set_gicr(self, offset: int, value: int, secure: bool, cpu: int = 0, size: int = 4) -> None:
        self._write(self.gic.redistributor_bases[cpu] + offset, value, secure, size)

    def join_states(self) -> None:
        """Set GICD_CTLR.DS, and nothing else."""
        self.set_gicd(GICD.CTLR, self.gicd(GICD.CTLR, True) | DS, True)

    def set_group(self, intid: int, modifier: int, group: int, cpu: int = 0) -> None:
        """IGRPMODR and IGROUPR of one interrupt."""
        for register, bit in ((BANK.IGRPMODR, modifier), (BANK.IGROUPR, group)):
            if intid < 32:
                before = self.gicr(GICR.SGI_BASE + register, True, cpu)
                self.set_gicr(GICR.SGI_BASE + register, _with(before, intid, bit), True, cpu)
            else:
                offset = register + intid // 32 * 4
                self.set_gicd(offset, _with(self.gicd(offset, True), intid % 32, bit), True)

    def set_access(self, intid: int, level: int) -> None:
        """GICD_NSACR of one SPI."""
        offset, lsb = BANK.NSACR + intid // 16 * 4, 2 * (intid % 16)
        self.set_gicd(offset, self.gicd(offset, True) & ~(3 << lsb) | level << lsb, True)

    def _read(self, address: int, secure: bool, size: int) -> int:
        value = self.gic.read(address, size, secure=secure)
        self.gic.check()
        return value

    def _write(self, address: int, value: int, secure: bool, size: int) -> None:
        self.gic.write(address, size, value, secure=secure)
        self.gic.check()


def _with(value: int, number: int, bit: int) -> int:
    return value & ~(1 << number) | bit << number
