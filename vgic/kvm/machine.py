"""What a VM's GIC consists of while its VMM still decides, and the GIC that results.

The model builds a `vgic.Gic` from a finished `vgic.Config`. KVM lets a VMM build first and then set addresses, the
revision, a narrower CPU interface, or an ITS. So such a change builds another GIC here, which takes over the
registers of the one before. The first run freezes it.
"""

import errno
from dataclasses import dataclass, field, replace

from vgic import affinity
from vgic.arguments import check_protocols
from vgic.config import Config
from vgic.cpu_interface.interface import LineSink
from vgic.errors import VgicError
from vgic.features import Features
from vgic.gic import Gic, Observer
from vgic.host.capabilities import INTID_BITS, HostCapabilities
from vgic.kvm.carry import carry_itses, carry_lines, carry_lpis, carry_routes
from vgic.kvm.errors import KvmError
from vgic.kvm.placement import Placement
from vgic.kvm.raw_values import IdleTables, RawInterface
from vgic.kvm.registers import Registers
from vgic.kvm.revision import with_iidr
from vgic.kvm.settings import settings, sysregs_of
from vgic.kvm.version import KVM_7_2, KvmVersion
from vgic.layouts import icc
from vgic.memory import GuestMemory
from vgic.profiles import Profile
from vgic.topology import Topology

__all__ = ["Machine", "profile_on"]


def profile_on(profile: Profile, host: HostCapabilities, a3v_is_the_hosts: bool) -> Profile:
    """The profile of a new VM on a host: its CPU interface has what the host's has, A3V only where said so."""
    view = {"IDbits": INTID_BITS.index(host.id_bits), "SEIS": int(host.seis)}
    if a3v_is_the_hosts:
        view["A3V"] = int(host.a3v)
    return replace(profile, cpu_interface_ctlr={**profile.cpu_interface_ctlr, **view})


@dataclass
class Machine:
    """A VM's vCPUs and GIC. Methods raise KvmError; `what` names the attribute that asks."""

    profile: Profile
    features: Features
    priority_bits: int
    placement: Placement
    lines: LineSink | None = None
    observer: Observer | None = None
    memory: GuestMemory | None = None
    affinities: list[int] = field(default_factory=list)
    """Packed, of the vCPUs in creation order."""
    ids: list[int] = field(default_factory=list)
    """What the VMM calls them."""
    spis: int = 0
    """0 while that is open."""
    lpi_id_bits: int = Config.lpi_id_bits
    version: KvmVersion = KVM_7_2
    running: set[int] = field(default_factory=set)
    """The vCPUs that are inside the guest."""
    initialised: bool = False
    """CTRL_INIT has been called; there is a GIC unless there is no vCPU."""
    dead: bool = False
    """The first run failed."""
    frozen: bool = False
    """A vCPU has run: the GIC stays what it is."""
    interface: RawInterface = field(default_factory=RawInterface, init=False)
    tables: IdleTables = field(init=False)
    """While there are no LPIs."""
    _gic: Gic | None = field(default=None, init=False)
    _outdated: bool = field(default=False, init=False)
    """What the GIC was built from has changed."""
    _new_its: bool = field(default=False, init=False)
    """It has another ITS."""

    def __post_init__(self) -> None:
        check_protocols(self.lines, self.observer, self.memory)
        self.tables = IdleTables(self.profile.lpi)

    @classmethod
    def of(cls, gic: Gic, placement: Placement) -> "Machine":
        """A VM that runs already."""
        config = gic.config
        affinities = [gic.affinity(cpu) for cpu in range(len(config.topology))]
        machine = cls(config.profile, config.features, config.priority_bits, placement, affinities=affinities)
        machine.ids = list(config.topology.processors)
        machine.spis, machine.initialised, machine.frozen, machine._gic = config.spis, True, True, gic
        machine.memory, machine.lpi_id_bits = gic.memory, config.lpi_id_bits
        for cpu in range(len(affinities)):
            machine.interface.runs(cpu)
        return machine

    @property
    def idle_tables(self) -> IdleTables | None:
        """What userspace finds in GICR_PROPBASER and GICR_PENDBASER, None where the GIC has them."""
        return self.tables if self.profile.lpi.keeps_idle_tables and not self.has_lpis else None

    @property
    def has_lpis(self) -> bool:
        """The GIC has LPIs."""
        return self.features.lpis or bool(self.placement.its)

    def check_alive(self) -> None:
        """Raise where the first run has failed."""
        if self.dead:
            raise KvmError(errno.EIO, "the VM is dead: its first run failed")

    def check_stopped(self, what: str) -> None:
        """Raise while a vCPU is inside the guest."""
        if self.running:
            raise KvmError(errno.EBUSY, f"{what}: vCPU {min(self.running)} is running")

    def save_pending(self, what: str) -> None:
        """Write the pending LPIs to the guest's pending tables."""
        if not self.initialised:
            raise KvmError(errno.ENXIO, f"{what}: CTRL INIT has not been called")
        gic = self.gic
        if gic is None:
            return
        if self.has_lpis:
            banks = [gic.lpis(cpu) for cpu in range(len(self.affinities))]
            for bank in banks:
                for intid in bank.pending:
                    if not bank.pending_table.holds(intid):
                        where = f"the pending table of vCPU {self.ids[bank.cpu]}"
                        raise KvmError(errno.EFAULT, f"{what}: the bit of INTID {intid} in {where} is not in RAM")
            for bank in banks:
                bank.flush()

    def add_its(self, what: str) -> int:
        """Give the VM another ITS, which has no address yet; its number."""
        self._check_open(what)
        self.placement.its.append(None)
        self._outdated = self._new_its = True
        return len(self.placement.its) - 1

    def place_its(self, what: str, number: int, base: int) -> None:
        """Give an ITS its address."""
        self._check_open(what)
        self.placement.set_its(what, number, base)
        self._outdated = True

    @property
    def gic(self) -> Gic | None:
        """The GIC as it is now, None before `initialise` and in a VM without vCPUs."""
        if self._gic is not None and self._outdated:
            self._rebuild(self._gic)
        return self._gic

    def initialise(self, what: str) -> None:
        """Build the GIC for the first time."""
        if self.affinities:
            self._gic = self._built(what, self.affinities)
        self.initialised, self._outdated, self._new_its = True, False, False

    def addresses_changed(self) -> None:
        """The placement has changed. After the first run that concerns no vCPU."""
        self._outdated = not self.frozen

    @property
    def affinities_differ(self) -> bool:
        """No two vCPUs have the same affinity."""
        return len(set(self.affinities)) == len(self.affinities)

    def set_affinity(self, cpu: int, packed: int) -> None:
        """Give a vCPU an affinity. Two may have the same until the last of them is written."""
        before = self.affinities[cpu]
        self.affinities[cpu] = packed
        if self._gic is None or not self.affinities_differ:
            return
        try:
            self._gic.write_mpidrs({cpu: affinity.to_mpidr(held) for cpu, held in enumerate(self.affinities)})
        except VgicError as error:
            self.affinities[cpu] = before
            raise KvmError(errno.EINVAL, str(error)) from error

    def set_iidr(self, what: str, value: int) -> None:
        """Choose the revision that a GICD_IIDR tells."""
        profile = with_iidr(self.profile, value)
        if profile is None:
            raise KvmError(errno.EINVAL, f"{what}: {value:#x} is no GICD_IIDR of this implementation")
        if profile is not self.profile:
            self._change(what, profile, self.priority_bits)

    def take_interface(self, what: str, gic: Gic, value: int) -> None:
        """Let the CPU interfaces be no wider than the one that an ICC_CTLR_EL1 tells of, or refuse it."""
        own = icc.CTLR.decode(gic.sysreg_read(0, icc.ICC_CTLR_EL1))
        wanted = icc.CTLR.decode(value)
        for name in ("PRIbits", "IDbits"):
            if wanted[name] > own[name]:
                raise KvmError(errno.EINVAL, f"{what}: {name} is {wanted[name]}, more than this VM's {own[name]}")
        for name in ("SEIS", "A3V"):
            if wanted[name] != own[name]:
                raise KvmError(errno.EINVAL, f"{what}: {name} is {wanted[name]}, this VM's is {own[name]}")
        if any(wanted[name] < own[name] for name in ("PRIbits", "IDbits")):
            view = {**self.profile.cpu_interface_ctlr, "IDbits": wanted["IDbits"]}
            self._change(what, replace(self.profile, cpu_interface_ctlr=view), wanted["PRIbits"] + 1)

    def _check_open(self, what: str) -> None:
        if self.frozen:
            raise KvmError(errno.EBUSY, f"{what}: what the GIC is cannot change after the first run")

    def _change(self, what: str, profile: Profile, priority_bits: int) -> None:
        self._check_open(what)
        before = self.profile, self.priority_bits
        self.profile, self.priority_bits = profile, priority_bits
        try:
            if self._gic is not None:
                self._rebuild(self._gic, what)
        except KvmError:
            self.profile, self.priority_bits = before
            raise

    def _rebuild(self, old: Gic, what: str = "the GIC") -> None:
        cpus = range(len(self.affinities))
        new = self._built(what, [old.affinity(cpu) for cpu in cpus])
        # Before GICR_CTLR, which would have pending tables read that have been read.
        carry_lpis(old, new)
        registers = Registers(new)
        # Where the tables of LPIs are has been carried over.
        for setting in settings(Registers(old).get, len(cpus), self.spis, False, sysregs_of(new)):
            registers.set(*setting)
        carry_lines(old, new)
        # Writing GICD_IROUTER<n> has routed every SPI.
        carry_routes(old, new)
        for cpu in cpus:
            # No register shows this while ICC_CTLR_EL1.CBPR is 1.
            interface = new.interface(cpu)
            interface.bpr1 = max(old.interface(cpu).bpr1, interface.min_bpr1)
        carry_itses(old, new)
        self._start_tables(old, new)
        self._gic, self._outdated, self._new_its = new, False, False

    def _start_tables(self, old: Gic, new: Gic) -> None:
        """What creating an ITS does to where the tables of LPIs are."""
        if self._new_its:
            for cpu in range(len(self.affinities)):
                bank = new.lpis(cpu)
                bank.propbaser = self.profile.lpi.propbaser_reset
                if not old.config.features.lpis:
                    bank.pendbaser = self.tables.pendbaser(cpu)

    def _built(self, what: str, affinities: list[int]) -> Gic:
        features = self.features
        try:
            config = Config(
                Topology(affinities, processors=self.ids),
                spis=self.spis,
                profile=self.profile,
                priority_bits=self.priority_bits,
                a3v=features.a3v,
                rss=features.rss,
                one_of_n=features.one_of_n,
                lpis=self.has_lpis,
                lpi_id_bits=self.lpi_id_bits,
                its=self.placement.nowhere,
            )
            placed = self.placement.complete(len(affinities))
            # Before the addresses are known, any do: no guest can run and see them.
            if placed is not None:
                config = replace(config, **placed._asdict())
            return Gic(config, self.lines, self.observer, self.memory)
        except VgicError as error:
            raise KvmError(errno.EINVAL, f"{what}: {error}") from error
