"""No access of a guest does more than a bounded part of what it asks for, however many LPIs there are.

Work is counted, not timed: steps as `vgic.lpis.work` has them, and what is asked of guest memory.
"""

import time
from typing import Final

import pytest

import vgic
from counting_memory import CountingMemory
from offsets import GICR
from vgic.lpis.work import STEPS_OF_AN_ACCESS
from vgic_tools.compare import command_words as cw

ITS: Final = 0x0808_0000
RAM: Final = 0x4000_0000
QUEUE, DEVICES, COLLECTIONS = RAM, RAM + 0x1_0000, RAM + 0x2_0000
CONFIGURATION: Final = RAM + 0x10_0000
CPUS: Final = 2
SYNCR: Final = 0xC0
RWP: Final = 1 << 3

MOST_STEPS: Final = 7 * STEPS_OF_AN_ACCESS
"""Rule LPI-29."""
ACCESSES_OF_A_STEP: Final = 16
BYTES_OF_A_STEP: Final = 4096

EVERY = pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=vgic.PROFILES)


class Crowded:
    """A guest with every LPI pending at vCPU 0, or those of a pattern of bits, in the largest tables."""

    def __init__(
        self,
        profile: vgic.Profile,
        id_bits: int,
        configuration: int = CONFIGURATION,
        bits: bytes = b"\xff",
        mapped: bool = True,
    ) -> None:
        self.id_bits = id_bits
        pending = CONFIGURATION + (1 << id_bits)
        table = max(0x1_0000, 1 << id_bits - 3)
        self.ram = vgic.Ram.zeroed(RAM, pending + CPUS * table - RAM)
        self.ram.write(CONFIGURATION, b"\xa3" * ((1 << id_bits) - 8192))
        self.ram.write(pending, bits * ((1 << id_bits - 3) // len(bits)))
        self.memory = CountingMemory(self.ram, 4096)
        config = vgic.Config(vgic.Topology.kvm(CPUS), 32, profile, its=(ITS,), lpi_id_bits=id_bits)
        self.gic = vgic.Gic(config, memory=self.memory)
        self.steps = 0
        self.gic.write(config.gicd_base, 4, 3)
        for cpu, base in enumerate(self.gic.redistributor_bases):
            self.gic.write(base + GICR.WAKER, 4, 0)
            self.gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xFF)
            self.gic.sysreg_write(cpu, vgic.ICC_IGRPEN1_EL1, 1)
            self.write(base + GICR.PROPBASER, configuration | id_bits - 1, 8)
            self.write(base + GICR.PENDBASER, pending + cpu * table, 8)
            if mapped:
                # As if an ITS had mapped all of them.
                self.gic.lpis(cpu).mapped = None
        self.write(ITS + 0x100, 1 << 63 | DEVICES | 2 << 8, 8)
        self.write(ITS + 0x108, 1 << 63 | COLLECTIONS | 2 << 8, 8)
        self.write(ITS + 0x80, 1 << 63 | QUEUE | 15, 8)
        self.write(ITS, 1)
        self.offset = 0

    @property
    def work(self) -> int:
        return self.gic.lpis(0).configuration.work.steps

    def write(self, address: int, value: int, size: int = 4) -> None:
        self._begin()
        self.gic.write(address, size, value)
        self._end()

    def read(self, address: int, size: int = 4) -> int:
        self._begin()
        value = self.gic.read(address, size)
        self._end()
        return value

    def acknowledge(self, cpu: int = 0) -> int:
        self._begin()
        intid = self.gic.sysreg_read(cpu, vgic.ICC_IAR1_EL1)
        self._end()
        self.gic.sysreg_write(cpu, vgic.ICC_EOIR1_EL1, intid)
        return intid

    def _begin(self) -> None:
        self.before = self.work
        self.memory.accesses = self.memory.bytes = 0

    def _end(self) -> None:
        steps = self.work - self.before
        self.steps = max(self.steps, steps)
        assert steps <= MOST_STEPS
        assert self.memory.accesses <= ACCESSES_OF_A_STEP * MOST_STEPS
        assert self.memory.bytes <= BYTES_OF_A_STEP * MOST_STEPS

    def frame(self, cpu: int = 0) -> int:
        return self.gic.redistributor_bases[cpu]

    def enable(self, enabled: bool = True) -> None:
        for cpu in range(CPUS):
            self.write(self.frame(cpu), int(enabled))

    def poll(self) -> int:
        """Until no Redistributor has anything left to do; how many reads that took."""
        polls = 0
        while any(self.gic.lpis(cpu).busy for cpu in range(CPUS)):
            for cpu in range(CPUS):
                self.read(self.frame(cpu))
            polls += 1
        return polls

    def queue(self, *commands: bytes) -> int:
        """Have the ITS obey commands; how often GITS_CREADR had to be read."""
        for command in commands:
            self.ram.write(QUEUE + self.offset, command)
            self.offset += len(command)
        self.write(ITS + 0x88, self.offset, 8)
        polls = 0
        while self.read(ITS + 0x90, 8) != self.offset:
            polls += 1
        return polls


def go_through_everything(guest: Crowded) -> None:
    """Every access that concerns all LPIs."""
    last = (1 << guest.id_bits) - 1
    guest.enable()
    guest.poll()
    guest.queue(cw.mapc(0, 0), cw.mapc(1, 1))
    assert guest.acknowledge() == 8192
    for offset in (GICR.INVLPIR, GICR.INVALLR):
        guest.write(guest.frame() + offset, last, 8)
    guest.poll()
    guest.queue(cw.invall(0), cw.sync(0))
    guest.queue(*[cw.movall(0, 1), cw.movall(1, 0)] * 2, cw.movall(0, 1), cw.sync(0), cw.sync(1))
    guest.poll()
    assert not guest.gic.lpis(0).is_pending(last)
    assert guest.gic.lpis(1).is_pending(last)
    assert guest.acknowledge(0) == vgic.SPURIOUS
    assert guest.acknowledge(1) == 8193
    guest.enable(False)
    guest.poll()


@pytest.mark.rule("LPI-29")
@pytest.mark.parametrize(("bits", "each"), [(b"\0", 1), (b"\xff", 33)], ids=["none pending", "all pending"])
def test_a_piece_takes_the_steps_that_the_rule_says(bits: bytes, each: int) -> None:
    guest = Crowded(vgic.ARCH, id_bits=16, bits=bits)
    guest.write(guest.frame(), 1)
    assert guest.work - guest.before == each * 14


@pytest.mark.rule("LPI-29")
@pytest.mark.parametrize("profile", [vgic.ARCH, vgic.KVM], ids=lambda profile: profile.name)
def test_a_command_that_is_written_over_an_unfinished_one_begins_anew(profile: vgic.Profile) -> None:
    guest = Crowded(profile, id_bits=19)
    # Pending at both vCPUs: it takes several accesses to put them together.
    guest.ram.write(CONFIGURATION + (1 << 19) + 0x1_0000, b"\xff" * 0x1_0000)
    guest.enable()
    guest.poll()
    guest.queue(cw.mapc(0, 0), cw.mapc(1, 1))
    at = guest.offset
    guest.ram.write(QUEUE + at, cw.movall(0, 1))
    guest.write(ITS + 0x88, at + 32, 8)
    assert guest.gic.its().queue.creadr == at, "MOVALL has been finished at once"
    guest.ram.write(QUEUE + at, cw.mapc(2, 1))
    for _ in range(20):
        guest.read(ITS + 0x90, 8)
    assert guest.gic.its().queue.creadr == at + 32
    assert not guest.gic.its().queue.unfinished


def mapped_and_pending() -> Crowded:
    """A guest of KVM's whose ITS has mapped every LPI in collection 0, pending at vCPU 0."""
    guest = Crowded(vgic.KVM, id_bits=17, mapped=False)
    kept = guest.gic.its().kept
    assert kept is not None
    for intid in range(8192, 1 << guest.id_bits):
        kept.map(0, intid, 0, 0)
    guest.enable()
    guest.poll()
    assert guest.gic.lpis(0).is_pending((1 << guest.id_bits) - 1)
    guest.steps = 0
    return guest


def goes_to(guest: Crowded, cpu: int) -> bool:
    kept = guest.gic.its().kept
    assert kept is not None
    return {lpi.cpu for lpi in kept.mapped()} == {cpu}


@pytest.mark.rule("LPI-29", "ITS-34", "ITS-35")
def test_what_kvm_keeps_of_every_lpi_changes_in_bounded_parts() -> None:
    guest = mapped_and_pending()
    last = (1 << guest.id_bits) - 1
    assert guest.queue(cw.mapc(0, 1))
    assert goes_to(guest, 1)
    assert guest.gic.lpis(1).is_pending(last)
    assert guest.queue(cw.movall(1, 0))
    assert goes_to(guest, 0)
    assert guest.gic.lpis(0).is_pending(last)
    # Some of them have gone when the guest may do something else, and others have not.
    guest.ram.write(QUEUE + guest.offset, cw.movall(0, 1))
    guest.offset += 32
    guest.write(ITS + 0x88, guest.offset, 8)
    kept = guest.gic.its().kept
    assert kept is not None
    assert [kept.goes_to(1, intid) for intid in (8192, last)] == [True, False]
    assert guest.queue()
    assert goes_to(guest, 1)
    assert guest.queue(cw.mapc(0, 0, valid=False))
    assert all(lpi.is_cut_off for lpi in kept.mapped())
    assert STEPS_OF_AN_ACCESS <= guest.steps <= 2 * STEPS_OF_AN_ACCESS


@pytest.mark.rule("LPI-29", "ITS-35")
def test_tables_that_are_taken_away_cut_every_event_off_at_once() -> None:
    guest = mapped_and_pending()
    kept = guest.gic.its().kept
    assert kept is not None
    guest.write(ITS, 0)
    guest.write(ITS + 0x108, 0, 8)
    assert guest.steps < 10
    # What is mapped from now on is not concerned, in a piece that nobody has looked at since.
    kept.map(0, 9000, 0, 1)
    assert [lpi.intid for lpi in kept.mapped() if not lpi.is_cut_off] == [9000]
    # Nor are those of another ITS.
    kept.map(1, 9001, 0, 1)
    guest.write(ITS + 0x108, 1 << 63 | COLLECTIONS | 2 << 8, 8)
    guest.write(ITS + 0x108, 0, 8)
    assert [lpi.intid for lpi in kept.mapped() if not lpi.is_cut_off] == [9001]


@pytest.mark.rule("LPI-29", "ITS-60")
@EVERY
def test_no_access_does_more_than_its_share(profile: vgic.Profile) -> None:
    guest = Crowded(profile, id_bits=19)
    go_through_everything(guest)
    # And it was not nothing.
    assert guest.steps >= STEPS_OF_AN_ACCESS


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.rule("LPI-29", "ITS-60")
@EVERY
def test_no_access_does_more_than_its_share_of_16_million_lpis(profile: vgic.Profile) -> None:
    go_through_everything(Crowded(profile, id_bits=24))


@pytest.mark.rule("LPI-29")
@EVERY
def test_a_configuration_table_outside_ram_is_read_in_steps_too(profile: vgic.Profile) -> None:
    guest = Crowded(profile, id_bits=17, configuration=0)
    guest.enable()
    guest.write(guest.frame() + GICR.INVALLR, 0, 8)
    guest.poll()
    assert guest.acknowledge() == vgic.SPURIOUS


@pytest.mark.rule("LPI-29")
@EVERY
def test_intids_of_16_bits_leave_nothing(profile: vgic.Profile) -> None:
    guest = Crowded(profile, id_bits=16)
    guest.enable()
    guest.queue(cw.mapc(0, 0), cw.mapc(1, 1))
    assert guest.poll() == 0
    assert guest.queue(cw.movall(0, 1), cw.sync(0), cw.movall(1, 0), cw.sync(1)) == 0
    for offset in (GICR.INVLPIR, GICR.INVALLR):
        guest.write(guest.frame() + offset, 8192, 8)
        assert guest.poll() == 0
    assert guest.acknowledge() == 8192
    assert guest.acknowledge() == 8193
    guest.enable(False)
    assert guest.poll() == 0
    guest.gic.check()


@pytest.mark.rule("LPI-27", "LPI-29")
def test_bits_of_lpis_that_nobody_mapped_are_looked_at_in_steps() -> None:
    guest = Crowded(vgic.KVM, id_bits=19, mapped=False)
    guest.enable()
    assert guest.gic.lpis(0).busy
    assert guest.poll() > 1
    assert guest.gic.lpis(0).pending == {}
    assert guest.acknowledge() == vgic.SPURIOUS


@pytest.mark.rule("LPI-29", "LPI-18")
def test_syncr_is_busy_until_the_configuration_of_all_has_been_read() -> None:
    guest = Crowded(vgic.ARCH, id_bits=19)
    guest.enable()
    guest.poll()
    assert guest.read(guest.frame() + SYNCR) == 0
    guest.ram.write(CONFIGURATION + (1 << 19) - 8193, b"\x03")
    guest.write(guest.frame() + GICR.INVALLR, 0, 8)
    polls = 0
    while guest.read(guest.frame() + SYNCR):
        guest.gic.check()
        polls += 1
    assert polls > 1
    assert guest.acknowledge() == (1 << 19) - 1


@pytest.mark.rule("LPI-29", "LPI-3", "LPI-5")
def test_rwp_is_set_until_the_pending_table_has_been_written() -> None:
    guest = Crowded(vgic.ARCH, id_bits=19)
    guest.enable()
    guest.poll()
    assert guest.acknowledge() == 8192
    table = guest.read(guest.frame() + GICR.PENDBASER, 8)
    guest.write(guest.frame(), 0)
    assert guest.gic.outputs(0) == (False, False)
    # Neither enabled again nor moved meanwhile.
    guest.write(guest.frame(), 1)
    guest.write(guest.frame() + GICR.PENDBASER, 0, 8)
    polls = 0
    while guest.read(guest.frame()) & (RWP | 1):
        assert not guest.read(guest.frame()) & 1
        guest.gic.check()
        polls += 1
    assert polls > 1
    assert guest.read(guest.frame() + GICR.PENDBASER, 8) == table
    assert guest.ram.read(table + 1024, (1 << 16) - 1024) == b"\xfe" + b"\xff" * ((1 << 16) - 1025)
    guest.write(guest.frame(), 1)
    assert guest.acknowledge() == 8193


@pytest.mark.rule("LPI-29", "ITS-21")
def test_sync_waits_for_the_redistributor_that_it_names() -> None:
    guest = Crowded(vgic.ARCH, id_bits=19)
    guest.enable()
    guest.poll()
    guest.queue(cw.mapc(0, 0))
    assert guest.queue(cw.invall(0), cw.sync(1)) == 0
    assert guest.gic.lpis(0).busy
    assert guest.queue(cw.sync(0)) > 1
    assert not guest.gic.lpis(0).busy


@pytest.mark.rule("LPI-29")
@pytest.mark.parametrize("profile", [vgic.ARCH, vgic.KVM], ids=lambda profile: profile.name)
def test_what_happens_to_an_lpi_meanwhile_finds_its_piece_done(profile: vgic.Profile) -> None:
    last = (1 << 19) - 1
    guest = Crowded(profile, id_bits=19)
    guest.enable()
    bank = guest.gic.lpis(0)
    assert bank.busy
    # Pending in the table, and taken back before that was read so far.
    assert bank.clear_pending(last)
    bank.move(last - 4096, guest.gic.lpis(1))
    assert bank.make_pending(last - 8192)
    guest.poll()
    assert not bank.is_pending(last)
    assert bank.is_pending(last - 1)
    assert not bank.is_pending(last - 4096)
    assert guest.gic.lpis(1).is_pending(last - 4096)
    assert len(bank.pending) == (1 << 19) - 8192 - 2
    guest.gic.check()


@pytest.mark.rule("LPI-29")
@EVERY
def test_a_state_has_no_work_left(profile: vgic.Profile) -> None:
    guest = Crowded(profile, id_bits=18, bits=bytes(511) + b"\x80")
    guest.enable()
    assert guest.gic.lpis(0).busy
    state = guest.gic.save()
    assert not guest.gic.lpis(0).busy
    other = vgic.Gic(guest.gic.config, memory=guest.ram)
    other.restore(state)
    assert other.lpi(0, (1 << 18) - 1).pending
    assert other.highest_pending(0) == guest.gic.highest_pending(0)


class Timed(Crowded):
    """The same, and the processor time that its longest access took."""

    longest = 0.0

    def _begin(self) -> None:
        super()._begin()
        self.start = time.thread_time()

    def _end(self) -> None:
        self.longest = max(self.longest, time.thread_time() - self.start)
        super()._end()

    def sgi_cycle(self) -> float:
        """The time that an SGI to itself takes with its acknowledgement and end."""
        read, write = self.gic.sysreg_read, self.gic.sysreg_write
        self.gic.write(self.frame() + 0x1_0080, 4, 0xFFFF_FFFF)
        self.gic.write(self.frame() + 0x1_0100, 4, 0xFFFF)
        start = time.thread_time()
        for _ in range(2000):
            write(0, vgic.ICC_SGI1R_EL1, 1)
            write(0, vgic.ICC_EOIR1_EL1, read(0, vgic.ICC_IAR1_EL1))
        return (time.thread_time() - start) / 2000


@pytest.mark.slow
@pytest.mark.timing
@pytest.mark.rule("LPI-29")
@pytest.mark.parametrize("id_bits", [16, 19, 24])
@EVERY
def test_no_access_takes_longer_than_20000_sgi_cycles(profile: vgic.Profile, id_bits: int) -> None:
    longest = []
    for _ in range(2):
        guest = Timed(profile, id_bits)
        go_through_everything(guest)
        longest.append(guest.longest)
    assert min(longest) <= 20_000 * guest.sgi_cycle()
