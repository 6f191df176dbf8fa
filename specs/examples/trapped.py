"""A VMM's exit handler: the frames by address, the ICC registers by the syndrome of the trap."""

import vgic

gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(2)))
gic.wake_all()
registers = [[0] * 31 for _ in range(2)]  # X0 to X30 of each vCPU


def mmio_exit(cpu: int, address: int, size: int, is_write: bool, data: int) -> int:
    """An access to memory that is not RAM; what it reads. No guest can make it raise."""
    if is_write:
        gic.write(address, size, data, cpu=cpu)
        return 0
    return gic.read(address, size, cpu=cpu)


def sysreg_exit(cpu: int, esr: int) -> bool:
    """A trapped MSR or MRS; False where an Undefined Instruction exception is due."""
    access = vgic.sysreg_of_esr(esr)
    if access is None:
        return False
    x = registers[cpu]
    if access.write:
        return gic.msr(cpu, access.register, x[access.rt] if access.rt < 31 else 0)
    value = gic.mrs(cpu, access.register)
    if value is not None and access.rt < 31:
        x[access.rt] = value
    return value is not None


print(f"GICD_PIDR2 {mmio_exit(0, 0x0800_FFE8, 4, False, 0):#x}")
registers[0][3] = 0xF8
print("MSR ICC_PMR_EL1, X3:", sysreg_exit(0, 0x18 << 26 | 0x30_1000 | 3 << 5 | 6 << 1))
print("MRS X4, ICC_PMR_EL1:", sysreg_exit(0, 0x18 << 26 | 0x30_1000 | 4 << 5 | 6 << 1 | 1), hex(registers[0][4]))
print("MRS X5, ICC_EOIR1_EL1:", sysreg_exit(0, 0x18 << 26 | 0x32_3000 | 5 << 5 | 12 << 1 | 1))
