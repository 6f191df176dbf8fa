"""The identification registers of a vCPU of a live KVM, and what it answers to writes of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vgic.identity.kvm import KvmIdRegisters
from vgic.identity.kvm_versions import KVM_6_1, KVM_6_12, KVM_7_2, KvmIdVersion
from vgic.kvm import Address, Control, Group, KvmError
from vgic_tools.hosts.capture import guest_view, hidden_fields
from vgic_tools.judges import kvm_abi as abi
from vgic_tools.judges.kvm_host import KvmHost, LiveVcpu, Outcome

__all__ = ["STATES", "VERSIONS", "Seen", "State", "answers_of", "modelled", "seen_of", "states_of", "vcpu_in"]

VERSIONS: dict[str, KvmIdVersion] = {"6.1": KVM_6_1, "6.12": KVM_6_12, "newest": KVM_7_2}

RAM = 0x4000_0000
BRANCH_TO_ITSELF = (0x1400_0000).to_bytes(4, "little")


@dataclass(frozen=True)
class State:
    """Of a VM: whether its VMM has enabled the capability, and whether a vCPU has run."""

    capability: bool
    has_run: bool


STATES = [State(capability, has_run) for capability in (False, True) for has_run in (False, True)]


def states_of(version: KvmIdVersion) -> list[State]:
    """Those that a VM of this kernel can be in."""
    return [state for state in STATES if version.implementation_ids or not state.capability]


def vcpu_in(host: KvmHost, state: State, features: Sequence[str] = ()) -> LiveVcpu:
    """The vCPU of a new VM in this state, the host's only one."""
    host.reset()
    vm = host.create_vm()
    if state.capability:
        vm.enable_cap(abi.CAP_ARM_WRITABLE_IMP_ID_REGS)
    vm.add_ram(RAM, 0x1_0000)
    vcpu = vm.create_vcpu(features=features)
    vm.gic.set_attr(Group.ADDR, Address.DIST, 0x800_0000)
    vm.gic.set_attr(Group.ADDR, Address.REDIST, 0x80A_0000)
    vm.gic.set_attr(Group.CTRL, Control.INIT)
    if "pmu" in features:
        vcpu.init_pmu()
    if state.has_run:
        vm.write(RAM, BRANCH_TO_ITSELF)
        vcpu.set_reg(abi.PC, RAM)
        # As long as it takes for a run to begin: it ends by the time.
        assert vcpu.run(5) is None
    return vcpu


@dataclass
class Seen:
    """What a host shows a new vCPU."""

    shown: dict[str, int]
    """The identification registers by name, in KVM's order."""
    hidden: dict[str, int]
    everything: list[tuple[int, int]] = field(repr=False)
    """Every register of up to 64 bits, by KVM's id and in its order: what a VMM sends."""


def seen_of(host: KvmHost, features: Sequence[str] = ()) -> Seen:
    """Ask it."""
    vcpu = vcpu_in(host, STATES[0], features)
    ids = [number for number in vcpu.registers() if abi.size_of(number) <= 8]
    values = [outcome.value for outcome in host.ask([vcpu.get(number) for number in ids])]
    return Seen(guest_view(vcpu), hidden_fields(vcpu), list(zip(ids, values, strict=True)))


def answers_of(host: KvmHost, vcpu: LiveVcpu, asked: Iterable[tuple[int, int]]) -> list[Outcome]:
    """The errno of each write, and what is read back."""
    calls = [call for number, value in asked for call in (vcpu.set(number, value), vcpu.get(number))]
    told = host.ask(calls)
    return [Outcome(told[at].errno, told[at + 1].value) for at in range(0, len(told), 2)]


def modelled(model: KvmIdRegisters, name: str, value: int) -> Outcome:
    """The same of the model; no value where it has no such register."""
    number = 0
    try:
        model.set(name, value)
    except KvmError as error:
        number = error.errno or 0
    try:
        return Outcome(number, model.get(name))
    except KvmError:
        return Outcome(number)
