"""Two Unicorn engines run a bare-metal guest: the first sends an SGI to the second, whose Aff3 is 1."""

from mmap import mmap

import vgic
from vgic.adapters.unicorn import UnicornVm

RAM, RESULT, HANDLER = 0x4000_0000, 0x1000, 0x800 + 0x280  # the handler: IRQ from EL1, with its own stack pointer

START = [
    0x10004001,  # adr x1, vectors       at 0x800
    0xD518C001,  # msr VBAR_EL1, x1
    0xD2801E01,  # mov x1, #0xf0
    0xD5184601,  # msr ICC_PMR_EL1, x1
    0xD2800021,  # mov x1, #1
    0xD518CCE1,  # msr ICC_IGRPEN1_EL1, x1
    0xD50342FF,  # msr DAIFClr, #2       unmask IRQ
    0xB4000040,  # cbz x0, wait
    0xD518CBA0,  # msr ICC_SGI1R_EL1, x0
    0xD503207F,  # wait: wfi
    0x17FFFFFF,  # b wait
]
IRQ = [
    0xD538CC02,  # mrs x2, ICC_IAR1_EL1
    0x10002BE3,  # adr x3, result        at 0x1000
    0xF9000062,  # str x2, [x3]
    0xD518CC22,  # msr ICC_EOIR1_EL1, x2
    0xD69F03E0,  # eret
]


def machine_code(words: list[int]) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in words)


ram = mmap(-1, 0x2000)
ram[: 4 * len(START)] = machine_code(START)
ram[HANDLER : HANDLER + 4 * len(IRQ)] = machine_code(IRQ)

topology = vgic.Topology.from_text(["0.0.0.0", "1.0.0.0"])
vm = UnicornVm(vgic.Config(topology), RAM, ram)
vm.without_firmware()  # wakes the Redistributors
vm.gic.write(vm.gic.config.gicd_base, 4, 0b10)  # GICD_CTLR: forward Group 1
for base in vm.gic.redistributor_bases:
    vm.gic.write(base + 0x1_0080, 4, 1 << 5)  # GICR_IGROUPR0: SGI 5 in Group 1
    vm.gic.write(base + 0x1_0100, 4, 1 << 5)  # GICR_ISENABLER0

vm.cpus[1].reset(RAM)  # PSCI CPU_ON, with X0 = 0: only waits
vm.run(10_000)
sgi = 1 << 48 | 5 << 24 | 1  # ICC_SGI1R_EL1: Aff3 1, INTID 5, Aff0 0
vm.cpus[0].reset(RAM, x0=sgi)
vm.run(10_000)

print("taken:", int.from_bytes(ram[RESULT : RESULT + 8], "little"))
print("each waits for the next:", [cpu.waiting for cpu in vm.cpus], [hex(cpu.pc) for cpu in vm.cpus])
