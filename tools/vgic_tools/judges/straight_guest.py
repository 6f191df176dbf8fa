"""A guest without a compiler: a straight line of instructions that reads system registers, as a guest sees them.

Each value is stored to an address without memory, at which KVM_RUN returns with it.
"""

from collections.abc import Sequence
from typing import Final

from vgic_tools.judges import kvm_abi as abi
from vgic_tools.judges.errors import JudgeError
from vgic_tools.judges.kvm_host import LiveVcpu, LiveVm

__all__ = ["guest_reads"]

_RAM: Final = 0x4000_0000
_NOTHING: Final = 0x1000_0000
"""No memory is there."""

_MILLISECONDS: Final = 10_000
"""That a guest may take for one register: far less is needed on a machine that is not busy."""

_MRS_X1: Final = 0xD520_0001
_STR_X1_AT_X0: Final = 0xF900_0001
_BRANCH_TO_ITSELF: Final = 0x1400_0000
_PAGE: Final = 0x1000


def guest_reads(vm: LiveVm, vcpu: LiveVcpu, encodings: Sequence[int]) -> list[int]:
    """What a guest reads of system registers, by their encodings as in `vgic.layouts.icc`, none of them UNDEFINED.

    `vcpu` is the only one of `vm`, which has no RAM yet, and has not run. Raises KvmError, and JudgeError where the
    guest does anything else.
    """
    program = [word for encoding in encodings for word in (_MRS_X1 | encoding << 5, _STR_X1_AT_X0)]
    code = b"".join(word.to_bytes(4, "little") for word in (*program, _BRANCH_TO_ITSELF))
    vm.add_ram(_RAM, -(-len(code) // _PAGE) * _PAGE)
    vm.write(_RAM, code)
    vcpu.set_reg(abi.PC, _RAM)
    vcpu.set_reg(abi.X(0), _NOTHING)
    return [_stored(vcpu) for _ in encodings]


def _stored(vcpu: LiveVcpu) -> int:
    left = vcpu.run(_MILLISECONDS)
    if left is None or (left.reason, left.address, left.size, left.is_write) != (abi.EXIT_MMIO, _NOTHING, 8, True):
        raise JudgeError(f"the guest that reads registers left by {left}")
    return left.value
