"""The extended ranges: INTIDs 1056 to 1119 of each PE, and the SPIs 4096 to 5119."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import vgic
from deep_size import deep_size
from guest import SPURIOUS, Guest
from mmio.trace import Access, Event, Line, NativeWriter, SysReg, open_trace
from offsets import BANK, EXTENDED, GICD, GICR
from reference import Reference
from vgic.state.document import from_document, to_document
from vgic_tools.machines.machine import Machine, machine_document
from vgic_tools.replay import replay
from vgic_tools.replay.versions import recorded_machine

ALL = {"extended_spis": 1024, "extended_ppis": 64}
ANY_PE = 1 << 31
FIRST_SPI, LAST_SPI, FIRST_PPI, LAST_PPI = 4096, 5119, 1056, 1119
EDGES = FIRST_PPI - 1, LAST_PPI + 1, FIRST_SPI - 1, LAST_SPI + 1
"""INTIDs that are none."""
OF_EACH_RANGE = [16, 31, 32, 95, FIRST_PPI, 1087, 1088, LAST_PPI, FIRST_SPI, 4127, 4128, LAST_SPI]


def machine(cpus: int | vgic.Topology = 2, spis: int = 64, **choices: int | bool) -> Guest:
    return Guest(cpus, spis=spis, **{**ALL, **choices}).boot()  # type: ignore[arg-type]  # one dict, several types


@pytest.mark.rule("EXT-1")
@pytest.mark.parametrize(
    ("spis", "ppis", "of_distributor", "of_redistributor", "ranges", "id_bits"),
    [(0, 0, (0, 0), 0, 0, 10), (32, 0, (1, 0), 0, 1, 13), (1024, 64, (1, 31), 2, 1, 13), (0, 32, (0, 0), 1, 1, 13)],
)
def test_what_there_is_shows_in_every_register_that_tells(
    spis: int, ppis: int, of_distributor: tuple[int, int], of_redistributor: int, ranges: int, id_bits: int
) -> None:
    guest = machine(extended_spis=spis, extended_ppis=ppis)
    typer = guest.gicd(GICD.TYPER)
    assert (typer >> 8 & 1, typer >> 27) == of_distributor
    assert typer >> 19 & 0x1F == id_bits - 1
    for cpu in guest.cpus:
        assert guest.gicr(GICR.TYPER, 8, cpu) >> 27 & 0x1F == of_redistributor
        assert guest.mrs(vgic.ICC_CTLR_EL1, cpu) >> 19 & 1 == ranges


@pytest.mark.rule("EXT-2")
@pytest.mark.parametrize(
    ("choice", "text"),
    [
        ({"extended_spis": 16}, "extended_spis is a multiple of 32 up to 1024; 16 is not"),
        ({"extended_spis": 1056}, "extended_spis is a multiple of 32 up to 1024; 1056 is not"),
        ({"extended_spis": -32}, "extended_spis is a multiple of 32 up to 1024; -32 is not"),
        ({"extended_ppis": 96}, "extended_ppis is a multiple of 32 up to 64; 96 is not"),
        (
            {"extended_spis": 32, "profile": vgic.KVM},
            "the profile kvm has no extended ranges, and extended_spis is 32",
        ),
        (
            {"extended_ppis": 64, "profile": vgic.QEMU},
            "the profile qemu has no extended ranges, and extended_ppis is 64",
        ),
    ],
)
def test_a_range_that_cannot_be_is_refused_by_name(choice: dict[str, object], text: str) -> None:
    with pytest.raises(vgic.ConfigError) as caught:
        vgic.Config(vgic.Topology.kvm(1), a3v=False, **choice)  # type: ignore[arg-type]  # one dict, several types
    assert str(caught.value) == text


@pytest.mark.rule("EXT-2")
def test_a_vm_without_them_has_no_registers_for_them() -> None:
    guest = Guest(1).boot()
    for offset in EXTENDED.values():
        guest.set_gicd(offset, 0xFFFF_FFFF)
        assert guest.gicd(offset) == 0
    guest.set_gicr(GICR.SGI_BASE + BANK.ISENABLER + 4, 0xFFFF_FFFF)
    assert guest.gicr(GICR.SGI_BASE + BANK.ISENABLER + 4) == 0
    assert len(guest.heard.accesses) == 2 * len(EXTENDED) + 2
    for ask in (guest.gic.spi, lambda intid: guest.gic.ppi(0, intid), lambda intid: guest.gic.bank(0, intid)):
        for intid in (FIRST_SPI, FIRST_PPI):
            with pytest.raises(vgic.ConfigError, match=f"no (SPI|PPI) {intid}: "):
                ask(intid)


@pytest.mark.rule("EXT-3")
@pytest.mark.parametrize("intid", OF_EACH_RANGE)
def test_every_register_of_an_interrupt_is_where_arm_says(intid: int) -> None:
    guest = machine()
    interrupt = guest.gic.interrupt(1, intid)
    for array, seen in ((BANK.ISENABLER, "enabled"), (BANK.ISPENDR, "pending"), (BANK.ISACTIVER, "active")):
        assert not getattr(interrupt, seen)
        guest.set_bit(array, intid, 1)
        assert getattr(interrupt, seen)
        # One register sets, its neighbour clears; both show it.
        assert guest.bit(array, intid, 1) == guest.bit(array + 0x80, intid, 1) == 1
        guest.set_bit(array + 0x80, intid, 1)
        assert not getattr(interrupt, seen)
    for group in (1, 0):
        guest.set_group(intid, group, 1)
        assert interrupt.group == guest.bit(BANK.IGROUPR, intid, 1) == group
    guest.set_priority(intid, 0xFF, 1)
    assert interrupt.priority == guest.read(guest.register(BANK.IPRIORITYR, intid, 8, 1), 1) == 0xF8
    for edge in (True, False):
        guest.set_edge(intid, edge, 1)
        assert interrupt.edge_triggered == edge
    others = [guest.gic.interrupt(1, other) for other in OF_EACH_RANGE if other != intid]
    assert not any(other.priority for other in others)


@pytest.mark.rule("EXT-3")
def test_registers_beyond_the_last_interrupt_are_zero() -> None:
    guest = machine(1, extended_spis=32, extended_ppis=32)
    for intid in (1088, 4128, LAST_SPI):
        guest.set_bit(BANK.ISENABLER, intid)
        guest.set_priority(intid, 0xF0)
        assert guest.bit(BANK.ISENABLER, intid) == 0
        assert guest.read(guest.register(BANK.IPRIORITYR, intid, 8), 1) == 0
    guest.route(LAST_SPI, ANY_PE)
    assert guest.read(guest.register(GICD.IROUTER, LAST_SPI, 64), 8) == 0
    for frame in (guest.word(BANK.IGRPMODR, FIRST_SPI), guest.word(BANK.NSACR, FIRST_SPI)):
        guest.write(frame, 0xFFFF_FFFF)
        assert guest.read(frame) == 0
    assert guest.heard.accesses == []


@pytest.mark.rule("EXT-4")
@pytest.mark.parametrize("intid", [FIRST_PPI, LAST_PPI, FIRST_SPI, LAST_SPI])
@pytest.mark.parametrize("splits", [False, True])
def test_an_interrupt_is_taken_and_finished_like_any_other(intid: int, splits: bool) -> None:
    guest = machine(1)
    guest.msr(vgic.ICC_CTLR_EL1, 2 * splits)
    guest.setup(intid)
    guest.line(intid, True)
    assert guest.irq()
    guest.take(intid)
    assert guest.gic.interrupt(0, intid).active
    assert guest.mrs(vgic.ICC_RPR_EL1) == 0xA0
    guest.line(intid, False)
    for nobody in EDGES:
        guest.eoi(nobody)
        guest.msr(vgic.ICC_DIR_EL1, nobody)
    assert guest.gic.interrupt(0, intid).active
    assert guest.mrs(vgic.ICC_RPR_EL1) == 0xA0
    guest.eoi(intid)
    assert guest.gic.interrupt(0, intid).active == splits
    if splits:
        guest.msr(vgic.ICC_DIR_EL1, intid)
    assert not guest.gic.interrupt(0, intid).active
    assert guest.ack() == SPURIOUS


@pytest.mark.rule("EXT-4")
def test_ties_go_to_the_lowest_intid_whatever_its_range() -> None:
    guest = Guest(1, **ALL, lpis=True, memory=vgic.Ram.zeroed(0, 0x10_0000)).boot()
    guest.setup(LAST_SPI, FIRST_SPI, LAST_PPI, 95, 1088, 31, priority=0x80)
    for intid in (LAST_SPI, FIRST_SPI, LAST_PPI, 95, 1088, 31):
        guest.line(intid, True)
    taken = []
    for _ in range(6):
        intid = guest.ack()
        guest.line(intid, False)
        guest.eoi(intid)
        taken.append(intid)
    assert taken == [31, 95, 1088, LAST_PPI, FIRST_SPI, LAST_SPI]
    guest.setup(LAST_SPI, priority=0x78)
    guest.line(LAST_SPI, True)
    guest.line(31, True)
    assert guest.mrs(vgic.ICC_HPPIR1_EL1) == LAST_SPI


@pytest.mark.rule("EXT-4")
def test_a_ppi_of_the_range_is_its_own_pe_alone() -> None:
    guest = machine(3)
    for cpu in guest.cpus:
        guest.setup(LAST_PPI, cpu=cpu)
    guest.line(LAST_PPI, True, cpu=1)
    assert [guest.irq(cpu) for cpu in guest.cpus] == [False, True, False]
    guest.take(LAST_PPI, cpu=1)
    assert [guest.gic.ppi(cpu, LAST_PPI).active for cpu in guest.cpus] == [False, True, False]


@pytest.mark.rule("EXT-5")
def test_spis_of_the_range_go_where_their_routes_say() -> None:
    guest = machine(vgic.Topology([0, 1, 0x0100_0000]))
    guest.setup(FIRST_SPI, LAST_SPI)
    guest.route(FIRST_SPI, 1)
    guest.route(LAST_SPI, 1 << 32)
    assert guest.read(guest.register(GICD.IROUTER, LAST_SPI, 64), 8) == 1 << 32
    guest.line(FIRST_SPI, True)
    guest.line(LAST_SPI, True)
    assert [guest.irq(cpu) for cpu in guest.cpus] == [False, True, True]
    assert guest.gic.spi(LAST_SPI).target == 2
    guest.gic.write_mpidrs({1: 1 << 32, 2: 1})
    guest.gic.check()
    assert (guest.mrs(vgic.ICC_HPPIR1_EL1, 1), guest.mrs(vgic.ICC_HPPIR1_EL1, 2)) == (LAST_SPI, FIRST_SPI)
    guest.route(LAST_SPI, 7)
    assert guest.gic.spi(LAST_SPI).target is None
    assert [guest.irq(cpu) for cpu in guest.cpus] == [False, False, True]


@pytest.mark.rule("EXT-5")
@pytest.mark.parametrize(("register", "size"), [(GICD.SETSPI_NSR, 4), (GICD.SETSPI_NSR, 2)])
@pytest.mark.parametrize("intid", [33, FIRST_SPI, LAST_SPI])
def test_a_message_names_any_spi(register: int, size: int, intid: int) -> None:
    guest = machine(1)
    guest.setup(intid)
    guest.set_gicd(register, intid, size)
    assert guest.gic.spi(intid).pending
    guest.set_gicd(GICD.CLRSPI_NSR, intid, size)
    assert not guest.gic.spi(intid).pending
    for nobody in (FIRST_PPI, 3000, 8191, *EDGES):
        guest.set_gicd(register, nobody, size)
    assert not guest.irq()


@pytest.mark.rule("EXT-6")
def test_1_of_n_spis_of_both_ranges_compete_for_the_same_pes() -> None:
    guest = machine(3)
    intids = [40, FIRST_SPI, LAST_SPI]
    guest.setup(*intids)
    for intid in intids:
        guest.route(intid, ANY_PE)
        guest.line(intid, True)
    # One to each PE, whichever range it is of; what loses its PE goes to another.
    assert [guest.gic.spi(intid).target for intid in intids] == [0, 1, 2]
    guest.msr(vgic.ICC_PMR_EL1, 0, cpu=1)
    guest.enable_group(1, False, cpu=2)
    assert [guest.gic.spi(intid).target for intid in intids] == [0, 1, 0]
    guest.take(40)
    guest.msr(vgic.ICC_PMR_EL1, 0xFF, cpu=1)
    assert [guest.gic.spi(intid).target for intid in intids[1:]] == [1, 0]
    guest.take(FIRST_SPI, cpu=1)
    guest.enable_group(1, True, cpu=2)
    guest.take(LAST_SPI, cpu=2)
    assert [guest.ack(cpu) for cpu in guest.cpus] == [SPURIOUS] * 3


@pytest.mark.rule("EXT-6")
def test_a_1_of_n_spi_of_the_range_waits_for_a_pe() -> None:
    guest = machine(1)
    guest.setup(LAST_SPI)
    guest.route(LAST_SPI, ANY_PE)
    guest.enable_group(1, False)
    guest.line(LAST_SPI, True)
    assert guest.gic.spi(LAST_SPI).target is None
    guest.enable_group(1, True)
    guest.take(LAST_SPI)


def busy() -> Guest:
    """A guest with something in every kind of state in each range."""
    guest = machine(3)
    for shift, intid in enumerate(OF_EACH_RANGE):
        guest.setup(intid, priority=0x80 + 8 * shift, edge=intid % 5 == 0, group=intid % 2)
        if intid >= 32 and not 1056 <= intid < 4096:
            guest.route(intid, ANY_PE if intid % 4 == 0 else shift % 3)
        guest.line(intid, True)
    guest.set_gicd(GICD.SETSPI_NSR, 4128)
    guest.ack(0)
    guest.ack(1, group=0)
    return guest


@pytest.mark.rule("EXT-7")
def test_a_saved_state_restores_in_any_order_and_continues() -> None:
    guest = busy()
    state = guest.gic.save()
    document = json.loads(json.dumps(to_document(state)))
    assert from_document(document) == state
    assert {state["vm"]["extended_spis"], state["vm"]["extended_ppis"]} == {1024, 64}
    registers = dict(reversed(state["registers"].items()))
    names = "GICD_ISENABLER31E", "GICD_IROUTER1023E", "GICD.line_level31E", "GICD.message_level1E"
    assert {*names, "GICR[0].GICR_ISENABLER2E", "GICR[0].line_level1E", "GICD.chosen_mpidr4096"} <= registers.keys()
    other = vgic.Gic(guest.config)
    other.restore({"vm": state["vm"], "registers": registers})
    other.check()
    assert other.save() == state
    for cpu in guest.cpus:
        for register in (vgic.ICC_IAR0_EL1, vgic.ICC_IAR1_EL1):
            while (intid := guest.gic.sysreg_read(cpu, register)) != SPURIOUS:
                assert other.sysreg_read(cpu, register) == intid
            assert other.sysreg_read(cpu, register) == SPURIOUS
    assert other.save() == guest.gic.save()


@pytest.mark.rule("EXT-7")
@pytest.mark.parametrize("name", ["extended_spis", "extended_ppis"])
def test_a_state_of_another_size_is_refused(name: str) -> None:
    guest = busy()
    state = guest.gic.save()
    for config in (replace(guest.config, **{name: 32}), replace(guest.config, **{name: 0})):
        with pytest.raises(vgic.StateError, match=rf"vm\.{name} is "):
            vgic.Gic(config).restore(state)


@pytest.mark.rule("EXT-7")
def test_a_state_without_them_says_nothing_of_them() -> None:
    state = Guest(1).boot().gic.save()
    assert not [key for key in (*state["vm"], *state["registers"]) if "extended" in key or key.endswith("E")]


@pytest.mark.rule("EXT-8")
def test_the_views_of_an_interrupt_name_it() -> None:
    guest = machine(2)
    guest.setup(LAST_SPI, LAST_PPI)
    guest.line(LAST_SPI, True)
    assert str(guest.gic.spi(LAST_SPI)).startswith("INTID 5119: pending enabled; group 1, priority 0xa0")
    assert str(guest.gic.ppi(1, LAST_PPI)).endswith("private to vCPU 1")
    assert repr(guest.gic) == "<Gic arch: 2 vCPUs, 64 SPIs, 1024 extended SPIs, 64 extended PPIs>"
    assert list(guest.gic.intids(private=True)) == [*range(32), *range(1056, 1120)]
    assert list(guest.gic.intids(private=False)) == [*range(32, 96), *range(4096, 5120)]
    asks: list[Callable[[int], object]] = [lambda intid: guest.gic.ppi(0, intid), guest.gic.spi]
    for ask, intid, there in (
        (asks[0], 4096, "PPIs are INTIDs 16 to 31 and 1056 to 1119"),
        (asks[0], 15, "PPIs are INTIDs 16 to 31 and 1056 to 1119"),
        (asks[0], 1055, "PPIs are INTIDs 16 to 31 and 1056 to 1119"),
        (asks[0], 1120, "PPIs are INTIDs 16 to 31 and 1056 to 1119"),
        (asks[1], 4095, "this VM's SPIs are INTIDs 32 to 95 and 4096 to 5119"),
        (asks[1], 5120, "this VM's SPIs are INTIDs 32 to 95 and 4096 to 5119"),
        (asks[1], 1 << 80, "this VM's SPIs are INTIDs 32 to 95 and 4096 to 5119"),
        (asks[1], 1056, "this VM's SPIs are INTIDs 32 to 95 and 4096 to 5119"),
    ):
        with pytest.raises(vgic.ConfigError) as caught:
            ask(intid)
        assert str(caught.value).endswith(there)


@pytest.mark.rule("EXT-8")
def test_an_interrupt_of_the_range_takes_no_more_memory_than_another() -> None:
    def size(cpus: int, **choices: int) -> int:
        return deep_size(vgic.Gic(vgic.Config(vgic.Topology.clusters(cpus, 16), **choices)))  # type: ignore[arg-type]

    usual = (size(1, spis=960, extended_spis=32) - size(1, spis=32, extended_spis=32)) / 928
    extended = (size(1, extended_spis=992) - size(1, extended_spis=64)) / 928
    assert extended == pytest.approx(usual, rel=0.02)
    # A PE has a bank of its own for each range.
    bank = (size(33) - size(1)) / 32
    private = (size(33, extended_ppis=32) - size(1, extended_ppis=32)) / 32 - bank
    assert 0 < private < bank / 2
    assert (size(33, extended_ppis=64) - size(1, extended_ppis=64)) / 32 - bank < 2 * private


@pytest.mark.rule("EXT-4", "EXT-5")
def test_a_recorded_trace_of_both_ranges_replays(tmp_path: Path) -> None:
    """What is recorded is what the reference in tests/helpers answers, which shares nothing with the model."""
    affinities = [(0, 0, 0, 0), (0, 0, 1, 2), (3, 0, 0, 1)]
    reference = Reference(affinities, 32, 5, extended_spis=1024, extended_ppis=64)
    config = vgic.Config(
        vgic.Topology(a << 24 | b << 16 | c << 8 | d for a, b, c, d in affinities),
        spis=32,
        rss=False,
        one_of_n=False,
        extended_spis=1024,
        extended_ppis=64,
    )
    path = tmp_path / "extended.jsonl.gz"
    with NativeWriter(path, {"machine": machine_document(Machine(config, "a test"))}) as writer:
        for event in Recording(reference, random.Random(15)).events():
            writer.write(event)
    trace = open_trace(path)
    machine = recorded_machine(trace, {})
    assert (machine.config.extended_spis, machine.config.extended_ppis) == (1024, 64)
    result = replay(trace, str(path), machine, keep_going=True)
    assert not result.divergences
    assert not result.accepted
    taken = {
        kind: sum(count for (_, of), count in result.acknowledged.items() if of == kind) for kind in ("SPI", "PPI")
    }
    assert taken["SPI"] > 900
    assert taken["PPI"] > 150
    assert result.compared["ICC_IAR1"] + result.compared["ICC_IAR0"] > sum(taken.values())


class Recording:
    """A guest on the reference, and the events that it makes: the values read are the reference's."""

    def __init__(self, reference: Reference, rng: random.Random) -> None:
        self.reference, self.rng = reference, rng
        self.cpus = range(len(reference.cpus))

    def pe(self, cpu: int | None) -> int | None:
        return None if cpu is None else int.from_bytes(bytes(self.reference.cpus[cpu].affinity), "big")

    def access(self, cpu: int | None, offset: int, value: int | None = None, size: int = 4) -> Access:
        write = value is not None
        if value is None:
            value = self.reference.read(cpu, offset, size)
        else:
            self.reference.write(cpu, offset, size, value)
        device = "gicd" if cpu is None else "gicr"
        return Access(0, None, None, device, self.pe(cpu), offset, size, value, write, False, False)

    def sysreg(self, cpu: int, register: str, value: int | None = None) -> SysReg:
        write = value is not None
        if value is None:
            value = self.reference.sysreg_read(cpu, register)
        else:
            self.reference.sysreg_write(cpu, register, value)
        return SysReg(0, None, None, self.pe(cpu) or 0, f"ICC_{register}", value, write)

    def line(self, cpu: int | None, intid: int, level: bool) -> Line:
        self.reference.set_line(self.reference.interrupts[cpu, intid], level)
        return Line(0, None, None, self.pe(cpu), intid, level)

    def events(self) -> Iterator[Event]:
        """The guest sets up, takes and finishes every interrupt of both ranges, at random priorities."""
        yield self.access(None, GICD.CTLR, 0b11)
        for cpu in self.cpus:
            yield self.access(cpu, GICR.WAKER, 0)
            for register, value in (("PMR", 0xFF), ("IGRPEN0", 1), ("IGRPEN1", 1)):
                yield self.sysreg(cpu, register, value)
        for word in range(32):
            yield from self.word(None, FIRST_SPI + 32 * word, EXTENDED, word)
        # The arrays of SGI_base go on behind their first word.
        own = {array: GICR.SGI_BASE + array for array in EXTENDED}
        for cpu in self.cpus:
            yield from self.word(cpu, FIRST_PPI, own, 1)
            yield from self.word(cpu, FIRST_PPI + 32, own, 2)

    def word(self, cpu: int | None, first: int, arrays: dict[int, int], at: int) -> Iterator[Event]:
        """All that befalls 32 interrupts, whose registers are the `at`-th of each array."""
        bits = self.rng.getrandbits
        for array, value in (
            (arrays[BANK.IGROUPR] + 4 * at, bits(32)),
            *((arrays[BANK.IPRIORITYR] + 32 * at + 4 * n, bits(32) & 0x7F7F_7F7F) for n in range(8)),
            *((arrays[BANK.ICFGR] + 8 * at + 4 * n, bits(32) & 0xAAAA_AAAA) for n in range(2)),
            (arrays[BANK.ISENABLER] + 4 * at, 0xFFFF_FFFF),
        ):
            yield self.access(cpu, array, value)
            yield self.access(cpu, array)
        for intid in range(first, first + 32):
            if cpu is None:
                aff3, aff2, aff1, aff0 = self.reference.cpus[self.rng.choice(self.cpus)].affinity
                router = EXTENDED[GICD.IROUTER] + 8 * (intid - FIRST_SPI)
                yield self.access(None, router, aff3 << 32 | aff2 << 16 | aff1 << 8 | aff0, 8)
                yield self.access(None, router, None, 8)
            yield self.line(cpu, intid, True)
        yield self.access(cpu, arrays[BANK.ISPENDR] + 4 * at)
        yield self.access(cpu, arrays[BANK.ISPENDR] + 4 * at, bits(32))
        yield from self.taken(arrays[BANK.ISACTIVER] + 4 * at, cpu)

    def taken(self, active: int, owner: int | None) -> Iterator[Event]:
        """Every PE takes what it is signalled; a line goes low when its interrupt is taken."""
        for cpu in self.cpus:
            while (best := self.reference.signalled(cpu)) is not None:
                yield self.sysreg(cpu, f"HPPIR{1 - best.group}")
                yield self.sysreg(cpu, f"IAR{best.group}")
                yield self.sysreg(cpu, "RPR")
                yield self.access(owner, active)
                yield self.line(owner, best.intid, False)
                yield self.sysreg(cpu, f"EOIR{best.group}", best.intid)
            yield self.sysreg(cpu, "IAR1")


ARRAYS = {
    BANK.IGROUPR: 1,
    BANK.IGRPMODR: 1,
    BANK.ISENABLER: 1,
    BANK.ICENABLER: 1,
    BANK.ISPENDR: 1,
    BANK.ICPENDR: 1,
    BANK.ISACTIVER: 1,
    BANK.ICACTIVER: 1,
    BANK.IPRIORITYR: 8,
    BANK.ICFGR: 2,
}
"""Bits for each INTID."""


def field(gic: vgic.Gic, array: int, intid: int, secure: bool, written: int | None = None) -> int:
    """The bits of an INTID in an array, after they have been written, if they are to be; no others are."""
    bits = 64 if array == GICD.IROUTER else {**ARRAYS, BANK.NSACR: 2}[array]
    size = max(4, bits // 8)
    private = intid < 32 or 1056 <= intid < 4096
    base = gic.redistributor_bases[0] + GICR.SGI_BASE if private else gic.config.gicd_base
    first = 4096 if intid >= 4096 else 1024 if intid >= 1056 else 0
    place = base + (EXTENDED[array] if first == 4096 else array) + (intid - first) * bits // 8
    address, lsb = place & ~(size - 1), intid * bits % (8 * size)
    mask = (1 << bits) - 1 << lsb
    if written is not None:
        one_by_one = array in range(BANK.ISENABLER, BANK.IPRIORITYR)
        before = 0 if one_by_one else gic.read(address, size, secure=secure)
        gic.write(address, size, before & ~mask | written << lsb & mask, secure=secure)
    return (gic.read(address, size, secure=secure) & mask) >> lsb


@pytest.mark.rule("EXT-9")
@pytest.mark.parametrize(("usual", "extended"), [(40, 4104), (24, 1080)])
@pytest.mark.parametrize("access", [0, 1, 3])
@pytest.mark.parametrize("groups", [(0, 0), (0, 1), (1, 0)])
def test_two_security_states_see_it_as_they_see_another(
    usual: int, extended: int, access: int, groups: tuple[int, int]
) -> None:
    config = vgic.Config(vgic.Topology.kvm(1), spis=64, security="two", extended_spis=32, extended_ppis=32)
    shared = usual >= 32
    for joined in (False, True):
        for array in [*ARRAYS, *([BANK.NSACR, GICD.IROUTER] if shared else [])]:
            seen = []
            for intid in (usual, extended):
                gic = vgic.Gic(config)
                field(gic, BANK.IGRPMODR, intid, True, groups[0])
                field(gic, BANK.IGROUPR, intid, True, groups[1])
                if shared:
                    field(gic, BANK.NSACR, intid, True, access)
                    field(gic, GICD.IROUTER, intid, True, 0x0102_0304_0506_0708)
                field(gic, BANK.IPRIORITYR, intid, True, 0xA8)
                for enables in (BANK.ISENABLER, BANK.ISPENDR, BANK.ISACTIVER):
                    field(gic, enables, intid, True, 1)
                gic.write(gic.config.gicd_base, 4, joined << 6, secure=True)
                shown = [field(gic, array, intid, secure) for secure in (False, True)]
                for secure in (False, True):
                    shown.append(field(gic, array, intid, secure, (1 << 64) - 1))
                    shown.append(field(gic, array, intid, True))
                    shown.append(field(gic, array, intid, secure, 0))
                    shown.append(field(gic, array, intid, True))
                gic.check()
                seen.append((shown, str(gic.interrupt(0, intid)).partition(":")[2]))
            assert seen[0] == seen[1], hex(array)


@pytest.mark.rule("EXT-9")
@pytest.mark.parametrize(("access", "sets", "clears"), [(0, False, False), (1, True, False), (2, True, True)])
def test_nonsecure_messages_reach_what_nsacr_lets_them(access: int, sets: bool, clears: bool) -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1), security="two", **ALL))  # type: ignore[arg-type]
    base, spi = gic.config.gicd_base, gic.spi(LAST_SPI)
    field(gic, BANK.NSACR, LAST_SPI, True, access)
    gic.write(base + GICD.SETSPI_NSR, 4, LAST_SPI)
    assert spi.pending == sets
    gic.write(base + 0x50, 4, LAST_SPI, secure=True)
    gic.write(base + GICD.CLRSPI_NSR, 4, LAST_SPI)
    assert spi.pending == (not clears)
    gic.write(base + 0x58, 4, LAST_SPI, secure=True)
    assert not spi.pending
