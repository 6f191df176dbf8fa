"""How a machine is put together: from a Config to the devices of a GIC, connected and placed in the address map.

A CPU interface and a bank of private interrupts for every vCPU, the SPIs, and what forwards from the banks to the
interfaces; then, in the address map, the Distributor, the Redistributors and the ITSes, which drive those; and the
system registers. `vgic.gic` is what embedders call.
"""

from collections.abc import Iterator
from typing import Final

from mmio import AddressMap, FrameArray
from vgic import affinity
from vgic.config import Config
from vgic.cpu_interface.hypervisor_registers import HypervisorRegisters
from vgic.cpu_interface.interface import ActivationBank, CpuInterface, LineSink
from vgic.cpu_interface.nmi import NONSECURE_BEST, NmiInterface
from vgic.cpu_interface.nmi_sysregs import NmiSystemRegisters
from vgic.cpu_interface.nmi_virtual_registers import NmiVirtualRegisters
from vgic.cpu_interface.pe_state import AT_EL2_AFTER_RESET
from vgic.cpu_interface.sysregs import SystemRegisters
from vgic.cpu_interface.two_state_nmi_sysregs import TwoStateNmiSystemRegisters
from vgic.cpu_interface.two_state_nmis import TwoStateNmiInterface
from vgic.cpu_interface.two_state_sysregs import TwoStateSystemRegisters
from vgic.cpu_interface.two_states import TwoStateInterface
from vgic.cpu_interface.virtual import VirtualCpuInterface
from vgic.cpu_interface.virtual_control import VirtualControl
from vgic.cpu_interface.virtual_registers import VirtualRegisters
from vgic.distributor.frame import Distributor, distributor_frame
from vgic.distributor.one_of_n import OneOfN
from vgic.distributor.placement import SpiPlacement
from vgic.distributor.spis import SharedInterrupts
from vgic.interrupts.banks import ExtendedPpis, InterruptBank, PrivateInterrupts
from vgic.interrupts.delivery import Forwarder
from vgic.interrupts.nmis import NmiExtendedPpis, NmiPrivateInterrupts, NmiSharedInterrupts
from vgic.interrupts.registers import Security
from vgic.interrupts.words import ALL_BITS
from vgic.intids import FIRST_EXTENDED_SPI, FIRST_SPI
from vgic.its.commands import Targets
from vgic.its.device import Its, its_frames
from vgic.lpis.bank import LpiBank
from vgic.lpis.configuration import LpiConfiguration
from vgic.lpis.overlooking import OverlookingLpiBank
from vgic.lpis.priorities import LpiPriorities
from vgic.lpis.rescanning import RescanningLpiBank
from vgic.lpis.tables import ConfigurationTable, PendingTable
from vgic.memory import GuestMemory
from vgic.observer import ItsObserver, Observer, WakeObserver
from vgic.redistributor.frame import Redistributor, redistributor_frames
from vgic.redistributor.sgi import SgiGenerator
from vgic.redistributor.vlpi_frames import vlpi_frames
from vgic.topology import AffinityIndex

__all__ = ["Machine"]

_SGIS: Final = 0xFFFF
"""Bits of the INTIDs of SGIs."""


def _interface(config: Config, cpu: int, lines: LineSink | None) -> CpuInterface:
    """The CPU interface of a vCPU, of the kind that the VM has."""
    profile, bits = config.profile, config.priority_bits
    if config.two_states:
        of_two = TwoStateNmiInterface if config.nmi else TwoStateInterface
        return of_two(cpu, profile, bits, lines, cpu in config.topology.aarch32)
    if config.nmi:
        return NmiInterface(cpu, profile, bits, lines)
    kind = VirtualCpuInterface if profile.virtual_interface else CpuInterface
    return kind(cpu, profile, bits, lines)


def _system_registers(config: Config) -> type[SystemRegisters]:
    """The kind of system registers that the VM has."""
    if config.two_states:
        return TwoStateNmiSystemRegisters if config.nmi else TwoStateSystemRegisters
    return NmiSystemRegisters if config.nmi else SystemRegisters


class Machine:
    """The devices of a VM's GIC, as after reset; for what the arguments are, see `vgic.Gic`."""

    def __init__(
        self, config: Config, lines: LineSink | None, observer: Observer | None, memory: GuestMemory
    ) -> None:
        self.config = config
        profile = config.profile
        cpus = range(len(config.topology))
        self.affinities = AffinityIndex(config.topology)
        self.interfaces = [_interface(config, cpu, lines) for cpu in cpus]
        self.forwarder = Forwarder(self.interfaces)
        bits = config.priority_bits if profile.stored_priority_bits is None else profile.stored_priority_bits
        priority_mask = 0xFF00 >> bits & 0xFF
        own, spis, ppis = PrivateInterrupts, SharedInterrupts, ExtendedPpis
        if config.nmi:
            own, spis, ppis = NmiPrivateInterrupts, NmiSharedInterrupts, NmiExtendedPpis
        self.private = [own(cpu, config, priority_mask, self.forwarder) for cpu in cpus]
        self.extended_ppis: list[ExtendedPpis | None] = [None] * len(cpus)
        """Those of each vCPU, None where the VM has none."""
        if config.extended_ppis:
            self.extended_ppis = [ppis(cpu, config, priority_mask, self.forwarder) for cpu in cpus]
        one_of_n = OneOfN(self.interfaces, config.one_of_n_choice == "rotate")
        placement = SpiPlacement(one_of_n, self.forwarder)
        self.forwarder.placement = placement
        of_spis = config, priority_mask, self.forwarder, self.affinities, placement
        self.shared = spis(FIRST_SPI, config.spis, *of_spis)
        self.extended_spis: SharedInterrupts | None = None
        """None where the VM has none."""
        self.spis = [self.shared]
        """The banks of SPIs: one or two."""
        if config.extended_spis:
            self.extended_spis = spis(FIRST_EXTENDED_SPI, config.extended_spis, *of_spis)
            self.spis.append(self.extended_spis)
        placement.connect(list(self.spis))
        self._reset_interrupts()
        self.lpis: list[LpiBank | None] = [None] * len(cpus)
        """The LPIs of each vCPU's Redistributor, None where the VM has none."""
        if config.features.lpis:
            self.lpis = self._lpi_banks(memory)
        for cpu, interface in enumerate(self.interfaces):
            # The likeliest first: in this order an INTID is looked for.
            seen: list[ActivationBank | None] = [self.private[cpu], self.shared, self.lpis[cpu]]
            seen += [self.extended_ppis[cpu], self.extended_spis]
            interface.connect([bank for bank in seen if bank is not None], self.forwarder)
            if isinstance(observer, WakeObserver):
                interface.wake_sink = observer

        self.map = AddressMap(observer)
        self.security = Security(config.two_states)
        parts = self.shared, self.extended_spis, list(self.banks()), self.lpis
        self.distributor = Distributor(*parts, config, self.security)
        self.distributor_frame = distributor_frame(config)
        owners = [self.distributor]
        self.map.add(FrameArray("GICD", config.gicd_base, [self.distributor_frame], owners, ["GICD"]))
        self.redistributor_bases: list[int] = []
        """The address of each vCPU's RD_base frame."""
        self.redistributors: list[Redistributor] = []
        self.redistributor_frames = redistributor_frames(config) + vlpi_frames(config)
        self._place_redistributors()
        self.itses: list[Its] = []
        self.its_frames = its_frames(config)
        self._place_itses(memory, observer)
        self.sgis = SgiGenerator(self.affinities, self.private, self.forwarder, config)
        self.sysregs = _system_registers(config)(config, self.sgis)
        self.controls: list[VirtualControl] = []
        """The virtual CPU interface of each vCPU, none where the VM has no list registers."""
        self.hypervisor_registers: HypervisorRegisters | None = None
        self.virtual_registers: VirtualRegisters | None = None
        if config.list_registers:
            self.hypervisor_registers = HypervisorRegisters(config)
            self.virtual_registers = (NmiVirtualRegisters if config.nmi else VirtualRegisters)(config)
            self.sysregs.add_faces(self.virtual_registers.slots)
            for interface, private in zip(self.interfaces, self.private, strict=True):
                self.controls.append(VirtualControl(config, interface, private, lines))
                if not config.two_states:
                    interface.set_pe_state(AT_EL2_AFTER_RESET)

    def banks(self) -> Iterator[InterruptBank]:
        """Every bank of interrupts that are no LPIs: those of SPIs, then those of each vCPU."""
        yield from self.spis
        yield from self.private
        yield from (bank for bank in self.extended_ppis if bank is not None)

    def _reset_interrupts(self) -> None:
        profile, group = self.config.profile, self.config.reset_group
        if group is None:
            group = profile.reset_group
        for bank in self.banks():
            bank.best_of_group1 = NONSECURE_BEST if self.config.two_states else 0
            bank.lasting_latch = ALL_BITS if profile.latch_lasts else 0
            if profile.overlooks:
                bank.set_idle(True)
            for word in bank.words:
                word.group1 = word.implemented if group else 0
        if profile.spis_edge_at_reset:
            for spis in self.spis:
                for word in spis.words:
                    word.edge = word.implemented
        for private in self.private:
            word = private.words[0]
            word.edge = _SGIS
            word.enabled = _SGIS if profile.sgis_enabled_at_reset else 0

    def _lpi_banks(self, memory: GuestMemory) -> list[LpiBank | None]:
        config, choices = self.config, self.config.profile.lpi
        bits = config.priority_bits if choices.priority_bits is None else choices.priority_bits
        priorities = LpiPriorities(bits, choices.priority_bits is None)
        priorities.set_lower_half(config.two_states)
        configuration = LpiConfiguration()
        kind = LpiBank
        if choices.rescans:
            kind = RescanningLpiBank
        elif config.profile.overlooks:
            kind = OverlookingLpiBank
        table = ConfigurationTable(config.lpi_id_bits, memory)
        banks: list[LpiBank | None] = []
        for cpu in range(len(config.topology)):
            if cpu and not choices.one_propbaser:
                table = ConfigurationTable(config.lpi_id_bits, memory)
            pending = PendingTable(memory)
            pending.register = choices.pendbaser_reset
            table.set_register(choices.propbaser_reset)
            banks.append(kind(cpu, self.forwarder, configuration, table, pending, priorities, choices))
        return banks

    def _place_redistributors(self) -> None:
        config, topology = self.config, self.config.topology
        for region in config.redistributor_regions:
            # A region may have room for more than any machine has.
            for slot in range(min(region.count, len(topology) - len(self.redistributor_bases))):
                self.redistributor_bases.append(region.base + slot * config.redistributor_size)
        # The last one of a contiguous run is the one that no other follows, whatever region either is in.
        taken = set(self.redistributor_bases)
        for cpu, base in enumerate(self.redistributor_bases):
            last = base + config.redistributor_size not in taken
            parts = self.private[cpu], self.extended_ppis[cpu], self.interfaces[cpu], self.lpis[cpu]
            self.redistributors.append(Redistributor(*parts, self.affinities, config, self.security, last))
        placed = 0
        for number, region in enumerate(config.redistributor_regions):
            here = range(placed, min(placed + region.count, len(topology)))
            placed = here.stop
            if here:
                owners = [self.redistributors[cpu] for cpu in here]
                labels = [f"GICR[{affinity.text(topology.affinities[cpu])}]" for cpu in here]
                self.map.add(
                    FrameArray(f"GICR region {number}", region.base, self.redistributor_frames, owners, labels)
                )

    def _place_itses(self, memory: GuestMemory, observer: Observer | None) -> None:
        config = self.config
        if not config.its:
            return
        its_observer = observer if isinstance(observer, ItsObserver) else None
        banks = [bank for bank in self.lpis if bank is not None]
        by_address = config.profile.its.typer.get("PTA", 0) != 0
        keeps = config.profile.its.keeps_lpis
        numbers = config.profile.its.numbers(config.topology.processors)
        targets = Targets(banks, self.redistributor_bases, numbers, by_address, keeps)
        for number, base in enumerate(config.its):
            its = Its(number, config, memory, targets, its_observer)
            label = f"GITS[{number}]" if len(config.its) > 1 else "GITS"
            self.itses.append(its)
            self.map.add(FrameArray(label, base, self.its_frames, [its], [label]))
