"""Random guests on random machines, each on the model and on the reference at once.

`run` has Hypothesis make up guests: a topology, and up to fifty operations of a guest or a device. After every one
of them model and reference have to agree in all that can be seen: the registers, the interrupt that each vCPU is
offered, and the IRQ and FIQ outputs.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import vgic
from reference import (
    CLRSPI,
    EXTENDED_ARRAYS,
    GICD_CTLR,
    ICFGR,
    IDLE,
    IGROUPR,
    IPRIORITYR,
    IROUTER,
    SETSPI,
    SGI_BASE,
    SPURIOUS,
    WAKER,
    Affinity,
    KvmReference,
    QemuReference,
    Reference,
)

REGISTERS: Final = {
    name.removeprefix("ICC_").removesuffix("_EL1"): getattr(vgic, name)
    for name in vgic.__all__
    if name.startswith("ICC_")
}
REGISTERS.update({f"AP{group}R{n}": REGISTERS[f"AP{group}R0"] + n for group in (0, 1) for n in (1, 2, 3)})
TYPER: Final = 0x008
READ_WITHOUT_EFFECT: Final = sorted(
    name for name in REGISTERS if not name.startswith(("IAR", "EOIR", "DIR", "SGI", "ASGI"))
)
CONTROLS: Final = ("PMR", "BPR0", "BPR1", "CTLR", "IGRPEN0", "IGRPEN1")
ACTIVE_PRIORITIES: Final = tuple(f"AP{group}R{n}" for group in (0, 1) for n in range(4))

levels = st.sampled_from([0, 0, 0, 1, 2, 15, 16, 255])
affinities = st.lists(st.tuples(levels, levels, levels, levels), min_size=1, max_size=5, unique=True)
cpus = st.integers(0, 4)  # Taken modulo the number of vCPUs.
intids = st.one_of(
    st.integers(0, 31),
    st.integers(32, 95),
    st.sampled_from([96, 1019, 1020, 1023, 1056, 1119, 4096, 4127, 4159, 5119, 8192]),
)
words = st.one_of(
    st.integers(0, 31).map(lambda bit: 1 << bit),
    st.sampled_from([0, 0xFFFF_FFFF]),
    st.integers(0, 0xFFFF_FFFF),
)
# Few priorities, so that ties and near misses are common; PMR is chosen from the same.
priorities = st.one_of(st.sampled_from([0, 0x40, 0x48, 0x50, 0x80, 0xA0, 0xA8, 0xF0, 0xFF]), st.integers(0, 0xFF))
arrays = st.sampled_from(range(0x080, 0x400, 0x80))


def irouter(affinity: Affinity) -> int:
    """GICD_IROUTER<n> naming a vCPU."""
    return affinity[0] << 32 | affinity[1] << 16 | affinity[2] << 8 | affinity[3]


class RandomGuest(RuleBasedStateMachine):
    """A guest on the model and on the reference; subclasses choose the profile."""

    profile = vgic.ARCH
    reference: type[Reference] = Reference
    least_bits = 4
    """Of a priority."""
    extends = True
    """Some have extended ranges."""
    options: Mapping[str, Any] = MappingProxyType({})
    """What else the machine is."""
    seen: Counter[str]
    """What happened over all examples, to show that the guests are not idle."""

    @initialize(
        affinities=affinities,
        spis=st.sampled_from([32, 64]),
        bits=st.integers(4, 8),
        gaps=st.lists(st.booleans(), min_size=5, max_size=5),
        boots=st.sampled_from([True, True, True, False]),
        extended=st.tuples(st.sampled_from([0, 0, 32, 64]), st.sampled_from([0, 0, 32, 64])),
    )
    def build(
        self,
        affinities: list[Affinity],
        spis: int,
        bits: int,
        gaps: list[bool],
        boots: bool,
        extended: tuple[int, int],
    ) -> None:
        bits = max(bits, self.least_bits)
        extended_spis, extended_ppis = extended if self.profile.extended_ranges and self.extends else (0, 0)
        topology = vgic.Topology(a << 24 | b << 16 | c << 8 | d for a, b, c, d in affinities)
        regions, base = [], 0x4000_0000
        for gap in gaps[: len(affinities)]:
            regions.append(vgic.RedistributorRegion(base, 1))
            base += 0x4_0000 if gap else 0x2_0000
        # The reference knows neither the range selector nor 1-of-N; tests/properties/test_random_features.py does.
        config = vgic.Config(
            topology,
            spis,
            self.profile,
            bits,
            redistributor_regions=tuple(regions),
            a3v=self.profile.features.a3v,
            rss=False,
            one_of_n=False,
            extended_spis=extended_spis,
            extended_ppis=extended_ppis,
            **self.options,
        )
        self.gic = vgic.Gic(config)
        self.other = self.reference(affinities, spis, bits, extended_spis, extended_ppis)
        self.words_of = {None: extended_spis // 32} | dict.fromkeys(range(len(affinities)), extended_ppis // 32)
        """How many words of 32 interrupts the extended range has, by Redistributor."""
        self.count = len(affinities)
        self.words = spis // 32
        self.taken: list[tuple[int, int, int]] = []
        for cpu in range(self.count):
            last = gaps[cpu] or cpu == self.count - 1
            got, expected = self.gic.read(self.address(cpu, TYPER), 8), self.other.typer(cpu, last)
            assert got == expected, f"GICR {cpu} TYPER: {got:#x}, reference {expected:#x}"
        if boots:
            self.boot(affinities)

    def boot(self, affinities: list[Affinity]) -> None:
        """What a kernel does first; left to chance, hardly a guest would get this far."""
        self.mmio(None, GICD_CTLR, 4, 0b11)
        for intid in range(32, 32 + 32 * self.words):
            self.mmio(None, IROUTER + 8 * intid, 8, irouter(affinities[intid % len(affinities)]))
        for word in range(1, self.words + 1):
            self.enable(None, word)
        for intid in range(32 * self.words_of[None]):
            self.mmio(None, 0x8000 + 8 * intid, 8, irouter(affinities[intid % len(affinities)]))
        for word in range(self.words_of[None]):
            self.enable(None, word, extended=True)
        for cpu in range(self.count):
            self.mmio(cpu, WAKER, 4, 0)
            self.enable(cpu, 0)
            for word in range(self.words_of[cpu]):
                self.enable(cpu, word, extended=True)
            self.unmask(cpu)

    def unmask(self, cpu: int) -> None:
        for name, value in (("PMR", 0xFF), ("IGRPEN0", 1), ("IGRPEN1", 1)):
            self.msr(cpu, name, value)

    def enable(self, redistributor: int | None, word: int, extended: bool = False) -> None:
        """Enable 32 interrupts: four to a priority, among them two in Group 1 and two edge-triggered."""

        def put(array: int, at: int, value: int) -> None:
            self.mmio(redistributor, self.spot(redistributor, array, at, extended), 4, value)

        for register in range(2):
            put(ICFGR, 8 * word + 4 * register, 0xA0A0_A0A0)
        for register in range(8):
            priority = 0x10 * (register + 1)
            put(IPRIORITYR, 32 * word + 4 * register, priority * 0x0101_0101)
        put(IGROUPR, 4 * word, 0xAAAA_AAAA)
        put(0x100, 4 * word, 0xFFFF_FFFF)

    # The two machines, side by side.

    def address(self, redistributor: int | None, offset: int) -> int:
        base = self.gic.config.gicd_base if redistributor is None else self.gic.redistributor_bases[redistributor]
        return base + offset

    def mmio(self, redistributor: int | None, offset: int, size: int, value: int) -> None:
        self.gic.write(self.address(redistributor, offset), size, value)
        self.other.write(redistributor, offset, size, value)

    def compare(self, redistributor: int | None, offset: int, size: int) -> None:
        got = self.gic.read(self.address(redistributor, offset), size)
        expected = self.other.read(redistributor, offset, size)
        where = "GICD" if redistributor is None else f"GICR {redistributor}"
        assert got == expected, f"{where}+{offset:#x}, {size} bytes: {got:#x}, reference {expected:#x}"

    def msr(self, cpu: int, name: str, value: int, secure: bool = False) -> None:
        self.gic.sysreg_write(cpu, REGISTERS[name], value, secure)
        self.other.sysreg_write(cpu, name, value, secure)

    def mrs(self, cpu: int, name: str) -> int:
        got, expected = self.gic.sysreg_read(cpu, REGISTERS[name]), self.other.sysreg_read(cpu, name)
        assert got == expected, f"vCPU {cpu} {name}: {got:#x}, reference {expected:#x}"
        return got

    def spot(self, redistributor: int | None, array: int, at: int, extended: bool) -> int:
        """The offset `at` bytes into an array, or into that of the extended range."""
        base = 0 if redistributor is None else SGI_BASE
        if not extended:
            return base + array + at
        if redistributor is not None:
            return base + array + at + {IPRIORITYR: 32, ICFGR: 8}.get(array, 4)
        return next(first for first, _, usual in EXTENDED_ARRAYS if usual == array) + at

    def frame(self, chosen: int) -> int | None:
        """None for the Distributor, which is where half of the accesses go."""
        return None if chosen % 2 else chosen // 2 % self.count

    def ranged(self, chosen: int, extended: bool) -> tuple[int | None, bool]:
        """A frame, and the extended range where it has one."""
        redistributor = self.frame(chosen)
        return redistributor, extended and self.words_of[redistributor] > 0

    # Interrupts and their registers.

    @rule(frame=st.integers(0, 9), array=arrays, word=st.integers(0, 3), value=words, extended=st.booleans())
    def write_bits(self, frame: int, array: int, word: int, value: int, extended: bool) -> None:
        redistributor, extended = self.ranged(frame, extended)
        word = word if redistributor is None or extended else 0
        self.mmio(redistributor, self.spot(redistributor, array, 4 * word, extended), 4, value)

    @rule(frame=st.integers(0, 9), word=st.integers(0, 3), value=words, extended=st.booleans())
    def set_pending(self, frame: int, word: int, value: int, extended: bool) -> None:
        self.write_bits(frame, 0x200, word, value, extended)

    @rule(
        frame=st.integers(0, 9),
        intid=st.integers(0, 95),
        size=st.sampled_from([1, 1, 4]),
        value=st.lists(priorities, min_size=4, max_size=4),
        extended=st.booleans(),
    )
    def write_priority(self, frame: int, intid: int, size: int, value: list[int], extended: bool) -> None:
        redistributor, extended = self.ranged(frame, extended)
        place = intid if redistributor is None or extended else intid % 32
        offset = self.spot(redistributor, IPRIORITYR, place // size * size, extended)
        self.mmio(redistributor, offset, size, int.from_bytes(value, "little"))

    @rule(frame=st.integers(0, 9), register=st.integers(0, 6), value=words, extended=st.booleans())
    def write_config(self, frame: int, register: int, value: int, extended: bool) -> None:
        redistributor, extended = self.ranged(frame, extended)
        if redistributor is not None:
            register %= 4 if extended else 2
        self.mmio(redistributor, self.spot(redistributor, ICFGR, 4 * register, extended), 4, value)

    @rule(
        intid=st.integers(30, 97),
        cpu=cpus,
        anywhere=st.one_of(st.none(), st.integers(0, (1 << 64) - 1)),
        part=st.sampled_from([(0, 8), (0, 4), (4, 4)]),
        extended=st.booleans(),
    )
    def write_route(
        self, intid: int, cpu: int, anywhere: int | None, part: tuple[int, int], extended: bool
    ) -> None:
        start, size = part
        value = irouter(self.other.cpus[cpu % self.count].affinity) if anywhere is None else anywhere
        _, extended = self.ranged(1, extended)
        at = self.spot(None, IROUTER, 8 * intid + start, extended)
        self.mmio(None, at, size, value >> 8 * start & (1 << 8 * size) - 1)

    @rule(
        frame=st.integers(0, 9),
        offset=st.one_of(st.integers(0, 0xFFF), st.integers(0x6000, 0x7FFF), st.integers(0x1000, 0xA0FF)),
        size=st.sampled_from([1, 2, 4, 8]),
        value=st.integers(0, (1 << 64) - 1),
    )
    def access_anywhere(self, frame: int, offset: int, size: int, value: int) -> None:
        """Any size and alignment, also where there is no register; identification is not the reference's."""
        redistributor = self.frame(frame)
        if redistributor is not None:
            offset = SGI_BASE + offset % 0x1000
        elif 4 <= offset < 0x20:
            return
        self.compare(redistributor, offset, size)
        self.mmio(redistributor, offset, size, value)

    # Lines, messages and SGIs.

    @rule(
        cpu=cpus,
        intid=st.one_of(st.integers(16, 95), st.integers(1056, 1119), st.integers(4096, 4159)),
        levels=st.sampled_from([(True,), (False,), (True, False)]),
    )
    def drive_line(self, cpu: int, intid: int, levels: tuple[bool, ...]) -> None:
        if not self.gic.has(intid):
            intid = min(intid, self.other.last_spi)
        line = self.gic.interrupt(cpu % self.count, intid)
        interrupt = self.other.visible(cpu % self.count, intid)
        assert interrupt is not None
        if len(levels) == 2:
            line.pulse()
        else:
            line.set_level(levels[0])
        for level in levels:
            self.other.set_line(interrupt, level)

    @rule(register=st.sampled_from([SETSPI, CLRSPI]), intid=intids, size=st.sampled_from([2, 4]))
    def send_message(self, register: int, intid: int, size: int) -> None:
        self.mmio(None, register, size, intid)

    @rule(
        sender=cpus,
        register=st.sampled_from(["SGI1R", "SGI1R", "ASGI1R", "SGI0R"]),
        cluster_of=cpus,
        others=st.sampled_from([0, 0, 0, 1 << 40, 0xF << 44, 1 << 32]),
        named=st.one_of(st.just(0xFFFF), st.integers(0, 0xFFFF)),
        intid=st.integers(0, 15),
        secure=st.booleans(),
    )
    def send_sgi(
        self, sender: int, register: str, cluster_of: int, others: int, named: int, intid: int, secure: bool
    ) -> None:
        aff3, aff2, aff1, _ = self.other.cpus[cluster_of % self.count].affinity
        value = aff3 << 48 | aff2 << 32 | aff1 << 16 | intid << 24 | named
        self.msr(sender % self.count, register, value ^ others, secure)

    # The CPU interface.

    @rule(cpu=cpus, group=st.integers(0, 1))
    def acknowledge(self, cpu: int, group: int) -> None:
        cpu %= self.count
        runs = self.other.running_priority(self.other.cpus[cpu]) != IDLE
        intid = self.mrs(cpu, f"IAR{group}")
        if not 1020 <= intid <= SPURIOUS:
            self.taken.append((cpu, group, intid))
            self.seen[f"Group {group} taken"] += 1
            self.seen["preempted"] += runs

    @rule()
    def take(self) -> None:
        """What an interrupt handler starts with, on every vCPU that is interrupted."""
        for cpu in range(self.count):
            best = self.other.signalled(cpu)
            if best is not None:
                self.acknowledge(cpu, min(best.group, 1))

    @precondition(lambda self: self.taken)
    @rule(nth=st.integers(0, 3), dir_too=st.booleans())
    def finish(self, nth: int, dir_too: bool) -> None:
        """What an interrupt handler ends with, mostly in the right order."""
        cpu, group, intid = self.taken.pop(-1 - nth % len(self.taken))
        self.msr(cpu, f"EOIR{group}", intid)
        self.seen["finished"] += 1
        if dir_too:
            self.msr(cpu, "DIR", intid)

    @precondition(lambda self: self.taken)
    @rule(intid=st.integers(0, 31), above=st.sampled_from([0, 1, 8, 16, 64]), bpr=st.integers(0, 7))
    def come_close(self, intid: int, above: int, bpr: int) -> None:
        """Something as urgent as the running interrupt, or a little more: BPR decides if it preempts."""
        cpu, group, _ = self.taken[-1]
        priority = max(0, self.other.running_priority(self.other.cpus[cpu]) - above)
        self.msr(cpu, f"BPR{group}", bpr)
        self.mmio(cpu, SGI_BASE + IPRIORITYR + intid, 1, priority)
        for array in (0x100, 0x200):
            self.mmio(cpu, SGI_BASE + array, 4, 1 << intid)
        self.take()

    @rule(cpu=cpus, below=st.sampled_from([-8, 0, 8]))
    def mask_closely(self, cpu: int, below: int) -> None:
        """PMR at the priority of what is offered, or a little to either side."""
        best = self.other.offered(cpu % self.count)
        if best is not None:
            self.msr(cpu % self.count, "PMR", max(0, min(best.priority + below, 0xFF)))

    @rule(cpu=cpus, name=st.sampled_from(["EOIR0", "EOIR1", "DIR"]), intid=intids)
    def finish_anything(self, cpu: int, name: str, intid: int) -> None:
        self.msr(cpu % self.count, name, intid)

    @rule(cpu=cpus, name=st.sampled_from(CONTROLS), value=st.one_of(priorities, st.integers(0, 7)))
    def write_control(self, cpu: int, name: str, value: int) -> None:
        self.msr(cpu % self.count, name, value)

    @rule(cpu=cpus, name=st.sampled_from(ACTIVE_PRIORITIES), value=st.one_of(st.just(0), words))
    def write_active_priorities(self, cpu: int, name: str, value: int) -> None:
        self.msr(cpu % self.count, name, value)
        if not value:
            self.unmask(cpu % self.count)

    # What gates everything.

    @rule(gate=st.sampled_from(["distributor", "waker", "reset"]), cpu=cpus, value=st.integers(0, 3))
    def gate(self, gate: str, cpu: int, value: int) -> None:
        cpu %= self.count
        if gate == "distributor":
            self.mmio(None, GICD_CTLR, 4, value)
        elif gate == "waker":
            self.mmio(cpu, WAKER, 4, value)
        else:
            self.gic.reset_cpu(cpu)
            self.other.reset_cpu(cpu)

    @rule()
    def open_the_gates(self) -> None:
        self.mmio(None, GICD_CTLR, 4, 0b11)
        for cpu in range(self.count):
            self.mmio(cpu, WAKER, 4, 0)
            self.unmask(cpu)

    # What both must agree on.

    @invariant()
    def registers_agree(self) -> None:
        self.seen["steps"] += 1
        for word in range(1, self.words + 1):
            self.compare_words(None, word)
            for register in range(16):
                self.compare(None, IROUTER + 8 * (32 * word + 2 * register), 8)
                self.compare(None, IROUTER + 8 * (32 * word + 2 * register + 1), 8)
        self.compare(None, GICD_CTLR, 4)
        for word in range(self.words_of[None]):
            self.compare_words(None, word, extended=True)
            for intid in range(32 * word, 32 * word + 32):
                self.compare(None, 0x8000 + 8 * intid, 8)
        for cpu in range(self.count):
            self.compare_words(cpu, 0)
            for word in range(self.words_of[cpu]):
                self.compare_words(cpu, word, extended=True)
            self.compare(cpu, WAKER, 4)
            for name in READ_WITHOUT_EFFECT:
                self.mrs(cpu, name)

    def compare_words(self, redistributor: int | None, word: int, extended: bool = False) -> None:
        words = [(array, 4 * word) for array in (0x080, 0x100, 0x280, 0x300)]
        words += [(IPRIORITYR, 32 * word + 4 * register) for register in range(8)]
        words += [(ICFGR, 8 * word + 4 * register) for register in range(2)]
        for array, at in words:
            self.compare(redistributor, self.spot(redistributor, array, at, extended), 4)

    @invariant()
    def offers_agree(self) -> None:
        for cpu in range(self.count):
            best, offered = self.other.offered(cpu), self.gic.highest_pending(cpu)
            expected = best and (best.intid, best.group, best.priority)
            assert offered == expected, f"vCPU {cpu} is offered {offered}, reference {expected}"
            got, wanted = self.gic.outputs(cpu), self.other.outputs(cpu)
            assert got == wanted, f"vCPU {cpu} IRQ and FIQ: {got}, reference {wanted}"
            self.seen["signalled"] += any(self.gic.outputs(cpu))

    @invariant()
    def state_is_consistent(self) -> None:
        self.gic.check()


class RandomKvmGuest(RandomGuest):
    profile = vgic.KVM
    reference = KvmReference


class RandomQemuGuest(RandomGuest):
    profile = vgic.QEMU
    reference = QemuReference

    def mmio(self, redistributor: int | None, offset: int, size: int, value: int) -> None:
        """Keep the rules: QEMU evaluates a new trigger late, so disable the interrupts first."""
        base = 0 if redistributor is None else SGI_BASE
        if ICFGR <= offset - base < ICFGR + 0x100:
            super().mmio(redistributor, base + 0x180 + (offset - base - ICFGR) // 8 * 4, 4, 0xFFFF_FFFF)
        super().mmio(redistributor, offset, size, value)


def run(guest: type[RandomGuest], examples: int, shrink: bool = True) -> Counter[str]:
    """Run so many guests, the same wherever the same modules are loaded; what happened to them.

    Raises AssertionError where model and reference differ; `shrink` makes the guest that shows it short.
    """
    guest.seen = Counter()
    run_state_machine_as_test(
        guest,
        settings=settings(
            max_examples=examples,
            stateful_step_count=50,
            database=None,
            report_multiple_bugs=False,
            phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
            suppress_health_check=list(HealthCheck),
        ),
    )
    return guest.seen


def run_through(guest: type[RandomGuest], examples: int, happenings: Iterable[str]) -> None:
    """`run`, and see that each of these happens once among so many guests, or five times among five times as many.

    Hypothesis takes constants of the modules that are loaded, so other tests have a say in what guests there are.
    """
    for times in (1, 5):
        seen = run(guest, times * examples)
        if all(seen[happening] >= times for happening in happenings):
            return
    raise AssertionError(f"too little happens to these guests: {seen}")
