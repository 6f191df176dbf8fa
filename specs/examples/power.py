"""PSCI: a CPU that is turned off and on again, and an interrupt that waits for one that sleeps."""

import vgic


class Emulator:
    """What the emulator implements of vgic's protocols: outputs, and a guest's mistakes."""

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        print(f"vCPU {cpu}: IRQ {int(irq)}")

    def illegal_access(self, access: object) -> None:
        print(access)

    def illegal_sysreg(self, access: object) -> None:
        print(access)

    def wake_request(self, cpu: int) -> None:
        print(f"vCPU {cpu} sleeps, and an interrupt waits for it")


emulator = Emulator()
gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(2)), lines=emulator, observer=emulator)
gic.write(gic.config.gicd_base, 4, 0b11)

# CPU_ON of vCPU 1, which sleeps at first.
gic.reset_cpu(1)
gic.sysreg_write(1, vgic.ICC_PMR_EL1, 0xF8)
gic.sysreg_write(1, vgic.ICC_IGRPEN1_EL1, 1)
gic.write(gic.redistributor_bases[1] + 0x1_0080, 4, 1)  # GICR_IGROUPR0
gic.write(gic.redistributor_bases[1] + 0x1_0100, 4, 1)  # GICR_ISENABLER0
gic.sysreg_write(0, vgic.ICC_SGI1R_EL1, 0 << 24 | 0b10)  # SGI 0, to Aff0 = 1
gic.wake(1)
print("taken:", gic.sysreg_read(1, vgic.ICC_IAR1_EL1))

# A guest's mistake is answered, and told.
gic.write(gic.config.gicd_base + 0x0002, 2, 0xFFFF, cpu=0)
