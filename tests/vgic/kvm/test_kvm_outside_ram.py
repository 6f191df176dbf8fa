"""Tables that are not in guest RAM: what cannot be read is told apart from what is empty.

The scenarios are those that tests/oracles asks a live KVM; here their outcome is written down.
"""

import errno

import pytest

from kvm_its_scenarios import guest
from kvm_life import COLLECTIONS, CONFIGURATION, DEVICES, EVENTS, PENDING, RAM, Life
from kvm_scenarios import SCENARIOS
from kvm_subjects import Facade
from vgic import Ram, RamRegions
from vgic.kvm import KvmError, VgicV3Device, restore, save_sequence

CTRL = "set group 4 attribute"


def outcomes(name: str) -> dict[str, str]:
    """What SAVE_TABLES, SAVE_PENDING_TABLES and RESTORE_TABLES came to."""
    life = Life(Facade(ram=RAM))
    SCENARIOS[name].live(life)
    told = dict(life.log)
    calls = {
        "save": f"ITS 0: {CTRL} 0x1 = 0x0",
        "save pending": f"{CTRL} 0x3 = 0x0",
        "restore": f"ITS 0: {CTRL} 0x2 = 0x0",
    }
    return {call: told[line] for call, line in calls.items() if line in told}


@pytest.mark.rule("KVM-54")
@pytest.mark.parametrize("lost", ["event", "collection"])
def test_tables_that_leave_ram_are_not_saved(lost: str) -> None:
    assert outcomes(f"guest_loses_the_{lost}_table")["save"] == "EFAULT"
    assert outcomes("guest")["save"] == "0x0"


@pytest.mark.rule("KVM-54")
def test_a_device_table_outside_ram_has_nothing_to_save() -> None:
    for name in ("guest", "idle_guest"):
        told = outcomes(f"{name}_without_device_table")
        assert (told["save"], told["restore"]) == ("0x0", "EFAULT")


@pytest.mark.rule("KVM-34")
def test_a_pending_table_outside_ram() -> None:
    assert outcomes("guest_loses_the_pending_table")["save pending"] == "EFAULT"
    # Nothing can be mapped, so nothing is pending, where it never was.
    assert outcomes("guest_without_pending_table")["save pending"] == "0x0"


@pytest.mark.rule("KVM-57")
@pytest.mark.parametrize(
    "missing",
    [
        *("events", "devices", "level_1", "level_2", "collections", "configuration", "pending_bits"),
    ],
)
def test_tables_outside_the_destinations_ram(missing: str) -> None:
    assert outcomes(f"restored_without_{missing}") == {"restore": "EFAULT"}


@pytest.mark.rule("KVM-57")
def test_what_lies_behind_the_last_link_need_not_be_in_ram() -> None:
    for table in ("events", "devices"):
        assert outcomes(f"restored_{table}_leave_ram_after_the_last") == {"restore": "0x0"}
        assert outcomes(f"restored_{table}_leave_ram_by_their_chain") == {"restore": "EFAULT"}
        assert outcomes(f"restored_{table}_leave_ram_and_are_none") == {"restore": "EFAULT"}
    assert outcomes("restored_with_no_level_2") == outcomes("restored") | {"restore": "0x0"}


@pytest.mark.rule("KVM-57")
@pytest.mark.parametrize("missing", [DEVICES, EVENTS, COLLECTIONS, CONFIGURATION, PENDING])
def test_a_restore_without_a_piece_of_ram_is_efault(missing: int) -> None:
    """As a snapshot that lacks pages."""
    source = Facade(ram=RAM)
    guest().live(Life(source))
    sequence = save_sequence(source.device)
    stretches = [Ram(ram.base, bytearray(ram.read(ram.base, ram.size))) for ram in source.memory.stretches]
    target = VgicV3Device(memory=RamRegions(ram for ram in stretches if ram.base != missing))
    with pytest.raises(KvmError) as refusal:
        restore(target, sequence)
    assert refusal.value.errno == errno.EFAULT
    restore(VgicV3Device(memory=RamRegions(stretches)), sequence)
