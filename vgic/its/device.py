"""An ITS: the registers of its two frames, and the translation of messages."""

from enum import Enum
from typing import Final, NamedTuple

from mmio import NOT_THERE, Frame, StoredWord, Word
from vgic.config import Config
from vgic.errors import not_copied
from vgic.its.choices import ItsChoices
from vgic.its.commands import Commands, Targets
from vgic.its.errors import OUT_OF_RAM, Fault, ItsCommandError, ItsError
from vgic.its.queue import CommandQueue
from vgic.its.tables import Tables
from vgic.layouts import gits
from vgic.lpis.base_registers import Substitutes
from vgic.memory import GuestMemory
from vgic.observer import ItsObserver

__all__ = ["ITS_SIZE", "Its", "MsiOutcome", "MsiResult", "Translation", "its_frames"]

ITS_SIZE: Final = 0x20000
"""Bytes of an ITS: the control frame and the frame that messages are written to."""

_LOW_WORD: Final = 0xFFFF_FFFF

_ENABLED: Final[int] = gits.CTLR.mask("Enabled")
_QUIESCENT: Final[int] = gits.CTLR.mask("Quiescent")
_TABLE_VALID: Final[int] = gits.BASER.mask("Valid")
_QUEUE_VALID: Final[int] = gits.CBASER.mask("Valid")
_RETRY: Final[int] = gits.CWRITER.mask("Retry")
_OFFSET: Final[int] = gits.CREADR.mask("Offset")
_STALLED: Final[int] = gits.CREADR.mask("Stalled")
_TYPE: Final = gits.BASER.field("Type")
_ENTRY_SIZE: Final = gits.BASER.field("Entry_Size")


class Translation(NamedTuple):
    """Where the tables send a message."""

    intid: int
    """The LPI."""
    collection: int
    """Its ICID."""
    cpu: int
    """The vCPU that the collection goes to."""


class MsiOutcome(Enum):
    """What became of a message."""

    DELIVERED = "the LPI is pending"
    BLOCKED = "the guest has not set it up, or has turned it off"
    ERROR = "the guest's tables cannot be read"


class MsiResult(NamedTuple):
    """What became of a message, and why."""

    outcome: MsiOutcome
    error: ItsError | None
    """What kept it from being delivered."""

    def __str__(self) -> str:
        name = self.outcome.name.lower()
        return name if self.error is None else f"{name}: {self.error.value}"

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        from vgic.notebook import message_html

        return message_html(self)


_DELIVERED: Final = MsiResult(MsiOutcome.DELIVERED, None)


class Its:
    """ITS number `number` of a VM."""

    def __init__(
        self, number: int, config: Config, memory: GuestMemory, targets: Targets, observer: ItsObserver | None
    ) -> None:
        self.number = number
        self.choices: ItsChoices = config.profile.its
        if config.vlpi_frames:
            self.choices = self.choices.with_vpes()
        entry_size = self.choices.entries.translation.width // 8
        self.typer = gits.TYPER.encode({**self.choices.typer, "ITT_entry_size": entry_size - 1})
        """GITS_TYPER (64 bits)."""
        self.device_bits = gits.TYPER.field("Devbits").extract(self.typer) + 1
        """Bits of a DeviceID."""
        self.event_bits = gits.TYPER.field("ID_bits").extract(self.typer) + 1
        """Bits of an EventID."""
        self.tables = Tables(memory, self.choices, self.device_bits)
        self.last_error: ItsCommandError | None = None
        """The last command that was not obeyed."""
        self._observer = observer
        self._targets = targets
        self.kept = targets.kept
        """What the VM's ITSes keep of each LPI beside guest RAM; None: nothing."""
        self.commands = Commands(self.tables, targets, self.choices, self.event_bits, config.id_bits, number)
        self.queue = CommandQueue(number, self.commands, memory, self.choices, self._failed)
        self.reader_writable = config.profile.writable.get("GITS_CREADR", 0) != 0
        self.basers = [0] * gits.BASERS
        """GITS_BASER<n> (64 bits each)."""
        self._substitutes = Substitutes(gits.BASER, config.profile.lpi.attributes)
        for index, table in enumerate(self.choices.tables):
            self.set_baser(index, table.reset)

    def _failed(self, error: ItsCommandError) -> None:
        self.last_error = error
        if self._observer is not None:
            self._observer.its_command_error(error)

    def __repr__(self) -> str:
        state = "enabled" if self.enabled else "disabled"
        return f"<Its {self.number}: {self.device_bits} bits of DeviceID, {self.event_bits} of EventID, {state}>"

    def __reduce_ex__(self, protocol: object) -> str:
        raise not_copied(self)

    @property
    def enabled(self) -> bool:
        """GITS_CTLR.Enabled."""
        return self.queue.enabled

    # Messages.

    def translate(self, device_id: int, event_id: int) -> Translation | ItsError:
        """Where the tables send an event of a device, whether the ITS is enabled or not; changes nothing."""
        try:
            return self._look_up(device_id, event_id)
        except Fault as fault:
            return fault.error

    def _look_up(self, device_id: int, event_id: int) -> Translation:
        event = self.tables.event(self.tables.device(device_id), event_id)
        cpu = self._targets.home(event.intid, self.tables.rdbase(event.collection))
        return Translation(event.intid, event.collection, cpu)

    def msi(self, device_id: int, event_id: int) -> MsiResult:
        """A device writes an EventID to GITS_TRANSLATER."""
        if not self.enabled:
            return MsiResult(MsiOutcome.BLOCKED, ItsError.ITS_DISABLED)
        try:
            found = self._look_up(device_id, event_id)
        except Fault as fault:
            outcome = MsiOutcome.ERROR if fault.error in OUT_OF_RAM else MsiOutcome.BLOCKED
            return MsiResult(outcome, fault.error)
        bank = self._targets.banks[found.cpu]
        if bank.make_pending(found.intid):
            return _DELIVERED
        error = ItsError.LPI_OUT_OF_RANGE if bank.enabled else ItsError.LPIS_DISABLED
        return MsiResult(MsiOutcome.BLOCKED, error)

    def store(self, event_id: int) -> None:
        """A vCPU, which is no device, stores to GITS_TRANSLATER."""
        if self.choices.translater_device is not None:
            self.msi(self.choices.translater_device, event_id)

    # Registers.

    def process(self) -> None:
        """Go on with the command queue."""
        self.queue.process()

    @property
    def ctlr(self) -> int:
        """GITS_CTLR (32 bits)."""
        quiescent = {"disabled": not self.enabled, "idle": self.queue.idle, "always": True}
        return (_ENABLED if self.enabled else 0) | (_QUIESCENT if quiescent[self.choices.quiescent] else 0)

    def set_enabled(self, enabled: bool) -> None:
        """Write GITS_CTLR.Enabled."""
        self.queue.set_enabled(enabled and (self._ready or not self.choices.enable_needs_tables))

    @property
    def _ready(self) -> bool:
        tables = self.basers[: len(self.choices.tables)]
        return self.queue.cbaser & _QUEUE_VALID != 0 and all(value & _TABLE_VALID for value in tables)

    def set_baser(self, index: int, value: int) -> None:
        """Write GITS_BASER<n>; bits that cannot be written are ignored."""
        if index >= len(self.choices.tables):
            return
        table = self.choices.tables[index]
        size = self.tables.kinds[table.type].entry_size
        value = self._substitutes.stored(value)
        fixed = table.type << _TYPE.lsb | size - 1 << _ENTRY_SIZE.lsb | table.constant
        self.basers[index] = value & table.writable | fixed
        self.tables.describe(table.type, self.basers[index])
        if self.kept is not None and not value & _TABLE_VALID:
            self.kept.cut_off_all(self.number)


class _Control(StoredWord[Its]):
    def get(self, owner: Its, index: int) -> int:
        return _ENABLED if owner.enabled else 0

    def keep(self, owner: Its, index: int, value: int) -> None:
        owner.queue.enabled = value != 0

    def view(self, owner: Its, index: int, secure: bool) -> int:
        owner.queue.go_on()
        return owner.ctlr

    def put(self, owner: Its, index: int, value: int, mask: int, secure: bool) -> None:
        owner.set_enabled(value & _ENABLED != 0)


class _Type(Word[Its]):
    def get(self, owner: Its, index: int) -> int:
        return owner.typer


class _QueueBase(StoredWord[Its]):
    def __init__(self, substitutes: Substitutes) -> None:
        self.substitutes = substitutes

    def get(self, owner: Its, index: int) -> int:
        return owner.queue.cbaser

    def keep(self, owner: Its, index: int, value: int) -> None:
        owner.queue.cbaser = value

    def put(self, owner: Its, index: int, value: int, mask: int, secure: bool) -> None:
        if not owner.enabled:
            owner.queue.set_base(self.substitutes.stored(value))


class _QueueWriter(StoredWord[Its]):
    def get(self, owner: Its, index: int) -> int:
        return owner.queue.cwriter

    def kept(self, owner: Its, index: int, writable: int) -> int:
        return writable & ~_RETRY

    def keep(self, owner: Its, index: int, value: int) -> None:
        owner.queue.cwriter = value

    def put(self, owner: Its, index: int, value: int, mask: int, secure: bool) -> None:
        if mask & _LOW_WORD:
            owner.queue.set_writer(value)
        else:
            self.keep(owner, index, value)


class _QueueReader(StoredWord[Its]):
    """A guest that polls it lets the ITS go on."""

    def get(self, owner: Its, index: int) -> int:
        return owner.queue.creadr

    def kept(self, owner: Its, index: int, writable: int) -> int:
        return (writable if owner.reader_writable else 0) | _OFFSET | _STALLED

    def keep(self, owner: Its, index: int, value: int) -> None:
        owner.queue.creadr = value
        # Where the register does not tell whether the queue waits, that is saved beside it.
        if not owner.choices.any_write_retries:
            owner.queue.waits = value & _STALLED != 0

    def view(self, owner: Its, index: int, secure: bool) -> int:
        owner.queue.go_on()
        return owner.queue.creadr

    def put(self, owner: Its, index: int, value: int, mask: int, secure: bool) -> None:
        if not owner.reader_writable:
            return
        if mask & _LOW_WORD:
            owner.queue.set_reader(value)
        else:
            # Nothing but reserved bits: a queue that is stalled stays so.
            owner.queue.creadr = value


class _TableBase(StoredWord[Its]):
    def get(self, owner: Its, index: int) -> int:
        return owner.basers[index]

    def kept(self, owner: Its, index: int, writable: int) -> int:
        tables = owner.choices.tables
        return tables[index].writable if index < len(tables) else NOT_THERE

    def keep(self, owner: Its, index: int, value: int) -> None:
        owner.set_baser(index, value)

    def put(self, owner: Its, index: int, value: int, mask: int, secure: bool) -> None:
        if not owner.enabled:
            owner.set_baser(index, value)


class _Translater(Word[Its]):
    def put(self, owner: Its, index: int, value: int, mask: int, secure: bool) -> None:
        if mask & 1:
            owner.store(value)


def its_frames(config: Config) -> list[Frame[Its]]:
    """The two frames of every ITS of a VM."""
    profile = config.profile
    control: dict[str, Word[Its]] = {
        "GITS_CTLR": _Control(),
        "GITS_TYPER": _Type(),
        "GITS_CBASER": _QueueBase(Substitutes(gits.CBASER, profile.lpi.attributes)),
        "GITS_CWRITER": _QueueWriter(),
        "GITS_CREADR": _QueueReader(),
        "GITS_BASER": _TableBase(),
    }
    choices = (config.fixed, profile.writable, profile.absent)
    return [
        Frame("GITS control", gits.CONTROL, control, *choices),
        Frame("GITS translation", gits.TRANSLATION, {"GITS_TRANSLATER": _Translater()}, *choices),
    ]
