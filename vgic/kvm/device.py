"""KVM_DEV_TYPE_ARM_VGIC_V3: a GIC as a VMM sees it that runs its VM with KVM.

A VM's life is a sequence that KVM prescribes: vCPUs are created and given their MPIDRs, the GIC's addresses and its
number of interrupts are set, CTRL_INIT builds it, its registers may be restored, a vCPU runs for the first time.
Every call here answers as KVM does: nothing, a value, or a `KvmError`. Rules in specs/kvm.md.
"""

import errno
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Final

from vgic import affinity
from vgic.config import Config
from vgic.cpu_interface.interface import LineSink
from vgic.features import Features
from vgic.gic import Gic, Observer
from vgic.host.capabilities import HostCapabilities
from vgic.kvm.access import Access
from vgic.kvm.beyond import beyond_kvm
from vgic.kvm.errors import KvmError
from vgic.kvm.its import VgicItsDevice, signal_msi
from vgic.kvm.machine import DEFAULT_SPIS, Machine, profile_on
from vgic.kvm.placement import Placement
from vgic.kvm.registers import has_register
from vgic.kvm.uapi import (
    ADDR_UNDEFINED,
    Address,
    Control,
    Group,
    RegionAttr,
    attr_offset,
    describe,
    is_one_of,
    level_info,
)
from vgic.kvm.version import KVM_7_2, KvmVersion
from vgic.memory import GuestMemory
from vgic.profiles import KVM, Profile

__all__ = ["MAX_VCPUS", "VgicV3Device"]

MAX_VCPUS: Final = 512
"""What KVM allows a VM with a GICv3."""

IPA_BITS: Final = 40
"""Bits of guest physical address that a VM has by default."""

_MIN_IRQS: Final = 64
_MAX_IRQS: Final = 1023
_PRIVATE: Final = 32
_FIRST_PPI: Final = 16

_REGISTERS: Final = (Group.DIST_REGS, Group.REDIST_REGS, Group.CPU_SYSREGS, Group.LEVEL_INFO)


def _default_affinity(vcpu_id: int) -> int:
    """The packed affinity that KVM gives a vCPU: 16 to a cluster, because ICC_SGI1R_EL1 names 16 at a time."""
    return (vcpu_id >> 4) << 8 | vcpu_id & 0xF


class VgicV3Device:
    """A VM's GIC behind KVM's device attributes; creating it is KVM_CREATE_DEVICE.

    `host` is the host that the VM is to run on, `profile` whose GIC the VM gets; `a3v`, `rss`, `one_of_n` and
    `lpis` are what the VM has, whatever its host has (None: as the profile; with an ITS there are LPIs), and
    `lpi_id_bits` the bits of their INTIDs. With `a3v_must_match` the VM's CPU interface is the host's instead, its
    ICC_CTLR_EL1.A3V too, so that one restored from a host with another is refused: what KVM does. `version` is the
    kernel whose answers it gives. `ipa_bits` are the bits of guest physical address; `lines`, `observer` and
    `memory` those of `vgic.Gic`.

    Every method raises `KvmError` with KVM's number where KVM refuses.
    """

    def __init__(
        self,
        host: HostCapabilities | None = None,
        *,
        profile: Profile = KVM,
        a3v: bool | None = None,
        rss: bool | None = None,
        one_of_n: bool | None = None,
        lpis: bool | None = None,
        lpi_id_bits: int = Config.lpi_id_bits,
        a3v_must_match: bool = False,
        version: KvmVersion = KVM_7_2,
        ipa_bits: int = IPA_BITS,
        lines: LineSink | None = None,
        observer: Observer | None = None,
        memory: GuestMemory | None = None,
    ) -> None:
        host = HostCapabilities(a3v=False) if host is None else host
        default = profile.features
        features = Features(
            default.a3v if a3v is None else a3v,
            default.rss if rss is None else rss,
            default.one_of_n if one_of_n is None else one_of_n,
            default.lpis if lpis is None else lpis,
        )
        shown = profile_on(profile, host, a3v_must_match)
        if version.counts_vcpus:
            its = replace(shown.its, counts_vcpus=True, mapc_always_checks_target=True)
            shown = replace(shown, its=its)
        self._machine = Machine(shown, features, host.priority_bits, Placement(ipa_bits), lines, observer, memory)
        self._machine.lpi_id_bits = lpi_id_bits
        self._machine.version = version
        self._machine.interface_is_the_hosts = a3v_must_match
        self._access = Access(self._machine)
        self._itses: list[VgicItsDevice] = []
        self._maintenance_irq = 0

    @classmethod
    def over(cls, gic: Gic) -> "VgicV3Device":
        """The device of a VM that has run: `gic`, of any profile, its vCPUs stopped.

        Raises KvmError where KVM could not have placed its frames so, or where the VM has what no attribute
        carries: two Security states, interrupts of the extended ranges, NMIs, list registers, the frames of a GICv4
        (KVM-66, VLPI-5).
        """
        lost = beyond_kvm(gic.config)
        if lost:
            raise KvmError(errno.EINVAL, f"the VM has {', '.join(lost)}, which KVM's attributes do not carry")
        device = cls()
        machine = device._machine = Machine.of(gic, Placement(IPA_BITS))
        device._access = Access(machine)
        for index, region in enumerate(gic.config.redistributor_regions):
            attr = RegionAttr(region.base, region.count, index)
            value = attr.pack()
            if RegionAttr.unpack(value) != attr:
                raise KvmError(errno.EINVAL, f"REDIST_REGION has no room for {attr}")
            machine.placement.set_region("REDIST_REGION", value, len(machine.affinities))
        machine.placement.set_distributor("DIST", gic.config.gicd_base)
        for number, base in enumerate(gic.config.its):
            machine.placement.its.append(None)
            machine.placement.set_its("ITS", number, base)
            device._itses.append(VgicItsDevice(machine, number))
        return device

    @property
    def vcpus(self) -> tuple[int, ...]:
        """The packed affinities of the vCPUs, in creation order."""
        return tuple(self._machine.affinities)

    @property
    def vcpu_ids(self) -> tuple[int, ...]:
        """What the vCPUs are called, in creation order."""
        return tuple(self._machine.ids)

    @property
    def itses(self) -> tuple[VgicItsDevice, ...]:
        """The ITSes, in creation order."""
        return tuple(self._itses)

    @property
    def has_lpis(self) -> bool:
        """The VM has LPIs: KVM's has them with an ITS only."""
        return self._machine.has_lpis

    @property
    def unplaced(self) -> int:
        """vCPUs that have no Redistributor yet."""
        return len(self._machine.affinities) - len(self._machine.placement.frames)

    @property
    def has_distributor_address(self) -> bool:
        """The Distributor's address is set, so a guest can find it."""
        return self._machine.placement.distributor is not None

    @property
    def initialised(self) -> bool:
        """CTRL_INIT has built the GIC."""
        return self._machine.initialised

    @property
    def gic(self) -> Gic:
        """The GIC. Raises KvmError (EBUSY) before CTRL_INIT, and in a VM that has no vCPU.

        An attribute that changes what it consists of replaces it: hold on to the device.
        """
        gic = self._machine.gic
        if gic is None:
            raise KvmError(errno.EBUSY, "there is no GIC before CTRL INIT, nor without a vCPU")
        return gic

    # vCPUs and ITSes.

    def create_its(self) -> VgicItsDevice:
        """KVM_CREATE_DEVICE of an ITS, KVM_DEV_TYPE_ARM_VGIC_ITS; with the first one the VM has LPIs."""
        self._machine.check_alive()
        number = self._machine.add_its(f"creation of ITS {len(self._itses)}")
        its = VgicItsDevice(self._machine, number)
        self._itses.append(its)
        return its

    def signal_msi(self, address: int, data: int, device_id: int | None = None) -> int:
        """KVM_SIGNAL_MSI: a device stores `data`, the EventID, to `address`, an ITS's.

        `device_id` is None without KVM_MSI_VALID_DEVID. 1: the LPI is pending now; 0: the guest has not mapped it.
        """
        self._machine.check_alive()
        return signal_msi(self._machine, address, data, device_id)

    def create_vcpu(self, mpidr: int | None = None, *, vcpu_id: int | None = None) -> int:
        """KVM_CREATE_VCPU: the number of the new vCPU, which is the order of creation and of the frames.

        `mpidr` is its MPIDR_EL1 (64 bits); None: as KVM gives it, 16 vCPUs to a cluster. `vcpu_id` is what it is
        called, below 512, and its GICR_TYPER.Processor_Number; None: its number.
        """
        self._machine.check_alive()
        machine = self._machine
        cpu = len(machine.affinities)
        own_id = cpu if vcpu_id is None else vcpu_id
        if machine.initialised:
            raise KvmError(errno.EBUSY, f"vCPU {own_id} cannot be created after CTRL INIT")
        if cpu >= MAX_VCPUS:
            raise KvmError(errno.EINVAL, f"vCPU {own_id} cannot be created: a VM has at most {MAX_VCPUS}")
        if not 0 <= own_id < MAX_VCPUS:
            raise KvmError(errno.EINVAL, f"vCPU {own_id} cannot be created: ids are 0 to {MAX_VCPUS - 1}")
        if own_id in machine.ids:
            raise KvmError(errno.EEXIST, f"vCPU {own_id} exists")
        # The new one counts only from the next on.
        machine.placement.place(f"creation of vCPU {own_id}", cpu + 1, cpu)
        machine.affinities.append(_default_affinity(own_id) if mpidr is None else affinity.from_mpidr(mpidr))
        machine.ids.append(own_id)
        return cpu

    def set_mpidr(self, cpu: int, mpidr: int) -> None:
        """KVM_SET_ONE_REG of MPIDR_EL1 (64 bits).

        vCPUs may share an affinity while their MPIDRs are written one after the other, though not when run.
        """
        self._check_vcpu(cpu)
        self._machine.check_stopped(f"MPIDR_EL1 of vCPU {cpu}")
        self._machine.set_affinity(cpu, affinity.from_mpidr(mpidr))

    def run(self, cpu: int = 0) -> AbstractContextManager[Gic]:
        """KVM_RUN of a vCPU; it is inside the guest while the context is entered that is returned.

        The first one settles where everything is. Where that fails the VM is dead: from then on all is EIO.
        """
        self._check_vcpu(cpu)
        if not self._machine.ran:
            try:
                self._check_first_run()
            except KvmError:
                self._machine.dead = True
                raise
            self._machine.ran = True
        return self._inside(cpu)

    def _check_first_run(self) -> None:
        machine = self._machine
        machine.placement.check_run("first run", len(machine.affinities))
        if not machine.initialised:
            raise KvmError(errno.EBUSY, "first run: CTRL INIT has not been called")
        if not machine.affinities_differ:
            raise KvmError(errno.EINVAL, "first run: two vCPUs have the same affinity")

    @contextmanager
    def _inside(self, cpu: int) -> Iterator[Gic]:
        self._machine.running.add(cpu)
        self._machine.interface.runs(cpu)
        try:
            yield self.gic
        finally:
            self._machine.running.discard(cpu)

    # Attributes.

    def set_attr(self, group: int, attr: int, value: int = 0) -> None:
        """KVM_SET_DEVICE_ATTR: `attr` has 64 bits, `value` as many as the attribute has, 32 or 64."""
        self._machine.check_alive()
        what = describe(group, attr)
        match group:
            case Group.ADDR:
                self._set_address(what, attr, value)
            case Group.NR_IRQS:
                self._set_nr_irqs(what, value)
            case Group.MAINT_IRQ if self._machine.version.maintenance_irq:
                self._set_maintenance_irq(what, value)
            case Group.CTRL:
                self._control(what, attr)
            case _ if group in _REGISTERS:
                self._access.set(what, group, attr, value)
            case _:
                raise self._unknown(what)

    def get_attr(self, group: int, attr: int, value: int = 0) -> int:
        """KVM_GET_DEVICE_ATTR. `value` is what the caller's variable holds before: the index of a REDIST_REGION."""
        self._machine.check_alive()
        what = describe(group, attr)
        match group:
            case Group.ADDR:
                return self._address(what, attr, value)
            case Group.NR_IRQS:
                return _PRIVATE + self._machine.spis
            case Group.MAINT_IRQ if self._machine.version.maintenance_irq:
                return self._maintenance_irq
            case _ if group in _REGISTERS:
                return self._access.get(what, group, attr)
        raise self._unknown(what)

    def has_attr(self, group: int, attr: int) -> None:
        """KVM_HAS_DEVICE_ATTR: raises where the attribute does not exist (ENXIO), or names no vCPU (EINVAL)."""
        self._machine.check_alive()
        what = describe(group, attr)
        match group:
            case Group.ADDR:
                known = is_one_of(Address, attr)
            case Group.CTRL:
                known = is_one_of(Control, attr)
            case Group.NR_IRQS:
                known = True
            case Group.MAINT_IRQ:
                known = self._machine.version.maintenance_irq
            case Group.LEVEL_INFO:
                known = level_info(attr)[0] == 0
            case _ if group in _REGISTERS:
                self._access.vcpu_named(what, group, attr)
                intids = _PRIVATE + self._machine.spis
                known = has_register(self._machine.profile, intids, group, attr_offset(attr))
            case _:
                known = False
        if not known:
            raise self._unknown(what)

    # ADDR, NR_IRQS, CTRL.

    def _set_address(self, what: str, attr: int, value: int) -> None:
        placement, vcpus = self._machine.placement, len(self._machine.affinities)
        match attr:
            case Address.DIST:
                placement.set_distributor(what, value)
            case Address.REDIST:
                placement.set_legacy(what, value, vcpus)
            case Address.REDIST_REGION:
                placement.set_region(what, value, vcpus)
            case _:
                raise self._unknown(what)
        self._machine.addresses_changed()

    def _address(self, what: str, attr: int, value: int) -> int:
        placement = self._machine.placement
        match attr:
            case Address.DIST:
                base = placement.distributor
            case Address.REDIST:
                base = placement.first_region
            case Address.REDIST_REGION:
                return placement.region(what, RegionAttr.unpack(value).index)
            case _:
                raise self._unknown(what)
        return ADDR_UNDEFINED if base is None else base

    def _set_nr_irqs(self, what: str, value: int) -> None:
        if not _MIN_IRQS <= value <= _MAX_IRQS or value % 32:
            raise KvmError(errno.EINVAL, f"{what} is a multiple of 32 from {_MIN_IRQS} to 992, not {value}")
        if self._machine.spis:
            raise KvmError(errno.EBUSY, f"{what} is {_PRIVATE + self._machine.spis} already")
        self._machine.spis = value - _PRIVATE

    def _set_maintenance_irq(self, what: str, value: int) -> None:
        if self.initialised:
            raise KvmError(errno.EBUSY, f"{what} cannot change after CTRL INIT")
        if not _FIRST_PPI <= value < _PRIVATE:
            raise KvmError(errno.EINVAL, f"{what} is a PPI, INTID {_FIRST_PPI} to {_PRIVATE - 1}, not {value}")
        self._maintenance_irq = value

    def _control(self, what: str, attr: int) -> None:
        match attr:
            case Control.INIT:
                self._initialise(what)
            case Control.SAVE_PENDING_TABLES:
                self._machine.check_stopped(what)
                self._machine.save_pending(what)
            case _:
                raise self._unknown(what)

    def _initialise(self, what: str) -> None:
        machine = self._machine
        if not machine.initialised:
            machine.spis = machine.spis or DEFAULT_SPIS
            machine.initialise(what)

    # Checks.

    def _check_vcpu(self, cpu: int) -> None:
        self._machine.check_alive()
        if not 0 <= cpu < len(self._machine.affinities):
            raise KvmError(errno.EBADF, f"vCPU {cpu} has not been created")

    @staticmethod
    def _unknown(what: str) -> KvmError:
        return KvmError(errno.ENXIO, f"{what}: this device does not have it")
