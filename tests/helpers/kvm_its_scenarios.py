"""ITSes: registers, commands, saving and restoring, with RAM that is not there."""

from typing import Final

from kvm_life import (
    COLLECTIONS,
    CONFIGURATION,
    DEVICES,
    EVENTS,
    ITS,
    NO_RAM,
    PENDING,
    QUEUE,
    RAM,
    SCENARIOS,
    STRETCH,
    VALID,
    Life,
    Scenario,
    key,
    scenario,
)
from vgic.kvm import Control, Group, ItsAddress, ItsControl
from vgic.layouts import icc
from vgic_tools.compare import command_words


@scenario
def its_groups(life: Life) -> None:
    life.ready(1, 1)
    for group in range(12):
        for attr in range(6):
            life.has(group, attr, its=0)
    for group in (0, 1, 2, 3, 5, 6, 7, 9):
        life.get(group, 0, its=0)
        life.set(group, 0, 5, its=0)
    for control in (0, 3, 5, 6):
        life.set(Group.CTRL, control, its=0)


@scenario
def its_registers(life: Life) -> None:
    life.ready(1, 1)
    everything = (1 << 64) - 1
    for offset in (0, 4, 8, 0x80, 0x88, 0x90, 0x100, 0x108, 0x110, 0x138, 0x1000, 0xFFE8, 2, 0x82, 0x84, 0xC):
        for value in (0, everything, 0x1234_5678_9ABC_DEF0, 0):
            life.set(Group.ITS_REGS, offset, value, its=0)
            life.get(Group.ITS_REGS, offset, its=0)
    for offset in (0x80, 0x100, 0x108):
        for value in range(64):
            written = value << 56 | (value & 7) << 53 | (value & 3) << 10 | value
            life.set(Group.ITS_REGS, offset, written, its=0)
            life.get(Group.ITS_REGS, offset, its=0)


def its_up(life: Life, devices: int = DEVICES, collections: int = COLLECTIONS, flags: int = 0) -> None:
    """The ITS of a VM that is ready, with its tables but not enabled."""
    life.set(Group.ITS_REGS, 0x80, VALID | QUEUE, its=0)
    life.set(Group.ITS_REGS, 0x100, VALID | devices | flags, its=0)
    life.set(Group.ITS_REGS, 0x108, VALID | collections, its=0)


def lpis_up(life: Life, configuration: int = CONFIGURATION, pending: int = PENDING) -> None:
    life.set(Group.REDIST_REGS, 0x70, configuration | 0xF)
    life.set(Group.REDIST_REGS, 0x78, pending)
    life.set(Group.REDIST_REGS, 0, 1)


def guest(
    *,
    gone: int | None = None,
    devices: int = DEVICES,
    collections: int = COLLECTIONS,
    configuration: int = CONFIGURATION,
    pending: int = PENDING,
    flags: int = 0,
    mapped: bool = True,
) -> Scenario:
    """A guest that maps events of a device; then a stretch of RAM goes away, and the VM is saved and restored."""

    def live(life: Life) -> None:
        life.ready(1, 1)
        its_up(life, devices, collections, flags)
        lpis_up(life, configuration, pending)
        life.set(Group.ITS_REGS, 0, 1, its=0)
        if mapped:
            commands = [command_words.mapc(0, 0), command_words.mapd(3, 5, EVENTS)]
            commands += [command_words.mapti(3, event, intid, 0) for event, intid in ((1, 8200), (7, 8300))]
            life.subject.write(QUEUE, b"".join(commands))
            life.set(Group.ITS_REGS, 0x88, 32 * len(commands), its=0)
            life.get(Group.ITS_REGS, 0x90, its=0)
            if devices != NO_RAM:
                for event in (1, 7, 9):
                    life.msi(event)
        if gone is not None:
            life.subject.remove_ram([base for base, _ in RAM].index(gone))
        life.set(Group.CTRL, ItsControl.SAVE_TABLES, its=0)
        life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
        life.set(Group.CTRL, ItsControl.RESET, its=0)
        its_up(life, devices, collections, flags)
        # What this leaves in the tables is KVM's in part: only a VM that loses no RAM finds them as saved.
        if gone != EVENTS:
            life.set(Group.CTRL, ItsControl.RESTORE_TABLES, its=0)
        if gone is None and devices == DEVICES:
            life.look(DEVICES + 24, 8)
            if collections == COLLECTIONS and configuration == CONFIGURATION and pending == PENDING:
                life.look(EVENTS, 64)
                life.look(PENDING + 1024, 32)

    return Scenario(live, RAM)


SCENARIOS.update(
    guest=guest(),
    guest_loses_the_event_table=guest(gone=EVENTS),
    guest_loses_the_collection_table=guest(gone=COLLECTIONS),
    guest_loses_the_configuration_table=guest(gone=CONFIGURATION),
    guest_loses_the_pending_table=guest(gone=PENDING),
    guest_without_device_table=guest(devices=NO_RAM),
    guest_without_collection_table=guest(collections=NO_RAM),
    guest_without_configuration_table=guest(configuration=NO_RAM),
    guest_without_pending_table=guest(pending=NO_RAM),
    idle_guest=guest(mapped=False),
    idle_guest_with_two_levels=guest(mapped=False, flags=1 << 62),
    idle_guest_without_device_table=guest(mapped=False, devices=NO_RAM),
    idle_guest_without_level_1=guest(mapped=False, devices=NO_RAM, flags=1 << 62),
    idle_guest_without_collection_table=guest(mapped=False, collections=NO_RAM),
    idle_guest_without_any_table=guest(mapped=False, collections=NO_RAM, devices=NO_RAM),
    idle_guest_whose_device_table_leaves_ram=guest(mapped=False, devices=DEVICES + STRETCH // 2, flags=1),
)


def dte(itt: int, step: int = 0, bits: int = 5) -> int:
    return VALID | step << 49 | itt >> 8 << 5 | bits - 1


def ite(intid: int, step: int = 0, collection: int = 0) -> int:
    return step << 48 | intid << 16 | collection


CTE: Final = VALID
"""Collection 0, at vCPU 0."""

FAR: Final = EVENTS + STRETCH - 0x100
"""A table of events that RAM ends within: after 32."""

SOUND: Final = ((DEVICES + 24, dte(EVENTS)), (EVENTS + 8, ite(8200)), (COLLECTIONS, CTE))
EVENT: Final = (EVENTS + 8, ite(8200))


def destination(
    *words: tuple[int, int],
    devices: int = DEVICES,
    collections: int = COLLECTIONS,
    configuration: int = CONFIGURATION,
    pending: int = PENDING,
    flags: int = 0,
    used: bool = False,
) -> Scenario:
    """A VM that is restored from these words in its RAM; `used`: and then gets messages."""

    def live(life: Life) -> None:
        life.ready(1, 1)
        its_up(life, devices, collections, flags)
        lpis_up(life, configuration, pending)
        for address, word in words:
            life.words(address, word)
        life.set(Group.CTRL, ItsControl.RESTORE_TABLES, its=0)
        if used:
            life.msi(1)
            life.set(Group.ITS_REGS, 0, 1, its=0)
            life.msi(1)
            life.set(Group.CTRL, ItsControl.RESTORE_TABLES, its=0)

    return Scenario(live, RAM)


# What the façade once had otherwise than KVM.


@scenario
def widths_of_vcpus(life: Life) -> None:
    control, other = icc.ICC_CTLR_EL1, key(1) | icc.ICC_CTLR_EL1
    life.ready(2)
    for attr, values in (
        (control, (0x8C00, 0x8B00, 0x8C00)),
        (other, (0xC000, 0xBA00, 0x8000, 0x0000, 0x8100, 0x8003)),
    ):
        for value in values:
            life.set(Group.CPU_SYSREGS, attr, value)
            life.get(Group.CPU_SYSREGS, control)
            life.get(Group.CPU_SYSREGS, other)
    for encoding in range(0xC644, 0xC64C):
        life.get(Group.CPU_SYSREGS, encoding)
        life.set(Group.CPU_SYSREGS, key(1) | encoding, 0xFFFF_FFFF)
        life.get(Group.CPU_SYSREGS, key(1) | encoding)
    life.run()
    for value in (0x8300, 0x8900):
        life.set(Group.CPU_SYSREGS, control, value)
        life.get(Group.CPU_SYSREGS, control)
    life.set(Group.DIST_REGS, 8, 0x4B00_243B)
    life.get(Group.DIST_REGS, 8)
    life.get(Group.REDIST_REGS, 0)


def every_its_register(life: Life) -> None:
    for offset in (0, 4, 8, 0x80, 0x88, 0x90, 0x100):
        life.get(Group.ITS_REGS, offset, its=0)
        life.set(Group.ITS_REGS, offset, VALID | QUEUE if offset >= 0x80 else 0, its=0)
        life.get(Group.ITS_REGS, offset, its=0)


@scenario
def its_before_init(life: Life) -> None:
    life.vcpu()
    life.its()
    every_its_register(life)
    life.set(Group.ADDR, ItsAddress.ITS, ITS, 0)
    every_its_register(life)
    for control in (ItsControl.SAVE_TABLES, ItsControl.RESTORE_TABLES, ItsControl.INIT):
        life.set(Group.CTRL, control, its=0)
    life.vcpu()
    life.get(Group.ITS_REGS, 0x80, its=0)
    life.place()
    life.init()
    every_its_register(life)


def run_commands(life: Life, *commands: bytes, at: int = 0) -> None:
    life.subject.write(QUEUE + command_words.SIZE * at, b"".join(commands))
    life.set(Group.ITS_REGS, 0x88, command_words.SIZE * (at + len(commands)), its=0)
    life.get(Group.ITS_REGS, 0x90, its=0)


def its_after_a_run(life: Life) -> None:
    life.ready()
    life.run()
    life.set(Group.REDIST_REGS, 0x70, 0x1234_000F)
    life.its()
    for group, offset in ((Group.DIST_REGS, 4), (Group.REDIST_REGS, 8), (Group.REDIST_REGS, 0x70)):
        life.get(group, offset)
    life.set(Group.ADDR, ItsAddress.ITS, ITS, 0)
    life.set(Group.CTRL, ItsControl.INIT, its=0)
    its_up(life)
    lpis_up(life)
    life.set(Group.ITS_REGS, 0, 1, its=0)
    mapped = command_words.mapc(0, 0), command_words.mapd(3, 5, EVENTS), command_words.mapti(3, 1, 8200, 0)
    run_commands(life, *mapped)
    life.msi(1)
    life.run()
    life.set(Group.CTRL, ItsControl.SAVE_TABLES, its=0)
    life.look(EVENTS, 64)
    life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
    life.look(PENDING + 1024, 4)


def several(life: Life, ids: tuple[int, ...], *commands: bytes) -> None:
    """A VM whose vCPUs have these ids, with LPIs; vCPU 0's pending table is `PENDING`, the others' behind it."""
    for vcpu_id in ids:
        life.vcpu(vcpu_id)
    life.its()
    life.place()
    life.init()
    life.set(Group.ADDR, ItsAddress.ITS, ITS, 0)
    its_up(life)
    for number, vcpu_id in enumerate(ids):
        life.set(Group.REDIST_REGS, key(vcpu_id) | 0x70, CONFIGURATION | 0xF)
        life.set(Group.REDIST_REGS, key(vcpu_id) | 0x78, PENDING + 0x1_0000 * (number & 1))
        life.set(Group.REDIST_REGS, key(vcpu_id), 1)
    life.set(Group.ITS_REGS, 0, 1, its=0)
    run_commands(life, *commands)


def targets(life: Life) -> None:
    several(
        life,
        (0, 5, 2),
        *(command_words.mapc(number, number) for number in (0, 1, 2, 5)),
        command_words.mapd(3, 5, EVENTS),
        *(command_words.mapti(3, number, 8200 + number, number) for number in (1, 2, 5)),
    )
    for event in (1, 2, 5):
        life.msi(event)
    life.set(Group.CTRL, ItsControl.SAVE_TABLES, its=0)
    life.look(COLLECTIONS, 64)
    for rdbase in (1, 2, 5, 6):
        life.set(Group.CTRL, ItsControl.RESET, its=0)
        its_up(life)
        life.words(COLLECTIONS, VALID | rdbase << 16, 0)
        life.words(DEVICES + 24, 0)
        life.set(Group.CTRL, ItsControl.RESTORE_TABLES, its=0)


def pending_bits(life: Life) -> None:
    several(
        life,
        (0, 1),
        command_words.mapc(0, 0),
        command_words.mapd(3, 5, EVENTS),
        command_words.mapti(3, 1, 8200, 0),
        command_words.mapti(3, 2, 8201, 7),
    )
    for table in (PENDING, PENDING + 0x1_0000):
        life.words(table + 1024, (1 << 64) - 1)
    life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
    life.look(PENDING + 1024, 8)
    life.look(PENDING + 0x1_0000 + 1024, 8)
    life.msi(1)
    life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
    life.look(PENDING + 1024, 8)


def pending_bit_that_is_gone(life: Life) -> None:
    several(life, (0, 1), command_words.mapc(0, 0), command_words.mapd(3, 5, EVENTS))
    life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
    run_commands(life, command_words.mapti(3, 1, 8200, 0), at=2)
    life.subject.remove_ram([base for base, _ in RAM].index(PENDING))
    life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
    life.msi(1)
    life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)


def device_without_events(life: Life) -> None:
    several(
        life,
        (0,),
        command_words.mapc(0, 0),
        command_words.mapd(3, 5, NO_RAM),
        command_words.mapd(4, 5, EVENTS),
    )
    life.set(Group.CTRL, ItsControl.SAVE_TABLES, its=0)
    life.look(DEVICES, 48)
    for at, command in enumerate(
        (
            command_words.mapti(3, 1, 8200, 0),
            command_words.on_event(command_words.DISCARD, 3, 1),
            command_words.mapti(4, 1, 8200, 0),
            command_words.mapd(3, 5, 0, False),
        ),
        3,
    ):
        run_commands(life, command, at=at)
        for device in (3, 4):
            life.msi(1, device)
        life.set(Group.CTRL, ItsControl.SAVE_TABLES, its=0)
        life.look(DEVICES, 48)


for told in (its_after_a_run, targets, pending_bits, pending_bit_that_is_gone, device_without_events):
    SCENARIOS[told.__name__] = Scenario(told, RAM)


SCENARIOS.update(
    restored=destination(*SOUND, used=True),
    restored_with_two_levels=destination(
        (DEVICES, VALID | DEVICES + 0x1_0000),
        (DEVICES + 0x1_0018, dte(EVENTS)),
        *SOUND[1:],
        flags=1 << 62,
        used=True,
    ),
    restored_with_no_level_2=destination(SOUND[2], flags=1 << 62),
    restored_without_events=destination((DEVICES + 24, dte(NO_RAM)), SOUND[2]),
    restored_without_devices=destination(SOUND[2], devices=NO_RAM),
    restored_without_level_1=destination(SOUND[2], devices=NO_RAM, flags=1 << 62),
    restored_without_level_2=destination((DEVICES, VALID | NO_RAM), SOUND[2], flags=1 << 62),
    restored_without_collections=destination(*SOUND[:2], collections=NO_RAM),
    restored_without_configuration=destination(*SOUND, configuration=NO_RAM),
    restored_without_pending_bits=destination(*SOUND, pending=NO_RAM),
    restored_unlisted_collection=destination(*SOUND[:2]),
    restored_collection_of_no_vcpu=destination(*SOUND[:2], (COLLECTIONS, CTE | 5 << 16)),
    restored_collection_that_goes_nowhere=destination(
        *SOUND[:2], (COLLECTIONS, CTE | 0xFFFF_FFFF << 16), pending=NO_RAM
    ),
    restored_low_intid=destination(SOUND[0], (EVENTS + 8, ite(1000)), SOUND[2]),
    restored_events_end_with_ram=destination((DEVICES + 24, dte(FAR)), SOUND[2]),
    restored_events_leave_ram_and_are_none=destination((DEVICES + 24, dte(FAR, 0, 6)), SOUND[2]),
    restored_events_leave_ram_after_the_last=destination(
        (DEVICES + 24, dte(FAR, 0, 6)), (FAR + 8, ite(8200)), SOUND[2]
    ),
    restored_events_leave_ram_by_their_chain=destination(
        (DEVICES + 24, dte(FAR, 0, 6)), (FAR + 8, ite(8200, 31)), SOUND[2]
    ),
    restored_devices_leave_ram_after_the_last=destination(
        (DEVICES + 0x1_0018, dte(EVENTS)), EVENT, SOUND[2], devices=DEVICES + 0x1_0000, flags=1
    ),
    restored_devices_leave_ram_by_their_chain=destination(
        (DEVICES + 0x1_0018, dte(EVENTS, 8189)), EVENT, SOUND[2], devices=DEVICES + 0x1_0000, flags=1
    ),
    restored_devices_leave_ram_and_are_none=destination(SOUND[2], devices=DEVICES + 0x1_0000, flags=1),
)
