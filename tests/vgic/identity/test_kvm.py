"""What KVM answers to writes of identification registers; tests/oracles/test_live_identity.py asks KVM itself."""

import errno

import pytest

from vgic.identity import HostError
from vgic.identity.kvm import KvmIdRegisters
from vgic.identity.kvm_versions import KVM_6_1, KVM_6_12, KVM_7_2, VERSIONS, KvmIdVersion
from vgic.kvm import KvmError

# What KVM shows a vCPU without SVE and PMU on QEMU's cortex-a76.
SHOWN = {
    "MIDR_EL1": 0x414FD0B1,
    "REVIDR_EL1": 0,
    "AIDR_EL1": 0,
    "MPIDR_EL1": 0x80000000,
    "CTR_EL0": 0x9444C004,
    "ID_AA64PFR0_EL1": 0x1100000011110112,
    "ID_AA64DFR0_EL1": 0x10305008,
    "ID_AA64MMFR0_EL1": 0x101122,
    "ID_AA64MMFR1_EL1": 0x10212122,
    "ID_AA64MMFR2_EL1": 0x1011,
    "S3_0_0_4_3": 0,
}
RAW = {"CLIDR_EL1": 0x82000023, "CCSIDR_EL1[0]": 0x701FE01A}

NEW = pytest.mark.parametrize("version", [KVM_6_12, KVM_7_2], ids=lambda version: version.name)
ALL = pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)


def made(version: KvmIdVersion, *, capability: bool = False, ran: bool = False, **shown: int) -> KvmIdRegisters:
    raw = {} if version.generated_caches else RAW
    vcpu = KvmIdRegisters({**SHOWN, **raw, **shown}, version, implementation_ids=capability)
    if ran:
        vcpu.run()
    return vcpu


def answer(vcpu: KvmIdRegisters, register: str, value: int) -> str:
    """ "0", or the name of the errno, after which nothing has changed."""
    before = vcpu.get(register)
    try:
        vcpu.set(register, value)
    except KvmError as error:
        assert vcpu.get(register) == before
        return error.name
    return "0"


@NEW
@pytest.mark.rule("IDENT-10")
def test_a_vcpu_that_has_run_keeps_what_it_has(version: KvmIdVersion) -> None:
    vcpu = made(version)
    lower = SHOWN["ID_AA64MMFR0_EL1"] - 1
    assert answer(vcpu, "ID_AA64MMFR0_EL1", lower) == "0"
    vcpu.run()
    assert answer(vcpu, "ID_AA64MMFR0_EL1", lower) == "0"
    assert answer(vcpu, "ID_AA64MMFR0_EL1", SHOWN["ID_AA64MMFR0_EL1"]) == "EBUSY"
    assert answer(vcpu, "ID_AA64MMFR0_EL1", lower + 8) == "EBUSY"


@NEW
@pytest.mark.rule("IDENT-11")
@pytest.mark.parametrize(
    ("register", "change", "said"),
    [
        ("ID_AA64MMFR0_EL1", -1, "0"),  # PARange, the lower is safe
        ("ID_AA64MMFR0_EL1", +1, "EINVAL"),
        ("ID_AA64MMFR0_EL1", -0x10, "EINVAL"),  # ASIDBits, not writable
        ("ID_AA64MMFR0_EL1", 0xF << 28, "0"),  # TGran4, signed: none
        ("ID_AA64MMFR0_EL1", 0x1 << 28, "EINVAL"),
        ("ID_AA64MMFR1_EL1", 0x1 << 24, "0"),  # SpecSEI, the higher is safe
        ("ID_AA64DFR0_EL1", -0x1000, "EINVAL"),  # BRPs, not writable
        ("ID_AA64DFR0_EL1", -0x10_0000, "0"),  # WRPs
        ("ID_AA64DFR0_EL1", -0x1000_0000, "EINVAL"),  # CTX_CMPs, not writable
        ("ID_AA64DFR0_EL1", 0xF << 36, "0"),  # DoubleLock, signed: not there
        ("ID_AA64MMFR2_EL1", 1 << 20, "EINVAL"),  # CCIDX
        ("CTR_EL0", -1, "0"),  # IminLine
        ("CTR_EL0", +1, "EINVAL"),
        ("CTR_EL0", -(1 << 28), "0"),  # IDC
        ("CTR_EL0", +(1 << 29), "EINVAL"),  # DIC
        ("CTR_EL0", -(1 << 20), "EINVAL"),  # ERG, not writable
        ("S3_0_0_4_3", 0, "0"),
        ("S3_0_0_4_3", 1, "EINVAL"),
    ],
)
def test_a_field_may_be_what_is_safe_beside_the_hosts(
    version: KvmIdVersion, register: str, change: int, said: str
) -> None:
    vcpu = made(version)
    assert answer(vcpu, register, SHOWN[register] + change) == said


@pytest.mark.rule("IDENT-11")
def test_a_mask_that_grew_lets_more_differ() -> None:
    without_gic = SHOWN["ID_AA64PFR0_EL1"] & ~(0xF << 24)
    vipt = SHOWN["CTR_EL0"] - (1 << 14)
    for register, value in (("ID_AA64PFR0_EL1", without_gic), ("CTR_EL0", vipt)):
        assert answer(made(KVM_7_2), register, value) == "0"
    no_stage_2 = SHOWN["ID_AA64MMFR0_EL1"] | 1 << 40
    assert [answer(made(version), "ID_AA64MMFR0_EL1", no_stage_2) for version in (KVM_6_12, KVM_7_2)] == [
        "EINVAL",
        "0",
    ]
    assert answer(made(KVM_6_12), "CTR_EL0", vipt) == "EINVAL"


@NEW
@pytest.mark.parametrize("ran", [False, True])
@pytest.mark.rule("IDENT-12")
def test_a_pmu_of_the_implementations_own_is_none(version: KvmIdVersion, ran: bool) -> None:
    vcpu = made(version, ran=ran)
    assert answer(vcpu, "ID_AA64DFR0_EL1", SHOWN["ID_AA64DFR0_EL1"] | 0xF00) == "0"
    assert vcpu.get("ID_AA64DFR0_EL1") == SHOWN["ID_AA64DFR0_EL1"]
    assert answer(vcpu, "ID_AA64DFR0_EL1", SHOWN["ID_AA64DFR0_EL1"] - 3) == "EINVAL"


@pytest.mark.rule("IDENT-13")
def test_what_7_2_refuses_before_anything_else() -> None:
    no_el0, no_el1 = (SHOWN["ID_AA64PFR0_EL1"] & ~mask for mask in (0xF, 0xF0))
    aivivt = SHOWN["CTR_EL0"] & ~(3 << 14) | 1 << 14
    for ran in (False, True):
        assert answer(made(KVM_7_2, ran=ran), "ID_AA64PFR0_EL1", no_el0) == "EINVAL"
        assert answer(made(KVM_7_2, ran=ran), "ID_AA64PFR0_EL1", no_el1) == "EINVAL"
        assert answer(made(KVM_7_2, ran=ran), "CTR_EL0", aivivt) == "EINVAL"
    assert answer(made(KVM_6_12), "ID_AA64PFR0_EL1", no_el0) == "0"
    assert answer(made(KVM_6_12, ran=True), "CTR_EL0", aivivt) == "EBUSY"


@ALL
@pytest.mark.rule("IDENT-14")
def test_which_cpu_it_is_stays_without_the_capability(version: KvmIdVersion) -> None:
    for ran in (False, True):
        vcpu = made(version, ran=ran)
        for register in ("MIDR_EL1", "REVIDR_EL1", "AIDR_EL1"):
            assert answer(vcpu, register, SHOWN[register]) == "0"
            assert answer(vcpu, register, SHOWN[register] + 1) == "EINVAL"


@pytest.mark.rule("IDENT-14")
def test_which_cpu_it_is_can_be_written_with_the_capability() -> None:
    vcpu = made(KVM_7_2, capability=True)
    assert answer(vcpu, "MIDR_EL1", 0x410FD4F0) == "0"
    assert answer(vcpu, "MIDR_EL1", 1 << 32) == "EINVAL"
    assert answer(vcpu, "AIDR_EL1", (1 << 64) - 1) == "0"
    vcpu.run()
    assert answer(vcpu, "MIDR_EL1", 0x410FD4F0) == "0"
    assert answer(vcpu, "MIDR_EL1", SHOWN["MIDR_EL1"]) == "EBUSY"
    assert answer(vcpu, "MIDR_EL1", 1 << 32) == "EBUSY"
    with pytest.raises(HostError, match=r"KVM of Linux 6\.12 has no KVM_CAP_ARM_WRITABLE_IMP_ID_REGS"):
        made(KVM_6_12, capability=True)
    with pytest.raises(HostError, match=r"KVM of Linux 6\.1 has no KVM_CAP_ARM_WRITABLE_IMP_ID_REGS"):
        made(KVM_6_1, capability=True)


@NEW
@pytest.mark.rule("IDENT-15")
def test_a_cache_may_be_any_whose_lines_are_not_shorter(version: KvmIdVersion) -> None:
    wide = {"CTR_EL0": 0x96668006}
    for value in (0x700FE03A, 0x203FE01A, 0x70FFE07B):
        assert answer(made(version, ran=True), "CCSIDR_EL1[0]", value) == "0"
        assert answer(made(version, **wide), "CCSIDR_EL1[0]", value) == "EINVAL"
    assert answer(made(version, CTR_EL0=0x9444C006), "CCSIDR_EL1[1]", 3) == "EINVAL"
    assert answer(made(version, CTR_EL0=0x9444C006), "CCSIDR_EL1[0]", 3) == "0"


@NEW
@pytest.mark.rule("IDENT-16")
def test_caches_cannot_need_less_cleaning_than_the_hosts(version: KvmIdVersion) -> None:
    no_idc = SHOWN["CTR_EL0"] & ~(1 << 28)
    for value in (0x02000021, 0x01000004, 0):
        assert answer(made(version, ran=True), "CLIDR_EL1", value) == "0"
        assert answer(made(version, CTR_EL0=no_idc), "CLIDR_EL1", value) == "EINVAL"
    for value in (0x09200003, 0x01200003, 0x09000003):
        assert answer(made(version, CTR_EL0=no_idc), "CLIDR_EL1", value) == "0"
    assert answer(made(version), "CLIDR_EL1", 1 << 47) == "EINVAL"
    assert answer(made(version), "CLIDR_EL1", 0x02000021 | 3 << 45) == "0"


@pytest.mark.rule("IDENT-17")
def test_6_1_lets_little_differ() -> None:
    for ran in (False, True):
        for register in ("ID_AA64MMFR0_EL1", "ID_AA64DFR0_EL1", "CTR_EL0", "CLIDR_EL1", "CCSIDR_EL1[0]"):
            value = made(KVM_6_1).get(register)
            assert answer(made(KVM_6_1, ran=ran), register, value) == "0"
            assert answer(made(KVM_6_1, ran=ran), register, value - 1) == "EINVAL"
        for mask in (0xF << 56, 0xF << 60):
            value = SHOWN["ID_AA64PFR0_EL1"] & ~mask
            assert answer(made(KVM_6_1, ran=ran), "ID_AA64PFR0_EL1", value) == "0"
        assert answer(made(KVM_6_1, ran=ran), "ID_AA64PFR0_EL1", SHOWN["ID_AA64PFR0_EL1"] + (1 << 56)) == "EINVAL"
    assert answer(made(KVM_6_1), "ID_AA64DFR0_EL1", SHOWN["ID_AA64DFR0_EL1"] | 0xF00) == "EINVAL"


@ALL
@pytest.mark.rule("IDENT-18")
def test_what_is_stored_and_what_is_not_there(version: KvmIdVersion) -> None:
    vcpu = made(version, ran=True, DCZID_EL0=4)
    assert answer(vcpu, "MPIDR_EL1", 0x1_8000_0001) == "0"
    assert vcpu.get("MPIDR_EL1") == 0x1_8000_0001
    for register in ("DCZID_EL0", "CNTFRQ_EL0"):
        with pytest.raises(KvmError) as refused:
            vcpu.set(register, 0)
        assert refused.value.errno == errno.ENOENT


@pytest.mark.rule("IDENT-1")
def test_what_nobody_knows_is_not_guessed() -> None:
    with pytest.raises(HostError, match="ID_AA64ISAR0_EL1 is unknown of this host"):
        made(KVM_6_12).set("ID_AA64ISAR0_EL1", 0)
    with pytest.raises(HostError, match="CTR_EL0 is unknown"):
        KvmIdRegisters({"CLIDR_EL1": 0}, KVM_6_12).set("CLIDR_EL1", 0)
    with pytest.raises(HostError, match=r"CCSIDR_EL1\[0\]: 0x100000000 does not fit into 32 bits"):
        made(KVM_6_12).set("CCSIDR_EL1[0]", 1 << 32)


NV = 0x0200_0000


@pytest.mark.rule("IDENT-72")
def test_what_is_hidden_is_accepted_as_the_hardware_has_it() -> None:
    shown = SHOWN["ID_AA64MMFR2_EL1"]
    for ran in (False, True):
        vcpu = KvmIdRegisters(SHOWN, KVM_7_2, hidden={"ID_AA64MMFR2_EL1": NV})
        if ran:
            vcpu.run()
        vcpu.set("ID_AA64MMFR2_EL1", shown | NV)
        assert vcpu.get("ID_AA64MMFR2_EL1") == shown
        assert answer(vcpu, "ID_AA64MMFR2_EL1", shown | NV >> 1) == ("EBUSY" if ran else "EINVAL")
        lacking = KvmIdRegisters(SHOWN, KVM_7_2, hidden={"ID_AA64MMFR2_EL1": 0})
        assert answer(lacking, "ID_AA64MMFR2_EL1", shown | NV) == "EINVAL"
    # Linux 6.12 shows it, and so it cannot differ.
    older = KvmIdRegisters({**SHOWN, "ID_AA64MMFR2_EL1": shown | NV}, KVM_6_12, hidden={})
    assert answer(older, "ID_AA64MMFR2_EL1", shown | NV) == "0"
    assert answer(older, "ID_AA64MMFR2_EL1", shown) == "EINVAL"


@NEW
@pytest.mark.rule("IDENT-72")
def test_what_is_hidden_is_not_guessed(version: KvmIdVersion) -> None:
    shown, mpam = SHOWN["ID_AA64PFR0_EL1"], 1 << 40
    with pytest.raises(HostError, match="ID_AA64PFR0_EL1: what KVM does not show of this host is unknown"):
        made(version).set("ID_AA64PFR0_EL1", shown | mpam)
    # The rest is refused whatever the hardware has.
    assert answer(made(version), "ID_AA64PFR0_EL1", shown + (1 << 24) | mpam) == "EINVAL"


@pytest.mark.rule("IDENT-73")
def test_6_1_has_the_caches_that_clidr_has() -> None:
    vcpu = made(KVM_6_1)
    for selector in (3, 4, 13):
        with pytest.raises(KvmError) as refused:
            vcpu.set(f"CCSIDR_EL1[{selector}]", 2)
        assert refused.value.errno == errno.ENOENT
    with pytest.raises(HostError, match=r"CCSIDR_EL1\[2\] is unknown of this host"):
        vcpu.get("CCSIDR_EL1[2]")
    made(KVM_6_12).set("CCSIDR_EL1[13]", 2)
