"""Random guests with LPIs, on the model and on the reference at once.

After every operation both have to agree in what is pending, offered and signalled, in the registers, and in every
byte of RAM.
"""

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import vgic
from lpi_guest import ENABLE_LPIS, PTZ, RAM
from lpi_reference import KvmLpiReference, LpiReference, QemuLpiReference
from offsets import GICD, GICR

PES = 3
ID_BITS = 15
SIZE = 0x6_0000
PENDING = RAM + 0x1_0000
"""Pending tables begin here, 64 KiB each."""

REFERENCES = {"arch": LpiReference, "kvm": KvmLpiReference, "qemu": QemuLpiReference}

pes = st.integers(0, PES - 1)
# Few of them, so that they meet; and such as are in no table, or in the larger ones only.
near = st.integers(8192, 8195)
in_tables = st.one_of(near, near, st.sampled_from([16_383, 16_384, 32_767]))
intids = st.one_of(near, near, near, in_tables, st.sampled_from([0, 27, 8191, 32_768, 65_535, 1 << 24]))
configurations = st.sampled_from([0x00, 0x01, 0x41, 0x81, 0x82, 0x85, 0xA1, 0xA3, 0xFD, 0xFF])
operations = st.one_of(
    *3 * [st.tuples(st.just("configure"), in_tables, configurations)],
    *2 * [st.tuples(st.just("reconfigure"), pes, near, configurations, st.sampled_from(["one", "all", "none"]))],
    st.tuples(st.just("table"), pes, in_tables, st.booleans()),
    st.tuples(st.just("place"), pes, st.sampled_from([12, 13, 14, 15, 31]), st.integers(0, 4), st.booleans()),
    st.tuples(st.just("enable"), pes, st.booleans()),
    *2 * [st.tuples(st.just("enable_anew"), pes, st.sampled_from([13, 14, 31]), in_tables, st.booleans())],
    *5 * [st.tuples(st.just("arrive"), pes, intids)],
    st.tuples(st.just("take_back"), pes, intids),
    *2 * [st.tuples(st.just("invalidate"), pes, intids, st.sampled_from([4, 8]))],
    st.tuples(st.just("invalidate_all"), pes, st.sampled_from([4, 8])),
    st.tuples(st.just("move"), pes, pes, intids),
    st.tuples(st.just("move_all"), pes, pes),
    *2 * [st.tuples(st.just("acknowledge"), pes)],
    st.tuples(st.just("handle"), pes),
    st.tuples(st.just("end"), pes),
    st.tuples(st.just("pmr"), pes, st.sampled_from([0xF8, 0xF8, 0x80, 0x40, 0])),
    st.tuples(st.just("sleep"), pes, st.booleans()),
    st.tuples(st.just("group"), st.sampled_from([True, True, False])),
    st.tuples(st.just("restore")),
)


class Pair:
    """A model and a reference of the same VM, its LPIs enabled with tables in RAM."""

    def __init__(self, profile: vgic.Profile) -> None:
        config = vgic.Config(
            vgic.Topology.kvm(PES), spis=32, profile=profile, lpis=True, lpi_id_bits=ID_BITS, one_of_n=False
        )
        self.ram = bytearray(SIZE)
        self.gic = vgic.Gic(config, memory=vgic.Ram(RAM, self.ram))
        self.reference = REFERENCES[profile.name](PES, ID_BITS, RAM, SIZE)
        self.direct = "GICR_SETLPIR" not in profile.absent
        self.invalidates = "GICR_INVLPIR" not in profile.absent
        self.sleeps = profile.sleep_gates and profile.asleep_at_reset
        self.group(True)
        for intid in range(8192, 8196):
            self.configure(intid, 0x81)
        for cpu, pe in enumerate(self.reference.pes):
            self.sleep(cpu, False)
            self.pmr(cpu, 0xF8)
            self.gic.sysreg_write(cpu, vgic.ICC_IGRPEN1_EL1, 1)
            self.place(cpu, ID_BITS - 1, cpu, False)
            self.enable(cpu, True)
            assert pe.lpis_enabled

    def write(self, cpu: int, offset: int, value: int, size: int = 4) -> None:
        self.gic.write(self.gic.redistributor_bases[cpu] + offset, size, value)

    def configure(self, intid: int, byte: int) -> None:
        self.ram[intid - 8192] = byte
        self.reference.ram[intid - 8192] = byte

    def table(self, cpu: int, intid: int, value: bool) -> None:
        pe = self.reference.pes[cpu]
        self.reference.set_table_bit(pe, intid, value)
        address = pe.pendbaser + intid // 8
        if RAM <= address < RAM + SIZE:
            self.ram[address - RAM] = self.reference.load(address)

    def place(self, cpu: int, id_bits: int, table: int, ptz: bool) -> None:
        address = PENDING + (table << 16)
        self.reference.place_tables(self.reference.pes[cpu], RAM | id_bits, address, ptz)
        self.write(cpu, GICR.PROPBASER, RAM | id_bits, 8)
        self.write(cpu, GICR.PENDBASER, address | (PTZ if ptz else 0), 8)

    def enable(self, cpu: int, enabled: bool) -> None:
        self.reference.enable(self.reference.pes[cpu], enabled)
        self.write(cpu, GICR.CTLR, ENABLE_LPIS if enabled else 0)

    def enable_anew(self, cpu: int, id_bits: int, intid: int, ptz: bool) -> None:
        """Disable LPIs, and enable them again, first with the tables as they are, then with others."""
        self.enable(cpu, False)
        self.enable(cpu, True)
        self.compare()
        self.enable(cpu, False)
        self.table(cpu, intid, True)
        self.place(cpu, id_bits, cpu, ptz)
        self.enable(cpu, True)

    def arrive(self, cpu: int, intid: int) -> None:
        self.reference.arrive(self.reference.pes[cpu], intid)
        if self.direct:
            self.write(cpu, GICR.SETLPIR, intid, 8)
        else:
            self.gic.lpis(cpu).make_pending(intid)

    def take_back(self, cpu: int, intid: int) -> None:
        self.reference.take_back(self.reference.pes[cpu], intid)
        if self.direct:
            self.write(cpu, GICR.CLRLPIR, intid, 4)
        else:
            self.gic.lpis(cpu).clear_pending(intid)

    def invalidate(self, cpu: int, intid: int, size: int) -> None:
        self.reference.invalidate(self.reference.pes[cpu], intid)
        if self.invalidates:
            self.write(cpu, GICR.INVLPIR, intid, size)
        else:
            self.gic.lpis(cpu).reload(intid)

    def reconfigure(self, cpu: int, intid: int, byte: int, known: str) -> None:
        """Change the configuration of an LPI that is pending, perhaps let it be known, and let it arrive again."""
        self.arrive(cpu, intid)
        self.configure(intid, byte)
        self.compare()
        if known == "one":
            self.invalidate(cpu, intid, 8)
        elif known == "all":
            self.invalidate_all(cpu, 8)
        self.compare()
        self.take_back(cpu, intid)
        self.arrive(cpu, intid)

    def invalidate_all(self, cpu: int, size: int) -> None:
        self.reference.invalidate_all(self.reference.pes[cpu])
        if self.invalidates:
            self.write(cpu, GICR.INVALLR, 0, size)
        else:
            self.gic.lpis(cpu).reload_all()

    def move(self, cpu: int, to: int, intid: int) -> None:
        self.reference.move(self.reference.pes[cpu], self.reference.pes[to], intid)
        self.gic.lpis(cpu).move(intid, self.gic.lpis(to))

    def move_all(self, cpu: int, to: int) -> None:
        self.reference.move_all(self.reference.pes[cpu], self.reference.pes[to])
        self.gic.lpis(cpu).move_all(self.gic.lpis(to))

    def acknowledge(self, cpu: int) -> None:
        expected = self.reference.acknowledge(self.reference.pes[cpu])
        assert self.gic.sysreg_read(cpu, vgic.ICC_IAR1_EL1) == expected

    def handle(self, cpu: int) -> None:
        """Take an interrupt, as soon as it can be, and finish it."""
        self.end(cpu)
        self.acknowledge(cpu)
        self.end(cpu)

    def end(self, cpu: int) -> None:
        self.reference.end(self.reference.pes[cpu])
        self.gic.sysreg_write(cpu, vgic.ICC_EOIR1_EL1, 8192)

    def pmr(self, cpu: int, value: int) -> None:
        self.reference.pes[cpu].pmr = value
        self.gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, value)

    def sleep(self, cpu: int, asleep: bool) -> None:
        self.reference.pes[cpu].asleep = asleep and self.sleeps
        self.write(cpu, GICR.WAKER, 0b10 if asleep else 0)

    def group(self, enabled: bool) -> None:
        self.reference.enable_group(enabled)
        self.gic.write(self.gic.config.gicd_base + GICD.CTLR, 4, 0b10 if enabled else 0)

    def restore(self) -> None:
        """Go on as another VM, with the same RAM."""
        state = vgic.State.from_bytes(vgic.State.of(self.gic).to_bytes())
        self.gic = state.build(memory=vgic.Ram(RAM, self.ram))

    def compare(self) -> None:
        self.gic.check()
        assert self.ram == self.reference.ram
        for cpu, pe in enumerate(self.reference.pes):
            base = self.gic.redistributor_bases[cpu]
            assert self.gic.read(base, 4) & 1 == pe.lpis_enabled
            assert self.gic.read(base + GICR.PROPBASER, 8) & 0xF_FFFF_FFFF_F01F == pe.propbaser
            assert self.gic.lpis(cpu).pending == pe.pending
            best = self.reference.best(pe)
            offered = self.gic.highest_pending(cpu)
            assert (None if offered is None else (offered.priority, offered.intid)) == best
            assert self.gic.outputs(cpu) == (self.reference.signalled(pe), False)
            assert self.gic.sysreg_read(cpu, vgic.ICC_RPR_EL1) == min(pe.active, default=0xFF)


def run(profile: vgic.Profile, examples: int, shrink: bool = True) -> None:
    """Compare so many random guests with the reference. Raises AssertionError for one that differs."""
    phases = tuple(Phase) if shrink else (Phase.generate,)

    @settings(max_examples=examples, database=None, phases=phases)
    @given(st.lists(operations, min_size=20, max_size=60))
    def compare(script: list[tuple[object, ...]]) -> None:
        pair = Pair(profile)
        for name, *arguments in script:
            getattr(pair, str(name))(*arguments)
            pair.compare()

    compare()
