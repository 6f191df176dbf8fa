"""The entries of an ITS's tables in memory, little-endian, in three formats.

The architecture leaves the entries to the implementation; software knows only their sizes.

| format | whose |
|---|---|
| arch | this project's: fields lie where the commands that make the entry have them, as far as they fit |
| kvm | Linux KVM: revision 0 of the format in which it saves tables (documented in arm-vgic-its.rst) |
| qemu | QEMU 7.2, as measured |
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from mmio import BitLayout, record, res0, rw

__all__ = ["ARCH", "FORMATS", "KVM", "QEMU", "TableFormat"]

_VALID: Final = rw("V", 1, "the entry maps something")
_ITT: Final = rw("ITT_addr", 44, "bits [51:8] of the address of the translation table")
_SIZE: Final = rw("Size", 5, "EventID bits of the device, minus one")
_ICID: Final = rw("ICID", 16, "the collection")


class TableFormat(NamedTuple):
    """How the entries of one implementation look."""

    name: str
    device: BitLayout
    """An entry of the device table."""
    translation: BitLayout
    """An entry of an interrupt translation table (ITT)."""
    collection: BitLayout
    """An entry of the collection table."""
    level1: BitLayout
    """A descriptor of a page of a two-level table."""
    mapped: Mapping[str, int]
    """Fields that every translation entry of a physical LPI has beside its INTID and collection."""
    needed: tuple[str, ...]
    """The fields of a translation entry none of which is zero where it maps an LPI."""


ARCH: Final[TableFormat] = TableFormat(
    name="arch",
    device=record("DTE", 64, _VALID, res0(11), _ITT, res0(3), _SIZE),
    translation=record("ITE", 64, _VALID, res0(15), _ICID, rw("pINTID", 32, "the LPI")),
    collection=record("CTE", 64, _VALID, res0(11), rw("RDbase", 36, "the Redistributor, as in MAPC"), res0(16)),
    level1=record(
        "L1", 64, _VALID, res0(11), rw("Physical_Address", 40, "bits [51:12] of the page of entries"), res0(12)
    ),
    mapped={"V": 1},
    needed=("V",),
)

KVM: Final[TableFormat] = TableFormat(
    name="kvm",
    device=record(
        "DTE",
        64,
        _VALID,
        rw("Next", 14, "how far on the next device's entry is, 0: this is the last"),
        _ITT,
        _SIZE,
    ),
    translation=record(
        "ITE",
        64,
        rw("Next", 16, "how far on the next event's entry is, 0: this is the last"),
        rw("pINTID", 32, "the LPI, 0: none"),
        _ICID,
    ),
    # Not indexed by ICID: a list, ended by an entry that is not valid if there is room for one.
    collection=record("CTE", 64, _VALID, res0(11), rw("RDbase", 36, "the number of the vCPU"), _ICID),
    level1=record(
        "L1", 64, _VALID, res0(11), rw("Physical_Address", 36, "bits [51:16] of the page of entries"), res0(16)
    ),
    mapped={},
    needed=("pINTID",),
)

QEMU: Final[TableFormat] = TableFormat(
    name="qemu",
    device=record("DTE", 64, res0(14), _ITT, _SIZE, _VALID),
    translation=record(
        "ITE",
        96,
        res0(8),
        rw("Doorbell", 24, "the doorbell of a virtual LPI, 1023: none"),
        rw("vPEID", 16, "the vPE of a virtual LPI"),
        _ICID,
        res0(6),
        rw("pINTID", 24, "the LPI"),
        rw("INTTYPE", 1, "1: physical, 0: virtual"),
        _VALID,
    ),
    collection=record("CTE", 64, res0(47), rw("RDbase", 16, "the number of the vCPU"), _VALID),
    level1=record(
        "L1", 64, _VALID, res0(12), rw("Physical_Address", 51, "the address of the page of entries, as it is")
    ),
    mapped={"INTTYPE": 1, "V": 1, "Doorbell": 1023},
    needed=("V", "INTTYPE"),
)

FORMATS: Final[Mapping[str, TableFormat]] = {formats.name: formats for formats in (ARCH, KVM, QEMU)}
"""Every format by name."""
