"""A guest with LPIs and an ITS is moved from host to host while it works, and notices nothing."""

from random import Random

import pytest

import vgic
from its_driver import ENABLED, FIRST_LPI, RAM, SPURIOUS, ItsDriver
from kvm_its import RAM_SIZE, ItsVm, new_device
from mmio import RegisterLayout
from vgic import Ram, affinity
from vgic.host.capabilities import HostCapabilities
from vgic.kvm import KvmError, SetAttr, SetItsAttr, Step, VgicV3Device, describe, restore, save_sequence
from vgic.layouts import gicr, gits, its_commands

HOSTS = [HostCapabilities(a3v=a3v) for a3v in (True, False)]

CLUSTERS = [affinity.pack(0, 0, cpu // 2, cpu % 2) for cpu in range(5)]
DESCENDING = [affinity.pack(0, cpu, 0, 3) for cpu in reversed(range(5))]
LEVEL3 = [affinity.pack(7 - cpu, cpu % 2, 0, 40 + cpu) for cpu in range(5)]
LAYOUTS = {"clusters": (CLUSTERS, False), "descending": (DESCENDING, False), "aff3": (LEVEL3, True)}

OPERATIONS = 400
MIGRATIONS = 6


class Guest:
    """Does random things as Linux does them, knows which LPI waits where, and writes down what it sees."""

    def __init__(self, driver: ItsDriver, random: Random) -> None:
        self.driver = driver
        self.random = random
        self.cpus = range(driver.cpus)
        self.target = {cpu: cpu for cpu in self.cpus}
        """The vCPU of each collection that is mapped."""
        self.collection: dict[int, int] = {}
        """Of each LPI."""
        self.masked: set[int] = set()
        self.waiting: set[tuple[int, int]] = set()
        """LPIs that are pending, each with the vCPU at which it is."""
        self.devices: dict[int, int] = {}
        """Events of each device."""
        self.keeps = driver.gic.config.profile.its.keeps_lpis
        """MOVALL moves LPIs for good, which no migration carries; an unmapped collection loses its events."""
        self.seen: list[object] = []
        self.taken = 0

    def step(self) -> None:
        steps = {
            self.msi: 40,
            self.take: 25,
            self.map: 15,
            self.mask: 10,
            self.affinity: 10,
            self.interrupt: 4,
            self.clear: 4,
            self.move_all: 2,
            self.unbind: 2,
            self.collect: 3,
            self.point_elsewhere: 2,
        }
        self.random.choices(list(steps), list(steps.values()))[0]()

    def home(self, intid: int) -> int:
        """The vCPU that an LPI goes to, -1 where its collection is not mapped."""
        return self.target.get(self.collection[intid], -1)

    def strays(self, intid: int) -> bool:
        """It waits at a vCPU that it does not go to: out of reach of commands that name its event."""
        return any(waits == intid and cpu != self.home(intid) for waits, cpu in self.waiting)

    def event(self) -> tuple[int, int, int] | None:
        """A random event that goes somewhere: DeviceID, EventID, LPI."""
        events = [(*event, intid) for event, intid in self.driver.events.items() if self.home(intid) >= 0]
        return self.random.choice(events) if events else None

    def msi(self) -> None:
        if not self.driver.events:
            return
        device, event = self.random.choice(list(self.driver.events))
        home = self.home(self.driver.events[device, event])
        result = self.driver.gic.msi(device, event)
        self.seen.append(result)
        assert (result.outcome is vgic.MsiOutcome.DELIVERED) == (home >= 0)
        if home >= 0:
            self.waiting.add((self.driver.events[device, event], home))

    def take(self) -> None:
        busy = sorted(cpu for intid, cpu in self.waiting if intid not in self.masked)
        cpu = self.random.choice([*self.cpus, *busy, *busy])
        here = {intid for intid, at in self.waiting if at == cpu and intid not in self.masked}
        intid = self.driver.take(cpu)
        self.seen.append(intid)
        assert intid in (here or {SPURIOUS})
        if here:
            self.waiting.remove((intid, cpu))
            self.taken += 1

    def map(self) -> None:
        random = self.random
        device = random.choice((0x8, 0x10, 0x2001, 0xFFFE))
        if device not in self.devices:
            self.devices[device] = random.choice((2, 8, 64))
            self.driver.map_device(device, self.devices[device])
        event = random.randrange(self.devices[device])
        collection = random.choice(self.cpus)
        if (device, event) not in self.driver.events and collection in self.target:
            intid = self.driver.map_event(device, event, collection, priority=random.choice((0xA0, 0x90, 0x80)))
            self.collection[intid] = collection

    def mask(self) -> None:
        found = self.event()
        if found is None or self.strays(found[2]):
            return
        device, event, intid = found
        if intid in self.masked:
            self.driver.unmask(device, event)
        else:
            self.driver.mask(device, event)
        self.masked ^= {intid}

    def affinity(self) -> None:
        found, collection = self.event(), self.random.choice(self.cpus)
        if found is None or collection not in self.target:
            return
        device, event, intid = found
        self.driver.set_affinity(device, event, collection)
        before = self.home(intid)
        self.collection[intid] = collection
        if (intid, before) in self.waiting:
            self.waiting.remove((intid, before))
            self.waiting.add((intid, self.home(intid)))

    def interrupt(self) -> None:
        found = self.event()
        if found is not None:
            device, event, intid = found
            self.driver.send("INT", DeviceID=device, EventID=event)
            self.waiting.add((intid, self.home(intid)))

    def clear(self) -> None:
        found = self.event()
        if found is not None:
            device, event, intid = found
            self.driver.send("CLEAR", DeviceID=device, EventID=event)
            self.waiting.discard((intid, self.home(intid)))

    def move_all(self) -> None:
        source, target = self.random.sample(self.cpus, 2)
        self.driver.send("MOVALL", RDbase=self.driver.rdbase(source), RDbase2=self.driver.rdbase(target))
        self.waiting = {(intid, target if at == source else at) for intid, at in self.waiting}
        if self.keeps:
            for collection, cpu in self.target.items():
                if cpu == source:
                    self.target[collection] = target
                    self.driver.map_collection(collection, target)

    def unbind(self) -> None:
        device = self.random.choice([None, *self.devices])
        mine = {intid for (owner, _), intid in self.driver.events.items() if owner == device}
        if device is None or any(self.strays(intid) for intid in mine):
            return
        # What is enabled stays pending where the ITS keeps it (ITS-36), and no migration carries it.
        if self.keeps and any(intid in mine - self.masked for intid, _ in self.waiting):
            return
        self.driver.unbind(device)
        del self.devices[device]
        self.waiting = {(intid, cpu) for intid, cpu in self.waiting if intid not in mine}

    def collect(self) -> None:
        """Turn a collection off where nothing of it waits, or on again."""
        collection = self.random.choice(self.cpus)
        mapped = {self.collection[intid] for intid in self.driver.events.values()}
        if collection not in self.target:
            self.point(collection)
        elif self.keeps and collection in mapped:
            pass
        elif all(self.collection[intid] != collection for intid, _ in self.waiting):
            del self.target[collection]
            self.driver.unmap_collection(collection)

    def point_elsewhere(self) -> None:
        if not self.waiting:
            self.point(self.random.choice(self.cpus))

    def point(self, collection: int) -> None:
        self.target[collection] = self.random.choice(self.cpus)
        self.driver.map_collection(collection, self.target[collection])


def registers(gic: vgic.Gic) -> dict[str, int]:
    """What the guest reads of the LPIs' and the ITS's registers, and where every event goes."""
    view: dict[str, int] = {}

    def read(name: str, base: int, layouts: list[RegisterLayout]) -> None:
        for layout in layouts:
            for element in range(layout.count):
                place = base + layout.offset + element * layout.stride
                view[f"{name} {layout.title(element)}"] = gic.read(place, layout.width // 8)

    for cpu, base in enumerate(gic.redistributor_bases):
        read(f"vCPU {cpu}", base, [gicr.CTLR, gicr.TYPER, gicr.PROPBASER, gicr.PENDBASER])
        view[f"vCPU {cpu} irq"] = gic.outputs(cpu)[0]
    for base in gic.config.its:
        read("ITS", base, [gits.CTLR, gits.TYPER, gits.IIDR, gits.CBASER, gits.CWRITER, gits.CREADR, gits.BASER])
    return view


def run(seed: int, profile: vgic.Profile, layout: str, indirect: bool) -> None:
    """Two guests do the same; one stays where it is, one moves."""
    affinities, a3v = LAYOUTS[layout]
    vms = [ItsVm(affinities, profile, a3v) for _ in range(2)]
    stays, moves = (Guest(vm.driver(indirect=indirect), Random(seed)) for vm in vms)
    cuts = set(Random(seed).sample(range(OPERATIONS), MIGRATIONS))
    for operation in range(OPERATIONS):
        stays.step()
        moves.step()
        if operation in cuts:
            vms[1].migrate(HOSTS[operation % 2], moves.driver)
            moves.driver.gic.check()
            assert save_sequence(vms[1].device) == save_sequence(vms[0].device)
            assert vms[1].ram.read(RAM, RAM_SIZE) == vms[0].ram.read(RAM, RAM_SIZE)
    assert moves.seen == stays.seen
    assert moves.taken > 20
    assert moves.driver.take_all() == stays.driver.take_all()
    assert registers(moves.driver.gic) == registers(stays.driver.gic)
    for event in stays.driver.events:
        assert moves.driver.gic.its().translate(*event) == stays.driver.gic.its().translate(*event)


KINDS = [
    pytest.param(vgic.KVM, "clusters", False, id="kvm-clusters-flat"),
    pytest.param(vgic.KVM, "descending", True, id="kvm-descending-indirect"),
    pytest.param(vgic.KVM, "aff3", True, id="kvm-aff3-indirect"),
    pytest.param(vgic.ARCH, "aff3", False, id="arch-aff3-flat"),
    pytest.param(vgic.QEMU, "aff3", False, id="qemu-aff3-flat"),
]


@pytest.mark.rule("KVM-36", "KVM-55")
@pytest.mark.parametrize(("profile", "layout", "indirect"), KINDS)
def test_a_guest_goes_on_after_every_migration(profile: vgic.Profile, layout: str, indirect: bool) -> None:
    run(1, profile, layout, indirect)


@pytest.mark.slow
@pytest.mark.rule("KVM-36", "KVM-55")
@pytest.mark.parametrize(("profile", "layout", "indirect"), KINDS)
@pytest.mark.parametrize("seed", range(2, 27))
def test_many_guests_go_on_after_every_migration(
    seed: int, profile: vgic.Profile, layout: str, indirect: bool
) -> None:
    run(seed, profile, layout, indirect)


def busy() -> tuple[ItsVm, ItsDriver]:
    """A VM with two ITSes, LPIs that wait, one of them masked, and a command that has not been executed."""
    vm = ItsVm(CLUSTERS, itses=2)
    driver = vm.driver()
    driver.map_device(0x10, events=4)
    for event in range(3):
        driver.map_event(0x10, event, cpu=event + 1)
        vm.gic.msi(0x10, event)
    driver.mask(0x10, 2)
    driver.map_event(0x10, 3, cpu=0)
    # Executed once more, this would be noticed.
    driver.send("INT", DeviceID=0x10, EventID=3)
    driver.take(0)
    second = ItsDriver(vm.gic, vm.ram, number=1, memory=driver.memory, first_lpi=9000)
    second.properties = driver.properties
    second.start_its()
    second.map_collection(3, 4)
    second.map_device(0x10, events=2)
    second.map_event(0x10, 1, cpu=3)
    vm.gic.msi(0x10, 1, its=1)
    queue = vm.gic.its(0).queue
    driver.put(queue.cwriter, its_commands.encode("MAPC", ICID=9, RDbase=3, V=1))
    # As if an access had spent its budget before.
    queue.cwriter += its_commands.COMMAND_SIZE
    queue.unfinished = True
    return vm, driver


def outcome(vm: ItsVm, driver: ItsDriver) -> tuple[object, ...]:
    """What becomes of it."""
    gic = vm.gic
    view = registers(gic)
    events = [gic.its(0).translate(0x10, event) for event in range(4)] + [gic.its(1).translate(0x10, 1)]
    kept = [gic.its(number).tables.kept for number in range(2)]
    driver.gic = gic
    return view, events, kept, driver.take_all()


@pytest.mark.rule("KVM-55")
def test_commands_that_wait_and_a_second_its_move_too() -> None:
    vm, driver = busy()
    there, _ = busy()
    there.migrate(HOSTS[0])
    view, events, kept, taken = outcome(there, driver)
    assert kept == [{0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 9: 3}, {3: 4}]
    assert taken == [(1, 8192), (2, 8193), (4, 9000)]
    assert not isinstance(events[-1], vgic.ItsError)
    vm.gic.its(0).process()
    assert (view, events, kept, taken) == outcome(vm, driver)


@pytest.mark.rule("KVM-55")
def test_lpis_without_an_its_move_too() -> None:
    ram, properties, pending = Ram.zeroed(RAM, 0x40_0000), RAM + 0x10_0000, RAM + 0x30_0000
    config = vgic.Config(vgic.Topology([5]), spis=32, lpis=True, lpi_id_bits=20)
    gic = vgic.Gic(config, memory=ram)
    intid = (1 << 20) - 1
    ram.write(properties + intid - FIRST_LPI, bytes([ENABLED | 0x80]))
    base = gic.redistributor_bases[0]
    for register, value in ((gicr.PROPBASER, properties | 19), (gicr.PENDBASER, pending), (gicr.CTLR, 1)):
        gic.write(base + register.offset, register.width // 8, value)
    gic.write(base + gicr.SETLPIR.offset, 8, intid)
    host = HostCapabilities(a3v=False, id_bits=24)
    target = VgicV3Device(host, profile=vgic.ARCH, lpis=True, lpi_id_bits=20, memory=ram)
    assert target.has_lpis
    restore(target, save_sequence(VgicV3Device.over(gic)))
    assert target.gic.lpis(0).pending == gic.lpis(0).pending == {intid: ENABLED | 0x80}


@pytest.mark.rule("KVM-36", "KVM-55")
@pytest.mark.parametrize(
    "name",
    [
        "GICR_PROPBASER",
        "GICR_PENDBASER",
        "GICR_CTLR",
        "GITS_CBASER",
        "GITS_CREADR",
        "GITS_CWRITER",
        "GITS_BASER0",
        "GITS_BASER1",
        "RESTORE_TABLES",
        "GITS_CTLR",
    ],
)
def test_every_step_counts(name: str) -> None:
    """A mutation check of the tests above: a migration that leaves something out is refused or noticed."""
    vm, driver = busy()
    sequence = save_sequence(vm.device)
    assert any(_names(step, name) for step in sequence)
    results: list[tuple[object, ...]] = []
    for left_out in ("nothing", name):
        ram = Ram(RAM, bytearray(vm.ram.read(RAM, RAM_SIZE)))
        target = ItsVm.on(new_device(ram, HOSTS[0]), ram)
        try:
            restore(target.device, [step for step in sequence if not _names(step, left_out)])
        except KvmError as error:
            results.append((error.errno,))
        else:
            results.append(outcome(target, driver))
    assert results[0] != results[1]


def _names(step: Step, name: str) -> bool:
    return isinstance(step, SetAttr | SetItsAttr) and name in describe(*step[-3:-1])
