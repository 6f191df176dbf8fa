"""`vgic host common` and `vgic host explain`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vgic.identity import Contract
from vgic_tools.cli import main
from vgic_tools.rules.book import SPECS


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["host", *words])


def lines(done: Result) -> list[str]:
    return [" ".join(line.split()) for line in done.stdout.splitlines()]


def test_what_two_hosts_have_in_common_and_who_forces_it() -> None:
    done = run("common", "graviton3", "graviton4", "--capability")
    assert done.exit_code == 1
    shown = lines(done)
    assert "ID_AA64ISAR0_EL1.SM4 0x0 graviton4 0x1: graviton3" in shown
    assert "ID_AA64MMFR1_EL1.PAN 0x2 graviton3 0x3: graviton4" in shown
    assert "MIDR_EL1 Arm Neoverse V2 r0p1 graviton4 Arm Neoverse V1 r1p1: graviton3" in shown
    assert "CNTFRQ_EL0 1,050 MHz graviton3" in shown
    assert "CNTFRQ_EL0: nothing virtualises it: a guest sees the frequency of its host's counter" in shown


def test_a_contract_that_is_written_can_be_checked(tmp_path: Path) -> None:
    path = str(tmp_path / "vm.json")
    done = run("common", "graviton2", "graviton2", "-o", path)
    assert done.exit_code == 0
    assert Contract.from_json(Path(path).read_text()).promised.registers["MIDR_EL1"] == 0x413FD0C1
    assert run("check", path, "graviton2").exit_code == 0
    document = json.loads(run("common", "graviton2", "graviton3", "--json").stdout)
    assert "ID_AA64MMFR2_EL1.FWB" in {f"{one['register']}.{one['field']}" for one in document["impossible"]}
    assert Contract.from_document(document["contract"])
    assert run("common", "graviton2", "-o", str(tmp_path)).exit_code == 2
    assert run("common").exit_code == 2


def test_a_field_is_explained_with_its_rule_and_source() -> None:
    done = run("explain", "graviton2", "graviton4", "ID_AA64MMFR2_EL1.FWB")
    assert done.exit_code == 0
    shown = lines(done)
    for line in (
        "ID_AA64MMFR2_EL1.FWB, bits [43:40]: stage 2 can force write-back",
        "the VMM gets EINVAL",
        "why KVM lets no VMM change this field",
        # Its sentence and source are in the specs, which are not installed with the package.
        *(
            (
                "rule IDENT-11 A field may be what is safe beside the host's (specs/identity.md)",
                "source Linux KVM, KVM_ARM_GET_REG_WRITABLE_MASKS: measured on 6.12 and 7.2",
            )
            if SPECS.is_dir()
            else ("rule IDENT-11",)
        ),
        "can be kept by traps",
        "traps HCR_EL2.TID3, rarely",
    ):
        assert line in shown
    same = lines(run("explain", "graviton2", "graviton4", "ID_AA64MMFR0_EL1.PARange"))
    assert same.count("can be kept the same") == 2
    whole = lines(run("explain", "raspberry-pi-4", "raspberry-pi-5", "MIDR_EL1", "--kernel", "6.12"))
    assert "the VM was promised Arm Cortex-A72 r0p3" in whole
    field = lines(run("explain", "raspberry-pi-4", "raspberry-pi-5", "MIDR_EL1.PartNum", "--kernel", "6.12"))
    assert "the VM was promised 0xd08" in field


def test_what_is_said_of_one_cluster_alone_is_explained() -> None:
    done = run("explain", "rk3588", "rk3588", "errata: Arm 3194386", "--cluster", "A55")
    assert done.exit_code == 0
    assert "nothing is to be said of errata: Arm 3194386 there" in lines(done)
    assert "can be kept no" in lines(done)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("FWB", "FWB: nothing is known of it; known are MIDR_EL1"),
        ("ID_AA64MMFR3_EL1", "ID_AA64MMFR3_EL1: nothing is known of it"),
        ("MIDR_EL1.Colour", "MIDR_EL1 has no such field, but Implementer"),
        ("\x1b[31m", r"\x1b[31m: nothing is known"),
    ],
)
def test_what_cannot_be_explained_is_named(field: str, message: str) -> None:
    done = run("explain", "graviton2", "graviton4", field)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "\x1b" not in done.stderr
