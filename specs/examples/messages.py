"""A PCI device's message becomes an LPI: what a guest's driver sets up, and what the emulator calls."""

import vgic
from vgic.layouts.its_commands import COMMAND_SIZE, encode

RAM, ITS = 0x4000_0000, 0x0808_0000
ram = vgic.Ram(RAM, bytearray(0x40_0000))  # or an mmap, or what the emulator has: see vgic.GuestMemory
config = vgic.Config(vgic.Topology.kvm(2), its=(ITS,))
gic = vgic.Gic(config, memory=ram)
gic.wake_all()

# The guest's driver puts its tables into RAM, each on a page of 64 KiB.
PROPERTIES, PENDING, QUEUE, DEVICES, COLLECTIONS, EVENTS = (RAM + 0x1_0000 * n for n in range(1, 7))
DEVICE, EVENT, LPI, CPU = 0x18, 3, 8192, 1
VALID = 1 << 63

for cpu, frame in enumerate(gic.redistributor_bases):
    gic.write(frame + 0x0070, 8, PROPERTIES | config.lpi_id_bits - 1)  # GICR_PROPBASER
    gic.write(frame + 0x0078, 8, PENDING + 0x10_0000 * (cpu + 1) | 1 << 62)  # GICR_PENDBASER, with PTZ
    gic.write(frame + 0x0000, 4, 1)  # GICR_CTLR.EnableLPIs
gic.write(ITS + 0x0100, 8, VALID | DEVICES | 2 << 8 | 7)  # GITS_BASER0: 8 pages of 64 KiB
gic.write(ITS + 0x0108, 8, VALID | COLLECTIONS | 2 << 8)  # GITS_BASER1
gic.write(ITS + 0x0080, 8, VALID | QUEUE)  # GITS_CBASER: a page of 4 KiB
gic.write(ITS + 0x0000, 4, 1)  # GITS_CTLR.Enabled

ram.write(PROPERTIES + LPI - 8192, bytes([0xA0 | 0b11]))  # its priority, and enabled
commands = [
    encode("MAPC", ICID=CPU, RDbase=CPU, V=1),
    encode("MAPD", DeviceID=DEVICE, Size=4, ITT_addr=EVENTS + 0x8_0000 >> 8, V=1),
    encode("MAPTI", DeviceID=DEVICE, EventID=EVENT, pINTID=LPI, ICID=CPU),
    encode("INV", DeviceID=DEVICE, EventID=EVENT),
]
ram.write(QUEUE, b"".join(commands))
gic.write(ITS + 0x0088, 8, COMMAND_SIZE * len(commands))  # GITS_CWRITER

gic.write(config.gicd_base, 4, 0b11)
gic.sysreg_write(CPU, vgic.ICC_PMR_EL1, 0xF8)
gic.sysreg_write(CPU, vgic.ICC_IGRPEN1_EL1, 1)

# The device's write to its message address, as the emulator's PCI bus sees it: who wrote, and what.
print(gic.its().translate(DEVICE, EVENT))
print(gic.msi(DEVICE, EVENT).outcome.value)
print(gic.outputs(CPU), gic.sysreg_read(CPU, vgic.ICC_IAR1_EL1))
print(gic.msi(DEVICE, 9).error)
