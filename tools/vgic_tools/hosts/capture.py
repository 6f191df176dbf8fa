"""Reading a live KVM host: what it shows a new VM, what a VMM may change of it, and what a guest sees besides."""

from collections.abc import Mapping
from typing import Final

from vgic.identity.kvm_versions import VERSIONS
from vgic.identity.registers import REGISTERS
from vgic_tools.hosts.kvm_files import register_name
from vgic_tools.judges import kvm_abi as abi
from vgic_tools.judges.kvm_host import LiveVcpu

__all__ = ["guest_view", "hidden_fields"]


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
