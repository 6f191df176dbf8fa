"""A firmware at EL3 hands the Non-secure state to an OS; an interrupt of each state, and who takes it."""

import vgic

GICD, SGI_BASE = 0x0800_0000, 0x080B_0000
EL3 = vgic.PeState(el=3, secure=True, scr_fiq=True)
OS = vgic.PeState(el=1, secure=False, scr_fiq=True)

gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1), security="two"))
gic.wake_all()

# At EL3: SGI 8 in Secure Group 1, SGI 0 in Non-secure Group 1, both enabled at a priority of their state.
gic.set_pe_state(0, EL3)
for offset, value in ((0x0080, 1 << 0), (0x0D00, 1 << 8), (0x0100, 1 << 8 | 1 << 0)):
    gic.write(SGI_BASE + offset, 4, value, secure=True)
gic.write(SGI_BASE + 0x0400, 1, 0xA0, secure=True)
gic.write(GICD, 4, 0b111, secure=True)
gic.sysreg_write(0, vgic.ICC_PMR_EL1, 0xFF)
gic.sysreg_write(0, vgic.ICC_IGRPEN1_EL3, 0b11)

gic.set_pe_state(0, OS)
print(f"GICR_ISENABLER0 as the OS sees it: {gic.read(SGI_BASE + 0x0100, 4):#x}")
gic.write(SGI_BASE + 0x0200, 4, 1 << 0)
print("IRQ, FIQ of the OS's interrupt:", gic.outputs(0))
gic.write(SGI_BASE + 0x0200, 4, 1 << 8, secure=True)
print("IRQ, FIQ of the firmware's:", gic.outputs(0))
print("the OS takes", gic.sysreg_read(0, vgic.ICC_IAR1_EL1))

gic.set_pe_state(0, EL3)
print("EL3 is told", gic.sysreg_read(0, vgic.ICC_IAR0_EL1), "and takes", gic.sysreg_read(0, vgic.ICC_IAR1_EL1))
