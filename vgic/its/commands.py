"""What the ITS commands do: each looks up or changes the tables, and moves pending state between Redistributors.

One that concerns very many LPIs or Redistributors does some of its work and is `unfinished`: it is executed again.

A command that cannot be obeyed raises `Fault` and has changed nothing.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from vgic.intids import FIRST_LPI
from vgic.its.choices import ItsChoices
from vgic.its.entries import Event
from vgic.its.errors import Fault, ItsError
from vgic.its.kept_lpis import KeptLpis
from vgic.its.tables import CHUNK, Tables
from vgic.layouts import its_commands
from vgic.lpis.bank import LpiBank
from vgic.lpis.work import STEPS_OF_AN_ACCESS

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
        self,
        banks: Sequence[LpiBank],
        bases: Sequence[int],
        processors: Sequence[int],
        by_address: bool,
        keeps_lpis: bool = False,
    ) -> None:
        self.banks = banks
        """The LPIs of each vCPU."""
        self.kept = KeptLpis(banks) if keeps_lpis else None
        """What the ITSes keep of each LPI."""
        for bank in banks:
            bank.mapped = self.kept
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

    def home(self, intid: int, rdbase: int) -> int:
        """The vCPU of an LPI whose collection has this RDbase (ITS-34). Raises Fault."""
        cpu = self.cpu(rdbase)
        return cpu if self.kept is None else self.kept.target(intid, cpu)


class Commands:
    """Executes the commands of one ITS, in a VM with INTIDs of `intid_bits` bits."""

    def __init__(
        self,
        tables: Tables,
        targets: Targets,
        choices: ItsChoices,
        event_bits: int,
        intid_bits: int,
        its: int = 0,
    ) -> None:
        self._its = its
        self._tables = tables
        self._targets = targets
        self._choices = choices
        self._event_bits = event_bits
        self._intid_end = 1 << intid_bits
        self._kept = targets.kept
        self._work = targets.banks[0].configuration.work
        self._under_way: Words = ()
        """The command that was executed last."""
        self._place = 0
        """Where it goes on, if it is unfinished."""
        self._retargeted = False
        """It is a MOVALL, and what is kept of each LPI has moved already."""
        self.unfinished = False
        """The last command has to be executed again, and goes on."""
        handlers: dict[str, Callable[[Words], None]] = {
            "MAPD": self._mapd,  # ITS-13
            "MAPC": self._mapc,  # ITS-14, ITS-35
            "MAPTI": self._mapti,  # ITS-15
            "MAPI": self._mapi,  # ITS-15
            "MOVI": self._movi,  # ITS-16
            "MOVALL": self._movall,  # ITS-17, ITS-34
            "DISCARD": self._discard,  # ITS-18, ITS-36
            "INT": self._int,  # ITS-19
            "CLEAR": self._clear,  # ITS-19
            "INV": self._inv,  # ITS-20
            "INVALL": self._invall,  # ITS-20
            "SYNC": self._sync,  # ITS-21
        }
        self._handlers = {opcode: handlers[name] for name, opcode in its_commands.OPCODES.items()}

    def execute(self, words: Words) -> int:
        """Obey a command, or some of it; the steps that this took (`vgic.lpis.work`). Raises Fault."""
        # A guest may write another command over one that is unfinished.
        if not self.unfinished or words != self._under_way:
            self._under_way = words
            self._place = 0
            self._retargeted = False
        self.unfinished = False
        steps = self._work.steps
        handler = self._handlers.get(_OPCODE.extract(words))
        if handler is None:
            raise Fault(ItsError.UNKNOWN_COMMAND)
        handler(words)
        return 1 + self._work.steps - steps

    def abandon(self) -> None:
        """Another command than the last one is executed next."""
        self.unfinished = False

    # Mapping.

    def _mapd(self, words: Words) -> None:
        device_id, size, valid = _DEVICE_ID.extract(words), _SIZE.extract(words) + 1, _VALID.extract(words)
        too_many = size > self._event_bits and bool(valid or self._choices.mapd_always_checks_size)
        if too_many and device_id < self._tables.devices.count:
            raise Fault(ItsError.SIZE_OUT_OF_RANGE)
        if not valid:
            self._tables.unmap_device(device_id)
            return
        self._tables.map_device(device_id, _ITT.extract(words) << its_commands.ITT_ALIGNMENT_BITS, size)
        if self._choices.mapd_clears_events:
            self._work.steps += (self._tables.entries.event_size << size) // CHUNK

    def _mapc(self, words: Words) -> None:
        collection, rdbase = _ICID.extract(words), _RDBASE.extract(words)
        self._tables.check_collection(collection)
        if _VALID.extract(words):
            cpu = self._targets.cpu(rdbase)
            self._tables.map_collection(collection, rdbase)
            if self._kept is not None:
                self._place = self._kept.retarget(self._its, collection, cpu, self._place)
        else:
            if self._choices.mapc_always_checks_target:
                self._targets.cpu(rdbase)
            self._tables.unmap_collection(collection)
            if self._kept is not None:
                self._place = self._kept.cut_off(self._its, collection, self._place)
        self.unfinished = self._place != 0

    def _mapti(self, words: Words) -> None:
        self._map_event(words, _PINTID.extract(words))

    def _mapi(self, words: Words) -> None:
        self._map_event(words, _EVENT_ID.extract(words))

    def _map_event(self, words: Words, intid: int) -> None:
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
            return
        if self._choices.mapti_reads_tables:
            self._check_tables(intid, collection)
        self._tables.map_event(device, event_id, Event(intid, collection))
        self.keep(intid, collection)
        if self._choices.mapti_reads_tables:
            self._read_tables(intid, collection)

    def keep(self, intid: int, collection: int) -> None:
        """An event was given this LPI and collection, for an ITS that keeps LPIs (ITS-34)."""
        if self._kept is None:
            return
        self._tables.named.add(collection)
        try:
            cpu = self._targets.cpu(self._tables.rdbase(collection))
        except Fault:
            cpu = 0  # MAPC will say; until then no message arrives.
        self._kept.map(self._its, intid, collection, cpu)

    def _check_tables(self, intid: int, collection: int) -> None:
        """Raise Fault where the configuration of a new LPI, or its pending bit where it has a target, is no RAM."""
        # One GICR_PROPBASER for all, so any bank knows.
        if not self._targets.banks[0].table.holds(intid):
            raise Fault(ItsError.LPI_UNREADABLE)
        try:
            bank = self._targets.bank(self._tables.rdbase(collection))
        except Fault:
            return
        if not bank.pending_table.holds(intid):
            raise Fault(ItsError.LPI_UNREADABLE)

    def _read_tables(self, intid: int, collection: int) -> None:
        """Take the configuration and pending bit of a new LPI from the guest's tables, if it has a target."""
        try:
            bank = self._bank(intid, collection)
        except Fault:
            return
        bank.reload(intid)
        bank.take_from_table(intid)

    def _movi(self, words: Words) -> None:
        event_id, collection = _EVENT_ID.extract(words), _ICID.extract(words)
        device = self._tables.device(_DEVICE_ID.extract(words))
        event = self._tables.event(device, event_id)
        source = self._bank(event.intid, event.collection)
        target = self._targets.bank(self._tables.rdbase(collection))
        self._tables.move_event(device, event_id, collection)
        if self._kept is not None:
            self._kept.move(self._its, event.intid, collection, target.cpu)
        source.move(event.intid, target)

    def _discard(self, words: Words) -> None:
        event_id = _EVENT_ID.extract(words)
        device = self._tables.device(_DEVICE_ID.extract(words))
        event = self._tables.event(device, event_id)
        bank = self._bank(event.intid, event.collection)
        self._tables.unmap_event(device, event_id)
        if self._kept is not None:
            stays = bank.is_offered(event.intid)
            self._kept.discard(event.intid)
            if stays:
                return
        bank.clear_pending(event.intid)

    # Pending state and configuration.

    def _find(self, words: Words) -> tuple[int, LpiBank]:
        """The LPI of an event, and the LPIs of the vCPU that it goes to. Raises Fault."""
        device = self._tables.device(_DEVICE_ID.extract(words))
        event = self._tables.event(device, _EVENT_ID.extract(words))
        return event.intid, self._bank(event.intid, event.collection)

    def _bank(self, intid: int, collection: int) -> LpiBank:
        """The LPIs of the vCPU that an LPI of this collection goes to. Raises Fault."""
        return self._targets.banks[self._targets.home(intid, self._tables.rdbase(collection))]

    def _int(self, words: Words) -> None:
        intid, bank = self._find(words)
        bank.make_pending(intid)

    def _clear(self, words: Words) -> None:
        intid, bank = self._find(words)
        bank.clear_pending(intid)

    def _inv(self, words: Words) -> None:
        intid, bank = self._find(words)
        bank.reload(intid)

    def _invall(self, words: Words) -> None:
        banks = self._targets.banks
        if self._choices.invall_needs_collection:
            banks = [self._targets.bank(self._tables.rdbase(_ICID.extract(words)))]
        steps = self._work.steps
        while self._place < len(banks):
            if self._work.steps - steps >= STEPS_OF_AN_ACCESS:
                self.unfinished = True
                return
            self._work.steps += 1
            banks[self._place].reload_all()
            self._place += 1

    def _movall(self, words: Words) -> None:
        source = self._targets.bank(_RDBASE.extract(words))
        target = self._targets.bank(_RDBASE2.extract(words))
        if self._kept is not None and not self._retargeted:
            self._place = self._kept.move_all(source.cpu, target.cpu, self._place)
            self.unfinished = self._place != 0
            if self.unfinished:
                return
            self._retargeted = True
        self._place = source.move_all(target, self._place)
        self.unfinished = self._place != 0

    def _sync(self, words: Words) -> None:
        """Wait for what the Redistributor does, if there is one. Commands take effect in order."""
        try:
            bank = self._targets.bank(_RDBASE.extract(words))
        except Fault:
            return
        if bank.busy:
            bank.go_on()
            self.unfinished = bank.busy
