"""How many breakpoints a CPU has, which of them match contexts, and where the registers have their fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmio import RegisterLayout
from vgic.identity import Cpu
from vgic.identity.breakpoints import DebugResources, context_aware, debug_resources, reserved
from vgic.layouts.debug import DBGBCR, DBGWCR


def dfr0(brps: int, ctx: int, wrps: int, version: int = 8) -> int:
    return version | brps << 12 | wrps << 20 | ctx << 28


@pytest.mark.rule("IDENT-40")
@pytest.mark.parametrize("register", [DBGBCR, DBGWCR], ids=lambda register: register.name)
@given(value=st.integers(0, (1 << 32) - 1))
def test_fields_are_those_of_construct(register: RegisterLayout, value: int) -> None:
    legal = value & sum(field.mask for field in register.fields)
    assert register.decode(legal) == {
        name: number
        for name, number in register.bits.parse(legal.to_bytes(8, "big")).items()
        if not name.startswith("_")
    }


# As DDI 0487 has them: the lowest bit of each field.
DBGBCR_PLACES = {
    "E": 0,
    "PMC": 1,
    "BT2": 3,
    "BAS": 5,
    "HMC": 13,
    "SSC": 14,
    "LBN": 16,
    "BT": 20,
    "MASK": 24,
    "SSCE": 29,
    "LBNX": 30,
}
DBGWCR_PLACES = {
    "E": 0,
    "PAC": 1,
    "LSC": 3,
    "BAS": 5,
    "HMC": 13,
    "SSC": 14,
    "LBN": 16,
    "WT": 20,
    "WT2": 22,
    "MASK": 24,
    "SSCE": 29,
    "LBNX": 30,
}


@pytest.mark.rule("IDENT-40")
def test_fields_are_where_the_manual_has_them() -> None:
    assert {field.name: field.lsb for field in DBGBCR.fields} == DBGBCR_PLACES
    assert {field.name: field.lsb for field in DBGWCR.fields} == DBGWCR_PLACES
    # op0 2, op1 0, CRn 0, CRm n, op2 5 and 7.
    assert [DBGBCR.offset + 8 * n for n in (0, 15)] == [0x8005, 0x807D]
    assert [DBGWCR.offset + 8 * n for n in (0, 15)] == [0x8007, 0x807F]
    assert DBGBCR.title(2) == "DBGBCR2_EL1"


@pytest.mark.rule("IDENT-40")
@pytest.mark.parametrize(
    ("registers", "resources"),
    [
        ({"ID_AA64DFR0_EL1": 0x10305408}, (6, 2, 4)),
        ({"ID_AA64DFR0_EL1": dfr0(15, 15, 15)}, (16, 16, 16)),
        # From Armv8.9 on, 15 is 16 or what ID_AA64DFR1_EL1 says.
        ({"ID_AA64DFR0_EL1": dfr0(15, 3, 15, 0xB)}, None),
        ({"ID_AA64DFR0_EL1": dfr0(14, 3, 14, 0xB)}, (15, 4, 15)),
        ({"ID_AA64DFR0_EL1": dfr0(15, 3, 15, 0xB), "ID_AA64DFR1_EL1": 0}, (16, 4, 16)),
        ({"ID_AA64DFR0_EL1": dfr0(15, 3, 15, 0xB), "ID_AA64DFR1_EL1": 31 << 8 | 63 << 16 | 9 << 24}, (32, 4, 64)),
        (
            {"ID_AA64DFR0_EL1": dfr0(15, 15, 15, 0xB), "ID_AA64DFR1_EL1": 31 << 8 | 15 << 16 | 19 << 24},
            (32, 20, 16),
        ),
        ({"ID_AA64DFR0_EL1": dfr0(15, 3, 15, 0xA), "ID_AA64DFR1_EL1": 31 << 8}, (16, 4, 16)),
        ({"ID_AA64DFR1_EL1": 0}, None),
    ],
)
def test_numbers_of_breakpoints(registers: dict[str, int], resources: tuple[int, int, int] | None) -> None:
    assert debug_resources(Cpu(registers)) == resources


@pytest.mark.rule("IDENT-40")
@pytest.mark.parametrize(
    ("numbers", "field", "why"),
    [
        ((1, 1, 4), "BRPs", "there are 2 to 64 breakpoints, and not 1"),
        ((65, 1, 4), "BRPs", "there are 2 to 64 breakpoints, and not 65"),
        ((6, 2, 1), "WRPs", "there are 2 to 64 watchpoints, and not 1"),
        ((6, 2, 65), "WRPs", "there are 2 to 64 watchpoints, and not 65"),
        ((6, 7, 4), "CTX_CMPs", "7 of 6 breakpoints cannot match contexts"),
        ((6, 0, 4), "CTX_CMPs", "0 of 6 breakpoints cannot match contexts"),
    ],
)
def test_numbers_that_arm_reserves(numbers: tuple[int, int, int], field: str, why: str) -> None:
    assert reserved(DebugResources(*numbers)) == (field, why)


@pytest.mark.rule("IDENT-40")
def test_numbers_that_there_can_be() -> None:
    for numbers in ((2, 1, 2), (6, 6, 4), (16, 1, 16), (64, 64, 64)):
        assert reserved(DebugResources(*numbers)) is None


@pytest.mark.rule("IDENT-41")
@pytest.mark.parametrize(
    ("breakpoints", "aware", "numbers"),
    [
        (6, 2, [4, 5]),
        (2, 2, [0, 1]),
        (16, 1, [15]),
        (16, 16, list(range(16))),
        (17, 1, [15]),
        (32, 4, [12, 13, 14, 15]),
        (32, 16, list(range(16))),
        (32, 17, list(range(17))),
        (64, 64, list(range(64))),
    ],
)
def test_which_breakpoints_match_contexts(breakpoints: int, aware: int, numbers: list[int]) -> None:
    assert list(context_aware(breakpoints, aware)) == numbers
