"""What a hypervisor and its guest do with list registers is replayed, and what they are shown is compared."""

import pytest

import vgic
from mmio.trace import Event, read_qemu
from qemu_log import awake, icc, ich, ppi, replayed, spi, virt, virtual
from vgic_tools.replay import replay

SPI = 42
PENDING, HW, GROUP1 = 1 << 62, 1 << 61, 1 << 60
OPEN = 0xF0 << 24 | 0b11
ON, NPIE = 1, 1 << 3
INTERRUPT = PENDING | GROUP1 | 0xA0 << 48 | 27


def life(maintenance: int = 1) -> list[str]:
    """A hypervisor gives its guest an interrupt, which takes and ends it."""
    return [
        *awake(),
        ich("read", "ICH_VTR", 0, 0x90B8_0003),
        ich("write", "ICH_VMCR_EL2", 0, OPEN),
        ich("write", "ICH_LR0_EL2", 0, INTERRUPT),
        *virtual(0, 0, irq=0, maintenance=0),
        ich("write", "ICH_HCR_EL2", 0, ON | NPIE),
        *virtual(0, 0, irq=1, maintenance=0),
        ich("read", "ICV_HPPIR1", 0, 27),
        ich("read", "ICV_IAR1", 0, 27),
        *virtual(0, -1, irq=0, maintenance=maintenance),
        ppi(0, 25, maintenance),
        ich("read", "ICH_LR0_EL2", 0, INTERRUPT ^ 0b11 << 62),
        ich("write", "ICV_EOIR1", 0, 27),
        *virtual(0, -1, irq=0, maintenance=1),
        ich("read", "ICH_ELRSR", 0, 0b1111),
        ich("read", "ICH_AP1R0", 0, 0),
    ]


def test_what_they_do_is_replayed_and_compared() -> None:
    result = replayed(life(), list_registers=4)
    assert not result.divergences
    assert not result.accepted
    assert {name: count for name, count in result.inputs.items() if name[:3] in ("ICH", "ICV")} == {
        "ICH reads": 4,
        "ICH writes": 3,
        "ICV reads": 2,
        "ICV writes": 1,
    }
    assert result.compared["highest pending virtual interrupts"] == 4
    assert result.compared["virtual IRQ and FIQ outputs"] == 4
    assert result.compared["maintenance interrupts"] == 4 + 1
    assert result.compared["ICV_IAR1"] == 1


def test_what_a_virtual_lpi_does_is_accepted() -> None:
    """QEMU numbers it as the list register beyond the last."""
    pair = virtual(0, -1, irq=1, maintenance=0)
    offered = [line.replace("LR index -1 HPPVLPI 0", "LR index 16 HPPVLPI 8192") for line in pair]
    result = replayed([*awake(), *offered], list_registers=4)
    assert not result.divergences
    assert result.accepted == {"evaluations that offer a virtual LPI": 1}
    # The next evaluation is compared again.
    assert replayed([*awake(), *offered, *pair], list_registers=4).divergences == {"virtual IRQ and FIQ outputs": 1}


@pytest.mark.parametrize(
    ("old", "new", "what", "expected", "got"),
    [
        ("LR index 0", "LR index 1", "highest pending virtual interrupts", "list register 1", "list register 0"),
        ("LR index -1", "LR index 3", "highest pending virtual interrupts", "list register 3", "no list register"),
        ("FIQ 0 IRQ 1", "FIQ 1 IRQ 1", "virtual IRQ and FIQ outputs", "IRQ 1 FIQ 1", "IRQ 1 FIQ 0"),
        ("maintenance-irq 1", "maintenance-irq 0", "maintenance interrupts", "low", "high"),
        (
            "interrupt 25 level changed to 1",
            "interrupt 25 level changed to 0",
            "maintenance interrupts",
            "low",
            "high",
        ),
        ("ICV_IAR1 read cpu 0x0 value 0x1b", "ICV_IAR1 read cpu 0x0 value 0x3ff", "ICV_IAR1", "0x3ff", "0x1b"),
        ("ELRSR read cpu 0x0 value 0xf", "ELRSR read cpu 0x0 value 0xe", "ICH_ELRSR", "0xe", "0xf"),
    ],
)
def test_each_outcome_is_compared(old: str, new: str, what: str, expected: str, got: str) -> None:
    lines = life()
    place = next(number for number, line in enumerate(lines) if old in line)
    lines[place] = lines[place].replace(old, new)
    first = replayed(lines, list_registers=4).first
    assert first is not None
    assert (first.event.line, first.what, first.expected, first.got) == (place + 1, what, expected, got)


def test_a_virtual_lpi_is_accepted() -> None:
    result = replayed([*awake(), *virtual(0, 0x7FFF_FFFF, irq=0)[:1]], list_registers=4)
    assert result.accepted == {"evaluations that offer a virtual LPI": 1}


@pytest.mark.parametrize("hw", [HW, 0])
def test_the_end_of_a_virtual_interrupt_deactivates_the_physical_one(hw: int) -> None:
    lines = [
        *awake(),
        icc("write", "CTLR", 0, 0b10),
        spi(SPI, 1),
        icc("read", "IAR1", 0, SPI),
        icc("write", "EOIR1", 0, SPI),
        ich("write", "ICH_VMCR_EL2", 0, OPEN),
        ich("write", "ICH_HCR_EL2", 0, ON),
        ich("write", "ICH_LR2_EL2", 0, INTERRUPT | hw | SPI << 32),
        ich("read", "ICV_IAR1", 0, 27),
        ich("write", "ICV_EOIR1", 0, 27),
        icc("read", "IAR1", 0, SPI),
    ]
    result = replayed(lines, list_registers=4)
    assert result.divergences == ({} if hw else {"ICC_IAR1": 1})
    assert result.undecided == ""


def test_what_a_machine_without_list_registers_leaves_out_is_said() -> None:
    lines = [
        *awake(),
        ich("write", "ICH_LR0_EL2", 0, INTERRUPT),
        ich("read", "ICV_IAR1", 0, 27),
        icc("read", "PMR", 0, 0xF8),
    ]
    result = replayed(lines)
    assert result.notes == [
        "accesses to ICV and ICH registers, left out: 2; the machine has no list registers (--list-registers)"
    ]
    assert not result.diverged
    assert not any("ICH" in note for note in replayed(lines, list_registers=4).notes)
    assert not replayed([*awake(), icc("read", "PMR", 0, 0xF8)]).notes


def test_a_machine_without_list_registers_shows_nothing() -> None:
    result = replayed([*awake(), *virtual(0, -1, irq=0, maintenance=0)])
    assert not result.divergences
    assert not result.accepted
    result = replayed([*awake(), *virtual(0, 2, irq=1, maintenance=1)], keep_going=True)
    assert len(result.divergences) == 3
    assert result.undecided == (
        "the trace shows virtual interrupts, and the machine has no list registers (--list-registers)"
    )


def test_a_replay_goes_on_with_a_saved_virtual_interface() -> None:
    states: list[vgic.State] = []

    def migrate(gic: vgic.Gic) -> vgic.State:
        states.append(vgic.State.of(gic))
        return states[-1]

    events: list[Event] = list(read_qemu(enumerate(life(), 1), "a log"))
    result = replay(events, "a log", virt(1, list_registers=4), migrate=migrate)
    assert not result.divergences
    assert len(states) == len(events)
