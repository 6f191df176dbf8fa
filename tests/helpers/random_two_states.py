"""Random guests of two Security states, each on the model and on the reference at once; see `random_guest`."""

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import rule

from pe_states import EL3
from random_guest import Affinity, RandomGuest, cpus, irouter, priorities, words
from reference import GICD_CTLR, IROUTER, SGI_BASE, WAKER
from two_states_reference import CLRSPI_SR, DS, IGRPMODR, NSACR, SETSPI_SR, TwoStatesReference
from vgic import PeState

ALL_GROUPS: Final = 0b111
states = st.builds(
    PeState,
    el=st.sampled_from([0, 1, 1, 1, 2, 2, 3, 3]),
    secure=st.booleans(),
    scr_irq=st.sampled_from([False, False, True]),
    scr_fiq=st.booleans(),
    hcr_imo=st.sampled_from([False, False, True]),
    hcr_fmo=st.sampled_from([False, False, True]),
)


class RandomTwoStatesGuest(RandomGuest):
    """Its PEs change their states, and its accesses to memory are of either state."""

    reference = TwoStatesReference
    least_bits = 5
    options = {"security": "two"}  # noqa: RUF012
    secure = True
    """Accesses to memory are Secure now."""

    def boot(self, affinities: list[Affinity]) -> None:
        self.mmio(None, GICD_CTLR, 4, ALL_GROUPS)
        for intid in range(32, 32 + 32 * self.words):
            self.mmio(None, IROUTER + 8 * intid, 8, irouter(affinities[intid % len(affinities)]))
        for word in range(1, self.words + 1):
            self.enable(None, 0, word)
        for cpu in range(self.count):
            self.mmio(cpu, WAKER, 4, 0)
            self.enable(cpu, SGI_BASE, 0)
            self.unmask(cpu)

    def enable(self, redistributor: int | None, base: int, word: int) -> None:
        """Two interrupts of each four in Non-secure Group 1, one in Secure Group 1."""
        super().enable(redistributor, base, word)
        self.mmio(redistributor, base + IGRPMODR + 4 * word, 4, 0x4444_4444)

    def unmask(self, cpu: int) -> None:
        before = self.other.cpus[cpu].pe
        self.tell(cpu, EL3)
        for name, value in (("PMR", 0xFF), ("IGRPEN0", 1), ("IGRPEN1_EL3", 0b11)):
            self.msr(cpu, name, value)
        self.tell(cpu, before)

    def tell(self, cpu: int, state: PeState) -> None:
        self.gic.set_pe_state(cpu, state)
        self.other.cpus[cpu].pe = state

    def mmio(self, redistributor: int | None, offset: int, size: int, value: int) -> None:
        self.gic.write(self.address(redistributor, offset), size, value, secure=self.secure)
        self.other.write(redistributor, offset, size, value, self.secure)

    def compare(self, redistributor: int | None, offset: int, size: int) -> None:
        """As either state sees it."""
        for secure in (False, True):
            got = self.gic.read(self.address(redistributor, offset), size, secure=secure)
            expected = self.other.read(redistributor, offset, size, secure)
            where = "GICD" if redistributor is None else f"GICR {redistributor}"
            by = "Secure" if secure else "Non-secure"
            assert got == expected, f"{by} {where}+{offset:#x}, {size} bytes: {got:#x}, reference {expected:#x}"

    def compare_words(self, redistributor: int | None, base: int, word: int) -> None:
        super().compare_words(redistributor, base, word)
        self.compare(redistributor, base + IGRPMODR + 4 * word, 4)
        for register in range(2):
            self.compare(redistributor, base + NSACR + 8 * word + 4 * register, 4)

    @rule(cpu=cpus, state=states)
    def enter(self, cpu: int, state: PeState) -> None:
        self.tell(cpu % self.count, state)
        self.seen[f"EL{state.el} {'Secure' if state.secure else 'Non-secure'}"] += 1

    @rule(secure=st.booleans())
    def access_as(self, secure: bool) -> None:
        self.secure = secure

    @rule(frame=st.integers(0, 9), array=st.sampled_from([IGRPMODR, NSACR]), number=st.integers(0, 7), value=words)
    def regroup(self, frame: int, array: int, number: int, value: int) -> None:
        redistributor = self.frame(frame)
        base = 0 if redistributor is None else SGI_BASE
        self.mmio(redistributor, base + array + 4 * (number % 2 if redistributor is not None else number), 4, value)

    @rule(register=st.sampled_from([SETSPI_SR, CLRSPI_SR]), intid=st.integers(32, 95), size=st.sampled_from([2, 4]))
    def send_secure_message(self, register: int, intid: int, size: int) -> None:
        self.mmio(None, register, size, intid)

    @rule(
        cpu=cpus,
        control=st.integers(0, 31),
        enables=st.sampled_from([0b11, 0b11, 0b01, 0b10, 0]),
        pmr=priorities,
        state=states,
        name=st.sampled_from(["PMR", "BPR1", "BPR0", "CTLR", "AP1R0", "IGRPEN1"]),
        value=st.one_of(priorities, words),
    )
    def write_below_el3(
        self, cpu: int, control: int, enables: int, pmr: int, state: PeState, name: str, value: int
    ) -> None:
        """A register that is shared, after a monitor has set what it is shared by."""
        cpu %= self.count
        self.tell(cpu, EL3)
        for register, chosen in (("CTLR_EL3", control), ("IGRPEN1_EL3", enables), ("PMR", pmr)):
            self.msr(cpu, register, chosen)
        self.tell(cpu, state)
        self.msr(cpu, name, value)

    @rule(state=states, drops=st.booleans())
    def deactivate(self, state: PeState, drops: bool) -> None:
        """A monitor takes what there is, and in another state it is deactivated."""
        self.take_at_el3()
        for cpu, group, intid in self.taken:
            self.tell(cpu, EL3)
            self.msr(cpu, "CTLR_EL3", 0b11100)
            if drops:
                self.msr(cpu, f"EOIR{group}", intid)
            self.tell(cpu, state)
            self.msr(cpu, "DIR", intid)

    @rule(value=st.integers(0, 7), ds=st.sampled_from([*[0] * 19, DS]))
    def write_distributor_control(self, value: int, ds: int) -> None:
        self.mmio(None, GICD_CTLR, 4, value | ds)
        self.seen["one state"] += self.other.ds

    @rule()
    def take_at_el3(self) -> None:
        """A monitor takes what there is."""
        for cpu in range(self.count):
            best = self.other.signalled(cpu)
            if best is not None:
                self.tell(cpu, EL3)
                self.acknowledge(cpu, min(best.group, 1))

    @rule()
    def open_the_gates(self) -> None:
        self.secure = True
        self.mmio(None, GICD_CTLR, 4, ALL_GROUPS)
        for cpu in range(self.count):
            self.mmio(cpu, WAKER, 4, 0)
            self.unmask(cpu)
