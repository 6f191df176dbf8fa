"""Finding registers by name and by address."""

import pytest

import vgic
from vgic_tools.decode import find_by_address, find_by_name, number
from vgic_tools.errors import UsageError


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("GICD_CTLR", "GICD_CTLR"),
        ("gicr_typer", "GICR_TYPER"),
        ("GICD_IROUTER42", "GICD_IROUTER42"),
        ("GICD_ISENABLER1", "GICD_ISENABLER1"),
        ("ICC_CTLR", "ICC_CTLR_EL1"),
        ("icc_ctlr_el1", "ICC_CTLR_EL1"),
        ("ICC_AP1R0", "ICC_AP1R0_EL1"),
        ("GICD_IROUTER", "GICD_IROUTER<n>"),
    ],
)
def test_by_name(name: str, title: str) -> None:
    found, layout = find_by_name(name)
    assert found == title
    assert layout.fields


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("GICR_TYPE", "no register 'GICR_TYPE'; did you mean GICR_TYPER, "),
        ("GICD_IROUTER1020", "no register 'GICD_IROUTER1020'; did you mean GICD_IROUTER1"),
        ("zzz", "no register 'zzz'"),
        ("", "no register ''"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_by_name(name)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("address", "title"),
    [
        (0x0800_0000, "GICD_CTLR of GICD"),
        (0x0800_6150, "GICD_IROUTER42 of GICD"),
        (0x080A_0008, "GICR_TYPER of GICR[0.0.0.0]"),
        (0x080C_000C, "GICR_TYPER of GICR[0.0.0.1]"),
        (0x080D_0100, "GICR_ISENABLER0 of GICR[0.0.0.1]"),
    ],
)
def test_by_address(address: int, title: str) -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.qemu(2)))
    assert find_by_address(address, gic)[0] == title


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (0, "nothing is mapped at 0x0; `vgic map` shows the machine's address map"),
        (1 << 80, f"nothing is mapped at {1 << 80:#x}; `vgic map` shows the machine's address map"),
        (0x080C_C000, "no register at 0x80cc000: GICR[0.0.0.1]+0xc000 is reserved"),
    ],
)
def test_addresses_without_a_register(address: int, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_by_address(address, vgic.Gic(vgic.Config(vgic.Topology.qemu(2))))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1F", 31),
        ("0X1f", 31),
        ("31", 31),
        ("0031", 31),
        ("0", 0),
        ("", None),
        ("0x", None),
        ("-1", None),
        ("1.5", None),
        ("1_000", None),
        ("\N{ARABIC-INDIC DIGIT THREE}", None),
        ("GICD_CTLR", None),
    ],
)
def test_numbers(text: str, value: int | None) -> None:
    assert number(text) == value
