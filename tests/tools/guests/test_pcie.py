"""A PCI Express host with a root port: configuration space, and messages as the guest has set them up."""

import pytest

from vgic_tools.guests.config_space import ConfigSpace, Register
from vgic_tools.guests.ecam import Ecam
from vgic_tools.guests.root_port import RootPort

MSI_CONTROL, MSI_ADDRESS, MSI_DATA = 0x82, 0x84, 0x8C
SLOT_CONTROL, SLOT_STATUS = 0x58, 0x5A
COMMAND_COMPLETED, INTERRUPTS = 1 << 4, 1 << 5
ADDRESS = 0x1_0809_0040


class Bus:
    """A host with a root port as device 1, and the messages that it has sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []
        self.host = Ecam({8: RootPort(lambda address, data: self.sent.append((address, data)))})

    def load(self, offset: int, size: int) -> int:
        return self.host.read(0x8000 + offset, size)

    def store(self, offset: int, size: int, value: int) -> None:
        self.host.write(0x8000 + offset, size, value)

    def set_up(self) -> None:
        """As a driver does: one message, and its enable bit."""
        self.store(MSI_ADDRESS, 4, ADDRESS & 0xFFFF_FFFF)
        self.store(MSI_ADDRESS + 4, 4, ADDRESS >> 32)
        self.store(MSI_DATA, 2, 5)
        self.store(MSI_CONTROL, 2, 1)


def test_writable_bits_are_kept_and_others_are_not() -> None:
    space = ConfigSpace([Register(4, 2, 0x1200, writable=0x00F0, cleared=0x0200)])
    space.write(4, 4, 0xFFFF_FFFF)
    assert space.read(4, 4) == 0x10F0
    space.write(5, 1, 0)
    assert space.read(4, 2) == 0x10F0
    space.write(4, 1, 0x0F)
    assert space.read(4, 2) == 0x1000


def test_a_bus_shows_who_is_there() -> None:
    bus = Bus()
    assert bus.load(0, 4) == 0x000C_1B36
    assert bus.load(0x0E, 1) == 1
    for nobody in (0, 0x9000, 0x1_0000, 0xFF_FFFC):
        assert [bus.host.read(nobody, size) for size in (1, 2, 4, 8)] == [0xFF, 0xFFFF, 0xFFFF_FFFF, (1 << 64) - 1]
        bus.host.write(nobody, 4, 0)


def test_the_capabilities_are_a_chain() -> None:
    bus, found, at = Bus(), [], 0x34
    while at := bus.load(at, 1):
        found.append(bus.load(at, 1))
        at += 1
    assert found == [0x10, 0x05]
    # No extended ones.
    assert bus.load(0x100, 4) == 0


def test_a_command_of_the_slot_is_answered_by_a_message() -> None:
    bus = Bus()
    bus.set_up()
    bus.store(SLOT_CONTROL, 2, COMMAND_COMPLETED | INTERRUPTS)
    assert bus.sent == [(ADDRESS, 5)]
    assert bus.load(SLOT_STATUS, 2) == COMMAND_COMPLETED
    # As long as the event is there, it is told once.
    bus.store(SLOT_CONTROL, 2, COMMAND_COMPLETED | INTERRUPTS)
    assert len(bus.sent) == 1
    bus.store(SLOT_STATUS, 2, COMMAND_COMPLETED)
    assert bus.load(SLOT_STATUS, 2) == 0
    bus.store(SLOT_CONTROL, 2, COMMAND_COMPLETED | INTERRUPTS)
    assert len(bus.sent) == 2


@pytest.mark.parametrize("control", [0, COMMAND_COMPLETED, INTERRUPTS])
def test_without_its_enable_bits_an_event_is_not_told(control: int) -> None:
    bus = Bus()
    bus.set_up()
    bus.store(SLOT_CONTROL, 2, control)
    assert bus.load(SLOT_STATUS, 2) == COMMAND_COMPLETED
    assert not bus.sent


def test_without_msis_an_event_is_not_told() -> None:
    bus = Bus()
    bus.store(SLOT_CONTROL, 2, COMMAND_COMPLETED | INTERRUPTS)
    assert not bus.sent


def test_the_state_is_saved_and_restored() -> None:
    bus, other = Bus(), Bus()
    bus.set_up()
    bus.store(SLOT_CONTROL, 2, COMMAND_COMPLETED | INTERRUPTS)
    other.host.restore(bus.host.save())
    assert other.host.save() == bus.host.save()
    other.store(SLOT_CONTROL, 2, COMMAND_COMPLETED | INTERRUPTS)
    assert not other.sent
    other.store(SLOT_STATUS, 2, COMMAND_COMPLETED)
    other.store(SLOT_CONTROL, 2, COMMAND_COMPLETED | INTERRUPTS)
    assert other.sent == [(ADDRESS, 5)]


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"0x0008": 1},
        {"0x0008": {"space": "zz", "told": False}},
        {"0x0008": {"space": "00" * 4097, "told": False}},
        {"0x0008": {"space": "", "told": 1}},
    ],
)
def test_a_damaged_state_is_refused(state: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"state|space|hex"):
        Bus().host.restore(state)
