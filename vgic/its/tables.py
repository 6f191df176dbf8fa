"""The ITS tables: from a DeviceID, EventID or ICID to an entry in guest RAM, and back.

The tables are the guest's and may say anything. A look-up reads at most a level-1 descriptor and an entry; what
cannot be found or read ends it with a `Fault`.
"""

from typing import Final, NamedTuple

from vgic.its.choices import COLLECTIONS, DEVICES, VPES, ItsChoices
from vgic.its.entries import LEVEL1_SIZE, NO_PAGE, Device, Entries, Event
from vgic.its.errors import Fault, ItsError
from vgic.its.named import NamedCollections
from vgic.layouts import gits
from vgic.memory import UNREADABLE, GuestMemory, read_word, write_word

__all__ = ["CHUNK", "ICID_BITS", "Kind", "Table", "Tables"]

_VALID: Final[int] = gits.BASER.mask("Valid")
_INDIRECT: Final[int] = gits.BASER.mask("Indirect")
_ADDRESS: Final[int] = gits.BASER.mask("Physical_Address")
_PAGE_SIZE: Final = gits.BASER.field("Page_Size")
_PAGES: Final = gits.BASER.field("Size")

_PAGE_SIZES: Final = (0x1000, 0x4000, 0x1_0000, 0x1_0000)
_LARGE_PAGE: Final = 0x1_0000

ICID_BITS: Final = 16
"""Bits of an ICID."""

_VPE_SIZE: Final = 8
"""Bytes of an entry of the vPE table."""

CHUNK: Final = 4096
"""Bytes that are written at once."""


class Kind(NamedTuple):
    """What the tables of one kind have in common."""

    entry_size: int
    """Bytes."""
    id_bits: int
    beyond: ItsError
    """What is wrong with an id that the table has no room for."""
    unreadable: ItsError
    """What is wrong with a table that is not in RAM."""


class Table:
    """A table that a GITS_BASER<n> describes."""

    def __init__(self, kind: Kind, register: int) -> None:
        page_size = _PAGE_SIZES[_PAGE_SIZE.extract(register)]
        pages = _PAGES.extract(register) + 1
        self.kind = kind
        self.indirect = register & _INDIRECT != 0
        self.entries_of_page = page_size // kind.entry_size
        self.base = register & _ADDRESS
        if page_size == _LARGE_PAGE:
            # Bits [15:12] of the register, which such an address does not need, are bits [51:48] of the address.
            self.base = self.base & ~0xF000 | (register & 0xF000) << 36
        """Physical address of the table, or of its level 1."""
        entries = pages * page_size // kind.entry_size
        if self.indirect:
            entries = pages * page_size // LEVEL1_SIZE * self.entries_of_page
        self.count = min(entries, 1 << kind.id_bits) if register & _VALID else 0
        """Entries that there are, the first being 0."""


class Tables:
    """The tables of one ITS."""

    def __init__(self, memory: GuestMemory, choices: ItsChoices, device_bits: int) -> None:
        self._memory = memory
        self._choices = choices
        self.entries = Entries(choices.entries)
        self.kinds = {
            DEVICES: Kind(self.entries.device_size, device_bits, ItsError.DEVICE_OUT_OF_RANGE, ItsError.UNREADABLE),
            COLLECTIONS: Kind(
                self.entries.collection_size,
                ICID_BITS,
                ItsError.COLLECTION_OUT_OF_RANGE,
                ItsError.COLLECTION_UNREADABLE,
            ),
            # No command reads or writes this one.
            VPES: Kind(_VPE_SIZE, ICID_BITS, ItsError.UNKNOWN_COMMAND, ItsError.UNREADABLE),
        }
        """By GITS_BASER<n>.Type."""
        self.devices = Table(self.kinds[DEVICES], 0)
        self.collections = Table(self.kinds[COLLECTIONS], 0)
        self.kept: dict[int, int] = {}
        """The targets of collections by ICID, where the ITS keeps them itself."""
        self.named = NamedCollections()
        """The collections that commands have named, where the ITS keeps them itself."""

    def describe(self, kind: int, register: int) -> None:
        """GITS_BASER<n> of the table of this kind has been written (ITS-4, ITS-29)."""
        if kind == VPES:
            return
        table = Table(self.kinds[kind], register)
        if kind == DEVICES:
            self.devices = table
        else:
            self.collections = table
            if not table.count:
                self.kept.clear()
                self.named.clear()

    # Look-ups. Each raises Fault where it finds nothing.

    def device(self, device_id: int) -> Device:
        """What is known of a device."""
        device = self.entries.device(self._read(self.devices, device_id))
        if device is None:
            raise Fault(ItsError.DEVICE_UNMAPPED)
        return device

    def event(self, device: Device, event_id: int) -> Event:
        """What is known of an event of a device."""
        event = self.entries.event(self._event_entry(device, event_id))
        if event is None:
            raise Fault(ItsError.EVENT_UNMAPPED)
        return event

    def check_event(self, device: Device, event_id: int) -> None:
        """Raise Fault where the device has no such EventID (ITS-13)."""
        if event_id >= device.events:
            raise Fault(ItsError.EVENT_OUT_OF_RANGE)

    def has_event(self, device: Device, event_id: int) -> bool:
        """True where the event is mapped."""
        return self.entries.event(self._event_entry(device, event_id)) is not None

    def rdbase(self, collection: int) -> int:
        """The target of a collection, as MAPC has it (ITS-14, ITS-32)."""
        if self._choices.keeps_collections:
            rdbase = self.kept.get(collection)
        else:
            rdbase = self.entries.rdbase(self._read(self.collections, collection))
        if rdbase is None:
            raise Fault(ItsError.COLLECTION_UNMAPPED)
        return rdbase

    def check_collection(self, collection: int) -> None:
        """Raise Fault where the collection table has no room for the ICID, or is not in RAM for one to be kept."""
        table = self.collections
        if collection >= table.count:
            raise Fault(ItsError.COLLECTION_OUT_OF_RANGE)
        size = table.kind.entry_size
        if self._choices.keeps_collections and not self._memory.is_ram(table.base + collection * size, size):
            raise Fault(ItsError.COLLECTION_UNREADABLE)

    # Changes. Each raises Fault where it cannot be made.

    def map_device(self, device_id: int, itt: int, id_bits: int) -> None:
        """Give a device a translation table for EventIDs of `id_bits` bits (ITS-13)."""
        self._write(self.devices, device_id, self.entries.pack_device(itt, id_bits))
        if self._choices.mapd_clears_events:
            self._clear(itt, self.entries.event_size << id_bits)

    def unmap_device(self, device_id: int) -> None:
        """Forget a device (ITS-13)."""
        self._write(self.devices, device_id, 0)

    def map_event(self, device: Device, event_id: int, event: Event) -> None:
        """Give an event of a device its LPI and collection (ITS-15)."""
        self._write_event(device, event_id, self.entries.pack_event(event.intid, event.collection))

    def move_event(self, device: Device, event_id: int, collection: int) -> None:
        """Give an event of a device another collection; the rest of its entry stays as it is (ITS-16)."""
        self._write_event(device, event_id, self.entries.moved(self._event_entry(device, event_id), collection))

    def unmap_event(self, device: Device, event_id: int) -> None:
        """Forget an event of a device (ITS-18)."""
        self._write_event(device, event_id, 0)

    def map_collection(self, collection: int, rdbase: int) -> None:
        """Give a collection its target (ITS-14)."""
        self.check_collection(collection)
        if self._choices.keeps_collections:
            self.kept[collection] = rdbase
            self.named.add(collection)
        else:
            self._write(self.collections, collection, self.entries.pack_collection(rdbase))

    def unmap_collection(self, collection: int) -> None:
        """Forget a collection (ITS-14)."""
        self.check_collection(collection)
        if self._choices.keeps_collections:
            self.kept.pop(collection, None)
            self.named.discard(collection)
        else:
            self._write(self.collections, collection, 0)

    # How.

    def _write_event(self, device: Device, event_id: int, entry: int) -> None:
        if not write_word(self._memory, self._place(device, event_id), self.entries.event_size, entry):
            raise Fault(ItsError.UNREADABLE)

    def _clear(self, address: int, size: int) -> None:
        end = address + size
        while address < end:
            part = min(end - address, CHUNK)
            if self._memory.is_ram(address, part):
                self._memory.write(address, bytes(part))
            address += part

    def _place(self, device: Device, event_id: int) -> int:
        self.check_event(device, event_id)
        return device.itt + event_id * self.entries.event_size

    def _event_entry(self, device: Device, event_id: int) -> int:
        return self._word(self._place(device, event_id), self.entries.event_size, ItsError.UNREADABLE)

    def _read(self, table: Table, number: int) -> int:
        address = self._address(table, number)
        return 0 if address == NO_PAGE else self._word(address, table.kind.entry_size, table.kind.unreadable)

    def _write(self, table: Table, number: int, entry: int) -> None:
        address = self._address(table, number)
        if address != NO_PAGE and not write_word(self._memory, address, table.kind.entry_size, entry):
            raise Fault(table.kind.unreadable)

    def _address(self, table: Table, number: int) -> int:
        """Where an entry is; NO_PAGE where its page is missing and that is no error (ITS-29)."""
        if number >= table.count:
            raise Fault(table.kind.beyond)
        if not table.indirect:
            return table.base + number * table.kind.entry_size
        page, slot = divmod(number, table.entries_of_page)
        descriptor = self._word(table.base + page * LEVEL1_SIZE, LEVEL1_SIZE, table.kind.unreadable)
        start = self.entries.page(descriptor)
        if start == NO_PAGE:
            if not self._choices.missing_page_is_empty:
                raise Fault(table.kind.beyond)
            return NO_PAGE
        return start + slot * table.kind.entry_size

    def _word(self, address: int, size: int, unreadable: ItsError) -> int:
        word = read_word(self._memory, address, size)
        if word == UNREADABLE:
            raise Fault(unreadable)
        return word
