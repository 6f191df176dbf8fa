"""What a VM's GIC consists of while its VMM still decides, and the GIC that results.

The model builds a `vgic.Gic` from a finished `vgic.Config`. KVM lets a VMM build first and then set addresses, the
revision, a narrower CPU interface, or an ITS. So such a change builds another GIC here, which takes over the
registers of the one before; also after the first run, while no vCPU is inside the guest.
"""

import errno
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

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
from vgic.kvm.pending_tables import save_pending_tables
from vgic.kvm.placement import Placement
from vgic.kvm.raw_values import IdleTables, RawInterface, Widths
from vgic.kvm.registers import Registers
from vgic.kvm.revision import with_iidr
from vgic.kvm.settings import settings, sysregs_of
from vgic.kvm.version import KVM_7_2, KvmVersion
from vgic.layouts import icc
from vgic.memory import GuestMemory
from vgic.profiles import Profile
from vgic.topology import Topology

__all__ = ["DEFAULT_SPIS", "Machine", "profile_on"]

DEFAULT_SPIS: Final = 224
"""That a VM has unless its VMM says otherwise."""


_FEWEST_PRIORITY_BITS: Final = 4
"""That a GIC can have."""


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
    interface_is_the_hosts: bool = False
    """A guest sees the CPU interface of the host, whatever userspace says of its width."""
    running: set[int] = field(default_factory=set)
    """The vCPUs that are inside the guest."""
    initialised: bool = False
    """CTRL_INIT has been called; there is a GIC unless there is no vCPU."""
    dead: bool = False
    """The first run failed."""
    ran: bool = False
    """A vCPU has run: where the frames are is settled."""
    frozen: bool = False
    """The GIC was given, and stays what it is."""
    interface: RawInterface = field(default_factory=RawInterface, init=False)
    tables: IdleTables = field(init=False)
    """While there are no LPIs."""
    _gic: Gic | None = field(default=None, init=False)
    _early: Gic | None = field(default=None, init=False)
    """What there is of ITSes before there is a GIC."""
    _outdated: bool = field(default=False, init=False)
    """What the GIC was built from has changed."""
    _new_its: bool = field(default=False, init=False)
    """It has another ITS."""

    def __post_init__(self) -> None:
        check_protocols(self.lines, self.observer, self.memory)
        self._widest = Widths(self.priority_bits - 1, self._shown_idbits)
        self.tables = IdleTables(self.profile.lpi)

    @classmethod
    def of(cls, gic: Gic, placement: Placement) -> "Machine":
        """A VM that runs already."""
        config = gic.config
        affinities = [gic.affinity(cpu) for cpu in range(len(config.topology))]
        machine = cls(config.profile, config.features, config.priority_bits, placement, affinities=affinities)
        machine.ids = list(config.topology.processors)
        machine.spis, machine.initialised, machine._gic = config.spis, True, gic
        machine.ran = machine.frozen = True
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
            save_pending_tables(what, gic, self.ids)

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
        if self.ran and self.placement.complete(len(self.affinities)) is None:
            self.placement.its[number] = None
            raise KvmError(errno.EINVAL, f"{what}: {base:#x} overlaps what is there already")
        self._outdated = True

    @property
    def gic(self) -> Gic | None:
        """The GIC as it is now, None before `initialise` and in a VM without vCPUs."""
        if self._gic is not None and self._outdated:
            self._rebuild(self._gic)
        return self._gic

    def gic_of_itses(self, what: str) -> Gic | None:
        """The GIC, or before `initialise` one that has the ITSes only, and a Redistributor for each vCPU so far."""
        if self.initialised:
            return self.gic
        cpus = max(1, len(self.affinities))
        early = self._early
        if early is None or (len(early.config.topology), len(early.config.its)) != (cpus, len(self.placement.its)):
            # No register shows its affinities.
            new = self._built(what, range(cpus), self.ids or [0])
            if early is not None:
                carry_itses(early, new)
            self._early = new
        return self._early

    def initialise(self, what: str) -> None:
        """Build the GIC for the first time."""
        if self.affinities:
            self._gic = self._built(what, self.affinities, self.ids)
            if self._early is not None:
                carry_itses(self._early, self._gic)
        self._early = None
        self.initialised, self._outdated, self._new_its = True, False, False

    def addresses_changed(self) -> None:
        """The placement has changed. After the first run that concerns no vCPU."""
        self._outdated = self._outdated or not self.ran

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

    def widths(self, cpu: int) -> Widths:
        """How wide ICC_CTLR_EL1 of a vCPU says that its CPU interface is."""
        return self.interface.widths(cpu, self._widest)

    def take_interface(self, what: str, gic: Gic, cpu: int, value: int) -> None:
        """Take what an ICC_CTLR_EL1 of a vCPU says of its width, or refuse it.

        A refusal keeps what was found fit before: KVM looks at one field after the other.
        """
        wanted = icc.CTLR.decode(value)
        for name in ("PRIbits", "IDbits"):
            own = self.widths(cpu)
            before = own.pribits if name == "PRIbits" else own.idbits
            if wanted[name] > before:
                raise KvmError(errno.EINVAL, f"{what}: {name} is {wanted[name]}, more than this vCPU's {before}")
            self.interface.narrow(cpu, own._replace(**{name.lower(): wanted[name]}))
        of_vm = icc.CTLR.decode(gic.sysreg_read(cpu, icc.ICC_CTLR_EL1))
        for name in ("SEIS", "A3V"):
            if wanted[name] != of_vm[name]:
                raise KvmError(errno.EINVAL, f"{what}: {name} is {wanted[name]}, this VM's is {of_vm[name]}")
        self._narrow(what)

    def _narrow(self, what: str) -> None:
        """Let guests see a CPU interface as wide as the widest of the VM, where it has one of its own."""
        if self.interface_is_the_hosts or self.frozen:
            return
        told = [self.widths(cpu) for cpu in range(len(self.affinities))]
        bits, idbits = max(widths.pribits for widths in told) + 1, max(widths.idbits for widths in told)
        bits = max(bits, _FEWEST_PRIORITY_BITS)
        if bits < self.priority_bits or idbits < self._shown_idbits:
            view = {**self.profile.cpu_interface_ctlr, "IDbits": idbits}
            self._change(what, replace(self.profile, cpu_interface_ctlr=view), bits)

    @property
    def _shown_idbits(self) -> int:
        return self.profile.cpu_interface_ctlr.get("IDbits", 0)

    def _check_open(self, what: str) -> None:
        self.check_stopped(what)
        if self.frozen:
            raise KvmError(errno.EBUSY, f"{what}: what a GIC is that was given cannot change")

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
        new = self._built(what, [old.affinity(cpu) for cpu in cpus], self.ids)
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
            new.keep_sysreg(cpu, icc.ICC_BPR1_EL1, old.stored_sysreg(cpu, icc.ICC_BPR1_EL1))
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

    def _built(self, what: str, affinities: Sequence[int], ids: Sequence[int]) -> Gic:
        features = self.features
        try:
            config = Config(
                Topology(affinities, processors=ids),
                spis=self.spis or DEFAULT_SPIS,
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
