"""A guest for tests: a `Gic`, its registers by name, and what an operating system does with them.

Every step ends with `Gic.check`, so a test also fails where a step leaves the model inconsistent.
"""

import vgic
from mmio import IllegalAccess
from offsets import BANK, EXTENDED, GICD, GICR

DEFAULT_PRIORITY = 0xA0
SPURIOUS = 1023

_EOIR = (vgic.ICC_EOIR0_EL1, vgic.ICC_EOIR1_EL1)
_IAR = (vgic.ICC_IAR0_EL1, vgic.ICC_IAR1_EL1)
_IGRPEN = (vgic.ICC_IGRPEN0_EL1, vgic.ICC_IGRPEN1_EL1)


class Recorder:
    """Hears everything that a `Gic` says to its embedder."""

    def __init__(self) -> None:
        self.accesses: list[IllegalAccess] = []
        self.sysregs: list[vgic.IllegalSysReg] = []
        self.lines: list[tuple[int, bool, bool]] = []
        self.virtual_lines: list[tuple[int, bool, bool]] = []

    def illegal_access(self, access: IllegalAccess) -> None:
        self.accesses.append(access)

    def illegal_sysreg(self, access: vgic.IllegalSysReg) -> None:
        self.sysregs.append(access)

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        self.lines.append((cpu, irq, fiq))

    def set_virtual_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        self.virtual_lines.append((cpu, irq, fiq))


class Guest:
    """`cpus` may be a number of vCPUs or a topology; the GIC is as after reset until `boot`."""

    def __init__(
        self,
        cpus: int | vgic.Topology = 1,
        profile: vgic.Profile = vgic.ARCH,
        spis: int = 64,
        priority_bits: int = 5,
        regions: tuple[vgic.RedistributorRegion, ...] = (),
        rss: bool | None = None,
        one_of_n: bool | None = None,
        lpis: bool | None = None,
        lpi_id_bits: int = 16,
        memory: vgic.GuestMemory | None = None,
        extended_spis: int = 0,
        extended_ppis: int = 0,
        nmi: bool = False,
        list_registers: int = 0,
    ) -> None:
        topology = vgic.Topology.kvm(cpus) if isinstance(cpus, int) else cpus
        self.config = vgic.Config(
            topology,
            spis=spis,
            profile=profile,
            priority_bits=priority_bits,
            redistributor_regions=regions,
            a3v=profile.features.a3v,
            rss=rss,
            one_of_n=one_of_n,
            lpis=lpis,
            lpi_id_bits=lpi_id_bits,
            extended_spis=extended_spis,
            extended_ppis=extended_ppis,
            nmi=nmi,
            list_registers=list_registers,
        )
        self.cpus = range(len(topology))
        self.heard = Recorder()
        self.gic = vgic.Gic(self.config, lines=self.heard, observer=self.heard, memory=memory)

    # Registers.

    def read(self, address: int, size: int = 4) -> int:
        value = self.gic.read(address, size)
        self.gic.check()
        return value

    def write(self, address: int, value: int, size: int = 4) -> None:
        self.gic.write(address, size, value)
        self.gic.check()

    def gicd(self, offset: int, size: int = 4) -> int:
        return self.read(self.config.gicd_base + offset, size)

    def set_gicd(self, offset: int, value: int, size: int = 4) -> None:
        self.write(self.config.gicd_base + offset, value, size)

    def gicr(self, offset: int, size: int = 4, cpu: int = 0) -> int:
        return self.read(self.gic.redistributor_bases[cpu] + offset, size)

    def set_gicr(self, offset: int, value: int, size: int = 4, cpu: int = 0) -> None:
        self.write(self.gic.redistributor_bases[cpu] + offset, value, size)

    def mrs(self, register: int, cpu: int = 0) -> int:
        value = self.gic.sysreg_read(cpu, register)
        self.gic.check()
        return value

    def msr(self, register: int, value: int, cpu: int = 0, secure: bool = False) -> None:
        self.gic.sysreg_write(cpu, register, value, secure)
        self.gic.check()

    # One interrupt's bits in the bank registers, wherever its bank is.

    def bank(self, intid: int, cpu: int = 0) -> int:
        """Address of the frame with the bank registers of an INTID."""
        if intid < 32 or 1056 <= intid < 4096:
            return self.gic.redistributor_bases[cpu] + GICR.SGI_BASE
        return self.config.gicd_base

    def register(self, array: int, intid: int, bits: int, cpu: int = 0) -> int:
        """Address in an array that has so many bits for each INTID: of the byte in which those of one begin."""
        first = 0
        if intid >= 4096:
            array, first = EXTENDED[array], 4096
        elif intid >= 1056:
            first = 1024
        return self.bank(intid, cpu) + array + (intid - first) * bits // 8

    def word(self, array: int, intid: int, cpu: int = 0, bits: int = 1) -> int:
        """Address of the 32-bit register of an array where an INTID has its bits."""
        return self.register(array, intid, bits, cpu) & ~3

    def bit(self, register: int, intid: int, cpu: int = 0) -> int:
        return self.read(self.word(register, intid, cpu)) >> intid % 32 & 1

    def set_bit(self, register: int, intid: int, cpu: int = 0) -> None:
        """Write 1 to the bit of one interrupt and 0 to the others'."""
        self.write(self.word(register, intid, cpu), 1 << intid % 32)

    def set_group(self, intid: int, group: int, cpu: int = 0) -> None:
        address = self.word(BANK.IGROUPR, intid, cpu)
        self.write(address, self.read(address) & ~(1 << intid % 32) | group << intid % 32)

    def set_priority(self, intid: int, priority: int, cpu: int = 0) -> None:
        self.write(self.register(BANK.IPRIORITYR, intid, 8, cpu), priority, 1)

    def set_edge(self, intid: int, edge: bool, cpu: int = 0) -> None:
        address = self.word(BANK.ICFGR, intid, cpu, bits=2)
        shift = 2 * (intid % 16)
        self.write(address, self.read(address) & ~(0b10 << shift) | edge << shift + 1)

    def route(self, intid: int, irouter: int) -> None:
        self.write(self.register(GICD.IROUTER, intid, 64), irouter, 8)

    # What an operating system does.

    def boot(self) -> "Guest":
        """Wake every vCPU and let every priority of both groups through."""
        self.set_gicd(GICD.CTLR, 0b11)
        for cpu in self.cpus:
            self.set_gicr(GICR.WAKER, 0, cpu=cpu)
            self.boot_interface(cpu)
        return self

    def boot_interface(self, cpu: int = 0) -> None:
        self.msr(vgic.ICC_PMR_EL1, 0xFF, cpu)
        for register in _IGRPEN:
            self.msr(register, 1, cpu)

    def setup(
        self, *intids: int, priority: int = DEFAULT_PRIORITY, group: int = 1, edge: bool = False, cpu: int = 0
    ) -> None:
        """Configure and enable interrupts; SPIs keep the route that they have."""
        for intid in intids:
            self.set_group(intid, group, cpu)
            self.set_priority(intid, priority, cpu)
            if intid >= 16:
                self.set_edge(intid, edge, cpu)
            self.set_bit(BANK.ISENABLER, intid, cpu)

    def line(self, intid: int, level: bool, cpu: int = 0) -> None:
        self.gic.interrupt(cpu, intid).set_level(level)
        self.gic.check()

    def pulse(self, intid: int, cpu: int = 0) -> None:
        self.line(intid, True, cpu)
        self.line(intid, False, cpu)

    def ack(self, cpu: int = 0, group: int = 1) -> int:
        return self.mrs(_IAR[group], cpu)

    def eoi(self, intid: int, cpu: int = 0, group: int = 1) -> None:
        self.msr(_EOIR[group], intid, cpu)

    def take(self, intid: int, cpu: int = 0, group: int = 1) -> None:
        """Acknowledge, and insist that it is this interrupt."""
        assert self.ack(cpu, group) == intid

    def irq(self, cpu: int = 0) -> bool:
        return self.gic.outputs(cpu)[0]

    def fiq(self, cpu: int = 0) -> bool:
        return self.gic.outputs(cpu)[1]

    def enable_group(self, group: int, enabled: bool, cpu: int = 0) -> None:
        self.msr(_IGRPEN[group], int(enabled), cpu)
