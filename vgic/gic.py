"""A VM's GICv3: the object that an emulator embeds.

    gic = vgic.Gic(vgic.Config(topology=vgic.Topology.kvm(4)), lines=my_cpus)
    gic.read(0x0800_0004, 4)                           # a guest's load from GICD_TYPER
    gic.sysreg_write(0, vgic.ICC_PMR_EL1, 0xF0)        # a guest's MSR on vCPU 0
    gic.spi(42).set_level(True)                        # a device raises its line
    gic.msi(0x10, 3)                                   # a device writes to the ITS, where the Config has one
    intid = gic.sysreg_read(0, vgic.ICC_IAR1_EL1)

Nothing that a guest does raises: an access that the GIC does not take reads as zero, changes nothing, and is told
to the observer. The embedder's own mistakes (a vCPU or INTID that the VM does not have) raise ConfigError.
"""

from collections.abc import Mapping
from typing import NamedTuple

from mypy_extensions import i64

from mmio import ILLEGAL, AddressMap, FrameArray
from vgic import affinity
from vgic.config import REDISTRIBUTOR_SIZE, Config
from vgic.cpu_interface.interface import CpuInterface, LineSink
from vgic.cpu_interface.pending import INTID_BITS, INTID_MASK, NO_KEY
from vgic.cpu_interface.sysregs import SystemRegisters
from vgic.distributor.frame import Distributor, distributor_frame
from vgic.distributor.one_of_n import OneOfN
from vgic.distributor.spis import SharedInterrupts
from vgic.errors import ConfigError
from vgic.handles import Interrupt, Lpi, Spi
from vgic.interrupts.banks import InterruptBank, PrivateInterrupts
from vgic.interrupts.delivery import Forwarder
from vgic.intids import FIRST_LPI, FIRST_PPI, FIRST_SPI
from vgic.its.commands import Targets
from vgic.its.device import Its, MsiResult, its_frames
from vgic.its.state import check_its
from vgic.layouts import icc
from vgic.lpis.bank import LpiBank, LpiConfiguration
from vgic.lpis.rescanning import RescanningLpiBank
from vgic.lpis.tables import ConfigurationTable, PendingTable
from vgic.memory import GuestMemory, NoMemory
from vgic.observer import IllegalSysReg, ItsObserver, Observer
from vgic.redistributor.frame import Redistributor, redistributor_frames
from vgic.redistributor.sgi import ASGI1R, SGI0R, SGI1R, SgiGenerator
from vgic.state.invariants import check
from vgic.state.registers import Parts
from vgic.state.saving import SavedState, load, rehearse, save
from vgic.topology import NO_VCPU, AffinityIndex

__all__ = ["ASGI1R", "SGI0R", "SGI1R", "Gic", "IllegalSysReg", "Observer", "Pending"]


class Pending(NamedTuple):
    """The highest priority pending interrupt of a PE."""

    intid: int
    group: int
    priority: int


class Gic:
    """A distributor, and a redistributor and CPU interface for every vCPU.

    `lines` is told when a vCPU's IRQ or FIQ output changes, `observer` of accesses without effect. `memory` is the
    guest's RAM, where the tables of its LPIs and ITSes are. An observer with the method of `ItsObserver` is told of
    commands that an ITS did not obey, too.
    """

    def __init__(
        self,
        config: Config,
        lines: LineSink | None = None,
        observer: Observer | None = None,
        memory: GuestMemory | None = None,
    ) -> None:
        self.config = config
        self.memory: GuestMemory = NoMemory() if memory is None else memory
        """The guest's RAM."""
        self._observer = observer
        profile = config.profile
        cpus = range(len(config.topology))
        self._vcpus: i64 = len(config.topology)
        self._affinities = AffinityIndex(config.topology)
        self._interfaces = [CpuInterface(cpu, profile, config.priority_bits, lines) for cpu in cpus]
        self._forwarder = Forwarder(self._interfaces)
        bits = config.priority_bits if profile.stored_priority_bits is None else profile.stored_priority_bits
        priority_mask = 0xFF00 >> bits & 0xFF
        records_line = profile.edge_records_line
        self._private = [PrivateInterrupts(cpu, priority_mask, records_line, self._forwarder) for cpu in cpus]
        one_of_n = OneOfN(self._interfaces, config.one_of_n_choice == "rotate")
        self._shared = SharedInterrupts(config, priority_mask, self._forwarder, self._affinities, one_of_n)
        self._forwarder.connect(self._shared)
        self._reset_groups()
        self._lpis = self._lpi_banks() if config.features.lpis else [None] * len(cpus)
        for interface, private, lpis in zip(self._interfaces, self._private, self._lpis, strict=True):
            interface.connect(private, self._shared, lpis, self._forwarder)

        self.map = AddressMap(observer)
        """The address map; `str(gic.map)` prints it."""
        self._distributor = Distributor(self._shared, config)
        frame = distributor_frame(config)
        self.map.add(FrameArray("GICD", config.gicd_base, [frame], [self._distributor], ["GICD"]))
        self.redistributor_bases: list[int] = []
        """The address of each vCPU's RD_base frame."""
        self._redistributors: list[Redistributor] = []
        self._place_redistributors()
        self._its: list[Its] = []
        self._place_its()
        self._sgis = SgiGenerator(self._affinities, self._private, self._forwarder, config)
        self._sysregs = SystemRegisters(config, self._sgis)

    def _reset_groups(self) -> None:
        profile = self.config.profile
        for bank in (self._shared, *self._private):
            for word in bank.words:
                word.group1 = word.implemented if profile.reset_group else 0
        if profile.spis_edge_at_reset:
            for word in self._shared.words:
                word.edge = word.implemented
        for private in self._private:
            word = private.words[0]
            word.edge = 0xFFFF  # SGIs
            word.enabled = 0xFFFF if profile.sgis_enabled_at_reset else 0

    def _lpi_banks(self) -> list[LpiBank | None]:
        config, choices = self.config, self.config.profile.lpi
        bits = config.priority_bits if choices.priority_bits is None else choices.priority_bits
        configuration = LpiConfiguration()
        kind = RescanningLpiBank if choices.rescans else LpiBank
        table = ConfigurationTable(config.lpi_id_bits, self.memory)
        banks: list[LpiBank | None] = []
        for cpu in range(len(config.topology)):
            if cpu and not choices.one_propbaser:
                table = ConfigurationTable(config.lpi_id_bits, self.memory)
            pending = PendingTable(self.memory)
            pending.register = choices.pendbaser_reset
            table.set_register(choices.propbaser_reset)
            banks.append(kind(cpu, self._forwarder, configuration, table, pending, bits, choices))
        return banks

    def _place_redistributors(self) -> None:
        config, topology = self.config, self.config.topology
        for region in config.redistributor_regions:
            for slot in range(region.count):
                if len(self.redistributor_bases) < len(topology):
                    self.redistributor_bases.append(region.base + slot * REDISTRIBUTOR_SIZE)
        # The last one of a contiguous run is the one that no other follows, whatever region either is in.
        taken = set(self.redistributor_bases)
        for cpu, base in enumerate(self.redistributor_bases):
            last = base + REDISTRIBUTOR_SIZE not in taken
            parts = self._private[cpu], self._interfaces[cpu], self._lpis[cpu]
            self._redistributors.append(Redistributor(*parts, self._affinities, config, last))
        frames = redistributor_frames(config)
        placed = 0
        for number, region in enumerate(config.redistributor_regions):
            here = range(placed, min(placed + region.count, len(topology)))
            placed = here.stop
            if here:
                owners = [self._redistributors[cpu] for cpu in here]
                labels = [f"GICR[{affinity.text(topology.affinities[cpu])}]" for cpu in here]
                self.map.add(FrameArray(f"GICR region {number}", region.base, frames, owners, labels))

    def _place_its(self) -> None:
        config = self.config
        if not config.its:
            return
        observer = self._observer if isinstance(self._observer, ItsObserver) else None
        banks = [bank for bank in self._lpis if bank is not None]
        by_address = config.profile.its.typer.get("PTA", 0) != 0
        targets = Targets(banks, self.redistributor_bases, config.topology.processors, by_address)
        frames = its_frames(config)
        for number, base in enumerate(config.its):
            its = Its(number, config, self.memory, targets, observer)
            label = f"GITS[{number}]" if len(config.its) > 1 else "GITS"
            self._its.append(its)
            self.map.add(FrameArray(label, base, frames, [its], [label]))

    # What a guest does.

    def read(self, address: int, size: int, cpu: int = 0, secure: bool = False) -> int:
        """A load of `size` bytes (1, 2, 4 or 8) from `address` by vCPU `cpu`, zero-extended. Never raises."""
        return self.map.read(address, size, secure)

    def write(self, address: int, size: int, value: int, cpu: int = 0, secure: bool = False) -> None:
        """A store of the low `size` bytes of `value` to `address` by vCPU `cpu`. Never raises."""
        self.map.write(address, size, value, secure)

    def sysreg_read(self, cpu: i64, register: int, secure: bool = False) -> int:
        """An MRS of an ICC register (`vgic.ICC_*`, 64 bits) on vCPU `cpu`; 0 where `sysreg_defined` is False.

        With one Security state a read is the same whether `secure` or not. Raises ConfigError for a vCPU that the
        VM does not have.
        """
        value = self._sysregs.read(self.interface(cpu), register)
        if value != ILLEGAL:
            return value
        if self._observer is not None:
            self._observer.illegal_sysreg(IllegalSysReg(cpu, register, None))
        return 0

    def sysreg_write(self, cpu: i64, register: int, value: int, secure: bool = False) -> None:
        """An MSR of an ICC register on vCPU `cpu`; ignored where `sysreg_defined` is False.

        Raises ConfigError for a vCPU that the VM does not have.
        """
        taken = self._sysregs.write(self.interface(cpu), register, value, secure)
        if not taken and self._observer is not None:
            self._observer.illegal_sysreg(IllegalSysReg(cpu, register, value))

    def sysreg_defined(self, register: int, write: bool) -> bool:
        """False where the access is UNDEFINED, and the emulator should inject the exception instead."""
        return self._sysregs.defined(register, write)

    # What devices and firmware do.

    def spi(self, intid: int) -> Spi:
        """The SPI of this INTID, 32 and up. Raises ConfigError where the VM does not have it."""
        self._check_spi(intid)
        return Spi(intid, self._shared)

    def ppi(self, cpu: int, intid: int) -> Interrupt:
        """The PPI of this INTID, 16 to 31, of a vCPU. Raises ConfigError where the VM does not have it."""
        if not FIRST_PPI <= intid < FIRST_SPI:
            raise ConfigError(f"no PPI {intid}: PPIs are INTIDs 16 to 31")
        return Interrupt(intid, self._private[self.interface(cpu).cpu])

    def interrupt(self, cpu: int, intid: int) -> Interrupt:
        """The interrupt that vCPU `cpu` knows by this INTID. Raises ConfigError where there is none."""
        if 0 <= intid < FIRST_SPI:
            return Interrupt(intid, self._private[self.interface(cpu).cpu])
        return self.spi(intid)

    def lpi(self, cpu: int, intid: int) -> Lpi:
        """The LPI of this INTID, 8192 and up, at the Redistributor of a vCPU.

        Raises ConfigError where the VM has no LPIs, or none with so many bits, or no such vCPU.
        """
        bank = self.lpis(cpu)
        if not FIRST_LPI <= intid < 1 << self.config.lpi_id_bits:
            last = (1 << self.config.lpi_id_bits) - 1
            raise ConfigError(f"no LPI {intid}: this VM's LPIs are INTIDs {FIRST_LPI} to {last}")
        return Lpi(intid, bank)

    def bank(self, cpu: int, intid: int) -> InterruptBank:
        """The raw state of vCPU `cpu`'s private interrupts or of the SPIs, whichever have this INTID.

        Raises ConfigError where there is none. Past the rules for guests; for what saves and restores a VM.
        """
        if 0 <= intid < FIRST_SPI:
            return self._private[self.interface(cpu).cpu]
        self._check_spi(intid)
        return self._shared

    def _check_spi(self, intid: int) -> None:
        last = FIRST_SPI - 1 + int(self._shared.count)
        if not FIRST_SPI <= intid <= last:
            there = (
                f"this VM's SPIs are INTIDs {FIRST_SPI} to {last}" if self._shared.count else "this VM has no SPIs"
            )
            raise ConfigError(f"no SPI {intid}: {there}")

    def its(self, number: int = 0) -> Its:
        """An ITS, counted as in `Config.its`. Raises ConfigError where the VM does not have it."""
        if not 0 <= number < len(self._its):
            raise ConfigError(f"no ITS {number}: this VM has {len(self._its)}")
        return self._its[number]

    def msi(self, device_id: int, event_id: int, its: int = 0) -> MsiResult:
        """A device writes an EventID to GITS_TRANSLATER of an ITS; whether the LPI is pending now, or why not.

        Raises ConfigError for an ITS that the VM does not have, and an id of more bits than the ITS has.
        """
        target = self.its(its)
        # What is left of a number without the bits that the ITS has; negative ones leave -1.
        if device_id >> target.device_bits:
            raise ConfigError(f"DeviceID {device_id:#x}: the ITS has {target.device_bits} bits of it")
        if event_id >> target.event_bits:
            raise ConfigError(f"EventID {event_id:#x}: the ITS has {target.event_bits} bits of it")
        return target.msi(device_id, event_id)

    def lpis(self, cpu: int) -> LpiBank:
        """The LPIs of a vCPU's Redistributor. Raises ConfigError where the VM has none, or no such vCPU."""
        bank = self._lpis[self.interface(cpu).cpu]
        if bank is None:
            raise ConfigError("this VM has no LPIs")
        return bank

    def reset_cpu(self, cpu: int) -> None:
        """Reset vCPU `cpu`, as PSCI CPU_ON does: its CPU interface, not its redistributor. Raises ConfigError."""
        self.interface(cpu).reset()

    def write_mpidr(self, cpu: int, value: int) -> None:
        """The VMM writes MPIDR_EL1 (64 bits) of a vCPU; every view of its affinity follows at once.

        Raises AffinityError, and changes nothing, where another vCPU has the affinity (see `write_mpidrs`) or the
        VM cannot show its Aff3; ConfigError for a vCPU that the VM does not have.
        """
        self.write_mpidrs({cpu: value})

    def write_mpidrs(self, values: Mapping[int, int]) -> None:
        """`write_mpidr` for several vCPUs at once, so that they may exchange affinities."""
        changes = {self.interface(cpu).cpu: affinity.from_mpidr(value) for cpu, value in values.items()}
        self.config.check_aff3(changes.items())
        self._shared.move_vcpus(changes)

    # What an embedder or a tool asks.

    def mpidr(self, cpu: int) -> int:
        """MPIDR_EL1 (64 bits) of a vCPU. Raises ConfigError."""
        return affinity.to_mpidr(self.affinity(cpu))

    def affinity(self, cpu: int) -> int:
        """The packed affinity of a vCPU. Raises ConfigError."""
        return self._affinities.affinities[self.interface(cpu).cpu]

    def find(self, packed: int) -> int:
        """The vCPU that has this packed affinity now, -1 where there is none; O(1)."""
        return self._affinities.find(packed) if 0 <= packed <= 0xFFFF_FFFF else NO_VCPU

    def wake_request(self, cpu: int) -> bool:
        """True where a sleeping vCPU has an interrupt waiting: the power controller should wake it up."""
        return self.interface(cpu).wake_request()

    def outputs(self, cpu: int) -> tuple[bool, bool]:
        """The IRQ and FIQ outputs of a vCPU. Raises ConfigError."""
        interface = self.interface(cpu)
        return interface.irq, interface.fiq

    def highest_pending(self, cpu: int) -> Pending | None:
        """The interrupt that a vCPU would be offered, whatever its PMR and running priority. Raises ConfigError."""
        interface = self.interface(cpu)
        key = interface.best_key
        if key == NO_KEY:
            return None
        return Pending(key & INTID_MASK, interface.best_group, key >> INTID_BITS)

    def sgi_targets(self, cpu: int, register: int, value: int, secure: bool = False) -> list[int]:
        """The vCPUs at which `value`, written by `cpu` to `SGI1R`, `ASGI1R` or `SGI0R`, makes an SGI pending."""
        return self._sgis.targets(self.interface(cpu).cpu, register, value & icc.SGI1R.writable, secure)

    def interface(self, cpu: i64) -> CpuInterface:
        """The CPU interface of a vCPU. Raises ConfigError for one that the VM does not have."""
        if 0 <= cpu < self._vcpus:
            return self._interfaces[cpu]
        raise self._no_vcpu(cpu)

    def _no_vcpu(self, cpu: int) -> ConfigError:
        return ConfigError(f"no vCPU {cpu}: this VM has vCPUs 0 to {self._vcpus - 1}")

    # Save and restore.

    def save(self) -> SavedState:
        """The state of the VM as plain data; see `vgic.state.saving`. `vgic.State` keeps it in a file.

        To be called between operations: within a callback of `lines` an operation is half done.
        """
        return save(self._parts)

    def restore(self, state: Mapping[str, object]) -> None:
        """Continue from what `save` returned, in this VM or another that is the same; `lines` hears of changes.

        The registers may come in any order. Raises StateError naming the register and value, and changes nothing,
        where this VM cannot have that state.
        """
        registers = rehearse(Gic(self.config)._parts, state)
        load(self._parts, registers)

    @property
    def _parts(self) -> Parts:
        devices = self._distributor, self._redistributors, self._sysregs, self._its
        return Parts(self.config, self._affinities, *devices)

    def check(self) -> None:
        """Raise InvariantError where the state contradicts itself: a defect of the model, whatever a guest did."""
        check(self._interfaces, self._shared, self._private, self._lpis, self._forwarder)
        for its in self._its:
            check_its(its)
