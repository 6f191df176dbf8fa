"""What a live KVM leaves of the watchpoints that a VM was not promised.

As tests/oracles/test_live_kvm.py, which says what it needs.
"""

import pytest

from live_hosts import kernel_at_hand
from vgic.identity.breakpoints import debug_resources
from vgic.identity.declaring import system_register
from vgic.identity.host import Cpu
from vgic.identity.registers import REGISTERS
from vgic.kvm import Address, Control, Group
from vgic_tools.judges import kvm_abi as abi
from vgic_tools.judges.kvm_host import KvmHost

DFR0 = abi.system_register(REGISTERS["ID_AA64DFR0_EL1"].encoding)
VBAR = abi.system_register(system_register(3, 0, 12, 0, 0))
RAM, MMIO = 0x4000_0000, 0x1000_0000
READ, UNDEFINED = 0x11, 0x22
NOP, BRANCH_TO_ITSELF = 0xD503_201F, 0x1400_0000


def mrs_watchpoint(number: int) -> int:
    """MRS X0, DBGWVR<n>_EL1."""
    return 0xD530_0000 | number << 8 | 6 << 5


def store(register: int) -> int:
    """STR W<n>, [X2]."""
    return 0xB900_0000 | 2 << 5 | register


def code(*words: int) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in words)


def reads(host: KvmHost, number: int, watchpoints: int) -> int:
    """READ where a guest that was promised so many watchpoints can read this one, or else UNDEFINED."""
    host.reset()
    vm = host.create_vm()
    vm.add_ram(RAM, 0x1_0000)
    vcpu = vm.create_vcpu()
    vm.gic.set_attr(Group.ADDR, Address.DIST, 0x800_0000)
    vm.gic.set_attr(Group.ADDR, Address.REDIST, 0x80A_0000)
    vm.gic.set_attr(Group.CTRL, Control.INIT)
    shown = vcpu.get_reg(DFR0)
    vcpu.set_reg(DFR0, shown & ~(0xF << 20) | (watchpoints - 1) << 20)
    vm.write(RAM, code(NOP, NOP, mrs_watchpoint(number), store(1), BRANCH_TO_ITSELF))
    # A synchronous exception from EL1 with its own stack pointer.
    vm.write(RAM + 0x1200, code(store(3), BRANCH_TO_ITSELF))
    vcpu.set_reg(VBAR, RAM + 0x1000)
    for register, value in ((1, READ), (2, MMIO), (3, UNDEFINED)):
        vcpu.set_reg(abi.X(register), value)
    vcpu.set_reg(abi.PC, RAM)
    left = vcpu.run(2000)
    assert left is not None
    assert left.address == MMIO
    return left.value


@pytest.mark.slow
@pytest.mark.rule("IDENT-46")
@pytest.mark.parametrize("kernel", ["6.12", "newest"])
def test_watchpoints_that_were_not_promised_are_there(kernel: str) -> None:
    with KvmHost(kernel_at_hand(kernel), cpu="cortex-a76") as host:
        vcpu = host.create_vm().create_vcpu()
        has = debug_resources(Cpu({"ID_AA64DFR0_EL1": vcpu.get_reg(DFR0)}))
        assert has is not None
        for promised in (has.watchpoints, 2, 1):
            assert reads(host, has.watchpoints - 1, promised) == READ
        assert reads(host, has.watchpoints, has.watchpoints) == UNDEFINED
