"""Messages of devices reach the ITS where they are stored to its GITS_TRANSLATER, whatever is in them."""

import pytest

import vgic
from vgic_tools.guests.gic_port import GicPort
from vgic_tools.guests.msi import Messages
from vgic_tools.guests.tape import Tape
from vgic_tools.machines.qemu_cmdline import GITS_BASE

TRANSLATER = GITS_BASE + 0x1_0040


class Heard(Tape):
    """The messages that an ITS has been given."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, int]] = []

    def message(self, device_id: int, event_id: int) -> None:
        self.messages.append((device_id, event_id))


@pytest.mark.parametrize(
    ("address", "data", "arrives"),
    [
        (TRANSLATER, 7, True),
        (TRANSLATER, 0xFFFF, True),
        (TRANSLATER, 0xFFFF_FFFF, False),
        (TRANSLATER + 4, 7, False),
        (GITS_BASE, 7, False),
        (0x4000_0000, 7, False),
    ],
)
def test_a_message_reaches_the_its_or_nobody(address: int, data: int, arrives: bool) -> None:
    heard = Heard()
    memory = vgic.Ram(0x4000_0000, bytearray(0x1000))
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1), its=(GITS_BASE,)), memory=memory)
    Messages(GicPort(gic, heard)).store(8, address, data)
    assert heard.messages == ([(8, data)] if arrives else [])
