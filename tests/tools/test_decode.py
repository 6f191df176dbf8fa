"""Finding registers by name and by address."""

import pytest

import vgic
from vgic.layouts import its_commands, its_tables
from vgic_tools.decode.names import find_by_address, find_by_name, find_record, value_of
from vgic_tools.errors import UsageError
from vgic_tools.numbers import number


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
        ("ich_vmcr", "ICH_VMCR_EL2"),
        ("ICH_LR15_EL2", "ICH_LR15_EL2"),
        ("icv_pmr_el1", "ICC_PMR_EL1"),
        ("ICV_CTLR", "ICC_CTLR_EL1"),
        ("GICD_IROUTER", "GICD_IROUTER<n>"),
        ("gits_typer", "GITS_TYPER"),
        ("GITS_BASER1", "GITS_BASER1"),
        ("GITS_TRANSLATER", "GITS_TRANSLATER"),
    ],
)
def test_by_name(name: str, title: str) -> None:
    found = find_by_name(name)
    assert found.title == title
    assert found.layout.fields


def test_the_control_register_of_two_security_states() -> None:
    one, two = (find_by_name("GICD_CTLR", two_states).layout for two_states in (False, True))
    assert [field.name for field in one.fields][-2:] == ["EnableGrp1", "EnableGrp0"]
    assert [field.name for field in two.fields][-3:] == ["EnableGrp1S", "EnableGrp1NS", "EnableGrp0"]
    machine = vgic.Gic(vgic.Config(vgic.Topology.qemu(2), security="two"))
    assert find_by_address(0x0800_0000, machine).layout is two


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
    assert find_by_address(address, gic).title == title


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


def test_by_address_in_an_its() -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.qemu(1), its=(0x0808_0000, 0x0900_0000)))
    assert find_by_address(0x0808_0090, gic).title.startswith("GITS_CREADR of GITS")
    assert find_by_address(0x0901_0040, gic).title.startswith("GITS_TRANSLATER of GITS")


@pytest.mark.parametrize("name", ["command", "Command", "mapti", "MAPTI"])
def test_a_command_is_what_its_opcode_says(name: str) -> None:
    value = int.from_bytes(its_commands.encode("MAPTI", DeviceID=8, EventID=4, ICID=3, pINTID=0x2004), "little")
    found = find_record(name, value, its_tables.ARCH)
    assert found is not None
    assert found.title == "MAPTI"
    assert found.layout.decode(value) == {"ICID": 3, "pINTID": 0x2004, "EventID": 4, "DeviceID": 8, "Opcode": 10}


@pytest.mark.parametrize("entries", its_tables.FORMATS.values())
@pytest.mark.parametrize("name", ["DTE", "ite", "Cte", "L1"])
def test_entries_are_in_the_format_of_the_profile(name: str, entries: its_tables.TableFormat) -> None:
    found = find_record(name, 0, entries)
    assert found is not None
    assert found.title == f"{name.upper()} in format {entries.name}"
    assert found.layout in entries


def test_every_profile_has_a_format() -> None:
    assert {profile.its.entries.name for profile in vgic.PROFILES.values()} == {"arch", "kvm", "qemu"}


@pytest.mark.parametrize("name", ["GICD_CTLR", "", "MAP"])
def test_other_names_are_no_records(name: str) -> None:
    assert find_record(name, 0, its_tables.ARCH) is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("command", 0x155, "opcode 0x55 means no ITS command; there are 0x01 MOVI, 0x03 INT, "),
        ("MAPD", 0x209, "opcode 0x09 means MAPC, not MAPD"),
    ],
)
def test_other_opcodes(name: str, value: int, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_record(name, value, its_tables.ARCH)
    assert str(caught.value).startswith(message)


def test_several_numbers_are_doublewords_as_in_memory() -> None:
    assert value_of(["0x12"]) == value_of(["18"]) == 0x12
    assert value_of([hex(1 << 200)]) == 1 << 200
    assert value_of(["0x1", "0x2", "0", "4"]) == 1 | 2 << 64 | 4 << 192


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["ten"], "'ten' is no value: write 0x... or a decimal number"),
        (["0", "-1"], "'-1' is no value: write 0x... or a decimal number"),
        (["0", hex(1 << 64)], f"{1 << 64:#x} does not fit into a doubleword of 64 bits"),
    ],
)
def test_values_that_are_none(texts: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        value_of(texts)
    assert str(caught.value) == message
