"""Reading a live KVM host: what it shows a new VM, what a VMM may change of it, and what a guest sees besides.

Rule IDENT-75.
"""

import errno
import re
from collections.abc import Mapping, Sequence
from typing import Final

from vgic.identity import Cluster, Cpu, Host, Hypervisor, View
from vgic.identity.kvm_versions import VERSIONS
from vgic.identity.registers import REGISTERS
from vgic.kvm import Address, Control, Group, KvmError
from vgic.layouts.icc import ICC_CTLR_EL1
from vgic_tools.errors import UsageError
from vgic_tools.hosts.cpuinfo import ranges
from vgic_tools.hosts.kvm_files import register_name
from vgic_tools.judges import kvm_abi as abi
from vgic_tools.judges.kvm_host import KvmHost, LiveVcpu, LiveVm
from vgic_tools.judges.straight_guest import guest_reads

__all__ = ["capture", "features_of", "guest_view", "hidden_fields", "initialise"]

_GUEST_ALONE: Final = ("DCZID_EL0", "CNTFRQ_EL0")
"""Registers that KVM tells no VMM of, and that a guest reads as its host has them."""

_SYSFS: Final = "/sys/devices/system/cpu"
_IN_SYSFS: Final = ("midr_el1", "revidr_el1", "aidr_el1")

_GICS: Final[Mapping[int, tuple[int, Mapping[int, int]]]] = {
    3: (abi.DEVICE_V3, {Address.DIST: 0x0800_0000, Address.REDIST: 0x080A_0000}),
    2: (abi.DEVICE_V2, {abi.V2_DIST: 0x0800_0000, abi.V2_CPU: 0x0801_0000}),
}
"""By the version: which device it is, and where its frames are put."""


def features_of(host: KvmHost) -> tuple[str, ...]:
    """What its vCPUs can have, as `kvm_abi.FEATURES`."""
    return tuple(name for name in abi.FEATURES if host.has(name))


def capture(host: KvmHost, name: str, features: Sequence[str]) -> Host:
    """A host in guest view: what it shows a VM whose vCPUs have these features, by kinds of CPUs to start on.

    Raises UsageError where the host lacks a feature or cannot be asked, JudgeError where its answers make no sense.
    """
    lacking = sorted(set(features) - set(features_of(host)))
    if lacking:
        raise UsageError(f"vCPUs of this host cannot have {', '.join(lacking)}")
    try:
        kinds = [_Kind(host, cpus, features) for cpus in _kinds(host)]
    except KvmError as error:
        raise UsageError(f"KVM refuses to be asked: {error}") from error
    first = kinds[0]
    asked = (
        f"vCPUs have {', '.join(features)}" if features else "vCPUs have none of the features that a VMM asks for"
    )
    return Host(
        name,
        tuple(kind.cluster for kind in kinds),
        View.GUEST,
        Hypervisor("KVM", host.release, writable=first.writable, hidden=first.hidden),
        source="vgic host capture",
        notes=(asked, *first.notes),
        gic=first.gic,
    )


class _Kind:
    """What VMs are shown that start on some of the host's CPUs."""

    def __init__(self, host: KvmHost, cpus: Sequence[int], features: Sequence[str]) -> None:
        host.reset()
        host.pin(cpus)
        self.gic, vm = _new_vm(host)
        vcpu = vm.create_vcpu(features=features)
        registers = guest_view(vcpu)
        masks = vm.writable_masks()
        self.writable = None if masks is None else _by_name(masks)
        self.hidden = hidden_fields(vcpu)
        self.notes: tuple[str, ...] = ()
        if self.gic is not None:
            initialise(vm, self.gic)
            if "pmu" in features:
                vcpu.init_pmu()
            if self.gic == 3:
                ctlr = vm.gic.get_attr(Group.CPU_SYSREGS, ICC_CTLR_EL1)
                self.notes = (f"ICC_CTLR_EL1 of a new vCPU is {ctlr:#x}; KVM tells nobody of ICH_VTR_EL2",)
            read = guest_reads(vm, vcpu, [REGISTERS[name].encoding for name in _GUEST_ALONE])
            registers |= zip(_GUEST_ALONE, read, strict=True)
        self.cluster = Cluster(f"cpu{ranges(cpus)}", Cpu(registers), len(cpus))


def _new_vm(host: KvmHost) -> tuple[int | None, LiveVm]:
    """A VM with the newest GIC that there can be, and its version; None where KVM has none."""
    for version, (device, _) in _GICS.items():
        try:
            return version, host.create_vm(gic=device)
        except KvmError as error:
            if error.errno != errno.ENODEV:
                raise
    return None, host.create_vm(gic=None)


def initialise(vm: LiveVm, version: int) -> None:
    """Give a VM's GIC, of this version, its addresses, and initialise it once there are vCPUs. Raises KvmError."""
    for attribute, address in _GICS[version][1].items():
        vm.gic.set_attr(Group.ADDR, attribute, address)
    vm.gic.set_attr(Group.CTRL, Control.INIT)


def _kinds(host: KvmHost) -> list[list[int]]:
    """The numbers of the host's CPUs, by what identifies them."""
    online = host.read_file(f"{_SYSFS}/online")
    found: dict[tuple[bytes | None, ...], list[int]] = {}
    for cpu in _numbers((online or b"").decode("ascii", "replace").strip()):
        told = tuple(host.read_file(f"{_SYSFS}/cpu{cpu}/regs/identification/{name}") for name in _IN_SYSFS)
        found.setdefault(told, []).append(cpu)
    return list(found.values())


def _numbers(text: str) -> list[int]:
    """The numbers that Linux lists as "0-3,8". Raises UsageError for anything else."""
    if not _LISTED.fullmatch(text):
        raise UsageError(f"{_SYSFS}/online: {text[:80]!r} lists no CPUs")
    spans = [[int(end) for end in part.split("-")] for part in text.split(",")]
    return [number for span in spans for number in range(span[0], span[-1] + 1)]


_LISTED: Final = re.compile(r"\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*")


def _by_name(values: Mapping[int, int]) -> dict[str, int]:
    """Values by the names of registers, of what has been told by KVM's ids."""
    named = {register_name(number): value for number, value in values.items()}
    return {name: value for name, value in named.items() if name is not None}


def guest_view(vcpu: LiveVcpu) -> dict[str, int]:
    """The identification registers of a vCPU, by name and in KVM's order. Raises KvmError."""
    named = {number: name for number in vcpu.registers() if (name := register_name(number)) is not None}
    answers = vcpu.host.ask([vcpu.get(number) for number in named])
    return {name: answer.value for name, answer in zip(named.values(), answers, strict=True) if not answer.errno}


_MAY_BE_HIDDEN: Final[Mapping[str, int]] = {
    register: mask for version in VERSIONS.values() for register, mask in version.clears.items()
}


def hidden_fields(vcpu: LiveVcpu) -> dict[str, int]:
    """What KVM accepts of fields that it does not show, and then clears: rule IDENT-72.

    0 for a register whose fields it shows, or of which it accepts nothing. A vCPU that has not run stays as it is.
    Raises KvmError.
    """
    found: dict[str, int] = {}
    for register, mask in _MAY_BE_HIDDEN.items():
        number = abi.system_register(REGISTERS[register].encoding)
        shown = vcpu.get_reg(number)
        found[register] = 0
        if shown & mask:
            continue
        lowest = mask & -mask
        tries = range(lowest, mask + 1, lowest)
        calls = [call for bits in tries for call in (vcpu.set(number, shown | bits), vcpu.get(number))]
        answers = vcpu.host.ask(calls)
        for bits, wrote, read in zip(tries, answers[::2], answers[1::2], strict=True):
            if not wrote.errno and read.value == shown:
                found[register] = bits
    return found
