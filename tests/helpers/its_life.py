"""A random life of devices under a driver like Linux's, against a plain account of what should arrive.

Devices come and go; their events are masked, unmasked and moved; vCPUs hand over what is pending. Whatever happens,
every message of a mapped event arrives once, at the vCPU that it is sent to, unless it is masked.
"""

import random
from typing import Final

import vgic
from its_driver import vm

DEVICES: Final = (0x0, 0x1, 0x2001, 0xFFFF)
EVENTS: Final = 3
CPUS: Final = 4
STEPS: Final = 400

Event = tuple[int, int]
"""DeviceID and EventID."""


class Life:
    """The driver, and what it knows: the collection of each event, and what should arrive."""

    def __init__(self, profile: vgic.Profile, seed: int) -> None:
        self.rng = random.Random(seed)
        # A queue of one page wraps often.
        self.driver, self.heard = vm(profile=profile, indirect=seed % 2 == 1, queue_pages=1)
        self.cpu_of = [3, 2, 1, 0]
        """By collection: not every one goes to the vCPU of its number."""
        for collection, cpu in enumerate(self.cpu_of):
            self.driver.map_collection(collection, cpu)
        self.collection: dict[Event, int] = {}
        self.masked: set[Event] = set()
        self.waiting: dict[Event, int] = {}
        """The vCPU at which an event's LPI is pending."""
        self.outlives = profile.its.keeps_lpis
        """An LPI that is pending outlives its event (ITS-36)."""
        self.left: list[tuple[int, int]] = []
        """vCPU and INTID of those that did, and are not masked."""

    def step(self) -> None:
        """One thing happens."""
        device, event = self.rng.choice(DEVICES), self.rng.randrange(EVENTS)
        if (device, event) not in self.collection:
            self.bind(device)
        match self.rng.randrange(16):
            case 0:
                self.unbind(device)
            case 1 | 2:
                self.mask(device, event)
            case 3 | 4:
                self.unmask(device, event)
            case 5 | 6:
                self.move(device, event)
            case 7:
                self.hand_over()
            case 8 | 9:
                self.arrive()
            case 10:
                self.clear(device, event)
            case 11:
                self.discard(device, event)
            case _:
                self.send(device, event)

    def bind(self, device: int) -> None:
        self.driver.map_device(device, EVENTS)
        for event in range(EVENTS):
            self.map(device, event)

    def map(self, device: int, event: int) -> None:
        self.collection[device, event] = self.rng.randrange(CPUS)
        self.driver.map_event(device, event, self.collection[device, event])

    def discard(self, device: int, event: int) -> None:
        """An event is mapped anew, with another LPI; in between it is silent."""
        self.driver.send("DISCARD", DeviceID=device, EventID=event)
        self.forget((device, event), self.driver.events[device, event])
        assert self.driver.gic.msi(device, event).outcome is vgic.MsiOutcome.BLOCKED
        self.map(device, event)

    def unbind(self, device: int) -> None:
        intids = [self.driver.events[device, event] for event in range(EVENTS)]
        self.driver.unbind(device)
        for event in range(EVENTS):
            self.forget((device, event), intids[event])
            assert self.driver.gic.msi(device, event).outcome is vgic.MsiOutcome.BLOCKED

    def forget(self, event: Event, intid: int) -> None:
        del self.collection[event]
        # DISCARD withdraws the LPI from the vCPU that its collection goes to, which is where it waits.
        cpu = self.waiting.pop(event, None)
        if self.outlives and cpu is not None and event not in self.masked:
            self.left.append((cpu, intid))
        self.masked.discard(event)

    def mask(self, device: int, event: int) -> None:
        self.driver.mask(device, event)
        self.masked.add((device, event))

    def unmask(self, device: int, event: int) -> None:
        self.driver.unmask(device, event)
        self.masked.discard((device, event))

    def move(self, device: int, event: int) -> None:
        collection = self.rng.randrange(CPUS)
        self.driver.set_affinity(device, event, collection)
        self.collection[device, event] = collection
        if (device, event) in self.waiting:
            self.waiting[device, event] = self.cpu_of[collection]

    def hand_over(self) -> None:
        """MOVALL to another vCPU, and its collection too."""
        collection, cpu = self.rng.randrange(CPUS), self.rng.randrange(CPUS)
        before = self.cpu_of[collection]
        if self.cpu_of.count(before) > 1:
            return
        self.driver.send("MAPC", ICID=collection, RDbase=cpu, V=1)
        self.driver.send("MOVALL", RDbase=before, RDbase2=cpu)
        self.cpu_of[collection] = cpu
        for event, waits in self.waiting.items():
            if waits == before:
                self.waiting[event] = cpu
        self.left = [(cpu if waits == before else waits, intid) for waits, intid in self.left]

    def clear(self, device: int, event: int) -> None:
        self.driver.send("CLEAR", DeviceID=device, EventID=event)
        self.waiting.pop((device, event), None)

    def send(self, device: int, event: int) -> None:
        """A message, or INT in place of it."""
        if self.rng.randrange(4):
            assert self.driver.gic.msi(device, event).outcome is vgic.MsiOutcome.DELIVERED
        else:
            self.driver.send("INT", DeviceID=device, EventID=event)
        self.waiting[device, event] = self.cpu_of[self.collection[device, event]]

    def arrive(self) -> None:
        """The vCPUs take what there is."""
        arriving = {event: cpu for event, cpu in self.waiting.items() if event not in self.masked}
        expected = sorted([*self.left, *((cpu, self.driver.events[event]) for event, cpu in arriving.items())])
        self.left = []
        assert sorted(self.driver.take_all()) == expected
        for event in arriving:
            del self.waiting[event]


def live(profile: vgic.Profile, seed: int) -> None:
    """A life. Raises AssertionError where something arrives that should not, or does not arrive."""
    life = Life(profile, seed)
    for _ in range(STEPS):
        life.step()
        life.driver.gic.check()
    life.arrive()
    assert life.heard.errors == []
