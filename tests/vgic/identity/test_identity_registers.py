"""The identification registers: where their fields are, and which values are safe."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgic.identity import REGISTERS
from vgic.identity.caches import Cache, cache_of, generated_ccsidr, generated_clidr
from vgic.identity.declaring import IdRegister
from vgic.identity.implementation import CCSIDR, CCSIDR_CCIDX, MIDR
from vgic.identity.parts import cpu_name, model_of
from vgic.identity.registers import SELECTORS, cache_register, is_register, name_of, selector_of
from vgic.identity.safe_values import EXACT, HIGHER, HIGHER_OR_ZERO, LOWER, SIGNED_LOWER, SafeValue

EVERY = [*REGISTERS.values(), IdRegister(CCSIDR.layout, {}), IdRegister(CCSIDR_CCIDX.layout, {})]


@pytest.mark.rule("IDENT-1")
@pytest.mark.parametrize("register", EVERY, ids=lambda register: register.name)
@settings(max_examples=10, deadline=None)
@given(value=st.integers(0, (1 << 64) - 1))
def test_fields_are_those_of_construct(register: IdRegister, value: int) -> None:
    layout = register.layout
    legal = value & sum(field.mask for field in layout.fields) | layout.ones
    parsed = layout.bits.parse(legal.to_bytes(8, "big"))
    assert layout.decode(legal) == {name: number for name, number in parsed.items() if not name.startswith("_")}


# Register, field, its lowest bit: as Linux's tools/arch/arm64/tools/sysreg and DDI 0487 have them.
PLACES = [
    ("ID_AA64PFR0_EL1", "GIC", 24),
    ("ID_AA64PFR0_EL1", "SVE", 32),
    ("ID_AA64PFR0_EL1", "MPAM", 40),
    ("ID_AA64PFR1_EL1", "MTE_frac", 40),
    ("ID_AA64DFR0_EL1", "BRPs", 12),
    ("ID_AA64DFR0_EL1", "WRPs", 20),
    ("ID_AA64DFR0_EL1", "CTX_CMPs", 28),
    ("ID_AA64DFR0_EL1", "DoubleLock", 36),
    ("ID_AA64DFR1_EL1", "BRPs", 8),
    ("ID_AA64MMFR0_EL1", "TGran4_2", 40),
    ("ID_AA64MMFR0_EL1", "FGT", 56),
    ("ID_AA64MMFR1_EL1", "SpecSEI", 24),
    ("ID_AA64MMFR2_EL1", "CCIDX", 20),
    ("ID_AA64MMFR2_EL1", "FWB", 40),
    ("ID_AA64MMFR2_EL1", "EVT", 56),
    ("ID_AA64MMFR3_EL1", "S1POE", 16),
    ("ID_AA64MMFR4_EL1", "E2H0", 24),
    ("ID_AA64ISAR0_EL1", "RNDR", 60),
    ("ID_AA64ISAR1_EL1", "GPI", 28),
    ("ID_AA64ISAR2_EL1", "APA3", 12),
    ("ID_AA64ISAR3_EL1", "FPRCVT", 28),
    ("ID_AA64ZFR0_EL1", "SHA3", 32),
    ("ID_AA64SMFR0_EL1", "SMEver", 56),
    ("ID_AA64SMFR0_EL1", "SF8DP2", 28),
    ("ID_AA64SMFR0_EL1", "STMOP", 16),
    ("ID_AA64FPFR0_EL1", "F16MM2", 15),
    ("ID_AA64PFR2_EL1", "FPMR", 32),
    ("CTR_EL0", "L1Ip", 14),
    ("CTR_EL0", "DminLine", 16),
    ("CTR_EL0", "IDC", 28),
    ("CTR_EL0", "TminLine", 32),
    ("CLIDR_EL1", "LoUIS", 21),
    ("CLIDR_EL1", "LoC", 24),
    ("CLIDR_EL1", "LoUU", 27),
    ("CLIDR_EL1", "Ttype1", 33),
    ("ICH_VTR_EL2", "A3V", 21),
]


@pytest.mark.rule("IDENT-1")
@pytest.mark.parametrize(("register", "field", "lsb"), PLACES)
def test_fields_are_where_the_manual_has_them(register: str, field: str, lsb: int) -> None:
    assert REGISTERS[register].layout.field(field).lsb == lsb


@pytest.mark.rule("IDENT-1")
def test_registers_have_names_and_encodings() -> None:
    for name, register in REGISTERS.items():
        if name != "CSSELR_EL1":
            assert name_of(register.encoding) == name
    assert name_of(0xC023) == "S3_0_0_4_3"
    # op0, op1, CRn, CRm and op2, as DDI 0487 has them.
    assert {register.encoding for register in EVERY if register.name == "CCSIDR_EL1"} == {0b11_001_0000_0000_000}
    assert REGISTERS["CLIDR_EL1"].encoding == 0b11_001_0000_0000_001
    assert REGISTERS["CSSELR_EL1"].encoding == 0b11_010_0000_0000_000
    assert REGISTERS["CTR_EL0"].encoding == 0b11_011_0000_0000_001
    assert REGISTERS["DCZID_EL0"].encoding == 0b11_011_0000_0000_111
    assert REGISTERS["CNTFRQ_EL0"].encoding == 0b11_011_1110_0000_000
    assert REGISTERS["MIDR_EL1"].encoding == 0b11_000_0000_0000_000
    assert REGISTERS["MPIDR_EL1"].encoding == 0b11_000_0000_0000_101
    assert REGISTERS["REVIDR_EL1"].encoding == 0b11_000_0000_0000_110
    assert REGISTERS["AIDR_EL1"].encoding == 0b11_001_0000_0000_111
    assert name_of(0xC009) == "ID_PFR1_EL1"
    assert name_of(0x8004) is None
    assert [selector_of(cache_register(selector)) for selector in SELECTORS] == list(SELECTORS)
    assert not any(map(is_register, ("CCSIDR_EL1[14]", "CCSIDR_EL1[02]", "CCSIDR_EL1", "\x1b[31m", "SCTLR_EL1")))
    assert is_register("ID_PFR0_EL1")


# As Linux and lscpu have them: implementers, and of each the numbers and names of parts.
MAKERS = {
    0x41: "Arm",
    0x42: "Broadcom",
    0x43: "Cavium",
    0x46: "Fujitsu",
    0x48: "HiSilicon",
    0x4E: "NVIDIA",
    0x50: "APM",
    0x51: "Qualcomm",
    0x61: "Apple",
    0x6D: "Microsoft",
    0xC0: "Ampere",
}
NAMES = {
    0x41: (
        "d03 Cortex-A53, d04 Cortex-A35, d05 Cortex-A55, d07 Cortex-A57, d08 Cortex-A72, d09 Cortex-A73, "
        "d0b Cortex-A76, d0c Neoverse N1, d0d Cortex-A77, d0e Cortex-A76AE, d40 Neoverse V1, d41 "
        "Cortex-A78, d42 Cortex-A78AE, d44 Cortex-X1, d46 Cortex-A510, d47 Cortex-A710, d48 Cortex-X2, "
        "d49 Neoverse N2, d4b Cortex-A78C, d4c Cortex-X1C, d4d Cortex-A715, d4e Cortex-X3, d4f Neoverse "
        "V2, d80 Cortex-A520, d81 Cortex-A720, d82 Cortex-X4, d83 Neoverse V3AE, d84 Neoverse V3, d85 "
        "Cortex-X925, d87 Cortex-A725, d89 Cortex-A720AE, d8b C1-Pro, d8c C1-Ultra, d8e Neoverse N3, d90 "
        "C1-Premium"
    ),
    0x42: "100 Brahma-B53, 516 Vulcan",
    0x43: (
        "0a1 ThunderX, 0a2 ThunderX 81XX, 0a3 ThunderX 83XX, 0af ThunderX2, 0b1 OcteonTX2 98XX, 0b2 "
        "OcteonTX2 96XX, 0b3 OcteonTX2 95XX, 0b4 OcteonTX2 95XXN, 0b5 OcteonTX2 95XXMM, 0b6 OcteonTX2 "
        "95XXO"
    ),
    0x46: "001 A64FX",
    0x48: "d01 Kunpeng 920, d02 HIP09",
    0x4E: "004 Carmel",
    0x50: "000 X-Gene",
    0x51: "001 Oryon, 801 Kryo 2XX Silver, 803 Kryo 3XX Silver, 804 Kryo 4XX Gold, 805 Kryo 4XX Silver",
    0x61: (
        "022 M1 Icestorm, 023 M1 Firestorm, 024 M1 Pro Icestorm, 025 M1 Pro Firestorm, 038 M2 Max "
        "Blizzard, 039 M2 Max Avalanche"
    ),
    0x6D: "d49 Azure Cobalt 100",
    0xC0: "ac3 AmpereOne, ac4 AmpereOne AC04",
}


@pytest.mark.rule("IDENT-1")
@pytest.mark.parametrize("implementer", NAMES, ids=hex)
def test_parts_have_the_names_that_others_give_them(implementer: int) -> None:
    for item in NAMES[implementer].split(", "):
        number, _, name = item.partition(" ")
        midr = implementer << 24 | 0xF << 16 | int(number, 16) << 4
        assert cpu_name(midr) == f"{MAKERS[implementer]} {name} r0p0"
        assert model_of(name) == midr


@pytest.mark.rule("IDENT-1")
def test_a_cpu_is_called_by_its_name() -> None:
    assert cpu_name(0x611F0390) == "Apple M2 Max Avalanche r1p0"
    assert (
        cpu_name(MIDR.layout.encode({"Implementer": 0x7F, "PartNum": 0xABC})) == "implementer 0x7f part 0xabc r0p0"
    )


@pytest.mark.rule("IDENT-2")
@pytest.mark.parametrize(
    ("rule", "one", "other", "safe"),
    [
        (LOWER, 1, 2, 1),
        (LOWER, 0, 15, 0),
        (SIGNED_LOWER, 0, 15, 15),
        (SIGNED_LOWER, 8, 15, 8),
        (SIGNED_LOWER, 7, 8, 8),
        (HIGHER, 0, 1, 1),
        (HIGHER_OR_ZERO, 4, 5, 5),
        (HIGHER_OR_ZERO, 0, 5, 0),
        (EXACT(), 2, 3, 0),
        (EXACT(1), 2, 3, 1),
        (EXACT(1), 3, 3, 3),
    ],
)
def test_the_safe_value_of_two(rule: SafeValue, one: int, other: int, safe: int) -> None:
    assert rule.of(one, other, 4) == rule.of(other, one, 4) == safe


@pytest.mark.rule("IDENT-2")
def test_every_field_that_tells_a_feature_has_a_rule() -> None:
    rules = {name: REGISTERS[name].safe_values for name in REGISTERS if name.startswith("ID_AA64")}
    assert all(set(rules[name]) == {field.name for field in REGISTERS[name].layout.fields} for name in rules)
    assert rules["ID_AA64MMFR1_EL1"]["SpecSEI"] is HIGHER
    assert rules["ID_AA64MMFR0_EL1"]["TGran16_2"] == EXACT(1)
    signed = {field for name in rules for field, rule in rules[name].items() if rule is SIGNED_LOWER}
    assert signed == {"AdvSIMD", "FP", "MTE_frac", "DoubleLock", "TGran4", "TGran64", "E2H0"}
    assert REGISTERS["CTR_EL0"].safe_values["CWG"] is HIGHER_OR_ZERO
    assert REGISTERS["CTR_EL0"].safe_values["L1Ip"] == EXACT(2)


# The caches of Apple's M2, whose two clusters began the kernel's discussion of cache topologies.
M2 = [
    (0x700FE03A, 128, 8, 64, 64),
    (0x203FE01A, 512, 4, 64, 128),
    (0x70FFE07B, 2048, 16, 128, 4096),
    (0x701FE03A, 256, 8, 64, 128),
    (0x203FE02A, 512, 6, 64, 192),
    (0x73FFE07B, 8192, 16, 128, 16384),
]


@pytest.mark.rule("IDENT-3")
@pytest.mark.parametrize(("value", "sets", "ways", "line", "kib"), M2)
def test_the_caches_of_the_m2(value: int, sets: int, ways: int, line: int, kib: int) -> None:
    cache = cache_of(value, None)
    assert cache == cache_of(value, False) == (sets, ways, line)
    assert cache is not None
    assert cache.size == kib << 10


@pytest.mark.rule("IDENT-3")
def test_the_format_of_64_bits() -> None:
    assert cache_of(0x3FF0000003A, None) == cache_of(0x3FF0000003A, True) == Cache(1024, 8, 64)
    assert cache_of(0x1_0000_001A, None) == Cache(2, 4, 64)


@pytest.mark.rule("IDENT-3")
def test_a_format_that_nothing_tells_is_unknown() -> None:
    assert cache_of(0x1A, False) == Cache(1, 4, 64)
    assert cache_of(0x2, None) == Cache(1, 1, 64)
    assert cache_of(0x1FE01A, None) is None


@pytest.mark.rule("IDENT-4")
def test_kvm_shows_one_set_and_one_way() -> None:
    assert [generated_ccsidr(0x9444C004, selector) for selector in (0, 1, 13)] == [2, 2, 2]
    assert generated_ccsidr(0x96668006, 0) == 4
    assert [generated_ccsidr(line << 16, 0) for line in (0, 1, 15)] == [0, 0, 7]
    assert [generated_ccsidr(0x9444C006, selector) for selector in (2, 3)] == [2, 4]


@pytest.mark.rule("IDENT-5")
def test_kvm_makes_clidr_of_ctr() -> None:
    values = [generated_clidr(0x8444C004 | idc << 28 | dic << 29) for idc in (0, 1) for dic in (0, 1)]
    assert values == [0x09200003, 0x09200002, 0x02000021, 0x01000004]
