"""A slow design, as a yardstick: Construct at work in every access."""

from typing import Final

import vgic
from mmio import RegisterLayout
from vgic.layouts import gicd, gicr, icc
from vgic_tools.bench.objects import FRAME, Objects

__all__ = ["ConstructPerAccess"]

_SYSREGS: Final = {layout.offset + index: layout for layout in icc.ICC for index in range(layout.count)}


def _by_offset(layouts: list[RegisterLayout]) -> dict[int, RegisterLayout]:
    return {layout.offset + index * layout.stride: layout for layout in layouts for index in range(layout.count)}


class ConstructPerAccess(Objects):
    """`Objects`, with every value parsed into named fields and built from them again on its way in or out."""

    def __init__(self, config: vgic.Config) -> None:
        super().__init__(config)
        self._layouts = [_by_offset(layouts) for layouts in (gicd.GICD, gicr.RD_BASE, gicr.SGI_BASE)]

    def read(self, address: int, size: int) -> int:
        """A load."""
        return self._through(self._layout(address, size), super().read(address, size))

    def write(self, address: int, size: int, value: int) -> None:
        """A store."""
        super().write(address, size, self._through(self._layout(address, size), value))

    def sysreg_read(self, cpu: int, register: int) -> int:
        """An MRS."""
        return self._through(_SYSREGS[register], super().sysreg_read(cpu, register))

    def sysreg_write(self, cpu: int, register: int, value: int) -> None:
        """An MSR."""
        super().sysreg_write(cpu, register, self._through(_SYSREGS[register], value))

    def _layout(self, address: int, size: int) -> RegisterLayout | None:
        cpu, offset = self.locate(address)
        frame = 0 if cpu is None else 1 + offset // FRAME
        found = self._layouts[frame].get(offset % FRAME)
        return found if found is not None and found.width == 8 * size else None

    @staticmethod
    def _through(layout: RegisterLayout | None, value: int) -> int:
        if layout is None:
            return value
        fields = layout.bits.parse(value.to_bytes(layout.width // 8, "big"))
        return int.from_bytes(layout.bits.build(fields), "big")
