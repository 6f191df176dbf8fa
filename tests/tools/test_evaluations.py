"""Recorded evaluations against the states that the model passes through."""

from vgic import ICC_EOIR1_EL1, ICC_IAR1_EL1, ICC_IGRPEN1_EL1, ICC_PMR_EL1, QEMU, Config, Gic, Topology
from vgic_tools.replay.evaluations import Evaluations


class Passed:
    """A machine with one vCPU, which takes PPIs as Group 1, and the evaluations of its trace."""

    def __init__(self) -> None:
        self.gic = Gic(Config(Topology.qemu(1), profile=QEMU))
        redistributor = self.gic.redistributor_bases[0]
        self.gic.write(self.gic.config.gicd_base, 4, 0b11)
        self.gic.write(redistributor + 0x10080, 4, 0xFFFF_FFFF)
        self.gic.write(redistributor + 0x10100, 4, 0xFFFF_FFFF)
        self.gic.sysreg_write(0, ICC_PMR_EL1, 0xF8)
        self.gic.sysreg_write(0, ICC_IGRPEN1_EL1, 1)
        self.evaluations = Evaluations(self.gic)

    def show(self, *states: tuple[int | None, int]) -> None:
        """Record states: the INTID that is offered, None for nothing, and the IRQ output."""
        for intid, irq in states:
            offer = (0, 0, 255) if intid is None else (intid, 2, 0)
            self.evaluations.add_offer(0, *offer, 1)
            self.evaluations.add_outputs(0, irq << 1, 2)

    def present(self) -> None:
        if self.evaluations.waiting():
            self.evaluations.present()

    def differences(self) -> list[tuple[str, str]]:
        return [(found.expected, found.got) for found in self.evaluations.compare()]


def test_before_and_after() -> None:
    passed = Passed()
    passed.show((None, 0), (27, 1), (27, 1))
    passed.present()
    passed.gic.ppi(0, 27).set_level(True)
    passed.present()
    assert passed.differences() == []


def test_states_come_in_order() -> None:
    passed = Passed()
    passed.show((27, 1), (None, 0))
    passed.present()
    passed.gic.ppi(0, 27).set_level(True)
    passed.present()
    assert passed.differences() == [("nothing", "INTID 27, group 1, priority 0x00"), ("IRQ 0 FIQ 0", "IRQ 1 FIQ 0")]


def test_states_are_forgotten() -> None:
    passed = Passed()
    passed.present()
    passed.gic.ppi(0, 27).set_level(True)
    passed.evaluations.forget()
    passed.show((None, 0))
    passed.present()
    assert len(passed.differences()) == 2


def test_a_pair_has_to_fit_one_state() -> None:
    passed = Passed()
    passed.show((27, 0))
    passed.present()
    passed.gic.ppi(0, 27).set_level(True)
    passed.present()
    # The interrupt is right, so the output is what is wrong.
    assert passed.differences() == [("IRQ 0 FIQ 0", "IRQ 1 FIQ 0")]


def test_between_priority_drop_and_deactivation() -> None:
    passed = Passed()
    gic, evaluations = passed.gic, passed.evaluations
    gic.ppi(0, 27).set_level(True)
    gic.sysreg_read(0, ICC_IAR1_EL1)
    gic.ppi(0, 28).set_level(True)
    evaluations.passed_through(0)
    gic.sysreg_write(0, ICC_EOIR1_EL1, 27)
    passed.show((28, 0), (27, 1))
    passed.present()
    assert passed.differences() == []


def test_half_a_pair() -> None:
    passed = Passed()
    passed.evaluations.add_outputs(0, 0b00, 1)
    passed.evaluations.add_outputs(0, 0b10, 2)
    passed.evaluations.add_offer(0, 0, 0, 255, 3)
    passed.present()
    assert passed.differences() == [("IRQ 1 FIQ 0", "IRQ 0 FIQ 0")]
    assert not passed.evaluations.waiting()


def test_lpis_are_counted_not_compared() -> None:
    passed = Passed()
    passed.show((8192, 1), (8193, 1))
    passed.present()
    assert passed.differences() == []
    assert passed.evaluations.lpis == 2


def test_secure_group_1_is_group_1() -> None:
    passed = Passed()
    passed.gic.ppi(0, 27).set_level(True)
    for group in (1, 2):
        passed.evaluations.add_offer(0, 27, group, 0, 1)
    passed.evaluations.add_offer(0, 27, 0, 0, 1)
    passed.present()
    assert passed.differences() == [
        ("INTID 27, group 0, priority 0x00", "INTID 27, group 1, priority 0x00"),
    ]
