"""What the ITS commands do: each looks up or changes the tables, and moves pending state between Redistributors.

A command that cannot be obeyed raises `Fault` and has changed nothing.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from vgic.intids import FIRST_LPI
from vgic.its.choices import ItsChoices
from vgic.its.entries import Event
from vgic.its.errors import Fault, ItsError
from vgic.its.tables import CHUNK, Tables
from vgic.layouts import its_commands
from vgic.lpis.bank import LpiBank

__all__ = ["Commands", "Targets", "Words"]

Words: TypeAlias = tuple[int, ...]
"""The four doublewords of a command."""

_FIELDS: Final = its_commands.FIELDS
_OPCODE: Final = _FIELDS["Opcode"]
_DEVICE_ID: Final = _FIELDS["DeviceID"]
_EVENT_ID: Final = _FIELDS["EventID"]
_PINTID: Final = _FIELDS["pINTID"]
_ICID: Final = _FIELDS["ICID"]
_VALID: Final = _FIELDS["V"]
_RDBASE: Final = _FIELDS["RDbase"]
_RDBASE2: Final = _FIELDS["RDbase2"]
_SIZE: Final = _FIELDS["Size"]
_ITT: Final = _FIELDS["ITT_addr"]


class Targets:
    """The Redistributors as RDbase names them: by processor number or, where `by_address`, by bits [51:16]."""

    _NUMBER: Final = 0xFFFF
    """GICR_TYPER.Processor_Number has 16 bits; those above are reserved in RDbase."""

    def __init__(
        self, banks: Sequence[LpiBank], bases: Sequence[int], processors: Sequence[int], by_address: bool
    ) -> None:
        self.banks = banks
        """The LPIs of each vCPU."""
        self._by_address = by_address
        self._addressed = {base >> 16: cpu for cpu, base in enumerate(bases)}
        self._numbered = {number: cpu for cpu, number in enumerate(processors)}

    def cpu(self, rdbase: int) -> int:
        """The vCPU of an RDbase. Raises Fault."""
        cpu = self._addressed.get(rdbase) if self._by_address else self._numbered.get(rdbase & self._NUMBER)
        if cpu is None:
            raise Fault(ItsError.PROCESSOR_OUT_OF_RANGE)
        return cpu

    def bank(self, rdbase: int) -> LpiBank:
        """The LPIs of the vCPU of an RDbase. Raises Fault."""
        return self.banks[self.cpu(rdbase)]


class Commands:
    """Executes the commands of one ITS, in a VM with INTIDs of `intid_bits` bits.

    With `rescans`, a Redistributor that loses an LPI or reads one again may read them all (`LpiChoices.rescans`).
    """

    def __init__(
        self,
        tables: Tables,
        targets: Targets,
        choices: ItsChoices,
        event_bits: int,
        intid_bits: int,
        rescans: bool,
    ) -> None:
        self._tables = tables
        self._targets = targets
        self._choices = choices
        self._event_bits = event_bits
        self._intid_end = 1 << intid_bits
        self._rescans = rescans
        handlers: dict[str, Callable[[Words], int]] = {
            "MAPD": self._mapd,
            "MAPC": self._mapc,
            "MAPTI": self._mapti,
            "MAPI": self._mapi,
            "MOVI": self._movi,
            "MOVALL": self._movall,
            "DISCARD": self._discard,
            "INT": self._int,
            "CLEAR": self._clear,
            "INV": self._inv,
            "INVALL": self._invall,
            "SYNC": self._sync,
        }
        self._handlers = {opcode: handlers[name] for name, opcode in its_commands.OPCODES.items()}

    def execute(self, words: Words) -> int:
        """Obey a command; how many LPIs, or pages of memory, it touched beyond a few. Raises Fault."""
        handler = self._handlers.get(_OPCODE.extract(words))
        if handler is None:
            raise Fault(ItsError.UNKNOWN_COMMAND)
        return handler(words)

    # Mapping.

    def _mapd(self, words: Words) -> int:
        device_id, size, valid = _DEVICE_ID.extract(words), _SIZE.extract(words) + 1, _VALID.extract(words)
        too_many = size > self._event_bits and bool(valid or self._choices.mapd_always_checks_size)
        if too_many and device_id < self._tables.devices.count:
            raise Fault(ItsError.SIZE_OUT_OF_RANGE)
        if not valid:
            self._tables.unmap_device(device_id)
            return 0
        self._tables.map_device(device_id, _ITT.extract(words) << its_commands.ITT_ALIGNMENT_BITS, size)
        cleared = self._tables.entries.event_size << size if self._choices.mapd_clears_events else 0
        return cleared // CHUNK

    def _mapc(self, words: Words) -> int:
        collection, rdbase = _ICID.extract(words), _RDBASE.extract(words)
        self._tables.check_collection(collection)
        if _VALID.extract(words):
            self._targets.cpu(rdbase)
            self._tables.map_collection(collection, rdbase)
        else:
            if self._choices.mapc_always_checks_target:
                self._targets.cpu(rdbase)
            self._tables.unmap_collection(collection)
        return 0

    def _mapti(self, words: Words) -> int:
        return self._map_event(words, _PINTID.extract(words))

    def _mapi(self, words: Words) -> int:
        return self._map_event(words, _EVENT_ID.extract(words))

    def _map_event(self, words: Words, intid: int) -> int:
        event_id, collection = _EVENT_ID.extract(words), _ICID.extract(words)
        device = self._tables.device(_DEVICE_ID.extract(words))
        self._tables.check_event(device, event_id)
        if not FIRST_LPI <= intid < self._intid_end:
            raise Fault(ItsError.INTID_OUT_OF_RANGE)
        # One GICR_PROPBASER for all, so any bank knows.
        if self._choices.mapti_checks_properties and not self._targets.banks[0].in_range(intid):
            raise Fault(ItsError.INTID_OUT_OF_RANGE)
        self._tables.check_collection(collection)
        if self._choices.mapti_keeps_mapping and self._tables.has_event(device, event_id):
            return 0
        bank = self._reader(intid, collection) if self._choices.mapti_reads_tables else None
        self._tables.map_event(device, event_id, Event(intid, collection))
        if bank is not None:
            # Configuration and pending bit come from the guest's tables.
            bank.reload(intid)
            bank.take_from_table(intid)
        return 0

    def _reader(self, intid: int, collection: int) -> LpiBank | None:
        """Whose tables a new LPI is in, None where it has no target. Raises Fault where they are not in RAM."""
        if not self._targets.banks[0].table.holds(intid):
            raise Fault(ItsError.LPI_UNREADABLE)
        try:
            bank = self._targets.bank(self._tables.rdbase(collection))
        except Fault:
            return None
        if not bank.pending_table.holds(intid):
            raise Fault(ItsError.LPI_UNREADABLE)
        return bank

    def _movi(self, words: Words) -> int:
        event_id, collection = _EVENT_ID.extract(words), _ICID.extract(words)
        device = self._tables.device(_DEVICE_ID.extract(words))
        event = self._tables.event(device, event_id)
        source = self._targets.bank(self._tables.rdbase(event.collection))
        target = self._targets.bank(self._tables.rdbase(collection))
        self._tables.move_event(device, event_id, collection)
        source.move(event.intid, target)
        return self._steps(source) + self._steps(target)

    def _discard(self, words: Words) -> int:
        event_id = _EVENT_ID.extract(words)
        device = self._tables.device(_DEVICE_ID.extract(words))
        event = self._tables.event(device, event_id)
        bank = self._targets.bank(self._tables.rdbase(event.collection))
        self._tables.unmap_event(device, event_id)
        bank.clear_pending(event.intid)
        return self._steps(bank)

    # Pending state and configuration.

    def _steps(self, bank: LpiBank) -> int:
        """What one LPI of a Redistributor costs, or all that are pending there where they may be read again."""
        return 1 + (bank.reading_cost if self._rescans else 0)

    def _find(self, words: Words) -> tuple[int, LpiBank]:
        """The LPI of an event, and the LPIs of the vCPU that it goes to. Raises Fault."""
        device = self._tables.device(_DEVICE_ID.extract(words))
        event = self._tables.event(device, _EVENT_ID.extract(words))
        return event.intid, self._targets.bank(self._tables.rdbase(event.collection))

    def _int(self, words: Words) -> int:
        intid, bank = self._find(words)
        bank.make_pending(intid)
        return 1

    def _clear(self, words: Words) -> int:
        intid, bank = self._find(words)
        bank.clear_pending(intid)
        return self._steps(bank)

    def _inv(self, words: Words) -> int:
        intid, bank = self._find(words)
        bank.reload(intid)
        return self._steps(bank)

    def _invall(self, words: Words) -> int:
        banks = self._targets.banks
        if self._choices.invall_needs_collection:
            banks = [self._targets.bank(self._tables.rdbase(_ICID.extract(words)))]
        for bank in banks:
            bank.reload_all()
        return sum(1 + bank.reading_cost for bank in banks)

    def _movall(self, words: Words) -> int:
        source = self._targets.bank(_RDBASE.extract(words))
        target = self._targets.bank(_RDBASE2.extract(words))
        moved = source.reading_cost
        source.move_all(target)
        return moved + self._steps(source) + self._steps(target)

    def _sync(self, words: Words) -> int:
        """Nothing: commands take effect in order, and at once."""
        return 0
