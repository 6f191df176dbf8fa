"""From an instruction or a syndrome to a system register."""

import doctest
import shutil
import subprocess
from pathlib import Path

import pytest

import vgic
import vgic.instructions
from guest import Guest
from vgic import SysRegAccess, sysreg_of_esr, sysreg_of_instruction
from vgic.layouts.icc import ICC, ICC_OF_HIGHER_LEVELS

REGISTERS = {
    layout.title(index): layout.offset + index
    for layout in (*ICC, *ICC_OF_HIGHER_LEVELS)
    for index in range(layout.count)
}


@pytest.mark.rule("API-15")
@pytest.mark.parametrize(
    ("word", "access"),
    [
        (0xD538CC01, SysRegAccess(vgic.ICC_IAR1_EL1, False, 1)),  # mrs x1, icc_iar1_el1
        (0xD518CC3E, SysRegAccess(vgic.ICC_EOIR1_EL1, True, 30)),  # msr icc_eoir1_el1, x30
        (0xD5184600, SysRegAccess(vgic.ICC_PMR_EL1, True, 0)),  # msr icc_pmr_el1, x0
        (0xD518CBBF, SysRegAccess(vgic.ICC_SGI1R_EL1, True, 31)),  # msr icc_sgi1r_el1, xzr
        (0xD53800A0, SysRegAccess(vgic.sysreg(3, 0, 0, 0, 5), False, 0)),  # mrs x0, mpidr_el1
        (0xD5100240, SysRegAccess(vgic.sysreg(2, 0, 0, 2, 2), True, 0)),  # msr mdscr_el1, x0
        (0xD503201F, None),  # nop
        (0xD50342DF, None),  # msr daifset, #2
        (0xD508871F, None),  # tlbi vmalle1
        (0x9538CC01, None),
        (1 << 32 | 0xD538CC01, None),
        (-1, None),
    ],
)
def test_an_instruction_names_its_register(word: int, access: SysRegAccess | None) -> None:
    assert sysreg_of_instruction(word) == access


@pytest.mark.rule("API-15")
@pytest.mark.parametrize("name", list(REGISTERS))
@pytest.mark.parametrize("write", [False, True])
def test_word_and_syndrome_agree_for_every_register(name: str, write: bool) -> None:
    encoding = REGISTERS[name]
    op1, crn, crm, op2 = encoding >> 11 & 7, encoding >> 7 & 15, encoding >> 3 & 15, encoding & 7
    expected = SysRegAccess(encoding, write, 7)
    word = 0xD5180007 | (not write) << 21 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
    assert sysreg_of_instruction(word) == expected
    iss = 3 << 20 | op2 << 17 | op1 << 14 | crn << 10 | 7 << 5 | crm << 1 | (not write)
    assert sysreg_of_esr(0x18 << 26 | 1 << 25 | iss) == sysreg_of_esr(0x18 << 26 | iss) == expected
    # A condition, AL, in place of op0.
    aarch32 = sysreg_of_esr(0x03 << 26 | 1 << 24 | 14 << 20 | iss & 0xF_FFFF)
    assert aarch32 == (None if "SGI" in name else expected)


@pytest.mark.rule("API-15")
def test_other_syndromes_name_none() -> None:
    assert sysreg_of_esr(0x24 << 26 | 0x1FF_FFFF) is None  # a data abort
    assert sysreg_of_esr(0x18 << 26 | 1 << 20) is None  # a System instruction
    assert sysreg_of_esr(0x03 << 26 | 1 << 24 | 14 << 20 | 1) is None  # mrc p15, 0, r0, c0, c0, 0
    assert sysreg_of_esr(0x04 << 26 | 3 << 16 | 12 << 1) is None
    assert sysreg_of_esr(0x04 << 26 | 14 << 1) is None  # mcrr p15, 0, ..., c14


@pytest.mark.rule("API-15")
@pytest.mark.parametrize(
    ("opc1", "register"), [(0, vgic.ICC_SGI1R_EL1), (1, vgic.ICC_ASGI1R_EL1), (2, vgic.ICC_SGI0R_EL1)]
)
def test_aarch32_generates_sgis_from_two_registers(opc1: int, register: int) -> None:
    esr = 0x04 << 26 | 1 << 25 | 1 << 24 | 14 << 20 | opc1 << 16 | 5 << 10 | 4 << 5 | 12 << 1
    assert sysreg_of_esr(esr) == SysRegAccess(register, True, 4, 5)


@pytest.mark.rule("API-15")
def test_the_example_in_the_documentation_holds() -> None:
    assert doctest.testmod(vgic.instructions).failed == 0


@pytest.mark.rule("API-15")
@pytest.mark.skipif(shutil.which("aarch64-linux-gnu-as") is None, reason="no assembler for AArch64")
def test_an_assembler_agrees(tmp_path: Path) -> None:
    names = {f"s3_{e >> 11 & 7}_c{e >> 7 & 15}_c{e >> 3 & 15}_{e & 7}": e for e in REGISTERS.values()}
    source = tmp_path / "words.s"
    source.write_text("".join(f"mrs x3, {name}\nmsr {name}, x9\n" for name in names))
    subprocess.run(["aarch64-linux-gnu-as", source, "-o", tmp_path / "words.o"], check=True)
    text = tmp_path / "words.bin"
    subprocess.run(["aarch64-linux-gnu-objcopy", "-O", "binary", tmp_path / "words.o", text], check=True)
    words = [int.from_bytes(text.read_bytes()[at : at + 4], "little") for at in range(0, 8 * len(names), 4)]
    expected = [access for e in names.values() for access in ((e, False, 3, None), (e, True, 9, None))]
    assert [sysreg_of_instruction(word) for word in words] == expected


@pytest.mark.rule("API-16")
def test_one_call_reads_or_says_undefined() -> None:
    guest = Guest(2)
    gic = guest.gic
    assert gic.msr(1, vgic.ICC_PMR_EL1, 0x80) is True
    assert gic.mrs(1, vgic.ICC_PMR_EL1) == gic.sysreg_read(1, vgic.ICC_PMR_EL1) == 0x80
    assert gic.mrs(0, vgic.ICC_PMR_EL1) == 0
    assert guest.heard.sysregs == []
    assert gic.mrs(1, vgic.ICC_DIR_EL1) is None
    assert gic.mrs(1, vgic.sysreg(3, 0, 0, 0, 5)) is None
    assert gic.msr(0, vgic.ICC_IAR1_EL1, 7) is False
    assert guest.heard.sysregs == [
        (1, vgic.ICC_DIR_EL1, None),
        (1, vgic.sysreg(3, 0, 0, 0, 5), None),
        (0, vgic.ICC_IAR1_EL1, 7),
    ]
    for call in (lambda: gic.mrs(2, vgic.ICC_PMR_EL1), lambda: gic.msr(-1, vgic.ICC_PMR_EL1, 0)):
        with pytest.raises(vgic.ConfigError, match="no vCPU"):
            call()
