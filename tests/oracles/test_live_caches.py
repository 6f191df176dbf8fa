"""What a live KVM makes of the caches of a VM whose CTR_EL0 is not its host's.

As tests/oracles/test_live_kvm.py, which says what it needs.
"""

import pytest

from live_hosts import kernel_at_hand
from vgic.identity.caches import generated_clidr
from vgic.identity.registers import REGISTERS
from vgic.kvm import KvmError
from vgic_tools.judges import kvm_abi as abi
from vgic_tools.judges.kvm_host import KvmHost

CTR, CLIDR = (abi.system_register(REGISTERS[name].encoding) for name in ("CTR_EL0", "CLIDR_EL1"))
IDC = 1 << 28


@pytest.mark.slow
@pytest.mark.rule("IDENT-35")
def test_clidr_is_made_of_the_hosts_ctr() -> None:
    """A VM that is promised what two hosts have in common does not move, unless its CLIDR_EL1 is pinned."""
    kernel = kernel_at_hand("6.12")
    with KvmHost(kernel, cpu="cortex-a76") as host:
        vcpu = host.create_vm().create_vcpu()
        shown = vcpu.get_reg(CTR)
        assert shown & IDC
        common = shown & ~IDC
        vcpu.set_reg(CTR, common)
        made, pinned = vcpu.get_reg(CLIDR), generated_clidr(common)
        assert made == generated_clidr(shown) != pinned
        vcpu.set_reg(CLIDR, pinned)
    with KvmHost(kernel, cpu="cortex-a57") as host:
        vcpu = host.create_vm().create_vcpu()
        assert vcpu.get_reg(CTR) == common
        with pytest.raises(KvmError, match="EINVAL"):
            vcpu.set_reg(CLIDR, made)
        vcpu.set_reg(CLIDR, pinned)
        assert vcpu.get_reg(CLIDR) == pinned
