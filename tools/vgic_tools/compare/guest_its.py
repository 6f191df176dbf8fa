"""What a random guest of KVM does with its ITS, and its devices.

Every device, event and collection is mapped, and what is configured otherwise is invalidated at once: until then a
GIC may go by the old configuration, and nobody says for how long (LPI-11).
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Final

from vgic_tools.compare import command_words as its
from vgic_tools.judges.guest import write
from vgic_tools.judges.kvm_guest import GICR_BASE, ITS_BASE, TABLES, GuestStep, Step
from vgic_tools.judges.protocol import Message, Poke

__all__ = ["LPIS", "GuestIts"]

FIRST: Final = 8192
LPIS: Final = range(FIRST, FIRST + 12)
DEVICES: Final = (0, 1, 7)
EVENTS: Final = 4
"""Of each device; every event has an LPI of its own."""
COLLECTIONS: Final = 4

K64: Final = 0x1_0000
CONFIGURATION, QUEUE, DEVICE_TABLE, COLLECTION_TABLE, ITTS = (TABLES + K64 * n for n in range(5))
PENDING: Final = TABLES + 8 * K64
"""One stretch for each vCPU."""
QUEUE_SIZE: Final = 0x1000
ID_BITS: Final = 14

GICR_CTLR, GICR_PROPBASER, GICR_PENDBASER = 0, 0x70, 0x78
GITS_CTLR, GITS_CBASER, GITS_CWRITER, GITS_BASER = 0, 0x80, 0x88, 0x100
ENABLED: Final = 1


class GuestIts:
    """Draws what is about an ITS; `priority` draws that of an LPI."""

    def __init__(self, random: Random, vcpus: int, priority: Callable[[int], int]) -> None:
        self._random = random
        self._vcpus = vcpus
        self._priority = priority
        self._written = 0

    def preparation(self) -> Iterator[Step]:
        """What a driver does first."""
        for intid in LPIS:
            yield Poke(CONFIGURATION + intid - FIRST, bytes([self._priority(intid) | ENABLED]))
        for cpu in range(self._vcpus):
            frame = GICR_BASE + 0x2_0000 * cpu
            yield GuestStep(cpu, write(frame + GICR_PROPBASER, 8, CONFIGURATION | ID_BITS - 1))
            yield GuestStep(cpu, write(frame + GICR_PENDBASER, 8, PENDING + K64 * cpu))
            yield GuestStep(cpu, write(frame + GICR_CTLR, 4, 1))
        for offset, value in (
            (GITS_CBASER, its.VALID | QUEUE),
            (GITS_BASER, its.VALID | DEVICE_TABLE),
            (GITS_BASER + 8, its.VALID | COLLECTION_TABLE),
        ):
            yield GuestStep(0, write(ITS_BASE + offset, 8, value))
        yield GuestStep(0, write(ITS_BASE + GITS_CTLR, 4, 1))
        commands = [its.mapc(collection, collection % self._vcpus) for collection in range(COLLECTIONS)]
        for number, device in enumerate(DEVICES):
            commands.append(its.mapd(device, 5, ITTS + 0x100 * number))
            for event in range(EVENTS):
                commands.append(its.mapti(device, event, LPIS[EVENTS * number + event], self._collection()))
        for command in commands:
            yield from self._commanded(0, command)

    def message(self) -> Step:
        """A device sends an event."""
        return Message(*self._event())

    def command(self, cpu: int) -> Iterator[Step]:
        """A vCPU has the ITS process a command."""
        random = self._random
        device, event = self._event()
        match random.choices(
            ("int", "configure", "move", "clear", "invall", "movall", "remap"), (4, 4, 3, 1, 1, 1, 1)
        )[0]:
            case "int":
                command = its.on_event(its.INT, device, event)
            case "configure":
                intid = LPIS[EVENTS * DEVICES.index(device) + event]
                byte = self._priority(intid) | (random.random() < 0.8) * ENABLED
                yield Poke(CONFIGURATION + intid - FIRST, bytes([byte]))
                command = its.on_event(its.INV, device, event)
            case "move":
                command = its.movi(device, event, self._collection())
            case "clear":
                command = its.on_event(its.CLEAR, device, event)
            case "invall":
                command = its.invall(self._collection())
            case "movall":
                command = its.movall(random.randrange(self._vcpus), random.randrange(self._vcpus))
            case _:
                command = its.mapc(self._collection(), random.randrange(self._vcpus))
        yield from self._commanded(cpu, command)

    def _commanded(self, cpu: int, command: bytes) -> Iterator[Step]:
        yield Poke(QUEUE + self._written, command)
        self._written = (self._written + its.SIZE) % QUEUE_SIZE
        yield GuestStep(cpu, write(ITS_BASE + GITS_CWRITER, 8, self._written))

    def _event(self) -> tuple[int, int]:
        return self._random.choice(DEVICES), self._random.randrange(EVENTS)

    def _collection(self) -> int:
        return self._random.randrange(COLLECTIONS)
