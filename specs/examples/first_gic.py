"""A GIC for two vCPUs, the second one with an Aff3: an SPI is routed to it, taken and finished."""

import vgic


class Cpus:
    """What an emulator does with the outputs: here, say so."""

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        print(f"vCPU {cpu}: IRQ {int(irq)} FIQ {int(fiq)}")


topology = vgic.Topology.from_text(["0.0.0.0", "1.0.0.0"])  # Aff3.Aff2.Aff1.Aff0
gic = vgic.Gic(vgic.Config(topology, spis=64), lines=Cpus())
gic.wake_all()  # what firmware does: clear GICR_WAKER.ProcessorSleep

GICD = gic.config.gicd_base
UART = 42  # an INTID; SPIs begin at 32
gic.write(GICD + 0x0000, 4, 0b11)  # GICD_CTLR: forward Groups 0 and 1
gic.write(GICD + 0x0084, 4, 1 << UART % 32)  # GICD_IGROUPR1: in Group 1
gic.write(GICD + 0x0104, 4, 1 << UART % 32)  # GICD_ISENABLER1
gic.write(GICD + 0x6000 + 8 * UART, 8, 1 << 32)  # GICD_IROUTER42: to 1.0.0.0

gic.sysreg_write(1, vgic.ICC_PMR_EL1, 0xF8)  # let all priorities but the lowest through
gic.sysreg_write(1, vgic.ICC_IGRPEN1_EL1, 1)

gic.spi(UART).set_level(True)
print("taken:", gic.sysreg_read(1, vgic.ICC_IAR1_EL1))
gic.spi(UART).set_level(False)
gic.sysreg_write(1, vgic.ICC_EOIR1_EL1, UART)
print(gic.spi(UART))
