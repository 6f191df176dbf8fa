"""The entries of the ITS tables as the model reads them: shifts and masks, walked once from their layouts."""

from typing import Final, NamedTuple

from mmio import BitLayout
from vgic.layouts.its_commands import ITT_ALIGNMENT_BITS
from vgic.layouts.its_tables import TableFormat

__all__ = ["LEVEL1_SIZE", "NO_PAGE", "Device", "Entries", "Event"]

LEVEL1_SIZE: Final = 8
"""Bytes of a level-1 descriptor."""

NO_PAGE: Final = -1
"""What `Entries.page` returns for a descriptor that is not valid."""


class Device(NamedTuple):
    """What MAPD says of a device."""

    itt: int
    """Physical address of its translation table."""
    events: int
    """EventIDs that it has, from 0 on."""


class Event(NamedTuple):
    """What MAPTI says of an event."""

    intid: int
    collection: int


class _Slot:
    """A field of an entry; one that a format does not have reads as zero."""

    def __init__(self, layout: BitLayout, name: str) -> None:
        self.shift = 0
        self.mask = 0
        for field in layout.fields:
            if field.name == name:
                self.shift = field.lsb
                self.mask = field.mask >> field.lsb

    def get(self, entry: int) -> int:
        """The field's value."""
        return entry >> self.shift & self.mask

    def put(self, value: int) -> int:
        """An entry with nothing but this field."""
        return (value & self.mask) << self.shift


class Entries:
    """Packs and unpacks the entries of one format. An entry of zero is not valid in any of them."""

    def __init__(self, layouts: TableFormat) -> None:
        device, translation, collection, level1 = (
            layouts.device,
            layouts.translation,
            layouts.collection,
            layouts.level1,
        )
        self.device_size = device.width // 8
        """Bytes of a device table entry."""
        self.event_size = translation.width // 8
        """Bytes of an interrupt translation entry."""
        self.collection_size = collection.width // 8
        """Bytes of a collection table entry."""
        self._device_valid = device.mask("V")
        self._itt = _Slot(device, "ITT_addr")
        self._size = _Slot(device, "Size")
        self._mapped = translation.encode(layouts.mapped)
        self._needed = [translation.mask(name) for name in layouts.needed]
        self._intid = _Slot(translation, "pINTID")
        self._icid = _Slot(translation, "ICID")
        self._collection_valid = collection.mask("V")
        self._rdbase = _Slot(collection, "RDbase")
        self._page_valid = level1.mask("V")
        self._page_address = level1.mask("Physical_Address")

    def pack_device(self, itt: int, id_bits: int) -> int:
        """The entry of a device with a table at `itt` and EventIDs of `id_bits` bits."""
        return self._device_valid | self._itt.put(itt >> ITT_ALIGNMENT_BITS) | self._size.put(id_bits - 1)

    def device(self, entry: int) -> Device | None:
        """The device of an entry, None where it is not valid (ITS-28)."""
        if not entry & self._device_valid:
            return None
        return Device(self._itt.get(entry) << ITT_ALIGNMENT_BITS, 2 << self._size.get(entry))

    def pack_event(self, intid: int, collection: int) -> int:
        """The entry of an event."""
        return self._mapped | self._intid.put(intid) | self._icid.put(collection)

    def moved(self, entry: int, collection: int) -> int:
        """The entry of an event with another collection, and otherwise as it is."""
        return entry & ~self._icid.put(-1) | self._icid.put(collection)

    def event(self, entry: int) -> Event | None:
        """The event of an entry, None where it is not valid (ITS-28)."""
        for mask in self._needed:
            if not entry & mask:
                return None
        return Event(self._intid.get(entry), self._icid.get(entry))

    def pack_collection(self, rdbase: int) -> int:
        """The entry of a collection with the target `rdbase`."""
        return self._collection_valid | self._rdbase.put(rdbase)

    def rdbase(self, entry: int) -> int | None:
        """The target of an entry, None where it is not valid (ITS-28)."""
        return self._rdbase.get(entry) if entry & self._collection_valid else None

    def page(self, descriptor: int) -> int:
        """Physical address of the page of entries that a level-1 descriptor names, NO_PAGE where there is none.

        Rule ITS-29.
        """
        return descriptor & self._page_address if descriptor & self._page_valid else NO_PAGE
