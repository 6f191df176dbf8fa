"""Save and restore: what comes back is the same VM, and what cannot be is refused and changes nothing."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import vgic

GICD = 0x0800_0000
CTLR, ISENABLER, ISPENDR, ISACTIVER, IPRIORITYR, ICFGR, IROUTER = 0x000, 0x100, 0x200, 0x300, 0x400, 0xC00, 0x6000
SETSPI = 0x040
WAKER, PROPBASER, PENDBASER = 0x014, 0x070, 0x078
SGI_BASE = 0x1_0000
E1NWF, IRM = 1 << 7, 1 << 31

EVERYTHING = vgic.Config(vgic.Topology.kvm(4), spis=64, one_of_n_choice="rotate")
KVM = vgic.Config(vgic.Topology([0x0100_0000, 1, 2]), spis=64, profile=vgic.KVM, priority_bits=5, a3v=False)
QEMU = vgic.Config(vgic.Topology.qemu(3), spis=988, profile=vgic.QEMU, priority_bits=8)


class Sink:
    """Remembers what it hears of outputs."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, bool, bool]] = []

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        self.heard.append((cpu, irq, fiq))


def awake(config: vgic.Config, sink: Sink | None = None) -> vgic.Gic:
    """Every vCPU takes Group 0, whatever the priority; INTIDs 32 to 63 are enabled."""
    gic = vgic.Gic(config, lines=sink)
    gic.write(GICD + CTLR, 4, 0b11)
    gic.write(GICD + ISENABLER + 4, 4, 0xFFFF_FFFF)
    gic.write(GICD + 0x84, 4, 0)
    for cpu, base in enumerate(gic.redistributor_bases):
        gic.write(base + WAKER, 4, 0)
        gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xFF)
        gic.sysreg_write(cpu, vgic.ICC_IGRPEN0_EL1, 1)
        gic.sysreg_write(cpu, vgic.ICC_IGRPEN1_EL1, 1)
    return gic


def restored(gic: vgic.Gic, rng: random.Random | None = None) -> vgic.Gic:
    """Another VM in the state of `gic`, its registers given in random order."""
    state = gic.save()
    registers = list(state["registers"].items())
    (rng or random.Random(1)).shuffle(registers)
    other = vgic.Gic(gic.config)
    other.restore({"vm": state["vm"], "registers": dict(registers)})
    other.check()
    assert other.save() == state
    return other


# What comes back.


@pytest.mark.rule("SAVE-1")
def test_a_state_is_a_flat_map_of_registers() -> None:
    gic = awake(EVERYTHING)
    gic.write(GICD + IROUTER + 8 * 42, 8, 3)
    gic.write(gic.redistributor_bases[1] + SGI_BASE + IPRIORITYR + 12, 4, 0x80_00_40_00)
    gic.spi(33).set_level(True)
    registers = gic.save()["registers"]
    expected = {
        "GICD_CTLR": 0x53,
        "GICD_IROUTER42": 3,
        "GICR[1].GICR_IPRIORITYR3": 0x80_00_40_00,
        "ICC[0].ICC_PMR_EL1": 0xF8,
        "vCPU[3].MPIDR_EL1": 0x8000_0003,
        "GICD.line_level1": 2,
    }
    assert {name: registers.get(name) for name in expected} == expected


@pytest.mark.rule("SAVE-2")
def test_a_register_that_is_left_out_is_zero() -> None:
    gic = awake(EVERYTHING)
    state = gic.save()
    assert 0 not in state["registers"].values()
    explicit = {**state["registers"], "GICD_IROUTER40": 0, "GICR[0].GICR_WAKER": 0, "GICD.next_choice": 0}
    other = vgic.Gic(EVERYTHING)
    assert other.save()["registers"]["GICR[0].GICR_WAKER"] == 6
    other.restore({"vm": state["vm"], "registers": explicit})
    assert other.save() == state


@pytest.mark.rule("SAVE-1")
def test_the_vm_is_described_beside() -> None:
    regions = (vgic.RedistributorRegion(0x1000_0000, 1), vgic.RedistributorRegion(0x2000_0000, 9))
    topology = vgic.Topology([0, 0x0102_0304], aarch32=[0])
    config = vgic.Config(
        topology, 96, vgic.QEMU, 7, 0x4000_0000, regions, rss=True, one_of_n=True, one_of_n_choice="rotate"
    )
    assert vgic.Gic(config).save()["vm"] == {
        "profile": "qemu",
        "affinities": ["0.0.0.0", "1.2.3.4"],
        "aarch32": [0],
        "spis": 96,
        "priority_bits": 7,
        "a3v": True,
        "rss": True,
        "one_of_n": True,
        "one_of_n_choice": "rotate",
        "lpis": True,
        "lpi_id_bits": 16,
        "its": [],
        "gicd_base": 0x4000_0000,
        "redistributor_regions": [{"base": 0x1000_0000, "count": 1}, {"base": 0x2000_0000, "count": 9}],
    }


@pytest.mark.rule("SAVE-4")
def test_latch_line_and_message_are_told_apart() -> None:
    gic = awake(EVERYTHING)
    gic.write(GICD + ISPENDR + 4, 4, 1 << 0)
    gic.spi(33).set_level(True)
    gic.write(GICD + SETSPI, 4, 34)
    gic.write(GICD + ICFGR + 8, 4, 0b10 << 6)
    gic.spi(35).pulse()
    registers = gic.save()["registers"]
    names = ("GICD.pending_latch1", "GICD.line_level1", "GICD.message_level1")
    assert [registers[name] for name in names] == [0b1001, 0b0010, 0b0100]
    other = restored(gic)
    assert other.read(GICD + ISPENDR + 4, 4) == 0b1111
    other.spi(33).set_level(False)
    other.write(GICD + 0x280 + 4, 4, 0xFFFF_FFFF)
    assert other.read(GICD + ISPENDR + 4, 4) == 0b0100


@pytest.mark.rule("SAVE-4")
def test_a_trigger_that_has_not_taken_effect_still_has_not() -> None:
    gic = awake(QEMU)
    gic.write(GICD + ISENABLER + 8, 4, 0xFFFF_FFFF)
    for intid in (70, 40):
        gic.spi(intid).set_level(True)
        assert gic.interrupt(0, intid).pending
        # Edge-triggered now, and not latched: no longer pending, but QEMU goes on offering it.
        gic.write(GICD + ICFGR + intid // 16 * 4, 4, 0b10 << 2 * (intid % 16))
        assert not gic.interrupt(0, intid).pending
    assert gic.outputs(0) != (False, False)
    registers = gic.save()["registers"]
    assert (registers["GICD.unevaluated0"], registers["GICD.unevaluated1"]) == (2, 1)
    assert (registers["GICD.forwarded1"], registers["GICD.forwarded2"]) == (1 << 8, 1 << 6)
    for vm in (gic, restored(gic)):
        assert vm.outputs(0) != (False, False)
        assert vm.sysreg_read(0, vgic.ICC_IAR0_EL1) == 40
        # The acknowledgement makes the PE look at everything again.
        assert vm.highest_pending(0) is None


@pytest.mark.rule("SAVE-4")
def test_one_of_n_spis_wait_where_they_waited() -> None:
    gic = awake(EVERYTHING)
    for intid in range(33, 39):
        gic.write(GICD + IROUTER + 8 * intid, 8, IRM)
        gic.spi(intid).set_level(True)
    where = [gic.spi(intid).target for intid in range(33, 39)]
    assert where == [0, 1, 2, 3, 0, 1]
    assert gic.save()["registers"]["GICD.chosen_mpidr34"] == gic.mpidr(1)
    other = restored(gic)
    assert [other.spi(intid).target for intid in range(33, 39)] == where
    for vm in (gic, other):
        vm.write(GICD + IROUTER + 8 * 50, 8, IRM)
        vm.spi(50).set_level(True)
        assert vm.spi(50).target == 2


@pytest.mark.rule("SAVE-4")
def test_one_of_n_spis_that_nobody_may_take_go_on_waiting() -> None:
    gic = vgic.Gic(EVERYTHING)
    gic.write(GICD + CTLR, 4, 0b11)
    gic.write(GICD + ISENABLER + 4, 4, 0xFFFF_FFFF)
    gic.write(GICD + IROUTER + 8 * 33, 8, IRM)
    gic.spi(33).set_level(True)
    for vm in (gic, restored(gic)):
        assert vm.spi(33).target is None
        vm.write(GICD + CTLR, 4, 0b11 | E1NWF)
        assert vm.spi(33).target == 0
        assert vm.wake_request(0)
        assert restored(vm).wake_request(0)


@pytest.mark.rule("SAVE-3")
def test_one_of_n_spis_that_wait_are_forgotten_when_another_state_is_restored() -> None:
    gic = vgic.Gic(EVERYTHING)
    idle = gic.save()
    gic.write(GICD + ISENABLER + 4, 4, 0xFFFF_FFFF)
    gic.write(GICD + IROUTER + 8 * 33, 8, IRM)
    gic.spi(33).set_level(True)
    gic.restore(idle)
    gic.check()
    assert gic.save() == idle


@pytest.mark.rule("SAVE-5")
def test_mpidrs_that_the_vmm_wrote_come_back() -> None:
    gic = awake(EVERYTHING)
    gic.write(GICD + IROUTER + 8 * 40, 8, 0x12_0000_0007)
    gic.spi(40).set_level(True)
    swapped = {0: 0x12_0000_0007, 1: gic.mpidr(2), 2: gic.mpidr(1)}
    gic.write_mpidrs(swapped)
    assert gic.outputs(0) != (False, False)
    state = gic.save()
    assert state["vm"]["affinities"][:3] == ["0.0.0.0", "0.0.0.1", "0.0.0.2"]
    assert state["registers"]["vCPU[0].MPIDR_EL1"] == 0x12_8000_0007
    other = restored(gic)
    assert [other.affinity(cpu) for cpu in range(3)] == [0x1200_0007, 2, 1]
    assert other.read(other.redistributor_bases[0] + 8, 8) >> 32 == 0x1200_0007
    assert other.find(0) is None
    assert other.outputs(0) == gic.outputs(0)


@pytest.mark.rule("SAVE-4")
def test_what_a_register_hides_comes_back() -> None:
    gic = awake(EVERYTHING)
    gic.sysreg_write(2, vgic.ICC_BPR1_EL1, 6)
    gic.sysreg_write(2, vgic.ICC_CTLR_EL1, 0b01)
    other = restored(gic)
    for vm in (gic, other):
        assert vm.sysreg_read(2, vgic.ICC_BPR1_EL1) == 3
        vm.sysreg_write(2, vgic.ICC_CTLR_EL1, 0)
        assert vm.sysreg_read(2, vgic.ICC_BPR1_EL1) == 6


@pytest.mark.rule("SAVE-4")
def test_what_a_system_register_stores_can_be_asked_and_kept() -> None:
    gic, other = awake(EVERYTHING), awake(EVERYTHING)
    gic.sysreg_write(2, vgic.ICC_BPR1_EL1, 6)
    gic.sysreg_write(2, vgic.ICC_CTLR_EL1, 0b01)
    for register in (vgic.ICC_BPR1_EL1, vgic.ICC_CTLR_EL1):
        other.keep_sysreg(2, register, gic.stored_sysreg(2, register) | 1 << 63)
        other.check()
    assert gic.stored_sysreg(2, vgic.ICC_BPR1_EL1) == other.stored_sysreg(2, vgic.ICC_BPR1_EL1) == 6
    assert gic.stored_sysreg(2, vgic.ICC_CTLR_EL1) == gic.sysreg_read(2, vgic.ICC_CTLR_EL1)
    assert other.sysreg_read(2, vgic.ICC_BPR1_EL1) == 3
    # Nothing is stored behind a register by which a PE acts, nor where there is none.
    for register in (vgic.ICC_IAR1_EL1, 0, 1 << 70):
        other.keep_sysreg(2, register, 1)
        assert other.stored_sysreg(2, register) == 0
    with pytest.raises(vgic.ConfigError, match="no vCPU"):
        gic.stored_sysreg(4096, 0)


@pytest.mark.rule("SAVE-4")
def test_a_redistributors_own_registers_come_back() -> None:
    gic = vgic.Gic(QEMU)
    base = gic.redistributor_bases[1]
    gic.write(base + WAKER, 4, 0)
    gic.write(base + PROPBASER, 8, 0xFEDC_BA98_7654_3210)
    gic.write(base + PENDBASER, 8, 0x0123_4567_89AB_CDEF)
    gic.write(base, 4, 1)
    gic.write(GICD + IROUTER + 8 * 1019, 8, 0xFFFF_FFFF_FFFF_FFFF)
    other = restored(gic)
    for offset, size in ((WAKER, 4), (PROPBASER, 8), (PENDBASER, 8), (0, 4)):
        assert other.read(base + offset, size) == gic.read(base + offset, size)
    assert other.read(GICD + IROUTER + 8 * 1019, 8) == 0xFFFF_FFFF_FFFF_FFFF


@pytest.mark.rule("SAVE-6")
def test_the_sink_hears_once_of_every_output_that_changes() -> None:
    gic = awake(EVERYTHING)
    gic.spi(40).set_level(True)
    gic.write(gic.redistributor_bases[2] + SGI_BASE + ISENABLER, 4, 0xFFFF)
    gic.write(gic.redistributor_bases[2] + SGI_BASE + ISPENDR, 4, 1)
    sink = Sink()
    other = vgic.Gic(EVERYTHING, lines=sink)
    idle = other.save()
    other.restore(gic.save())
    assert sink.heard == [(0, False, True), (2, False, True)]
    sink.heard.clear()
    other.restore(gic.save())
    assert sink.heard == []
    other.restore(idle)
    assert sink.heard == [(0, False, False), (2, False, False)]


@pytest.mark.rule("SAVE-6")
def test_views_and_addresses_stay_valid() -> None:
    gic = vgic.Gic(EVERYTHING)
    spi, ppi = gic.spi(40), gic.ppi(1, 27)
    gic.restore(awake(EVERYTHING).save())
    spi.set_level(True)
    ppi.set_level(True)
    assert gic.outputs(0) == (False, True)
    assert gic.read(gic.redistributor_bases[1] + SGI_BASE + ISPENDR, 4) == 1 << 27
    gic.check()


# What is refused.


def busy() -> vgic.Gic:
    gic = awake(EVERYTHING, Sink())
    gic.spi(40).set_level(True)
    gic.sysreg_read(0, vgic.ICC_IAR0_EL1)
    gic.write(GICD + IROUTER + 8 * 41, 8, 1)
    gic.spi(41).set_level(True)
    return gic


def refused(gic: vgic.Gic, state: dict[str, object]) -> str:
    """The reason; the VM stays as it was and its sink hears nothing."""
    sink = Sink()
    other = awake(gic.config, sink)
    other.spi(45).set_level(True)
    before, lines = other.save(), list(sink.heard)
    with pytest.raises(vgic.StateError) as error:
        other.restore(state)
    other.check()
    assert other.save() == before
    assert sink.heard == lines
    return str(error.value)


def changed(gic: vgic.Gic, **registers: object) -> dict[str, object]:
    state = gic.save()
    return {"vm": state["vm"], "registers": {**state["registers"], **registers}}


REFUSED: list[tuple[str, object, str]] = [
    ("GICD_FOO", 1, "no such register"),
    ("gicd_ctlr", 1, "no such register"),
    ("GICD_IROUTER96", 1, "no such register"),
    ("GICD_ISENABLER0", 1, "no such register"),
    ("GICD_TYPER", 1, "no such register"),
    ("GICR[4].GICR_WAKER", 6, "no such register"),
    ("GICR[0].GICR_ICFGR0", 0xAAAA_AAAA, "no such register"),
    ("ICC[0].ICC_AP0R1_EL1", 1, "no such register"),
    ("GICD.unevaluated0", 1, "no such register"),
    ("GICD_CTLR", 0x13, "cannot be"),
    ("GICD_CTLR", 0x1_0000_0053, "cannot be"),
    ("GICD_CTLR", -1, "cannot be"),
    ("GICD_CTLR", "0x53", "no integer"),
    ("GICD_CTLR", True, "no integer"),
    ("GICD_ISENABLER1", 1 << 32, "cannot be"),
    ("GICD_IROUTER33", 1 << 24, "cannot be"),
    ("GICD_ICFGR2", 1, "cannot be"),
    ("GICD_IPRIORITYR9", 0x04, "cannot be"),
    ("GICR[1].GICR_WAKER", 2, "cannot be"),
    ("GICR[1].GICR_CTLR", 1, "cannot be"),
    ("GICR[1].GICR_PROPBASER", 0x1000, "no such register"),
    ("ICC[2].ICC_PMR_EL1", 0xFF, "cannot be"),
    ("ICC[2].ICC_BPR0_EL1", 1, "with the other registers it would be 0x2"),
    ("ICC[2].ICC_BPR1_EL1", 8, "cannot be"),
    ("ICC[2].ICC_CTLR_EL1", 0x8400, "cannot be"),
    ("ICC[2].ICC_IGRPEN1_EL1", 2, "cannot be"),
    ("ICC[2].ICC_AP1R0_EL1", 1 << 32, "cannot be"),
    ("vCPU[1].MPIDR_EL1", 0, "cannot be"),
    ("vCPU[1].MPIDR_EL1", 0x8000_0002, "same affinity"),
    ("vCPU[1].MPIDR_EL1", 0xC000_0001, "cannot be"),
    ("GICD.chosen_mpidr41", 0x8000_0001, "contradict"),
    ("GICD.chosen_mpidr41", 0x8000_0077, "with the other registers it would be 0x0"),
    ("GICD.next_choice", 4, "with the other registers it would be 0x0"),
]


@pytest.mark.rule("SAVE-7")
@pytest.mark.parametrize(("name", "value", "reason"), REFUSED)
def test_a_register_that_cannot_be_is_refused(name: str, value: object, reason: str) -> None:
    gic = busy()
    said = refused(gic, changed(gic, **{name: value}))
    assert reason in said
    if reason not in ("contradict", "same affinity"):
        assert said.startswith(name)
        assert (hex(value) if type(value) is int else repr(value)) in said


@pytest.mark.rule("SAVE-2", "SAVE-7")
@pytest.mark.parametrize("name", ["GICD_CTLR", "vCPU[2].MPIDR_EL1", "ICC[3].ICC_CTLR_EL1", "ICC[1].ICC_BPR0_EL1"])
def test_a_register_that_cannot_be_zero_cannot_be_left_out(name: str) -> None:
    gic = busy()
    state = gic.save()
    del state["registers"][name]
    said = refused(gic, dict(state))
    assert said.startswith(f"{name} is left out")


@pytest.mark.rule("SAVE-7")
def test_kvm_and_qemu_have_other_registers() -> None:
    kvm, qemu = awake(KVM), awake(QEMU)
    for gic, name, value in (
        (kvm, "GICD.message_level1", 1),
        (kvm, "GICD.chosen_mpidr32", 0x8000_0000),
        (kvm, "GICR[0].GICR_WAKER", 6),
        (kvm, "GICR[0].GICR_ICFGR1", 2),
        (kvm, "GICD_IROUTER32", 1 << 32),
        (qemu, "GICD.unevaluated1", 1),
        (qemu, "GICD.unevaluated0", 33),
        (qemu, "GICD.forwarded1", 1),
        (qemu, "GICD_ISENABLER31", 1 << 28),
    ):
        assert name in refused(gic, changed(gic, **{name: value}))


@pytest.mark.rule("SAVE-7")
@pytest.mark.parametrize(
    "config",
    [
        replace(EVERYTHING, a3v=False),
        replace(EVERYTHING, topology=vgic.Topology([0, 1, 2, 3], aarch32=[1])),
    ],
    ids=["no A3V", "AArch32"],
)
def test_an_aff3_that_the_vm_cannot_show_is_refused(config: vgic.Config) -> None:
    gic = awake(config)
    assert "vCPU 1" in refused(gic, changed(gic, **{"vCPU[1].MPIDR_EL1": 0x1_8000_0001}))


OTHERS: list[tuple[str, Callable[[vgic.Config], vgic.Config]]] = [
    ("affinities", lambda config: replace(config, topology=vgic.Topology.kvm(3))),
    ("affinities", lambda config: replace(config, topology=vgic.Topology.clusters(4, 2))),
    ("aarch32", lambda config: replace(config, topology=vgic.Topology(config.topology.affinities, [1]))),
    ("spis", lambda config: replace(config, spis=96)),
    ("priority_bits", lambda config: replace(config, priority_bits=6)),
    ("profile", lambda config: replace(config, profile=vgic.QEMU, one_of_n=True, rss=True)),
    ("a3v", lambda config: replace(config, a3v=False)),
    ("rss", lambda config: replace(config, rss=False)),
    ("one_of_n", lambda config: replace(config, one_of_n=False)),
    ("one_of_n_choice", lambda config: replace(config, one_of_n_choice="first")),
    ("gicd_base", lambda config: replace(config, gicd_base=0x0900_0000)),
    ("redistributor_regions", lambda config: replace(config, redistributor_regions=())),
]


@pytest.mark.rule("SAVE-7")
@pytest.mark.parametrize(("what", "other"), OTHERS)
def test_a_vm_of_another_shape_is_refused(what: str, other: Callable[[vgic.Config], vgic.Config]) -> None:
    regions = (vgic.RedistributorRegion(0x080A_0000, 5),)
    config = replace(EVERYTHING, redistributor_regions=regions)
    said = refused(awake(other(config)), dict(awake(config).save()))
    assert said.startswith(f"vm.{what} is ")


@pytest.mark.rule("SAVE-7")
@pytest.mark.parametrize(
    ("other", "said", "said_the_other_way"),
    [
        ({"security": "two"}, "security is 'two' in the state, 'one'", "security is 'one' in the state, 'two'"),
        ({"nmi": True}, "nmi is True in the state, False", "nmi is False in the state, True"),
        ({"extended_spis": 32}, "extended_spis is 32 in the state, 0", "extended_spis is 0 in the state, 32"),
        ({"extended_ppis": 64}, "extended_ppis is 64 in the state, 0", "extended_ppis is 0 in the state, 64"),
        ({"list_registers": 4}, "list_registers is 4 in the state, 0", "list_registers is 0 in the state, 4"),
        ({"reset_group": 1}, "reset_group is 1 in the state, None", "reset_group is None in the state, 1"),
    ],
)
def test_what_a_vm_does_not_say_it_does_not_have(other: dict[str, Any], said: str, said_the_other_way: str) -> None:
    plain = vgic.Config(vgic.Topology.kvm(2), spis=32)
    one, with_more = (vgic.Gic(config) for config in (plain, replace(plain, **other)))
    assert refused(one, dict(with_more.save())) == f"vm.{said} in this VM"
    assert refused(with_more, dict(one.save())) == f"vm.{said_the_other_way} in this VM"


@pytest.mark.rule("SAVE-7")
@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({}, '"vm" and "registers"'),
        ({"vm": {}, "registers": []}, '"vm" and "registers"'),
        ({"vm": {}, "registers": {}, "more": 1}, '"vm" and "registers"'),
        ({"vm": {}, "registers": {}}, "vm.profile is missing"),
        ({"vm": {"host": 1}, "registers": {}}, "vm.host is 1: a VM has no such property"),
    ],
)
def test_what_is_no_state_is_refused(state: dict[str, object], reason: str) -> None:
    assert reason in refused(awake(EVERYTHING), state)


@pytest.mark.rule("SAVE-8")
def test_nothing_depends_on_a_host() -> None:
    """A VM without A3V and one with differ in their state; where they run is not part of it."""
    with_a3v, without = (vgic.Gic(replace(EVERYTHING, a3v=a3v)).save() for a3v in (True, False))
    assert with_a3v["registers"]["ICC[0].ICC_CTLR_EL1"] ^ without["registers"]["ICC[0].ICC_CTLR_EL1"] == 1 << 15
    assert not any("host" in key or "ICH" in key for key in (*with_a3v["vm"], *with_a3v["registers"]))
