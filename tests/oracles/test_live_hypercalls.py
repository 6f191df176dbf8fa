"""What a live KVM says of the calls about target CPUs, to its VMM and to a guest, beside `TargetCalls`.

KVM only advertises them; that it does not answer them itself is part of what is asked here.

As tests/oracles/test_live_kvm.py, which says what it needs.
"""

import errno
from collections.abc import Iterator

import pytest

from live_hosts import kernel_at_hand
from vgic.identity.hypercalls import (
    CALL_UID,
    DISCOVER_IMPL_CPUS,
    DISCOVER_IMPL_VER,
    FEATURES,
    NOT_SUPPORTED,
    Registers,
    TargetCalls,
    discovered,
    numbers_in,
)
from vgic.kvm import Address, Control, Group, KvmError
from vgic_tools.judges import kvm_abi as abi
from vgic_tools.judges.kvm_host import KvmHost, LiveVcpu, LiveVm

RAM = 0x4000_0000
HVC_AND_STAY = (0xD400_0002).to_bytes(4, "little") + (0x1400_0000).to_bytes(4, "little")
BMAP_2 = 0x6030_0000_0016_0003
"""KVM_REG_ARM_VENDOR_HYP_BMAP_2."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def host() -> Iterator[KvmHost]:
    with KvmHost(kernel_at_hand("newest")) as made:
        yield made


def vm_and_vcpu(host: KvmHost) -> tuple[LiveVm, LiveVcpu]:
    host.reset()
    vm = host.create_vm()
    vm.add_ram(RAM, 0x1_0000)
    vcpu = vm.create_vcpu()
    vm.gic.set_attr(Group.ADDR, Address.DIST, 0x800_0000)
    vm.gic.set_attr(Group.ADDR, Address.REDIST, 0x80A_0000)
    vm.gic.set_attr(Group.CTRL, Control.INIT)
    vm.write(RAM, HVC_AND_STAY)
    return vm, vcpu


def call(vcpu: LiveVcpu, *arguments: int) -> Registers:
    """An HVC of the guest's."""
    for number in range(4):
        vcpu.set_reg(abi.X(number), arguments[number] if number < len(arguments) else 0)
    vcpu.set_reg(abi.PC, RAM)
    for _ in range(100):
        assert vcpu.run(50) is None
        if vcpu.get_reg(abi.PC) != RAM:
            break
    return Registers(*(vcpu.get_reg(abi.X(number)) for number in range(4)))


def write(vcpu: LiveVcpu, bits: int) -> int:
    try:
        vcpu.set_reg(BMAP_2, bits)
    except KvmError as error:
        return error.errno or 0
    return 0


def modelled(calls: TargetCalls, bits: int) -> int:
    try:
        calls.set_advertised(bits)
    except KvmError as error:
        return error.errno or 0
    return 0


@pytest.mark.rule("IDENT-57")
@pytest.mark.parametrize("first", range(4))
def test_which_calls_a_vmm_can_advertise(host: KvmHost, first: int) -> None:
    _, vcpu = vm_and_vcpu(host)
    calls = TargetCalls([])
    assert vcpu.get_reg(BMAP_2) == calls.advertised == 0
    for has_run in (False, True):
        if has_run:
            call(vcpu, FEATURES)
            calls.run()
        for bits in (*range(8), 1 << 31, 1 << 63, first):
            assert (write(vcpu, bits), vcpu.get_reg(BMAP_2)) == (modelled(calls, bits), calls.advertised)


@pytest.mark.rule("IDENT-57", "IDENT-59")
@pytest.mark.parametrize("bits", range(4))
def test_what_a_guest_is_told_of_the_calls(host: KvmHost, bits: int) -> None:
    _, vcpu = vm_and_vcpu(host)
    vcpu.set_reg(BMAP_2, bits)
    told = call(vcpu, FEATURES)
    calls = TargetCalls([], others=numbers_in(told) & set(range(64)))
    calls.set_advertised(bits)
    assert told == calls.call(FEATURES)
    assert call(vcpu, CALL_UID) == calls.call(CALL_UID)
    for function in (DISCOVER_IMPL_VER, DISCOVER_IMPL_CPUS):
        assert call(vcpu, function) == Registers(NOT_SUPPORTED)


@pytest.mark.rule("IDENT-58")
def test_a_list_that_no_vmm_answers_for_is_ignored(host: KvmHost) -> None:
    _, vcpu = vm_and_vcpu(host)
    vcpu.set_reg(BMAP_2, 3)
    told = discovered(lambda *arguments: call(vcpu, *arguments))
    assert told == ((), "DISCOVER_IMPL_VER returned -1")


@pytest.mark.rule("IDENT-57")
def test_older_kernels_have_no_such_calls() -> None:
    with KvmHost(kernel_at_hand("6.12")) as old:
        _, vcpu = vm_and_vcpu(old)
        with pytest.raises(KvmError) as refused:
            vcpu.get_reg(BMAP_2)
        assert refused.value.errno == errno.ENOENT
        told = call(vcpu, FEATURES)
        assert told == TargetCalls([], others=numbers_in(told)).call(FEATURES)
        assert (
            discovered(lambda *arguments: call(vcpu, *arguments)).ignored == "the calls are not among the features"
        )
