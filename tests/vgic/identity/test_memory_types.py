"""What stage 1, stage 2 and their controls make of an access, beside tables that were written down by hand."""

from itertools import product

import pytest

from vgic.errors import ConfigError
from vgic.identity.memory_types import (
    Access,
    Attributes,
    Cacheability,
    DeviceType,
    Hcr,
    Hints,
    Sctlr,
    Shareability,
    combined,
    device,
    normal,
    resolved,
    stage1,
)

NC, WT, WB = Cacheability
NON, INNER, OUTER = Shareability
ON = Sctlr.M | Sctlr.C | Sctlr.I


def table(text: str) -> dict[tuple[str, str], str]:
    """A table whose first line names the columns and whose first column names the rows."""
    heading, *lines = (line.split() for line in text.strip().splitlines())
    return {(row, column): value for row, *values in lines for column, value in zip(heading, values, strict=True)}


DEVICES = table("""
            nGnRnE   nGnRE    nGRE     GRE
    nGnRnE  nGnRnE   nGnRnE   nGnRnE   nGnRnE
    nGnRE   nGnRnE   nGnRE    nGnRE    nGnRE
    nGRE    nGnRnE   nGnRE    nGRE     nGRE
    GRE     nGnRnE   nGnRE    nGRE     GRE
""")
NORMALS = table("""
         NC   WT   WB
    NC   NC   NC   NC
    WT   NC   WT   WT
    WB   NC   WT   WB
""")
FORCED = table("""
             101      110   111
    Device   Device   WB    Device
    NC       NC       WB    NC
    WT       NC       WB    WT
    WB       NC       WB    WB
""")
SHARED = table("""
            NON     INNER   OUTER
    NON     NON     INNER   OUTER
    INNER   INNER   INNER   OUTER
    OUTER   OUTER   OUTER   OUTER
""")
# Outer, then inner; a word alone is a type of Device memory.
ENCODINGS = {
    0b0000: "nGnRnE",
    0b0001: "nGnRE",
    0b0010: "nGRE",
    0b0011: "GRE",
    0b0101: "NC NC",
    0b0110: "NC WT",
    0b0111: "NC WB",
    0b1001: "WT NC",
    0b1010: "WT WT",
    0b1011: "WT WB",
    0b1101: "WB NC",
    0b1110: "WB WT",
    0b1111: "WB WB",
}
RESERVED = {0b0100, 0b1000, 0b1100}

LEVELS = ("NC", "WT", "WB")
TYPES = ["nGnRnE", "nGnRE", "nGRE", "GRE", *(f"{outer} {inner}" for outer in LEVELS for inner in LEVELS)]
"""Every type that stage 1 can give."""

READ_ONLY, WRITE_ONLY = Hints(read=True, write=False), Hints(read=False, write=True)


def made(name: str, shareability: Shareability) -> Attributes:
    if " " not in name:
        return device(DeviceType[name])
    outer, inner = (Cacheability[word] for word in name.split())
    return normal(inner, outer, shareability, inner_hints=READ_ONLY, outer_hints=WRITE_ONLY)


def name_of(attributes: Attributes) -> str:
    if attributes.device is not None:
        return attributes.device.name
    return f"{attributes.outer.name} {attributes.inner.name}"


def expected(first: str, memattr: int, fwb: bool) -> str | None:
    """The type by the tables; None for what is reserved."""
    if fwb:
        if memattr == 0b100 or memattr > 0b111:
            return None
        if memattr < 0b100:
            second = ENCODINGS[memattr]
            return second if " " in first else DEVICES[first, second]
        if " " not in first:
            found = FORCED["Device", f"{memattr:b}"]
            return first if found == "Device" else f"{found} {found}"
        return " ".join(FORCED[level, f"{memattr:b}"] for level in first.split())
    if memattr in RESERVED:
        return None
    second = ENCODINGS[memattr]
    if " " not in first and " " not in second:
        return DEVICES[first, second]
    if " " not in first:
        return first
    if " " not in second:
        return second
    return " ".join(NORMALS[pair] for pair in zip(first.split(), second.split(), strict=True))


def effective(name: str, shareability: Shareability) -> str:
    return "OUTER" if " " not in name or name == "NC NC" else shareability.name


@pytest.mark.rule("IDENT-60")
def test_controls_are_where_the_manual_has_them() -> None:
    assert {bit.name: bit.bit_length() - 1 for bit in Sctlr} == {"M": 0, "C": 2, "I": 12}
    assert {bit.name: bit.bit_length() - 1 for bit in Hcr} == {"VM": 0, "DC": 12, "CD": 32, "ID": 33, "FWB": 46}


@pytest.mark.rule("IDENT-62", "IDENT-63")
@pytest.mark.parametrize("fwb", [False, True])
@pytest.mark.parametrize("memattr", range(16))
def test_every_type_of_stage_1_with_every_one_of_stage_2(memattr: int, fwb: bool) -> None:
    assert len(TYPES) == 13
    for name in TYPES:
        found = combined(made(name, INNER), memattr, INNER, fwb=fwb)
        assert (None if found is None else name_of(found)) == expected(name, memattr, fwb), name


@pytest.mark.rule("IDENT-64")
def test_every_shareability_with_every_other() -> None:
    for name, first, memattr, second, fwb in product(TYPES, Shareability, range(16), Shareability, (False, True)):
        found = combined(made(name, first), memattr, second, fwb=fwb)
        if found is not None:
            strongest = SHARED[effective(name, first), second.name]
            assert found.shareability.name == effective(name_of(found), Shareability[strongest])


@pytest.mark.rule("IDENT-64")
def test_a_cache_allocates_as_stage_1_says_where_that_is_cacheable() -> None:
    for name, memattr, fwb in product(TYPES, range(16), (False, True)):
        found = combined(made(name, INNER), memattr, INNER, fwb=fwb)
        if found is None:
            continue
        outer, inner = name.split() if " " in name else ("NC", "NC")
        for result, before, hints, own in (
            (found.inner, inner, found.inner_hints, READ_ONLY),
            (found.outer, outer, found.outer_hints, WRITE_ONLY),
        ):
            if result is NC:
                assert hints == (False, False)
            else:
                assert hints == ((True, True) if before == "NC" else own)


@pytest.mark.rule("IDENT-62")
def test_device_memory_is_the_more_careful_of_two_letter_by_letter() -> None:
    # nG over G, nR over R, nE over E: each letter has its n where either has.
    def letters(kind: DeviceType) -> tuple[bool, ...]:
        return tuple(f"n{letter}" in kind.name for letter in "GRE")

    for one, other in product(DeviceType, DeviceType):
        found = combined(device(one), other, INNER, fwb=False)
        assert found is not None
        assert found.device is not None
        assert letters(found.device) == tuple(a or b for a, b in zip(letters(one), letters(other), strict=True))


@pytest.mark.rule("IDENT-62")
def test_what_no_descriptor_can_hold_is_refused() -> None:
    for memattr in (-1, 16):
        with pytest.raises(ConfigError, match=r"^MemAttr is -?0x[0-9]+, which does not fit into 4 bits$"):
            combined(normal(WB), memattr, INNER, fwb=False)
    assert [Shareability.of_field(sh) for sh in (0, 2, 3)] == [NON, OUTER, INNER]
    with pytest.raises(ConfigError, match=r"^SH is 1, which is no shareability: there are 0, 2 and 3$"):
        Shareability.of_field(1)


@pytest.mark.rule("IDENT-60")
def test_stage_1_off() -> None:
    for sctlr in (Sctlr(0), Sctlr.C, Sctlr.I, Sctlr.C | Sctlr.I):
        assert stage1(None, Access.DATA, sctlr, Hcr.VM) == device(DeviceType.nGnRnE)
        fetched = stage1(None, Access.FETCH, sctlr, Hcr.VM)
        assert fetched.shareability is OUTER
        if sctlr & Sctlr.I:
            assert (fetched.kind, fetched.inner_hints, fetched.outer_hints) == ("Normal WT", READ_ONLY, READ_ONLY)
        else:
            assert fetched.kind == "Normal NC"
    # What the tables say does not count.
    assert stage1(normal(WB), Access.DATA, Sctlr.C, Hcr.VM) == device(DeviceType.nGnRnE)


@pytest.mark.rule("IDENT-60")
def test_default_cacheable_turns_stage_1_off_and_stage_2_on() -> None:
    for access, sctlr, mapped in product(Access, (Sctlr(0), ON), (device(DeviceType.GRE), normal(NC))):
        first = stage1(mapped, access, sctlr, Hcr.DC)
        assert (first.kind, first.shareability, first.inner_hints) == ("Normal WB", NON, (True, True))
        # HCR_EL2.VM counts as 1.
        for memattr, kind in ((0b0101, "Normal NC"), (0b0001, "Device-nGnRE"), (0b1111, "Normal WB")):
            found = resolved(mapped, memattr, INNER, access, sctlr, Hcr.DC)
            assert found is not None
            assert found.kind == kind
        shared = resolved(mapped, 0b1111, INNER, access, sctlr, Hcr.DC)
        assert shared is not None
        assert shared.shareability is INNER


@pytest.mark.rule("IDENT-61")
@pytest.mark.parametrize(("access", "bit"), [(Access.DATA, Sctlr.C), (Access.FETCH, Sctlr.I)])
def test_stage_1_on_and_its_caches_off(access: Access, bit: Sctlr) -> None:
    for name, shareability in product(TYPES, Shareability):
        mapped = made(name, shareability)
        assert stage1(mapped, access, Sctlr.M | bit, Hcr.VM) == mapped
        off = stage1(mapped, access, ON & ~bit, Hcr.VM)
        assert off == (normal(NC) if " " in name else mapped)
    with pytest.raises(ConfigError, match=r"^the MMU is on, and what its tables say is not given$"):
        stage1(None, access, ON, Hcr.VM)


@pytest.mark.rule("IDENT-65")
@pytest.mark.parametrize(
    ("access", "bit", "other"), [(Access.DATA, Hcr.CD, Hcr.ID), (Access.FETCH, Hcr.ID, Hcr.CD)]
)
def test_stage_2_can_forbid_caches(access: Access, bit: Hcr, other: Hcr) -> None:
    for name, memattr, fwb in product(TYPES, range(16), (Hcr(0), Hcr.FWB)):
        mapped = made(name, INNER)
        without = resolved(mapped, memattr, INNER, access, ON, Hcr.VM | fwb)
        assert resolved(mapped, memattr, INNER, access, ON, Hcr.VM | fwb | other) == without
        forbidden = resolved(mapped, memattr, INNER, access, ON, Hcr.VM | fwb | bit)
        if without is None or without.device is not None:
            assert forbidden == without
        else:
            assert forbidden == normal(NC)


@pytest.mark.rule("IDENT-65")
def test_without_stage_2_what_stage_1_gives_is_what_is() -> None:
    for name, access in product(TYPES, Access):
        mapped = made(name, NON)
        assert resolved(mapped, 0b0000, OUTER, access, ON, Hcr.CD | Hcr.ID | Hcr.FWB) == mapped


@pytest.mark.rule("IDENT-62")
def test_a_type_is_called_by_its_name() -> None:
    assert str(device(DeviceType.nGRE)) == "Device-nGRE, Outer Shareable"
    assert str(normal(WB, shareability=NON)) == "Normal WB, Non-shareable"
    assert str(normal(NC, WT, INNER)) == "Normal, outer WT, inner NC, Inner Shareable"
    assert str(normal(NC, shareability=INNER)) == "Normal NC, Outer Shareable"
    assert [normal(inner, outer).cacheable for inner in (NC, WT) for outer in (NC, WB)] == [False, True, True, True]
