"""1-of-N SPIs: who may be chosen, who is, and what happens when that changes."""

import pytest

import vgic
from vgic.cpu_interface.interface import CpuInterface

GICD = 0x0800_0000
CTLR, TYPER = GICD, GICD + 4
IRM = 1 << 31
E1NWF = 1 << 7
DPG1NS, DPG0 = 1 << 25, 1 << 24
SPI = 40


class Machine:
    """vCPUs that take both groups; SPI 40 and up go to any of them."""

    def __init__(self, cpus: int = 4, **choices: object) -> None:
        self.gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(cpus), spis=32, **choices))  # type: ignore[arg-type]
        self.cpus = range(cpus)
        self.gic.write(CTLR, 4, 0b11)
        for cpu in self.cpus:
            self.sleep(cpu, False)
            self.gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xFF)
            self.enable(cpu, 0, True)
            self.enable(cpu, 1, True)
        for intid in range(SPI, SPI + 8):
            self.gic.write(GICD + 0x6000 + 8 * intid, 8, IRM)
        self.gic.write(GICD + 0x84, 4, 0xFFFF_FFFF)
        self.gic.write(GICD + 0x104, 4, 0xFFFF_FFFF)

    def sleep(self, cpu: int, asleep: bool) -> None:
        self.gic.write(self.gic.redistributor_bases[cpu] + 0x14, 4, 0b10 if asleep else 0)

    def decline(self, cpu: int, bits: int) -> None:
        self.gic.write(self.gic.redistributor_bases[cpu], 4, bits)

    def enable(self, cpu: int, group: int, enable: bool) -> None:
        register = (vgic.ICC_IGRPEN0_EL1, vgic.ICC_IGRPEN1_EL1)[group]
        self.gic.sysreg_write(cpu, register, int(enable))

    def arrive(self, intid: int = SPI) -> int | None:
        """Raise the line and tell which vCPU it went to."""
        self.gic.spi(intid).set_level(True)
        self.gic.check()
        return self.gic.spi(intid).target

    def signalled(self) -> list[int]:
        return [cpu for cpu in self.cpus if any(self.gic.outputs(cpu))]


@pytest.mark.rule("ONEN-1")
@pytest.mark.parametrize("offered", [False, True])
def test_the_feature_shows_everywhere_or_nowhere(offered: bool) -> None:
    machine = Machine(1, one_of_n=offered)
    gic = machine.gic
    assert gic.read(TYPER, 4) >> 25 & 1 == (not offered)
    assert gic.read(gic.redistributor_bases[0] + 8, 8) >> 5 & 1 == offered
    assert gic.read(GICD + 0x6000 + 8 * SPI, 8) == (IRM if offered else 0)
    machine.decline(0, DPG1NS | DPG0)
    assert gic.read(gic.redistributor_bases[0], 4) == (DPG1NS | DPG0 if offered else 0)
    gic.write(CTLR, 4, E1NWF | 0b11)
    assert gic.read(CTLR, 4) & E1NWF == (E1NWF if offered else 0)


@pytest.mark.rule("ONEN-2")
def test_exactly_one_pe_is_signalled_and_takes_it() -> None:
    machine = Machine()
    assert machine.arrive() == 0
    assert machine.signalled() == [0]
    assert [machine.gic.sysreg_read(cpu, vgic.ICC_IAR1_EL1) for cpu in (3, 2, 1, 0)] == [1023, 1023, 1023, SPI]


@pytest.mark.rule("ONEN-3")
def test_a_sleeping_declining_or_disabled_pe_is_not_chosen() -> None:
    machine = Machine()
    machine.sleep(0, True)
    machine.decline(1, DPG1NS)
    machine.enable(2, 1, False)
    assert machine.arrive() == 3
    machine.gic.write(GICD + 0x84, 4, 0)  # Group 0, which vCPUs 1 and 2 take.
    machine.gic.check()
    assert machine.gic.spi(SPI).target in (1, 2, 3)
    machine.decline(1, DPG0)
    assert machine.arrive(SPI + 1) != 1


@pytest.mark.rule("ONEN-4")
def test_the_first_pe_that_would_take_it_at_once_is_chosen() -> None:
    machine = Machine()
    machine.gic.sysreg_write(0, vgic.ICC_PMR_EL1, 0)
    assert machine.arrive(SPI) == 1
    assert machine.arrive(SPI + 1) == 2
    assert machine.gic.sysreg_read(2, vgic.ICC_IAR1_EL1) == SPI + 1
    assert machine.arrive(SPI + 2) == 3
    # Nobody would take another now: the first that may be sent it.
    assert machine.arrive(SPI + 3) == 0
    assert machine.signalled() == [1, 3]


@pytest.mark.rule("ONEN-4")
def test_one_register_write_spreads_its_interrupts() -> None:
    machine = Machine()
    machine.gic.write(GICD + 0x204, 4, 0b1111 << SPI - 32)
    machine.gic.check()
    assert [machine.gic.spi(SPI + number).target for number in range(4)] == [0, 1, 2, 3]


@pytest.mark.rule("ONEN-4")
@pytest.mark.parametrize("register", ["ISPENDR", "ISENABLER", "IGROUPR"])
def test_of_several_that_one_access_forwards_the_best_chooses_first(register: str) -> None:
    machine = Machine(3)
    gic, bits = machine.gic, 0b111 << SPI - 32
    for number, priority in enumerate((0xA0, 0x20, 0x60)):
        gic.write(GICD + 0x400 + SPI + number, 1, priority)
    if register == "ISPENDR":
        gic.write(GICD + 0x204, 4, bits)
    elif register == "ISENABLER":
        gic.write(GICD + 0x184, 4, bits)
        gic.write(GICD + 0x204, 4, bits)
        gic.write(GICD + 0x104, 4, bits)
    else:
        gic.write(GICD + 0x204, 4, bits)
        gic.write(GICD + 0x84, 4, 0)
    gic.check()
    assert [gic.spi(SPI + number).target for number in range(3)] == [2, 0, 1]


@pytest.mark.rule("ONEN-4")
@pytest.mark.skipif(vgic.COMPILED, reason="nothing in the compiled core can be counted")
@pytest.mark.parametrize("offset", [0x104, 0x84], ids=["ISENABLER", "IGROUPR"])
def test_one_access_looks_at_each_pe_a_few_times_however_many_it_forwards(
    offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(16)
    gic = machine.gic
    for intid in range(32, 64):
        gic.write(GICD + 0x6000 + 8 * intid, 8, IRM)
    gic.write(GICD + 0x204, 4, 0xFFFF_FFFF)
    gic.write(GICD + (0x184 if offset == 0x104 else 0x84), 4, 0xFFFF_FFFF)
    looks = 0
    selectable = CpuInterface.selectable

    def counted(self: CpuInterface, group: int) -> bool:
        nonlocal looks
        looks += 1
        return selectable(self, group)

    monkeypatch.setattr(CpuInterface, "selectable", counted)
    gic.write(GICD + offset, 4, 0xFFFF_FFFF if offset == 0x104 else 0)
    assert 16 <= looks <= 5 * 16


@pytest.mark.rule("ONEN-5")
def test_the_choice_can_rotate() -> None:
    machine = Machine(3, one_of_n_choice="rotate")
    chosen = []
    for _ in range(6):
        cpu = machine.arrive()
        chosen.append(cpu)
        assert machine.gic.sysreg_read(cpu, vgic.ICC_IAR1_EL1) == SPI
        machine.gic.spi(SPI).set_level(False)
        machine.gic.sysreg_write(cpu, vgic.ICC_EOIR1_EL1, SPI)
    assert chosen == [0, 1, 2, 0, 1, 2]


@pytest.mark.rule("ONEN-6")
@pytest.mark.parametrize("how", ["IGRPEN1", "DPG1NS", "sleep", "reset"])
def test_a_waiting_interrupt_leaves_a_pe_that_may_no_longer_be_chosen(how: str) -> None:
    machine = Machine()
    assert machine.arrive() == 0
    if how == "IGRPEN1":
        machine.enable(0, 1, False)
    elif how == "DPG1NS":
        machine.decline(0, DPG1NS)
    elif how == "sleep":
        machine.sleep(0, True)
    else:
        machine.gic.reset_cpu(0)
    machine.gic.check()
    assert machine.gic.spi(SPI).target == 1
    assert machine.signalled() == [1]


@pytest.mark.rule("ONEN-6")
def test_an_active_interrupt_stays_where_it_was_taken() -> None:
    machine = Machine()
    machine.arrive()
    assert machine.gic.sysreg_read(0, vgic.ICC_IAR1_EL1) == SPI
    machine.decline(0, DPG1NS)
    assert machine.gic.spi(SPI).active
    assert machine.signalled() == []
    machine.gic.sysreg_write(0, vgic.ICC_EOIR1_EL1, SPI)
    machine.gic.check()
    assert machine.signalled() == [1]  # The line is still high: pending again, and vCPU 0 declines.


@pytest.mark.rule("ONEN-7")
def test_where_no_pe_may_be_chosen_it_waits_and_goes_to_the_first_that_may() -> None:
    machine = Machine()
    for cpu in machine.cpus:
        machine.sleep(cpu, True)
    assert machine.arrive() is None
    assert not any(machine.gic.wake_request(cpu) for cpu in machine.cpus)
    machine.sleep(2, False)
    machine.gic.check()
    assert machine.gic.spi(SPI).target == 2
    assert machine.signalled() == [2]


@pytest.mark.rule("ONEN-8")
def test_with_e1nwf_a_sleeping_pe_is_asked_to_wake() -> None:
    machine = Machine()
    for cpu in machine.cpus:
        machine.sleep(cpu, True)
    machine.decline(0, DPG1NS)
    assert machine.arrive() is None
    machine.gic.write(CTLR, 4, E1NWF | 0b11)
    machine.gic.check()
    assert machine.gic.spi(SPI).target == 1
    assert [machine.gic.wake_request(cpu) for cpu in machine.cpus] == [False, True, False, False]
    assert machine.signalled() == []
    machine.sleep(1, False)
    assert machine.signalled() == [1]
    assert not machine.gic.wake_request(1)


@pytest.mark.rule("ONEN-9")
def test_a_directed_interrupt_asks_its_sleeping_pe_to_wake() -> None:
    machine = Machine(2)
    machine.sleep(1, True)
    machine.gic.write(GICD + 0x6000 + 8 * 50, 8, 1)
    machine.gic.spi(50).set_level(True)
    assert machine.gic.wake_request(1)
    assert not machine.gic.wake_request(0)
    assert machine.signalled() == []


@pytest.mark.rule("ONEN-10")
def test_a_pe_that_becomes_free_takes_over() -> None:
    machine = Machine(2)
    gic = machine.gic
    for intid, cpu in ((SPI, 0), (SPI + 1, 1)):
        assert machine.arrive(intid) == cpu
        assert gic.sysreg_read(cpu, vgic.ICC_IAR1_EL1) == intid
        gic.spi(intid).set_level(False)
    # Both are busy: all that arrives waits at the first.
    assert [machine.arrive(SPI + number) for number in (2, 3)] == [0, 0]
    gic.sysreg_write(1, vgic.ICC_EOIR1_EL1, SPI + 1)
    gic.check()
    assert [gic.spi(SPI + number).target for number in (2, 3)] == [1, 0]
    assert machine.signalled() == [1]
    gic.sysreg_write(0, vgic.ICC_EOIR1_EL1, SPI)
    gic.check()
    assert machine.signalled() == [0, 1]


@pytest.mark.rule("ONEN-10")
def test_a_pe_whose_interrupt_goes_away_takes_over() -> None:
    machine = Machine(2)
    gic = machine.gic
    machine.gic.sysreg_write(1, vgic.ICC_PMR_EL1, 0)
    assert [machine.arrive(SPI + number) for number in (0, 1)] == [0, 0]
    gic.sysreg_write(1, vgic.ICC_PMR_EL1, 0xFF)
    gic.check()
    assert [gic.spi(SPI + number).target for number in (0, 1)] == [0, 1]
    assert machine.arrive(SPI + 2) == 0
    gic.spi(SPI + 1).set_level(False)
    gic.check()
    assert gic.spi(SPI + 2).target == 1
    assert machine.signalled() == [0, 1]


@pytest.mark.rule("ONEN-10")
@pytest.mark.parametrize("how", ["a better one", "PMR"])
def test_an_interrupt_that_is_no_longer_signalled_goes_elsewhere(how: str) -> None:
    machine = Machine(2)
    gic = machine.gic
    gic.write(GICD + 0x400 + SPI, 1, 0x80)
    assert machine.arrive() == 0
    if how == "PMR":
        gic.sysreg_write(0, vgic.ICC_PMR_EL1, 0x80)
    else:
        gic.write(GICD + 0x6000 + 8 * 50, 8, 0)
        gic.spi(50).set_level(True)
        assert gic.highest_pending(0) == (50, 1, 0)
    gic.check()
    assert gic.spi(SPI).target == 1
    assert 1 in machine.signalled()


@pytest.mark.rule("ONEN-1")
@pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=list(vgic.PROFILES))
def test_in_every_profile_a_vm_that_has_it_can_use_it(profile: vgic.Profile) -> None:
    gic = Machine(1, profile=profile, one_of_n=True, a3v=True).gic
    gic.write(CTLR, 4, 0xFFFF_FFFF)
    assert gic.read(CTLR, 4) & E1NWF
    gic.write(gic.redistributor_bases[0], 4, 0xFFFF_FFFF)
    assert gic.read(gic.redistributor_bases[0], 4) & (DPG0 | DPG1NS) == DPG0 | DPG1NS
    assert gic.read(gic.redistributor_bases[0] + 8, 8) >> 5 & 1
    assert gic.read(GICD + 0x6000 + 8 * SPI, 8) & IRM


@pytest.mark.rule("ONEN-8")
def test_an_awake_pe_is_preferred_to_a_sleeping_one() -> None:
    machine = Machine(2)
    machine.gic.write(CTLR, 4, E1NWF | 0b11)
    assert machine.arrive() == 0
    machine.sleep(0, True)
    machine.gic.check()
    assert machine.gic.spi(SPI).target == 1
    assert machine.signalled() == [1]
    machine.sleep(1, True)
    machine.gic.check()
    assert machine.gic.spi(SPI).target == 0
    machine.sleep(1, False)
    machine.gic.check()
    assert machine.signalled() == [1]


@pytest.mark.rule("ONEN-4")
def test_writing_what_is_there_already_moves_nothing() -> None:
    machine = Machine(3)
    gic = machine.gic
    gic.sysreg_write(0, vgic.ICC_PMR_EL1, 0)
    assert machine.arrive() == 1
    gic.sysreg_write(0, vgic.ICC_PMR_EL1, 0xFF)
    assert gic.spi(SPI).target == 1
    gic.write(GICD + 0x400 + SPI, 1, 0)
    gic.write(GICD + 0x6000 + 8 * SPI, 8, IRM)
    gic.write(GICD + 0x84, 4, 0xFFFF_FFFF)
    gic.write(CTLR, 4, E1NWF | 0b11)
    gic.check()
    assert gic.spi(SPI).target == 1


@pytest.mark.rule("ONEN-4")
def test_an_interrupt_that_hides_a_new_one_keeps_it_away() -> None:
    machine = Machine(2)
    gic = machine.gic
    # vCPU 0 runs at 0x60 and has a Group 0 interrupt at 0x50 that BPR0 keeps from preempting.
    for intid, priority, group in ((50, 0x60, 1), (51, 0x50, 0)):
        gic.write(GICD + 0x6000 + 8 * intid, 8, 0)
        gic.write(GICD + 0x400 + intid, 1, priority)
        if not group:
            gic.write(GICD + 0x84, 4, 0xFFFF_FFFF & ~(1 << intid - 32))
    gic.sysreg_write(0, vgic.ICC_BPR0_EL1, 7)
    gic.spi(50).set_level(True)
    assert gic.sysreg_read(0, vgic.ICC_IAR1_EL1) == 50
    gic.spi(51).set_level(True)
    assert machine.signalled() == []
    gic.write(GICD + 0x400 + SPI, 1, 0x58)
    assert machine.arrive() == 1
    assert machine.signalled() == [1]


@pytest.mark.rule("ONEN-10")
def test_a_group_that_the_distributor_holds_back_is_nobodys_work() -> None:
    machine = Machine(2)
    gic = machine.gic
    gic.write(CTLR, 4, 0)
    for number in range(4):
        machine.arrive(SPI + number)
    gic.sysreg_write(1, vgic.ICC_PMR_EL1, 0xF0)
    gic.check()
    assert machine.signalled() == []
    gic.write(CTLR, 4, 0b11)
    gic.check()
    assert machine.signalled() == [0, 1]


@pytest.mark.rule("ONEN-3")
@pytest.mark.parametrize("group", [0, 1])
@pytest.mark.parametrize("how", ["asleep", "declines", "disabled"])
def test_none_is_chosen_where_none_may_be(how: str, group: int) -> None:
    """Not even where nobody else would do: what the first three do not allow, the fourth does."""
    machine = Machine()
    machine.gic.write(GICD + 0x84, 4, 0xFFFF_FFFF if group else 0)
    machine.gic.sysreg_write(3, vgic.ICC_PMR_EL1, 0)  # It would not take it at once.
    for cpu in range(3):
        match how:
            case "asleep":
                machine.sleep(cpu, True)
            case "declines":
                machine.decline(cpu, DPG1NS if group else DPG0)
            case "disabled":
                machine.enable(cpu, group, False)
    assert machine.arrive() == 3
    # What concerns the other group only does not matter.
    other = Machine()
    other.gic.write(GICD + 0x84, 4, 0xFFFF_FFFF if group else 0)
    other.decline(0, DPG0 if group else DPG1NS)
    other.enable(0, 1 - group, False)
    assert other.arrive() == 0


@pytest.mark.rule("ONEN-4")
def test_a_pe_that_another_interrupt_is_about_to_interrupt_is_passed_over_even_for_a_better_one() -> None:
    machine = Machine(2)
    machine.gic.write(GICD + 0x6000 + 8 * 50, 8, 0)
    machine.gic.write(GICD + 0x400 + 50, 1, 0xC0)
    machine.gic.write(GICD + 0x400 + SPI, 1, 0x40)
    machine.gic.spi(50).set_level(True)
    assert machine.signalled() == [0]
    assert machine.arrive() == 1
    assert machine.signalled() == [0, 1]


@pytest.mark.rule("ONEN-5")
@pytest.mark.parametrize(("choice", "expected"), [("rotate", [0, 1, 2, 0, 1]), ("first", [0, 0, 0, 0, 0])])
def test_the_choice_rotates_where_nobody_would_take_it_now_too(choice: str, expected: list[int]) -> None:
    machine = Machine(3, one_of_n_choice=choice)
    for cpu in machine.cpus:
        machine.gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0)
    assert [machine.arrive(SPI + number) for number in range(5)] == expected


@pytest.mark.rule("ONEN-9")
def test_what_the_distributor_holds_back_wakes_nobody() -> None:
    machine = Machine(2)
    machine.sleep(1, True)
    machine.gic.write(GICD + 0x6000 + 8 * 50, 8, 1)
    machine.gic.write(CTLR, 4, 0b01)
    machine.gic.spi(50).set_level(True)
    assert not machine.gic.wake_request(1)
    machine.gic.write(CTLR, 4, 0b11)
    assert machine.gic.wake_request(1)
    machine.gic.write(GICD + 0x184, 4, 1 << 18)
    assert not machine.gic.wake_request(1)


@pytest.mark.rule("ROUTE-12")
@pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=list(vgic.PROFILES))
def test_a_mask_keeps_an_interrupt_away_where_pmhe_says_so(profile: vgic.Profile) -> None:
    machine = Machine(2, one_of_n=True, profile=profile)
    for masked, other in ((0, 1), (1, 0)):
        for cpu, mask in ((masked, 0), (other, 0xFF)):
            assert machine.gic.sysreg_read(cpu, vgic.ICC_CTLR_EL1) >> 6 & 1
            machine.gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, mask)
        assert machine.arrive() == other
        machine.gic.spi(SPI).set_level(False)
