"""A hypervisor on this GIC gives its guest a device's interrupt in a list register."""

import vgic
from vgic.layouts import ich

SPI, VINTID = 42, 50
AT_EL2 = vgic.PeState(el=2, hcr_imo=True)
AT_EL1 = vgic.PeState(el=1, hcr_imo=True)


class Cpus:
    """What an emulator has for each PE; a sink with `set_virtual_lines` is told of virtual interrupts, too."""

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        print(f"PE {cpu}: IRQ {int(irq)}")

    def set_virtual_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        print(f"PE {cpu}: virtual IRQ {int(irq)}")


gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1), spis=64, list_registers=4), lines=Cpus())
gic.wake_all()
gic.set_pe_state(0, AT_EL2)

# The hypervisor takes the SPI as any OS does, and leaves it active: EOImode is 1.
gic.write(gic.config.gicd_base + 0x0000, 4, 0b10)  # GICD_CTLR
gic.write(gic.config.gicd_base + 0x0084, 4, 1 << 10)  # GICD_IGROUPR1
gic.write(gic.config.gicd_base + 0x0104, 4, 1 << 10)  # GICD_ISENABLER1
for register, value in ((vgic.ICC_CTLR_EL1, 0b10), (vgic.ICC_PMR_EL1, 0xF8), (vgic.ICC_IGRPEN1_EL1, 1)):
    gic.sysreg_write(0, register, value)
gic.spi(SPI).set_level(True)
print("the hypervisor takes", gic.sysreg_read(0, vgic.ICC_IAR1_EL1))
gic.sysreg_write(0, vgic.ICC_EOIR1_EL1, SPI)

# It becomes a pending interrupt of the guest in Group 1, HW = 1: the guest's end of it deactivates the SPI.
pending_in_hardware = 1 << 62 | 1 << 61 | 1 << 60
gic.sysreg_write(0, ich.ICH_VMCR_EL2, 0xF8 << 24 | 0b10)  # as if the guest had set its PMR and IGRPEN1
gic.sysreg_write(0, ich.ICH_HCR_EL2, 1)
gic.sysreg_write(0, ich.ICH_LR0_EL2, pending_in_hardware | SPI << 32 | VINTID)

# The same registers, by the guest at EL1: HCR_EL2.IMO makes them those of the virtual CPU interface.
gic.set_pe_state(0, AT_EL1)
print("IAR1 reaches", gic.sysreg_reach(0, vgic.ICC_IAR1_EL1).value)
print("SGI1R:", gic.sysreg_reach(0, vgic.ICC_SGI1R_EL1).value)
print("the guest takes", gic.sysreg_read(0, vgic.ICC_IAR1_EL1))
gic.spi(SPI).set_level(False)
gic.sysreg_write(0, vgic.ICC_EOIR1_EL1, VINTID)
print("the SPI is active:", gic.spi(SPI).active)
