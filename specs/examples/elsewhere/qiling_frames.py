"""Qiling: a frame of the GIC as MMIO, and the ICC registers where its engine meets an undefined instruction."""

from qiling import Qiling
from qiling.const import QL_ARCH, QL_OS, QL_VERBOSE

import vgic

gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1)))
GICD = gic.config.gicd_base
UNDEFINED = 1
CODE = bytes.fromhex(
    "0100a1d2"  # mov x1, #0x08000000
    "02fd9fd2"  # mov x2, #0xffe8
    "206862b8"  # ldr w0, [x1, x2]: GICD_PIDR2
    "63008052"  # mov w3, #3
    "230000b9"  # str w3, [x1]: GICD_CTLR
    "041f80d2"  # mov x4, #0xf8
    "044618d5"  # msr icc_pmr_el1, x4
    "054638d5"  # mrs x5, icc_pmr_el1
)


def load(ql: Qiling, offset: int, size: int) -> int:
    return gic.read(GICD + offset, size, cpu=0)


def store(ql: Qiling, offset: int, size: int, value: int) -> None:
    gic.write(GICD + offset, size, value, cpu=0)


def exception(ql: Qiling, number: int) -> None:
    access = vgic.sysreg_of_instruction(ql.mem.read_ptr(ql.arch.regs.arch_pc, 4))
    if number != UNDEFINED or access is None:
        ql.emu_stop()
    elif access.write:
        gic.msr(0, access.register, ql.arch.regs.read(f"x{access.rt}"))
    else:
        ql.arch.regs.write(f"x{access.rt}", gic.mrs(0, access.register) or 0)
    ql.arch.regs.arch_pc += 4


ql = Qiling(code=CODE, archtype=QL_ARCH.ARM64, ostype=QL_OS.LINUX, verbose=QL_VERBOSE.OFF)
ql.mem.map_mmio(GICD, 0x1_0000, load, store)
ql.hook_intr(exception)
ql.run()
print(f"GICD_PIDR2 {ql.arch.regs.w0:#x}, GICD_CTLR {gic.read(GICD, 4):#x}, ICC_PMR_EL1 {ql.arch.regs.x5:#x}")
