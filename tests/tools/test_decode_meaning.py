"""`vgic decode`: which interrupts and PEs a value is about."""

import pytest
from click.testing import CliRunner

from vgic_tools.cli import main
from vgic_tools.decode.names import find_by_name

MACHINE = ["--affinities", "0.0.0.0,0.0.0.1,0.0.0.2,1.2.3.19"]


def sentences(*arguments: str) -> list[str]:
    """What is said below the table of fields, whose rows start with their bits."""
    outcome = CliRunner().invoke(main, ["decode", *arguments])
    assert outcome.exit_code == 0, outcome.output
    lines = outcome.stdout.splitlines()[2:]
    return [line.rstrip() for line in lines if not line.lstrip().startswith(("[", "reserved"))]


ONE_BIT = ("ISENABLER", "ICENABLER", "ISPENDR", "ICPENDR", "ISACTIVER", "ICACTIVER")
SAID = {"ENABLER": "enabled", "PENDR": "pending", "ACTIVER": "active"}


@pytest.mark.parametrize("name", ONE_BIT)
def test_a_bit_for_each_intid(name: str) -> None:
    what = next(said for part, said in SAID.items() if name.endswith(part))
    assert sentences(f"GICD_{name}1", "0x400") == [f"INTID 42: {what}"]
    assert sentences(f"GICD_{name}31", "0x8000000f") == [f"INTIDs 992-995: {what}", f"INTID 1023: {what}"]
    assert sentences(f"GICD_{name}2", "0") == [f"no INTID {what}"]
    assert sentences(f"GICR_{name}0", "0x08000001") == [f"INTID 0: {what}", f"INTID 27: {what}"]


def test_groups_and_priorities_and_triggers() -> None:
    assert sentences("GICD_IGROUPR1", "0x400") == [
        "INTIDs 32-41: Group 0",
        "INTID 42: Group 1",
        "INTIDs 43-63: Group 0",
    ]
    assert sentences("GICR_IGROUPR0", "0xffffffff") == ["INTIDs 0-31: Group 1"]
    assert sentences("GICD_IPRIORITYR10", "0xa0b0a0a0") == [
        "INTIDs 40-41: priority 0xa0",
        "INTID 42: priority 0xb0",
        "INTID 43: priority 0xa0",
    ]
    assert sentences("GICR_IPRIORITYR6", "0x80") == ["INTID 24: priority 0x80", "INTIDs 25-27: priority 0x00"]
    assert sentences("GICD_ICFGR2", "0x00200000") == [
        "INTIDs 32-41: level-sensitive",
        "INTID 42: edge-triggered",
        "INTIDs 43-47: level-sensitive",
    ]
    assert sentences("GICR_ICFGR0", "0xaaaaaaaa") == ["INTIDs 0-15: edge-triggered"]
    assert sentences("GICR_ICFGR1", "0x00800000") == [
        "INTIDs 16-26: level-sensitive",
        "INTID 27: edge-triggered",
        "INTIDs 28-31: level-sensitive",
    ]


def test_registers_of_two_security_states() -> None:
    two = ("--security", "two")
    assert sentences("GICD_IGRPMODR1", "0x400", *two) == [
        "INTIDs 32-41: as IGROUPR says",
        "INTID 42: Secure Group 1, where IGROUPR is 0",
        "INTIDs 43-63: as IGROUPR says",
    ]
    assert sentences("GICD_NSACR3", "0x1b", *two) == [
        "INTID 48: they route it too",
        "INTID 49: they clear it too, and see whether it is active",
        "INTID 50: Non-secure accesses make it pending",
        "INTIDs 51-63: closed to Non-secure accesses",
    ]
    assert sentences("GICR_NSACR", "0x6", *two) == [
        "INTID 0: Non-secure PEs generate it in either Secure group",
        "INTID 1: Non-secure PEs generate it in Group 0",
        "INTIDs 2-15: no Non-secure PE generates it",
    ]
    # They are nothing in a machine of one.
    assert sentences("GICD_IGRPMODR1", "0x400") == sentences("GICR_NSACR", "0x6") == []


def test_a_register_with_no_number_has_no_intids() -> None:
    assert sentences("GICD_ISENABLER", "0x400") == []
    # What is RAZ/WI there says nothing.
    assert sentences("GICD_ISENABLER0", "0x400") == []


def test_priorities() -> None:
    assert sentences("GICR_IPRIORITYR3", "0xa0000000") == [
        "INTIDs 12-14: priority 0x00",
        "INTID 15: priority 0xa0",
    ]


def test_routes() -> None:
    assert sentences("GICD_IROUTER42", "0x2") == ["INTID 42: to 0.0.0.2"]
    assert sentences("GICD_IROUTER42", "0x2", *MACHINE) == ["INTID 42: to 0.0.0.2 (vCPU 2)"]
    assert sentences("GICD_IROUTER1019", "0x100020313", *MACHINE) == ["INTID 1019: to 1.2.3.19 (vCPU 3)"]
    assert sentences("GICD_IROUTER42", "0x7", *MACHINE) == ["INTID 42: to 0.0.0.7 (no vCPU)"]
    assert sentences("GICD_IROUTER42", "0x80000007") == ["INTID 42: to any one participating PE (1-of-N)"]
    assert sentences("GICD_IROUTER", "0x7") == ["the SPI: to 0.0.0.7"]


@pytest.mark.parametrize("name", ["ICC_SGI1R", "ICC_ASGI1R_EL1", "ICC_SGI0R"])
def test_sgis(name: str) -> None:
    assert sentences(name, "0x3000005", *MACHINE) == ["SGI 3 to 0.0.0.0 (vCPU 0), 0.0.0.2 (vCPU 2)"]
    assert sentences(name, "0x01100205030008", *MACHINE) == ["SGI 5 to 1.2.3.19 (vCPU 3)"]
    assert sentences(name, "0x10000000000") == ["SGI 0 to every PE but the sender"]
    assert sentences(name, "0x3000000") == ["SGI 3 to no PE: the target list is empty"]


def test_by_address_the_machine_is_known() -> None:
    assert sentences("0x8006150", "0x3") == ["INTID 42: to 0.0.0.3 (vCPU 3)"]
    assert sentences("0x80d0100", "0x1") == ["INTID 0: enabled"]


def test_a_part_of_a_register() -> None:
    # A byte of IPRIORITYR, and the upper half of IROUTER.
    assert "INTID 42: priority 0xa0" in sentences("0x800042a", "0xa0")
    assert sentences("0x8006154", "0x1") == ["INTID 42: to 1.0.0.0 (no vCPU)"]
    outcome = CliRunner().invoke(main, ["decode", "0x8006154", "0x100000000"])
    assert outcome.exit_code == 2
    assert "GICD_IROUTER42 of GICD has 32 bits; 0x100000000 does not fit" in outcome.stderr


def test_tables_of_lpis() -> None:
    assert sentences("pending+0x400", "0x81") == ["INTID 8192: pending", "INTID 8199: pending"]
    assert sentences("PENDING+1024", "0") == ["no INTID pending"]
    assert sentences("pending+0x3ff", "1") == ["these INTIDs are no LPIs: it means nothing"]
    assert sentences("LPI8192", "0xa1") == ["LPI 8192: priority 0xa0, enabled"]
    assert sentences("lpi9000", "0xa2") == ["LPI 9000: priority 0xa0, disabled"]
    outcome = CliRunner().invoke(main, ["decode", "LPI42", "0"])
    assert (outcome.exit_code, outcome.stderr) == (2, "vgic: INTID 42 is no LPI: the first is 8192\n")


@pytest.mark.parametrize(
    ("register", "value", "said"),
    [
        ("ICC_IAR1", "27", "INTID 27, a PPI"),
        ("ICC_IAR1", "0x2a", "INTID 42, an SPI"),
        ("ICC_HPPIR1", "8192", "INTID 8192, an LPI"),
        ("ICC_EOIR1", "3", "INTID 3, an SGI"),
        ("ICC_IAR0", "1023", "INTID 1023, no interrupt"),
        ("ICC_IAR0", "1020", "INTID 1020, one of Secure Group 1, which Secure EL1 is to take"),
        ("ICC_HPPIR0", "1021", "INTID 1021, one of Non-secure Group 1, which the Non-secure state is to take"),
        ("ICC_IAR1", "1022", "INTID 1022, one with superpriority, which ICC_NMIAR1_EL1 takes"),
        ("ICC_DIR", "4096", "INTID 4096, an SPI"),
        ("ICC_DIR", "1119", "INTID 1119, a PPI"),
        ("ICC_DIR", "5120", "INTID 5120, reserved"),
        ("GICD_ISENABLER31E", "0x80000001", "INTID 5088: enabled"),
        ("GICD_IPRIORITYR0E", "0xa0", "INTID 4096: priority 0xa0"),
        ("GICR_ICFGR2E", "2", "INTID 1056: edge-triggered"),
        ("GICR_ISPENDR2E", "0x80000000", "INTID 1119: pending"),
        ("GICD_IROUTER1023E", "0x10000", "INTID 5119: to 0.1.0.0"),
        ("GICD_INMIR1", "0x100", "INTID 40: has superpriority"),
        ("GICR_INMIR0", "0x8000000", "INTID 27: has superpriority"),
        ("GICD_INMIR31E", "0x80000000", "INTID 5119: has superpriority"),
        ("ICC_NMIAR1", "42", "INTID 42, an SPI"),
        ("ICC_RPR", "0x8000000000000000", "what runs has superpriority"),
        ("ICV_AP1R0", "0x8000000000000000", "an interrupt with superpriority is active"),
        ("ICH_AP1R0", "0x8000000000000000", "an interrupt with superpriority is active"),
        ("ICH_LR3", "0x5800000000000028", "it has superpriority, where it is in Group 1"),
        ("ICH_LR0", "0xa000001b0000002a", "bit 9 asks for a maintenance interrupt: INTID 27, a PPI"),
        ("ICH_LR0", "0x800002000000002a", "1  its end asks for a maintenance interrupt"),
        ("GICD_IROUTER<n>E", "0x10000", "the SPI: to 0.1.0.0"),
        ("GICD_SETSPI_NSR", "42", "the SPI: 42"),
        ("GICR_INVLPIR", "0x2004", "the LPI whose configuration has changed: INTID 8196, an LPI"),
        ("GICR_TYPER", "0x301000311", "Aff3.Aff2.Aff1.Aff0 of the PE: 0.0.0.3"),
    ],
)
def test_fields_that_name_something(register: str, value: str, said: str) -> None:
    assert said in CliRunner().invoke(main, ["decode", register, value]).stdout


def test_without_hw_a_list_register_names_no_physical_interrupt() -> None:
    for name in ("ICH_LR0_EL2", "ICH_LR15", "ICH_LR"):
        shown = CliRunner().invoke(main, ["decode", name, "0x50a000000000002a"])
        assert (shown.exit_code, "[44:32]" in shown.stdout) == (0, False)


def test_each_view_of_the_control_register() -> None:
    def fields(*words: str) -> dict[str, str]:
        shown = CliRunner().invoke(main, ["decode", *words]).stdout
        return {row[1]: row[2] for row in map(str.split, shown.splitlines()[2:]) if len(row) > 2}

    nonsecure = fields("gicd_ctlr_ns", "0x12", "--security", "two")
    assert nonsecure == {"RWP": "0", "ARE_NS": "1", "EnableGrp1A": "1"}
    assert fields("GICD_CTLR", "0x12", "--security", "two")["ARE_S"] == "1"
    assert CliRunner().invoke(main, ["decode", "GICD_CTLR_NS", "0x12"]).exit_code == 2


def test_every_register_with_a_number_is_decoded() -> None:
    for name in ("GICD_IGROUPR31", "GICD_ICFGR63", "GICD_IPRIORITYR255", "GICR_IPRIORITYR7"):
        assert sentences(name, "0xffffffff")
        assert find_by_name(name).element is not None
