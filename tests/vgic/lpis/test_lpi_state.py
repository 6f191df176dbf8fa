"""Saving and restoring LPIs."""

import pytest

import vgic
from lpi_guest import RAM, LpiGuest
from vgic import ARCH, KVM, QEMU, Topology

LPI = 8192 + 5
EVERY = pytest.mark.parametrize("profile", [ARCH, KVM, QEMU], ids=lambda profile: profile.name)


def moved(guest: LpiGuest) -> vgic.Gic:
    """The VM again, from its state file and a copy of its RAM."""
    ram = vgic.Ram(RAM, bytearray(guest.ram.read(RAM, guest.ram.size)))
    gic = vgic.State.from_bytes(vgic.State.of(guest.gic).to_bytes()).build(memory=ram)
    gic.check()
    return gic


def drained(gic: vgic.Gic, cpu: int) -> list[int]:
    taken: list[int] = []
    while (intid := gic.sysreg_read(cpu, vgic.ICC_IAR1_EL1)) != vgic.SPURIOUS:
        taken.append(intid)
        gic.sysreg_write(cpu, vgic.ICC_EOIR1_EL1, intid)
        gic.check()
    return taken


@pytest.mark.rule("SAVE-15")
@EVERY
def test_pending_lpis_come_back(profile: vgic.Profile) -> None:
    guest = LpiGuest(2, profile)
    for intid, priority in ((8192, 0xA0), (LPI, 0x80), (16_383, 0xC0)):
        guest.configure(intid, priority)
    guest.boot_lpis()
    for intid in (8192, LPI, 16_383, 9000):
        guest.arrive(intid, 1)
    other = moved(guest)
    assert (other.outputs(0), other.outputs(1)) == ((False, False), (True, False))
    assert other.highest_pending(1) == guest.gic.highest_pending(1)
    assert other.lpi(1, 9000).pending  # Pending, although it is disabled.
    assert drained(other, 1) == drained(guest.gic, 1) == [LPI, 8192, 16_383]
    assert other.save() == guest.gic.save()


@pytest.mark.rule("SAVE-15")
@pytest.mark.parametrize(("profile", "arrives"), [(ARCH, True), (KVM, True), (QEMU, False)])
def test_what_is_cached_stays_cached(profile: vgic.Profile, arrives: bool) -> None:
    guest = LpiGuest(profile=profile)
    guest.configure(LPI)
    guest.configure(16_383)
    guest.boot_lpis()
    guest.arrive(LPI)
    guest.arrive(16_383)
    guest.drain()
    guest.configure(LPI, enabled=False)
    other = moved(guest)
    for gic in (guest.gic, other):
        gic.lpis(0).make_pending(LPI)
        assert drained(gic, 0) == ([LPI] if arrives else [])


@pytest.mark.rule("SAVE-15")
@EVERY
def test_the_table_registers_come_back(profile: vgic.Profile) -> None:
    guest = LpiGuest(2, profile).boot_lpis(1 << 62)
    other = moved(guest)
    for cpu in range(2):
        bank, same = guest.gic.lpis(cpu), other.lpis(cpu)
        assert (same.enabled, same.propbaser, same.pendbaser) == (True, bank.propbaser, bank.pendbaser)
        assert same.pendbaser >> 62 == 1


@pytest.mark.rule("SAVE-15")
def test_what_qemu_remembers_of_its_best_lpi_comes_back() -> None:
    guest = LpiGuest(profile=QEMU)
    guest.configure(LPI, 0x40)
    guest.boot_lpis()
    guest.arrive(LPI)
    guest.arrive(LPI + 1)
    guest.configure(LPI, enabled=False)
    guest.invalidate_all()
    other = moved(guest)
    other.memory.write(RAM + LPI + 1 - 8192, b"\xa1")
    other.lpis(0).clear_pending(LPI)
    assert drained(other, 0) == [LPI + 1]


@pytest.mark.rule("SAVE-15")
def test_a_state_holds_nothing_of_lpis_that_have_none() -> None:
    guest = LpiGuest(id_bits=24, lpi_id_bits=24)
    guest.configure(16_000_000)
    guest.boot_lpis()
    before = guest.gic.save()["registers"]
    guest.arrive(16_000_000)
    after = guest.gic.save()["registers"]
    assert after.keys() - before.keys() == {"GICR[0].pending_lpi16000000", "LPI.cached_configuration16000000"}
    assert after["GICR[0].pending_lpi16000000"] == 0xA3
    assert after["LPI.cached_configuration16000000"] == 0xA3
    guest.drain()
    assert guest.gic.save()["registers"].keys() - before.keys() == {"LPI.cached_configuration16000000"}


@pytest.mark.rule("SAVE-15")
@EVERY
def test_nothing_is_left_of_the_lpis_that_a_restored_vm_had(profile: vgic.Profile) -> None:
    guest = LpiGuest(profile=profile)
    guest.configure(LPI)
    guest.boot_lpis()
    before = guest.gic.save()
    guest.arrive(LPI)
    guest.gic.restore(before)
    guest.gic.check()
    assert not guest.irq()
    assert guest.heard.lines[-2:] == [(0, True, False), (0, False, False)]
    assert guest.gic.save() == before


REFUSED = [
    ({"GICR[0].pending_lpi8197": 0xA1}, "GICR[0].pending_lpi8197 = 0xa1 cannot be"),
    ({"GICR[0].pending_lpi8197": 0x1A3}, "GICR[0].pending_lpi8197 = 0x1a3 cannot be"),
    ({"GICR[0].pending_lpi8197": 0xA3, "GICR[0].GICR_CTLR": 6}, "EnableLPIs is 0"),
    ({"GICR[0].pending_lpi8191": 0xA3}, "no such register"),
    ({"GICR[0].pending_lpi65536": 0xA3}, "no such register"),
    ({"GICR[0].pending_lpi08197": 0xA3}, "no such register"),
    ({"GICR[1].pending_lpi8197": 0xA3}, "no such register"),
    ({"GICR[0].last_best_lpi": 8197}, "no such register"),
    ({"LPI.cached_configuration8193": 0xA3}, "no such register"),
    ({"LPI.cached_configuration65536": 0xA3}, "no such register"),
    ({"LPI.cached_configuration8192": 0xA1}, "LPI.cached_configuration8192 = 0xa1 cannot be"),
    ({"LPI.cached_configuration8192": 1 << 64}, "cannot be"),
]


@pytest.mark.rule("SAVE-15", "SAVE-7")
@pytest.mark.parametrize(("registers", "reason"), REFUSED)
def test_lpis_that_cannot_be_are_refused(registers: dict[str, int], reason: str) -> None:
    guest = LpiGuest().boot_lpis()
    state = guest.gic.save()
    changed = {"vm": state["vm"], "registers": {**state["registers"], **registers}}
    with pytest.raises(vgic.StateError) as caught:
        guest.gic.restore(changed)
    assert reason in str(caught.value)
    assert guest.gic.save() == state


@pytest.mark.rule("SAVE-15", "SAVE-7")
def test_lpis_of_a_vm_without_are_refused() -> None:
    gic = vgic.Gic(vgic.Config(Topology([0])))
    state = gic.save()
    with pytest.raises(vgic.StateError, match="no such register"):
        gic.restore({**state, "registers": {**state["registers"], "GICR[0].pending_lpi8197": 0xA3}})


@pytest.mark.rule("SAVE-7")
@pytest.mark.parametrize(("what", "other"), [("lpis", {"lpis": False}), ("lpi_id_bits", {"lpi_id_bits": 17})])
def test_a_vm_with_other_lpis_is_refused(what: str, other: dict[str, int]) -> None:
    state = vgic.Gic(vgic.Config(Topology([0]), lpis=True)).save()
    with pytest.raises(vgic.StateError, match=f"^vm.{what} is "):
        vgic.Gic(vgic.Config(Topology([0]), **{"lpis": True, **other})).restore(state)
