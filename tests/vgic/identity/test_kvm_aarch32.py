"""What KVM answers to writes of AArch32's ID registers; tests/oracles/test_live_identity.py asks KVM itself."""

import errno

import pytest

from vgic.identity import HostError
from vgic.identity.kvm import KvmIdRegisters
from vgic.identity.kvm_versions import KVM_6_1, KVM_6_12, KVM_7_2, VERSIONS, KvmIdVersion
from vgic.kvm import KvmError

# Of what KVM shows a vCPU on QEMU's cortex-a76.
SHOWN = {
    "CTR_EL0": 0x9444C004,
    "ID_AA64PFR0_EL1": 0x1100000011110112,
    "ID_DFR0_EL1": 0x10008,
    "ID_DFR1_EL1": 0,
    "ID_AFR0_EL1": 0,
    "ID_MMFR0_EL1": 0x10201105,
    "ID_MMFR3_EL1": 0x02122211,
    "ID_MMFR4_EL1": 0x21110,
    "MVFR0_EL1": 0x10110222,
}
WITHOUT_AARCH32 = {**dict.fromkeys(SHOWN, 0), "CTR_EL0": 0x96668006, "ID_AA64PFR0_EL1": 0x1110111}

NEW = pytest.mark.parametrize("version", [KVM_6_12, KVM_7_2], ids=lambda version: version.name)
ALL = pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)


def answer(version: KvmIdVersion, register: str, value: int, *, ran: bool = False) -> str:
    """ "0", or the name of the errno, and what has become of the value where that is another."""
    vcpu = KvmIdRegisters(SHOWN, version)
    if ran:
        vcpu.run()
    try:
        vcpu.set(register, value)
    except KvmError as error:
        assert vcpu.get(register) == SHOWN[register]
        return error.name
    return "0" if vcpu.get(register) == value else f"{vcpu.get(register):#x}"


@NEW
@pytest.mark.rule("IDENT-70")
def test_fields_are_safe_beside_the_hosts(version: KvmIdVersion) -> None:
    assert answer(version, "MVFR0_EL1", 0x10110221) == "0"
    assert answer(version, "MVFR0_EL1", 0x10110223) == "EINVAL"
    # Shareability is a signed number; supersections, for which 15 is no, do not count as one.
    assert answer(version, "ID_MMFR0_EL1", 0xF0201F05) == "0"
    assert answer(version, "ID_MMFR0_EL1", 0x20201105) == "EINVAL"
    assert answer(version, "ID_MMFR3_EL1", 0xF2122211) == "EINVAL"
    # Speculation that can cause SErrors is safe to expect.
    assert answer(version, "ID_MMFR4_EL1", 0x21111) == "0"
    assert answer(version, "MVFR0_EL1", 0x10110221, ran=True) == "EBUSY"
    for register in ("ID_DFR1_EL1", "ID_AFR0_EL1"):
        assert answer(version, register, 1) == "EINVAL"


@pytest.mark.rule("IDENT-70")
def test_6_1_lets_nothing_differ() -> None:
    assert answer(KVM_6_1, "MVFR0_EL1", 0x10110221) == "EINVAL"
    assert answer(KVM_6_1, "MVFR0_EL1", 0x10110222, ran=True) == "0"


@ALL
@pytest.mark.parametrize("ran", [False, True])
@pytest.mark.rule("IDENT-70")
def test_without_aarch32_they_ignore_what_is_written(version: KvmIdVersion, ran: bool) -> None:
    vcpu = KvmIdRegisters(WITHOUT_AARCH32, version)
    if ran:
        vcpu.run()
    for register in ("ID_DFR0_EL1", "ID_MMFR0_EL1", "MVFR0_EL1"):
        vcpu.set(register, 0x10110222)
        assert vcpu.get(register) == 0
    for register in ("ID_DFR1_EL1", "ID_AFR0_EL1"):
        with pytest.raises(KvmError) as refused:
            vcpu.set(register, 1)
        assert refused.value.errno == (errno.EBUSY if ran and version.settled_by_running else errno.EINVAL)


@pytest.mark.rule("IDENT-70")
def test_whether_there_is_aarch32_is_not_guessed() -> None:
    vcpu = KvmIdRegisters({"CTR_EL0": 0x9444C004, "MVFR0_EL1": 0}, KVM_6_12)
    with pytest.raises(HostError, match="ID_AA64PFR0_EL1 is unknown of this host, whose EL0 tells"):
        vcpu.set("MVFR0_EL1", 0)


@NEW
@pytest.mark.parametrize("ran", [False, True])
@pytest.mark.rule("IDENT-71")
def test_what_is_refused_at_once_of_debugging(version: KvmIdVersion, ran: bool) -> None:
    other = "EBUSY" if ran else "EINVAL"
    assert answer(version, "ID_DFR0_EL1", 0x0F010008, ran=ran) == "0x10008"
    assert answer(version, "ID_DFR0_EL1", 0x03010008, ran=ran) == other
    assert answer(version, "ID_DFR0_EL1", 0x02010008, ran=ran) == "EINVAL"
    assert answer(version, "ID_DFR0_EL1", 0x00010005, ran=ran) == "EINVAL"
    assert answer(version, "ID_DFR0_EL1", 0x00010006, ran=ran) == ("EBUSY" if ran else "0")
