"""The `kvm` engine: what becomes of what a VM was promised when a VMM writes it to a new vCPU. Rule IDENT-23.

Each register is written in the order in which KVM lists them; where one is refused, field by field, which of them
are to blame. What KVM takes is read back.
"""

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from vgic.identity.aarch32_features import is_aarch32, without_aarch32
from vgic.identity.finding import Cost, Finding, Outcome
from vgic.identity.host import Cpu, HostError
from vgic.identity.kvm import KvmIdRegisters
from vgic.identity.kvm_versions import KvmIdVersion
from vgic.identity.places import (
    LEFT_ALONE,
    MEANS_NOTHING,
    WHOLE,
    differing_fields,
    hertz,
    in_kvms_order,
    is_more,
    part_of,
    together,
    value_words,
    with_part,
)
from vgic.identity.registers import REGISTERS, selector_of
from vgic.kvm.errors import KvmError

__all__ = ["kvm_findings"]

_HOSTS_ALONE: Final = ("DCZID_EL0", "CNTFRQ_EL0")
"""What a guest sees and a VMM cannot write."""

_SHOWN: Final = "KVM shows the guest what it was promised"

_IMPLEMENTATION: Final = ("MIDR_EL1", "REVIDR_EL1", "AIDR_EL1")

_MAY_BE_MORE: Final = frozenset(
    {("ID_AA64PFR0_EL1", "CSV2"), ("ID_AA64PFR0_EL1", "CSV3"), ("ID_AA64PFR0_EL1", "GIC")}
)
"""Fields of which KVM may show more than the hardware has."""


def kvm_findings(
    promised: Cpu,
    shown: Cpu,
    versions: Sequence[KvmIdVersion],
    *,
    hardware: Cpu | None = None,
    hidden: Mapping[str, int] | None = None,
    implementation_ids: bool = False,
    has_run: bool = False,
    chapters: Callable[[KvmIdVersion], Sequence[Finding]] | None = None,
) -> list[Finding]:
    """What becomes of each register, and of each field that differs, on a host that shows a new vCPU `shown`.

    `hardware` is what the CPUs have, where what KVM shows of them is unknown; `hidden` as for `KvmIdRegisters`.
    `implementation_ids` is that the VMM
    enables KVM_CAP_ARM_WRITABLE_IMP_ID_REGS, `has_run` that it writes after a vCPU of the new VM has run. Of
    several `versions`, the findings in which they agree; where they do not, the outcome is unknown. `chapters` tell
    more of a kernel, see `vgic.identity.chapters`. Raises nothing.
    """
    by_version = []
    for version in versions:
        found = list(_Restore(promised, shown, hardware, hidden, version, implementation_ids, has_run).findings())
        # What KVM answers is known where it shows a register, whatever else a chapter would have to know.
        known = {one.register for one in found if one.outcome is not Outcome.UNKNOWN}
        more = [
            one
            for one in (chapters(version) if chapters else ())
            if one.outcome is not Outcome.UNKNOWN or one.register not in known
        ]
        by_version.append((version, together(found, more)))
    if len(by_version) == 1:
        return by_version[0][1]
    return _agreed(by_version)


def _agreed(by_version: Sequence[tuple[KvmIdVersion, list[Finding]]]) -> list[Finding]:
    """Findings by place; unknown where the kernels differ."""
    answers: dict[str, list[tuple[KvmIdVersion, Finding | None]]] = {}
    for place in dict.fromkeys(finding.place for _, found in by_version for finding in found):
        for version, found in by_version:
            answers.setdefault(place, []).append(
                (version, next((finding for finding in found if finding.place == place), None))
            )
    agreed = []
    for told in answers.values():
        known = [finding for _, finding in told if finding is not None]
        outcomes = {finding.outcome if finding else Outcome.SAME for _, finding in told}
        agreed.append(known[-1] if len(outcomes) == 1 else _disagreed(known[-1], told))
    return agreed


def _disagreed(like: Finding, told: Sequence[tuple[KvmIdVersion, Finding | None]]) -> Finding:
    words = {version.name: (finding.outcome if finding else Outcome.SAME).name.lower() for version, finding in told}
    listed = ", ".join(f"Linux {name}: {word}" for name, word in words.items())
    return Finding(
        like.register,
        like.field,
        like.guest,
        like.host,
        Outcome.UNKNOWN,
        like.rule,
        f"kernels differ here ({listed})",
        remedy="the version of the host's Linux, where it is one of these, would tell",
    )


class _Restore:
    """One restore, on one kernel."""

    def __init__(
        self,
        promised: Cpu,
        shown: Cpu,
        hardware: Cpu | None,
        hidden: Mapping[str, int] | None,
        version: KvmIdVersion,
        implementation_ids: bool,
        has_run: bool,
    ) -> None:
        self._promised = promised.registers
        self._shown = shown.registers
        self._hardware = hardware.registers if hardware else {}
        self._version = version
        self._no_capability = implementation_ids and not version.implementation_ids
        self._vcpu = KvmIdRegisters(
            self._shown,
            version,
            implementation_ids=implementation_ids and not self._no_capability,
            hidden=hidden,
        )
        if has_run:
            self._vcpu.run()

    def findings(self) -> Iterator[Finding]:
        """What becomes of each register, in KVM's order; then of what no VMM writes."""
        if self._no_capability:
            yield self._capability()
        for name in in_kvms_order(self._promised):
            if name not in LEFT_ALONE:
                yield from self._register(name, self._promised[name])
        for name in _HOSTS_ALONE:
            yield from self._hosts_alone(name)
        same_ctr = self._promised.get("CTR_EL0") == self._shown.get("CTR_EL0")
        same_ctr = same_ctr and self._version.generated_caches
        for name in in_kvms_order(self._shown):
            made_alike = same_ctr and (name == "CLIDR_EL1" or selector_of(name) is not None)
            if name not in self._promised and name not in {*LEFT_ALONE, *_HOSTS_ALONE} and not made_alike:
                why = "nobody has told what the VM was shown there"
                yield Finding(name, "", None, self._shown[name], Outcome.UNKNOWN, "IDENT-23", why)

    def _capability(self) -> Finding:
        why = f"KVM of Linux {self._version.name} has no such capability, and the VMM ends there"
        return Finding(
            "",
            "KVM_CAP_ARM_WRITABLE_IMP_ID_REGS",
            1,
            0,
            Outcome.REFUSED,
            "IDENT-14",
            why,
            errno=errno.EINVAL,
            remedy="Linux 6.15 and later have it",
        )

    def _hosts_alone(self, name: str) -> Iterator[Finding]:
        """A register that is the host's, whatever was promised."""
        guest, host = self._promised.get(name), self._shown.get(name)
        if guest == host:
            if guest is not None:
                yield Finding(name, "", guest, host, Outcome.SAME, "IDENT-18", "the host has what was promised")
            return
        if guest is None or host is None:
            missing = "the VM was shown" if guest is None else "the host has"
            why = f"nobody has told what {missing}"
            yield Finding(name, "", guest, host, Outcome.UNKNOWN, "IDENT-18", why)
            return
        yield Finding(name, "", guest, host, Outcome.LEAK, "IDENT-18", _leak(name, guest, host))

    def _register(self, name: str, value: int) -> Iterator[Finding]:
        if name in _HOSTS_ALONE:
            return
        try:
            host = self._vcpu.get(name)
        except HostError:
            yield from self._unknown(name, value)
            return
        except KvmError as error:
            why = "the host has no such cache, and its KVM no such register"
            yield Finding(name, "", value, None, Outcome.REFUSED, "IDENT-73", why, errno=error.errno)
            return
        try:
            self._vcpu.set(name, value)
        except HostError as error:
            if value == host:
                yield Finding(name, "", value, host, Outcome.SAME, "IDENT-23", "the host shows what was promised")
            else:
                modelled = name in REGISTERS or selector_of(name) is not None
                rule = "IDENT-22" if modelled else "IDENT-19"
                yield Finding(name, "", value, host, Outcome.UNKNOWN, rule, str(error))
            return
        except KvmError as error:
            yield from self._refused(name, value, host, error.errno)
            return
        yield from self._taken(name, value, host, self._vcpu.get(name))

    def _unknown(self, name: str, value: int) -> Iterator[Finding]:
        """Of a register of which nobody tells what KVM shows: refused where the hardware has less than promised."""
        hardware = self._hardware.get(name)
        too_much = False
        if hardware is not None and name in REGISTERS and name not in WHOLE:
            register = REGISTERS[name]
            for field in differing_fields(register, value, hardware):
                mine, has = field.extract(value), field.extract(hardware)
                if (name, field.name) not in _MAY_BE_MORE and is_more(register, field, mine, has):
                    too_much = True
                    why = "the hardware has less, and KVM shows no more than that"
                    refused = Outcome.REFUSED
                    yield Finding(name, field.name, mine, has, refused, "IDENT-22", why, errno=errno.EINVAL)
        if not too_much:
            why = "what KVM shows of this host is unknown"
            remedy = "KVM's idregs of any VM on that host would tell"
            yield Finding(name, "", value, None, Outcome.UNKNOWN, "IDENT-22", why, remedy=remedy)

    def _taken(self, name: str, value: int, host: int, read: int) -> Iterator[Finding]:
        """What KVM has accepted."""
        if value == host == read:
            yield Finding(name, "", value, host, Outcome.SAME, "IDENT-11", "the host shows what was promised")
        elif value != read and is_aarch32(name) and without_aarch32(self._promised):
            yield Finding(name, "", value, read, Outcome.WEAKER, "IDENT-76", MEANS_NOTHING)
        elif name in _IMPLEMENTATION:
            yield Finding(
                name,
                "",
                value,
                host,
                Outcome.TRAP,
                "IDENT-14",
                "KVM shows the guest the CPU that it was promised",
                traps=("VPIDR_EL2",) if name == "MIDR_EL1" else ("HCR_EL2.TID1",),
                cost=Cost.RARE if name != "MIDR_EL1" else Cost.NONE,
            )
        else:
            changed = {field: now for field, _, now in part_of(name, value, read)}
            for field, mine, has in part_of(name, value, host):
                rule = self._rule(name, field, mine)
                if field in changed:
                    now = changed[field]
                    why = f"KVM takes it, and the guest reads {value_words(name, field, now)} from then on"
                    yield Finding(name, field, mine, now, Outcome.CHANGED, rule, why)
                else:
                    yield Finding(name, field, mine, has, Outcome.WEAKER, rule, _SHOWN)

    def _refused(self, name: str, value: int, host: int, number: int | None) -> Iterator[Finding]:
        """Each field, which KVM refuses by itself or takes; the register, where it takes each of them alone."""
        refused: dict[str, int | None] = {}
        untold: dict[str, str] = {}
        parts = list(part_of(name, value, host))
        for field, mine, _ in parts:
            try:
                self._vcpu.set(name, with_part(name, host, field, mine))
            except KvmError as error:
                refused[field] = error.errno
            except HostError as error:
                untold[field] = str(error)
            else:
                # What may be written may be written back, unless it is settled; and then nothing was taken.
                self._vcpu.set(name, host)
        if not refused:
            refused, parts = {"": number}, [("", value, host)]
        for field, mine, has in parts:
            rule = self._rule(name, field, mine)
            if field in refused:
                why, remedy = self._why(name, field, mine, has), self._remedy(name)
                answer = refused[field]
                yield Finding(name, field, mine, has, Outcome.REFUSED, rule, why, errno=answer, remedy=remedy)
            elif field in untold:
                yield Finding(name, field, mine, has, Outcome.UNKNOWN, rule, untold[field])
            else:
                yield Finding(name, field, mine, has, Outcome.WEAKER, rule, _SHOWN)

    def _rule(self, name: str, field: str, value: int) -> str:
        if name in _IMPLEMENTATION:
            return "IDENT-14"
        if self._vcpu.has_run and self._version.settled_by_running:
            return "IDENT-10"
        if not self._version.settled_by_running:
            return "IDENT-17"
        if selector_of(name) is not None:
            return "IDENT-15"
        if name == "CLIDR_EL1":
            return "IDENT-16"
        if name == "ID_AA64DFR0_EL1" and field in ("PMUVer", "DebugVer") and value in (15, *range(6)):
            return "IDENT-12"
        return "IDENT-11"

    def _why(self, name: str, field: str, value: int, host: int) -> str:
        """Why KVM refuses it."""
        if name in _IMPLEMENTATION:
            kind = value_words(name, "", value), value_words(name, "", host)
            return f"the VM was promised {kind[0]}, and this is {kind[1]}"
        if self._vcpu.has_run and self._version.settled_by_running:
            return "a vCPU has run, and what it saw is settled"
        if selector_of(name) is not None and self._version.generated_caches:
            return "its lines are shorter than the host's shortest"
        if name == "CLIDR_EL1" and self._version.generated_caches:
            return "it says that data caches need no cleaning, and the host's do"
        if not field or field == "reserved":
            return "KVM takes nothing there but what the host shows"
        declared = REGISTERS[name]
        mask = declared.layout.field(field).mask
        if mask & ~self._version.writable.get(name, 0):
            return "KVM lets no VMM change this field"
        return f"the host's cannot stand for it: {declared.safe_values[field]}"

    def _remedy(self, name: str) -> str:
        if name not in _IMPLEMENTATION or self._vcpu.implementation_ids or self._no_capability:
            return ""
        later = "" if self._version.implementation_ids else "Linux 6.15 or later, and "
        return f"{later}a VMM that enables KVM_CAP_ARM_WRITABLE_IMP_ID_REGS and tells the guest of both CPUs"


def _leak(name: str, guest: int, host: int) -> str:
    if name == "DCZID_EL0":
        return "no VMM can write it: programs that have read it zero blocks of another size than they think"
    rate = f", {host / guest:.3g} times the rate" if guest else ""
    return f"no VMM can write it: the guest reckons with {hertz(guest)}, and its clock goes at {hertz(host)}{rate}"
