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

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final, NamedTuple

from mypy_extensions import i64

from mmio import ILLEGAL
from vgic import affinity
from vgic.arguments import check_instance, check_protocols
from vgic.assembly import Machine
from vgic.bits import signed, unsigned
from vgic.config import Config
from vgic.cpu_interface.hypervisor_registers import HypervisorRegisters
from vgic.cpu_interface.interface import CANDIDATES, PREEMPTION, SELECTABLE, CpuInterface, LineSink
from vgic.cpu_interface.nmi import signals_nmi
from vgic.cpu_interface.pe_state import PeState
from vgic.cpu_interface.pending import INTID_MASK, NO_KEY, priority_of
from vgic.cpu_interface.reach import Reach, reach_of
from vgic.cpu_interface.virtual_control import VirtualControl
from vgic.distributor.spis import SharedInterrupts, move_vcpus
from vgic.errors import ConfigError, not_copied
from vgic.handles import Interrupt, Lpi, MaintenanceInterrupt, Spi
from vgic.interrupts.banks import InterruptBank
from vgic.intids import FIRST_EXTENDED_PPI, FIRST_EXTENDED_SPI, FIRST_LPI, FIRST_PPI, FIRST_SPI
from vgic.its.device import Its, MsiResult
from vgic.layouts.ich import ICH_HCR_EL2
from vgic.lpis.bank import LpiBank
from vgic.memory import GuestMemory, NoMemory
from vgic.observer import IllegalSysReg, Observer
from vgic.state.invariants import check
from vgic.state.saving import SavedState, load, rehearse, save
from vgic.topology import NO_VCPU

__all__ = ["Gic", "IllegalSysReg", "Observer", "Pending"]

_EL2: Final = 2
_EL3: Final = 3


class Pending(NamedTuple):
    """The highest priority pending interrupt of a PE."""

    intid: int
    group: int
    """With two Security states 1 is Non-secure Group 1, 2 Secure Group 1."""
    priority: int


class Gic:
    """A distributor, and a redistributor and CPU interface for every vCPU.

    `lines` is told when a vCPU's IRQ or FIQ output changes, `observer` of accesses without effect. `memory` is the
    guest's RAM, where the tables of its LPIs and ITSes are. An observer with the method of `ItsObserver` is told of
    commands that an ITS did not obey, too, and one with that of `WakeObserver` of interrupts for PEs that sleep.
    Raises ConfigError where one of them lacks a method of its protocol.
    """

    def __init__(
        self,
        config: Config,
        lines: LineSink | None = None,
        observer: Observer | None = None,
        memory: GuestMemory | None = None,
    ) -> None:
        check_instance("config", config, Config, "Config(Topology.kvm(4)) is one")
        check_protocols(lines, observer, memory)
        self.config = config
        self.memory: GuestMemory = NoMemory() if memory is None else memory
        """The guest's RAM."""
        self._observer = observer
        machine = Machine(config, lines, observer, self.memory)
        self._machine = machine
        self.map = machine.map
        """The address map; `str(gic.map)` prints it."""
        self.redistributor_bases = machine.redistributor_bases
        """The address of each vCPU's RD_base frame."""
        # What a guest's accesses and an embedder's calls need, at hand.
        self._vcpus: i64 = len(config.topology)
        self._two_states = config.two_states
        self._affinities = machine.affinities
        self._interfaces = machine.interfaces
        self._private = machine.private
        self._shared = machine.shared
        self._extended_ppis = machine.extended_ppis
        self._extended_spis = machine.extended_spis
        self._sysregs = machine.sysregs

    def __repr__(self) -> str:
        config, features = self.config, self.config.features
        parts = [f"{self._vcpus} vCPU{'s' if self._vcpus != 1 else ''}", f"{config.spis} SPIs"]
        for count, what in ((config.extended_spis, "SPIs"), (config.extended_ppis, "PPIs")):
            if count:
                parts.append(f"{count} extended {what}")
        if config.nmi:
            parts.append("NMIs")
        if config.two_states:
            parts.append("two Security states")
        if config.list_registers:
            parts.append(f"{config.list_registers} list register{'s' if config.list_registers != 1 else ''}")
        if features.lpis:
            parts.append("LPIs")
        if config.its:
            parts.append(f"{len(config.its)} ITS{'es' if len(config.its) > 1 else ''}")
        return f"<Gic {config.profile.name}: {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        from vgic.notebook import gic_html

        return gic_html(self)

    def __reduce_ex__(self, protocol: object) -> str:
        raise not_copied(self)

    # What a guest does.

    def read(self, address: int, size: int, cpu: int | None = None, secure: bool = False) -> int:
        """A load of `size` bytes (1, 2, 4 or 8) from `address`, zero-extended. Never raises.

        With affinity routing a register is the same for every PE, so `cpu`, the vCPU that does it, is only told to
        the observer where the access has no effect. `secure` is the access's Security state, which counts where
        there are two (rules SEC-1 to SEC-8).
        """
        value = self.map.try_read(address, size, secure)
        if value < 0:
            self.map.report(address, size, None, secure, cpu)
            return 0
        return value

    def write(self, address: int, size: int, value: int, cpu: int | None = None, secure: bool = False) -> None:
        """A store of the low `size` bytes of `value` to `address`; `cpu`, `secure` as in `read`. Never raises."""
        if not self.map.try_write(address, size, value, secure):
            self.map.report(address, size, value, secure, cpu)

    def sysreg_read(self, cpu: i64, register: int, secure: bool = False) -> int:
        """An MRS of an ICC register (`vgic.ICC_*`, 64 bits) on vCPU `cpu`; 0 where `sysreg_defined` is False.

        With one Security state a read is the same whether `secure` or not; with two the PE's state counts
        (`set_pe_state`), and `secure` does not. Raises ConfigError for a vCPU that the
        VM does not have.
        """
        value = self._sysregs.read(self._interface(cpu), register)
        # Bit 63 makes a value negative; all 64 bits no register has.
        if value >= 0:
            return value
        if value != ILLEGAL:
            return unsigned(value)
        return self._read_other(cpu, register) or 0

    def sysreg_write(self, cpu: i64, register: int, value: int, secure: bool = False) -> None:
        """An MSR of an ICC register on vCPU `cpu`; ignored where `sysreg_defined` is False.

        Raises ConfigError for a vCPU that the VM does not have.
        """
        if not self._sysregs.write(self._interface(cpu), register, value, secure):
            self._write_other(cpu, register, value)

    def mrs(self, cpu: int, register: int, secure: bool = False) -> int | None:
        """`sysreg_read`, but None where the access is UNDEFINED and the emulator should inject the exception."""
        value = self._sysregs.read(self.interface(cpu), register)
        if value != ILLEGAL:
            return unsigned(value)
        return self._read_other(cpu, register)

    def msr(self, cpu: int, register: int, value: int, secure: bool = False) -> bool:
        """`sysreg_write`, and False where the access is UNDEFINED and the emulator should inject the exception."""
        if self._sysregs.write(self.interface(cpu), register, value, secure):
            return True
        return self._write_other(cpu, register, value)

    def sysreg_defined(self, register: int, write: int, cpu: int = 0) -> bool:
        """False where the access is UNDEFINED, and the emulator should inject the exception; see also `mrs`.

        With two Security states or a virtual CPU interface that depends on the state that vCPU `cpu` is in. Raises
        ConfigError for one that the VM does not have.
        """
        if self._sysregs.defined(self.interface(cpu), register, write != 0):
            return True
        hypervisor = self._hypervisor_registers(cpu)
        return hypervisor is not None and hypervisor.defined(register, write != 0)

    def _hypervisor_registers(self, cpu: int) -> HypervisorRegisters | None:
        """Those of a hypervisor, where the PE is at an Exception level that has them (rule VCPU-2)."""
        return self._machine.hypervisor_registers if self.interface(cpu).el >= _EL2 else None

    def _read_other(self, cpu: int, register: int) -> int | None:
        """Read a register that is none of the CPU interface's: a hypervisor's, or None and the observer is told."""
        hypervisor = self._hypervisor_registers(cpu)
        if hypervisor is not None:
            value = hypervisor.read(self._machine.controls[cpu], register)
            if value != ILLEGAL:
                return value
        if self._observer is not None:
            self._observer.illegal_sysreg(IllegalSysReg(cpu, register, None))
        return None

    def _write_other(self, cpu: int, register: int, value: int) -> bool:
        """Write one, or return False and the observer is told."""
        hypervisor = self._hypervisor_registers(cpu)
        if hypervisor is not None and hypervisor.write(self._machine.controls[cpu], register, value):
            return True
        if self._observer is not None:
            self._observer.illegal_sysreg(IllegalSysReg(cpu, register, value))
        return False

    # What the guest of a hypervisor does.

    def icv_read(self, cpu: int, register: int) -> int:
        """An MRS of an ICC register (`vgic.ICC_*`, 64 bits) that reaches the virtual CPU interface of vCPU `cpu`.

        0 where that has no such register, and the observer is told. Raises ConfigError for a vCPU that the VM does
        not have, and where the VM has no list registers.
        """
        control, registers = self.virtual_control(cpu), self._machine.virtual_registers
        value: int = ILLEGAL if registers is None else registers.read(control.interface, register)
        if value != ILLEGAL:
            return unsigned(value)
        if self._observer is not None:
            self._observer.illegal_sysreg(IllegalSysReg(cpu, register, None))
        return 0

    def icv_write(self, cpu: int, register: int, value: int) -> None:
        """An MSR of one; ignored where there is no such register, the observer is told. Raises as `icv_read`."""
        control, registers = self.virtual_control(cpu), self._machine.virtual_registers
        taken = registers is not None and registers.write(control.interface, register, value)
        if not taken and self._observer is not None:
            self._observer.illegal_sysreg(IllegalSysReg(cpu, register, value))

    def set_pe_state(self, cpu: int, state: PeState) -> None:
        """The PE of vCPU `cpu` is in this state from now on; its outputs follow (rule PE-1).

        With two Security states an embedder tells every change of the Exception level, of the Security state and of
        the bits of SCR_EL3 and HCR_EL2 that `PeState` has, before the access or the look at the outputs that it
        concerns. Until then such a PE is in EL3, Secure. With one Security state only what there is for a
        hypervisor depends on it: whether the PE has its registers, and which CPU interface EL1 reaches. Until it is
        told such a PE is in EL2 where there is a virtual one, and else in EL1.
        Raises ConfigError for a vCPU that the VM does not have, or what is no PeState.
        """
        check_instance("state", state, PeState, "PeState(el=1, secure=False) is one")
        interface = self.interface(cpu)
        interface.set_pe_state(state)
        if interface.virtual is not None:
            interface.virtual.pe = state

    def sysreg_reach(self, cpu: int, register: int) -> Reach:
        """What an access of a system register by vCPU `cpu`, in the state that its PE is in, reaches, or traps to.

        What is UNDEFINED there (`sysreg_defined`) is so before, and is not for this to tell.
        `sysreg_read` and `sysreg_write` go to the virtual CPU interface where that is what is reached, and do not
        trap: who executes the PE does so before. Raises ConfigError. Rules VCPU-19 and VCPU-20.
        """
        interface, controls = self.interface(cpu), 0
        if self._machine.hypervisor_registers is not None:
            controls = self._machine.hypervisor_registers.read(self._machine.controls[cpu], ICH_HCR_EL2)
        return reach_of(interface.pe, interface.face(), register, controls)

    def pe_state(self, cpu: int) -> PeState:
        """The state of a vCPU's PE, as it was told. Raises ConfigError."""
        return self.interface(cpu).pe

    # What devices and firmware do.

    def spi(self, intid: int) -> Spi:
        """The SPI of this INTID, 32 and up, or 4096 and up. Raises ConfigError where the VM does not have it."""
        return Spi(intid, self._spis_with(intid))

    def ppi(self, cpu: int, intid: int) -> Interrupt:
        """The PPI of this INTID, 16 to 31 or 1056 and up, of a vCPU. Raises ConfigError where there is none."""
        bank = self._private_with(self.interface(cpu).cpu, intid)
        if bank is None or intid < FIRST_PPI:
            also = ""
            if self.config.extended_ppis:
                also = f" and {FIRST_EXTENDED_PPI} to {FIRST_EXTENDED_PPI + self.config.extended_ppis - 1}"
            raise ConfigError(f"no PPI {intid}: PPIs are INTIDs 16 to 31{also}")
        if self._machine.controls and intid == self.config.maintenance_intid:
            return MaintenanceInterrupt(intid, bank)
        return Interrupt(intid, bank)

    def interrupt(self, cpu: int, intid: int) -> Interrupt:
        """The interrupt that vCPU `cpu` knows by this INTID. Raises ConfigError where there is none."""
        bank = self._private_with(self.interface(cpu).cpu, intid)
        if bank is None:
            return self.spi(intid)
        return self.ppi(cpu, intid) if intid >= FIRST_PPI else Interrupt(intid, bank)

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
        return self._private_with(self.interface(cpu).cpu, intid) or self._spis_with(intid)

    def has(self, intid: int) -> bool:
        """True where a vCPU knows an interrupt by this INTID that is no LPI: an SGI, PPI or SPI of this VM."""
        return intid in self.intids(private=True) or intid in self.intids(private=False)

    def intids(self, private: bool) -> Iterator[int]:
        """The INTIDs of what each PE has of its own, or of the SPIs; `interrupt` and `spi` take them."""
        ranges = [(0, FIRST_SPI), (FIRST_EXTENDED_PPI, self.config.extended_ppis)]
        if not private:
            ranges = [(FIRST_SPI, self.config.spis), (FIRST_EXTENDED_SPI, self.config.extended_spis)]
        return chain.from_iterable(range(first, first + count) for first, count in ranges)

    def stored_sysreg(self, cpu: int, register: int) -> int:
        """What is stored behind an ICC register of vCPU `cpu`, which a read need not show; 0 where nothing is.

        Raises ConfigError for a vCPU that the VM does not have. Past the rules for guests, as `bank`.
        """
        interface, stored = self.interface(cpu), self._sysregs.stored_at(self.interface(cpu), register)
        return 0 if stored is None else unsigned(stored.saved(interface))

    def keep_sysreg(self, cpu: int, register: int, value: int) -> None:
        """Store what `stored_sysreg` returned once, here or in another VM. Raises as it does."""
        interface, stored = self.interface(cpu), self._sysregs.stored_at(self.interface(cpu), register)
        if stored is not None:
            stored.keep(interface, signed(value & stored.kept))
            interface.find_derived()
            interface.settle(CANDIDATES | PREEMPTION | SELECTABLE)

    def _private_with(self, cpu: i64, intid: int) -> InterruptBank | None:
        """The bank of a vCPU's own interrupts that has this INTID, None where none has."""
        if 0 <= intid < FIRST_SPI:
            return self._private[cpu]
        bank = self._extended_ppis[cpu]
        if bank is not None and FIRST_EXTENDED_PPI <= intid < FIRST_EXTENDED_PPI + self.config.extended_ppis:
            return bank
        return None

    def _spis_with(self, intid: int) -> SharedInterrupts:
        """The bank of SPIs that has this INTID. Raises ConfigError where none has."""
        ranges = [bank for bank in (self._shared, self._extended_spis) if bank is not None and bank.count]
        for bank in ranges:
            # Compared as Python's integers, which `intid` may be too large for any other to be.
            first: int = bank.first
            if first <= intid < first + int(bank.count):
                return bank
        there = " and ".join(f"{bank.first} to {bank.first + bank.count - 1}" for bank in ranges)
        raise ConfigError(f"no SPI {intid}: this VM" + (f"'s SPIs are INTIDs {there}" if there else " has no SPIs"))

    def its(self, number: int = 0) -> Its:
        """An ITS, counted as in `Config.its`. Raises ConfigError where the VM does not have it."""
        if not 0 <= number < len(self._machine.itses):
            raise ConfigError(f"no ITS {number}: this VM has {len(self._machine.itses)}")
        return self._machine.itses[number]

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
        bank = self._machine.lpis[self.interface(cpu).cpu]
        if bank is None:
            raise ConfigError("this VM has no LPIs")
        return bank

    def reset_cpu(self, cpu: int) -> None:
        """Reset vCPU `cpu`, as PSCI CPU_ON does: its CPU interface, not its redistributor. Raises ConfigError."""
        self.interface(cpu).reset()
        if self._machine.controls:
            self._machine.controls[cpu].reset()

    def wake(self, cpu: int) -> None:
        """Clear GICR_WAKER.ProcessorSleep of a vCPU, as its firmware does before an OS runs. Raises ConfigError.

        In the profile `arch` each PE sleeps at reset, and is sent nothing while it does (rule RED-5).
        """
        self._machine.redistributors[self.interface(cpu).cpu].set_sleep(False)

    def wake_all(self) -> None:
        """`wake` every vCPU: for an embedder whose guest has no firmware to do so."""
        for cpu in range(self._vcpus):
            self.wake(cpu)

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
        move_vcpus(self._machine.spis, self._affinities, changes)

    # What an embedder or a tool asks.

    def mpidr(self, cpu: int) -> int:
        """MPIDR_EL1 (64 bits) of a vCPU. Raises ConfigError."""
        return affinity.to_mpidr(self.affinity(cpu))

    def affinity(self, cpu: int) -> int:
        """The packed affinity of a vCPU. Raises ConfigError."""
        return self._affinities.affinities[self.interface(cpu).cpu]

    def find(self, packed: int) -> int | None:
        """The vCPU that has this packed affinity now, None where there is none; O(1)."""
        cpu = self._affinities.find(packed) if 0 <= packed <= 0xFFFF_FFFF else NO_VCPU
        return None if cpu == NO_VCPU else int(cpu)

    def wake_request(self, cpu: int) -> bool:
        """True where a sleeping vCPU has an interrupt waiting: the power controller should wake it up."""
        return self.interface(cpu).wake_request()

    def outputs(self, cpu: int) -> tuple[bool, bool]:
        """The IRQ and FIQ outputs of a vCPU. Raises ConfigError."""
        interface = self.interface(cpu)
        return interface.irq, interface.fiq

    def virtual_outputs(self, cpu: int) -> tuple[bool, bool]:
        """The virtual IRQ and FIQ of a vCPU. Raises as `virtual_control` does."""
        interface = self.virtual_control(cpu).interface
        return interface.irq, interface.fiq

    def virtual_control(self, cpu: int) -> VirtualControl:
        """The virtual CPU interface of a vCPU, and what its hypervisor controls of it.

        Raises ConfigError for a vCPU that the VM does not have, and where the VM has no list registers.
        """
        number = self.interface(cpu).cpu
        if not self._machine.controls:
            raise ConfigError("this VM has no virtual CPU interface: its Config has no list_registers")
        return self._machine.controls[number]

    def highest_pending(self, cpu: int) -> Pending | None:
        """The interrupt that a vCPU would be offered, whatever its PMR and running priority. Raises ConfigError."""
        interface = self.interface(cpu)
        key = interface.best_key
        if key == NO_KEY:
            return None
        return Pending(key & INTID_MASK, interface.best_in.number, priority_of(key))

    def nmi(self, cpu: int) -> bool:
        """True where the IRQ output of a vCPU stands for an interrupt with superpriority (rule NMI-6).

        Where SCTLR_ELx.NMI is 1 the PE takes it also while PSTATE.I is 1, unless PSTATE.ALLINT is. A sink of lines
        that has the method of `NmiSink` is told of changes. Raises ConfigError.
        """
        return signals_nmi(self.interface(cpu))

    def virtual_nmi(self, cpu: int) -> bool:
        """True where the virtual IRQ of a vCPU stands for an interrupt with superpriority (rule VCPU-32).

        Of SCTLR_EL1.NMI and PSTATE.ALLINT the same holds as for `nmi`. A sink of lines that has the method of
        `VirtualNmiSink` is told of changes. Raises as `virtual_control` does.
        """
        return signals_nmi(self.virtual_control(cpu).interface)

    def sgi_targets(self, cpu: int, register: int, value: int, secure: bool = False) -> list[int]:
        """The vCPUs at which `value` (64 bits), written by `cpu`, would make an SGI pending; changes nothing.

        `register` is `vgic.ICC_SGI1R_EL1`, `ICC_ASGI1R_EL1` or `ICC_SGI0R_EL1`. Raises ConfigError for another
        one, or a vCPU that the VM does not have. With two Security states the PE's state counts, and `secure` does
        not, as in `sysreg_write`.
        """
        interface = self.interface(cpu)
        if self._two_states:
            secure = interface.pe.secure or interface.el == _EL3
        targets = self._machine.sgis.targets(interface.cpu, register, value, secure)
        return targets if self._sysregs.defined(interface, register, True) else []

    def interface(self, cpu: int) -> CpuInterface:
        """The CPU interface of a vCPU. Raises ConfigError for one that the VM does not have."""
        # Compared before it becomes a 64-bit integer, which one of any size need not fit.
        if 0 <= cpu < len(self._interfaces):
            return self._interface(cpu)
        raise self._no_vcpu(cpu)

    def _interface(self, cpu: i64) -> CpuInterface:
        """`interface`, on the way of every access to a system register."""
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
        return save(self._machine)

    def restore(self, state: Mapping[str, object]) -> None:
        """Continue from what `save` returned, in this VM or another that is the same; `lines` hears of changes.

        The registers may come in any order. Raises StateError naming the register and value, and changes nothing,
        where this VM cannot have that state.
        """
        registers = rehearse(Machine(self.config, None, None, NoMemory()), state)
        load(self._machine, registers)

    def check(self) -> None:
        """Raise InvariantError where the state contradicts itself: a defect of the model, whatever a guest did."""
        check(self._machine)
