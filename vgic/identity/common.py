"""The strongest contract that every one of several hosts keeps, and which host forces each field. Rule IDENT-29.

A member is a cluster of a host: a VMM may start a VM on any. What a member takes is asked of the `kvm` engine where
the host's file tells enough, of the `contract` engine otherwise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from vgic.errors import ConfigError
from vgic.host.capabilities import CpuInterfaceView, HostCapabilities
from vgic.identity.architecture import contract_findings
from vgic.identity.caches import generated_clidr
from vgic.identity.contract import Contract
from vgic.identity.declaring import IdRegister
from vgic.identity.erratum import Implementation
from vgic.identity.finding import Outcome, worst
from vgic.identity.host import Cluster, Cpu, Host, HostError, View
from vgic.identity.kvm import KvmIdRegisters
from vgic.identity.places import LEFT_ALONE, WHOLE, in_kvms_order, reserved_mask, with_part
from vgic.identity.registers import REGISTERS, selector_of
from vgic.identity.safe_values import SafeValue
from vgic.identity.shown import hidden_of, kernels_of, shown_by
from vgic.kvm.errors import KvmError

__all__ = ["Common", "Forced", "Impossible", "Member", "common", "members_of"]

_IMPLEMENTATION: Final = ("MIDR_EL1", "REVIDR_EL1", "AIDR_EL1")
_HOSTS_ALONE: Final = frozenset({"DCZID_EL0", "CNTFRQ_EL0"})
_GICV2: Final = 2


@dataclass(frozen=True)
class Forced:
    """A field in which members differ, and what all of them take."""

    register: str
    field: str
    value: int
    by: tuple[str, ...]
    """The members that take nothing stronger; all of them where none has this value."""
    values: tuple[tuple[str, int], ...]
    """What each member has."""

    @property
    def place(self) -> str:
        """As `Finding.place`."""
        return ".".join(part for part in (self.register, self.field) if part)


@dataclass(frozen=True)
class Impossible:
    """A field, or register, of which no value is taken by all."""

    register: str
    field: str
    values: tuple[tuple[str, int], ...]
    why: str

    @property
    def place(self) -> str:
        """As `Finding.place`."""
        return ".".join(part for part in (self.register, self.field) if part)


@dataclass(frozen=True)
class Common:
    """What several hosts have come to."""

    contract: Contract
    """The strongest that all keep, as far as their files tell; a register is left out that not all take."""
    forced: tuple[Forced, ...]
    impossible: tuple[Impossible, ...]
    """None where there is a contract that all keep."""
    unknown: tuple[str, ...]
    """Registers that some members' files tell and others' do not."""


class Member:
    """A cluster of a host, and what it takes."""

    def __init__(self, host: Host, cluster: Cluster, kernel: str | None, *, implementation_ids: bool) -> None:
        self.name = f"{host.name}, {cluster.name}" if len(host.clusters) > 1 else host.name
        kernels = kernels_of(host, kernel)
        shown = shown_by(host, cluster, kernels[0] if len(kernels) == 1 else None)
        self._view = host.view
        self._cpu = cluster.cpu
        self._implementation_ids = implementation_ids
        self._vcpus = [
            KvmIdRegisters(
                shown.registers,
                version,
                implementation_ids=implementation_ids and version.implementation_ids,
                hidden=hidden_of(host),
            )
            for version in kernels
        ]
        self.gic = host.gic
        self.registers: dict[str, int] = {**cluster.cpu.registers, **shown.registers}
        """What the host shows a VM there; what the hardware has, where that is unknown."""
        for name in ("CLIDR_EL1", *(f"CCSIDR_EL1[{selector}]" for selector in range(14))):
            self._take_over(name)

    def _take_over(self, name: str) -> None:
        """A register that KVM makes, where all the kernels make the same; else nobody knows what it is."""
        made = {value for vcpu in self._vcpus if (value := self._made(vcpu, name)) is not None}
        if len(made) == 1:
            [self.registers[name]] = made
        elif self._view is not View.GUEST:
            self.registers.pop(name, None)

    @staticmethod
    def _made(vcpu: KvmIdRegisters, name: str) -> int | None:
        try:
            return vcpu.get(name)
        except (HostError, KvmError):
            return None

    def takes(self, name: str, value: int) -> bool:
        """Whether the guest can be shown this value, as far as that is known: by every kernel it may be."""
        if name in _HOSTS_ALONE:
            return value == self.registers.get(name)
        try:
            return all(self._kvm_takes(vcpu, name, value) for vcpu in self._vcpus)
        except HostError:
            return value == self.registers.get(name) or self._can_be_kept(name, value)

    def _kvm_takes(self, vcpu: KvmIdRegisters, name: str, value: int) -> bool:
        """Raises HostError where nobody knows what KVM says."""
        try:
            before = vcpu.get(name)
            vcpu.set(name, value)
        except KvmError:
            return False
        # Where there is no AArch32, nobody looks at what its registers say.
        taken = vcpu.get(name) == value or vcpu.ignores(name)
        vcpu.set(name, before)
        return taken

    def _can_be_kept(self, name: str, value: int) -> bool:
        if name not in REGISTERS or name in WHOLE:
            return False
        asked = Contract("", Cpu({name: value}))
        return worst(contract_findings(asked, Cpu({name: self.registers[name]}), self._view)) <= Outcome.WEAKER


def members_of(
    hosts: Iterable[Host], kernel: str | None = None, *, implementation_ids: bool = False
) -> list[Member]:
    """Every cluster of every host, by name."""
    members = [
        Member(host, cluster, kernel, implementation_ids=implementation_ids)
        for host in hosts
        for cluster in host.clusters
    ]
    return sorted(members, key=lambda member: (member.name, sorted(member.registers.items())))


@dataclass
class _Found:
    registers: dict[str, int] = field(default_factory=dict)
    forced: list[Forced] = field(default_factory=list)
    impossible: list[Impossible] = field(default_factory=list)


def common(hosts: Iterable[Host], kernel: str | None = None, *, implementation_ids: bool = False) -> Common:
    """The strongest contract that all `hosts` keep; in whichever order they are given.

    `kernel` as for `check`; `implementation_ids` is that the VMM enables KVM_CAP_ARM_WRITABLE_IMP_ID_REGS. Raises
    HostError where there are no hosts.
    """
    members = members_of(hosts, kernel, implementation_ids=implementation_ids)
    if not members:
        raise HostError("no host is given")
    told = {name for member in members for name in member.registers if name not in LEFT_ALONE}
    known = {name for name in told if all(name in member.registers for member in members)}
    found = _Found()
    for name in in_kvms_order(dict.fromkeys(known, 0)):
        if selector_of(name) is None and name != "CLIDR_EL1" and name not in _IMPLEMENTATION:
            _add_register(found, name, members)
    for name in in_kvms_order({name: 0 for name in known if selector_of(name) is not None or name == "CLIDR_EL1"}):
        _add_cache(found, name, members)
    targets = _add_implementation(found, [name for name in _IMPLEMENTATION if name in known], members)
    gic = _common_gic(found, members)
    contract = Contract(
        "common of " + ", ".join(dict.fromkeys(member.name for member in members)),
        Cpu({name: found.registers[name] for name in in_kvms_order(found.registers)}),
        writable_implementation_ids=implementation_ids,
        gic=gic,
        targets=targets,
    )
    return Common(
        contract, tuple(found.forced), tuple(found.impossible), tuple(in_kvms_order(dict.fromkeys(told - known, 0)))
    )


def _values(name: str, members: Sequence[Member]) -> tuple[tuple[str, int], ...]:
    return tuple((member.name, member.registers[name]) for member in members)


_NOBODY: Final = "none of the hosts' values, nor a weaker one, is taken by all of them"


def _add_register(found: _Found, name: str, members: Sequence[Member]) -> None:
    """A register field by field; whole, where its fields say nothing one by one."""
    values = [member.registers[name] for member in members]
    if len(set(values)) == 1:
        found.registers[name] = values[0]
        return
    if name in WHOLE or name not in REGISTERS:
        _add_whole(found, name, members, sorted(set(values)))
        return
    register = REGISTERS[name]
    reserved = {value & reserved_mask(register) for value in values}
    if len(reserved) > 1:
        found.impossible.append(Impossible(name, "reserved", _values(name, members), _NOBODY))
        return
    [made] = reserved
    possible = True
    for declared in register.layout.fields:
        has = tuple((member.name, declared.extract(member.registers[name])) for member in members)
        strongest = _strongest(register, declared.name, members)
        if strongest is None:
            found.impossible.append(Impossible(name, declared.name, has, _NOBODY))
            possible = False
            continue
        made |= strongest << declared.lsb
        if len({value for _, value in has}) > 1:
            by = tuple(member for member, value in has if value == strongest) or tuple(member for member, _ in has)
            found.forced.append(Forced(name, declared.name, strongest, by, has))
    if possible:
        found.registers[name] = made


def _strongest(register: IdRegister, name: str, members: Sequence[Member]) -> int | None:
    """The value of a field that all members take, and that can stand for every other such value."""
    declared = register.layout.field(name)
    has = [declared.extract(member.registers[register.name]) for member in members]
    if len(set(has)) == 1:
        return has[0]
    taken = [value for value in range(1 << declared.width) if _all_take(register, name, value, members)]
    safe = register.safe_values[name]
    stands = (value for value in taken if all(_stands(safe, value, other, declared.width) for other in taken))
    return next(stands, None)


def _stands(safe: SafeValue, value: int, other: int, width: int) -> bool:
    return safe.of(value, other, width) == other


def _all_take(register: IdRegister, name: str, value: int, members: Sequence[Member]) -> bool:
    return all(
        member.takes(register.name, with_part(register.name, member.registers[register.name], name, value))
        for member in members
    )


def _add_whole(found: _Found, name: str, members: Sequence[Member], candidates: Iterable[int]) -> None:
    for value in candidates:
        if all(member.takes(name, value) for member in members):
            found.registers[name] = value
            by = tuple(member.name for member in members if member.registers[name] == value)
            all_names = tuple(member.name for member in members)
            found.forced.append(Forced(name, "", value, by or all_names, _values(name, members)))
            return
    why = _WHYS.get(name, _WITH_CAPABILITY if name in _IMPLEMENTATION else _NOBODY)
    found.impossible.append(Impossible(name, "", _values(name, members), why))


_WHYS: Final = {
    "CNTFRQ_EL0": "nothing virtualises it: a guest sees the frequency of its host's counter",
    "DCZID_EL0": "no VMM can write it: a guest sees its host's",
}
_WITH_CAPABILITY: Final = "a VMM can choose it with KVM_CAP_ARM_WRITABLE_IMP_ID_REGS alone, of Linux 6.15 and later"


def _add_cache(found: _Found, name: str, members: Sequence[Member]) -> None:
    """What all show; else what the common CTR_EL0 makes, or the one with the longest lines, that all take."""
    values = {member.registers[name] for member in members}
    if len(values) == 1:
        [found.registers[name]] = values
        return
    candidates = sorted(values, reverse=True)
    if name == "CLIDR_EL1" and "CTR_EL0" in found.registers:
        candidates.insert(0, generated_clidr(found.registers["CTR_EL0"]))
    _add_whole(found, name, members, candidates)


def _add_implementation(
    found: _Found, names: Sequence[str], members: Sequence[Member]
) -> tuple[Implementation, ...]:
    """Which CPU it is: that of the least number, where all take it; and the list of all that it may be."""
    kinds = sorted({tuple(member.registers[name] for name in names) for member in members})
    for position, name in enumerate(names):
        if len({kind[position] for kind in kinds}) == 1:
            found.registers[name] = kinds[0][position]
        else:
            _add_whole(found, name, members, [kinds[0][position]])
    if len(kinds) == 1 or len(names) < len(_IMPLEMENTATION):
        return ()
    return tuple(Implementation(*kind) for kind in kinds)


def _common_gic(found: _Found, members: Sequence[Member]) -> CpuInterfaceView | None:
    """The view of a CPU interface that all can give, where all tell what they have."""
    versions = [(member.name, member.gic) for member in members if member.gic is not None]
    if any(version == _GICV2 for _, version in versions):
        if len({version for _, version in versions}) > 1:
            by = tuple(name for name, version in versions if version == _GICV2)
            found.forced.append(Forced("", "GIC", _GICV2, by, tuple(versions)))
        return None
    try:
        hosts = [HostCapabilities.from_vtr(member.registers["ICH_VTR_EL2"]) for member in members]
    except (KeyError, ConfigError):
        return None
    for name in ("a3v", "seis"):
        values = tuple((member.name, int(getattr(host, name))) for member, host in zip(members, hosts, strict=True))
        if len({value for _, value in values}) > 1:
            found.impossible.append(Impossible("ICC_CTLR_EL1", name.upper(), values, _NOBODY))
            return None
    return CpuInterfaceView(
        hosts[0].a3v,
        min(host.priority_bits for host in hosts),
        min(host.id_bits for host in hosts),
        hosts[0].seis,
    )
