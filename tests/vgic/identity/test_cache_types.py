"""CTR_EL0 of a CPU whose IDC does not tell all, and of a system of several kinds."""

import pytest

from vgic.identity import Cpu, View
from vgic.identity.cache_types import effective_ctr, effective_idc, mismatched_ctr, system_ctr
from vgic.identity.caches import claims_idc, selected, selectors
from vgic.identity.hardware import hardware_field

IDC = 1 << 28
APPLE = {"CTR_EL0": 0x8444C004, "CLIDR_EL1": 0x81000023}
A64FX = {"CTR_EL0": 0x86668006, "CLIDR_EL1": 0x80000023}
CORTEX_A72 = {"CTR_EL0": 0x8444C004, "CLIDR_EL1": 0x0A200023}


@pytest.mark.rule("IDENT-37")
def test_clidr_tells_that_data_caches_need_no_cleaning_where_idc_does_not() -> None:
    assert [effective_idc(Cpu(registers)) for registers in (APPLE, A64FX, CORTEX_A72)] == [1, 1, 0]
    assert effective_ctr(Cpu(APPLE)) == APPLE["CTR_EL0"] | IDC
    assert effective_ctr(Cpu(CORTEX_A72)) == CORTEX_A72["CTR_EL0"]


@pytest.mark.rule("IDENT-37")
def test_an_idc_of_0_tells_nothing_without_clidr() -> None:
    assert effective_idc(Cpu({"CTR_EL0": 0x8444C004})) is None
    assert effective_ctr(Cpu({"CTR_EL0": 0x8444C004})) is None
    assert effective_idc(Cpu({"CTR_EL0": 0x9444C004})) == 1
    assert effective_idc(Cpu({"CLIDR_EL1": 0x0A200023})) is None
    assert effective_ctr(Cpu({"CLIDR_EL1": 0x81000023})) is None


@pytest.mark.rule("IDENT-37")
def test_a_system_has_what_all_of_its_cpus_have() -> None:
    pipt_dic, vipt_wide = {**APPLE, "CTR_EL0": 0xB444C004}, {**A64FX, "CTR_EL0": 0x96058005}
    system = system_ctr([Cpu(pipt_dic), Cpu(vipt_wide)])
    # IDC and no DIC, the larger CWG, an ERG that says nothing, the shorter lines, VIPT.
    assert system == 0x96048004
    assert system == system_ctr([Cpu(vipt_wide), Cpu(pipt_dic)])
    assert system_ctr([Cpu(APPLE), Cpu({})]) is None


@pytest.mark.rule("IDENT-37")
def test_cpus_that_differ_in_the_policy_of_their_instruction_caches_are_no_mismatch() -> None:
    vipt = {**APPLE, "CTR_EL0": 0x84448004}
    assert mismatched_ctr([Cpu(APPLE)]) is False
    assert mismatched_ctr([Cpu(APPLE), Cpu(vipt)]) is False
    assert mismatched_ctr([Cpu(APPLE), Cpu(A64FX)]) is True
    assert mismatched_ctr([Cpu(APPLE), Cpu(CORTEX_A72)]) is False
    assert mismatched_ctr([Cpu({**APPLE, "CTR_EL0": 0x9444C004}), Cpu(CORTEX_A72)]) is True
    assert mismatched_ctr([Cpu(APPLE), Cpu({})]) is None


@pytest.mark.rule("IDENT-33")
def test_what_clidr_says_of_cleaning() -> None:
    loc, louu, louis = 1 << 24, 1 << 27, 1 << 21
    values = (0, loc, louu, louis, loc | louu, loc | louis, loc | louu | louis)
    assert [claims_idc(value) for value in values] == [True, True, True, True, False, False, False]


@pytest.mark.rule("IDENT-34")
def test_what_csselr_selects() -> None:
    assert [selected(value) for value in range(16)] == [*range(14), None, None]
    assert selected(0b1_0010) == 2


@pytest.mark.rule("IDENT-34")
def test_which_caches_clidr_lists() -> None:
    assert selectors(0x82000023) == (0, 1, 2)
    assert selectors(0xC3000123) == (0, 1, 2, 4)
    assert selectors(0x02000021) == (1, 2)
    assert selectors(2) == (0,)
    assert selectors(0) == ()
    assert selectors(4 << 18) == (12,)


@pytest.mark.rule("IDENT-38")
def test_what_a_view_hides_is_not_known_to_lack() -> None:
    has, lacks = Cpu({"ID_AA64MMFR2_EL1": 1 << 56}), Cpu({"ID_AA64MMFR2_EL1": 0})
    for view in View:
        assert hardware_field(has, "ID_AA64MMFR2_EL1", "EVT", view) == 1
        assert hardware_field(Cpu({}), "ID_AA64MMFR2_EL1", "EVT", view) is None
        told = hardware_field(lacks, "ID_AA64MMFR2_EL1", "EVT", view)
        assert told == (0 if view is View.HARDWARE else None)
