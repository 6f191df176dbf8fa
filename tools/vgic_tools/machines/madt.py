"""Machines from an ACPI MADT: the table APIC, as /sys/firmware/acpi/tables/APIC or acpidump has it.

ACPI 6.5, 5.2.12. The table names every vCPU with its MPIDR, the distributor, the redistributors and the ITSes; the
number of SPIs is not in it. Its checksum is not looked at: in the memory of a VM it is filled in by the firmware.
"""

import struct
from collections.abc import Iterator
from typing import Final

import vgic
from vgic import affinity
from vgic.config import DEFAULT_SPIS, GICV4_REDISTRIBUTOR_SIZE, REDISTRIBUTOR_SIZE
from vgic_tools.machines.errors import MachineFileError
from vgic_tools.machines.frames import regions_of_frames, regions_of_stride

__all__ = ["SIGNATURE", "config_from_madt"]

SIGNATURE: Final = b"APIC"

_LENGTH: Final = struct.Struct("<I")
_LENGTH_AT: Final = 4
_OEM: Final = slice(10, 16)
_QEMU_OEM: Final = b"BOCHS "
_HEADER: Final = 44
"""Bytes before the first entry."""
_LARGEST: Final = 1 << 23
"""Bytes of a table: as many as the most vCPUs take, and more."""

_GICC: Final = 0x0B
_GICD: Final = 0x0C
_GICR: Final = 0x0E
_ITS: Final = 0x0F

_GICC_FIELDS: Final = struct.Struct("<12xI44xQQ")
"""Flags, the address of the redistributor, and the MPIDR; ACPI 5.0 has neither of the last two."""
_GICD_FIELDS: Final = struct.Struct("<8xQ4xB")
_GICR_FIELDS: Final = struct.Struct("<4xQI")
_ITS_FIELDS: Final = struct.Struct("<8xQ")

_IS_THERE: Final = 0b1001
"""Enabled, or can be brought online."""

_GICV3: Final = 3
_GICV4: Final = 4
_VERSIONS: Final = {0: "of an unknown version", _GICV3: "a GICv3", _GICV4: "a GICv4"}


def config_from_madt(table: bytes, profile: vgic.Profile, qemu_spis: int) -> vgic.Config:
    """The GIC of an ACPI MADT, of which QEMU's own has the profile of QEMU and `qemu_spis` SPIs.

    Raises MachineFileError where the table is damaged, or describes no GICv3.
    """
    entries = list(_entries(table))
    cpus = [
        (frame, mpidr)
        for flags, frame, mpidr in (_fields(_GICC_FIELDS, "GICC", item) for item in _of(entries, _GICC))
        if flags & _IS_THERE
    ]
    if not cpus:
        raise MachineFileError("the MADT names no CPU that is there with a GIC's CPU interface (GICC)")
    distributors = [_fields(_GICD_FIELDS, "GICD", item) for item in _of(entries, _GICD)]
    if len(distributors) != 1:
        raise MachineFileError(f"the MADT names {len(distributors)} distributors (GICD), not one")
    gicd_base, version = distributors[0]
    if version not in _VERSIONS:
        raise MachineFileError(f"the MADT's distributor is of a GICv{version}: the model is a GICv3")
    by_qemu = table[_OEM] == _QEMU_OEM
    # Others' Redistributors are where they are, without the frames of a GICv4.
    vlpi_frames = by_qemu and version == _GICV4
    windows = [_fields(_GICR_FIELDS, "GICR", item) for item in _of(entries, _GICR)]
    if windows:
        stride = GICV4_REDISTRIBUTOR_SIZE if version == _GICV4 else REDISTRIBUTOR_SIZE
        if vlpi_frames:
            regions = tuple(vgic.RedistributorRegion(base, size // stride) for base, size in windows)
        else:
            regions = tuple(
                region for base, size in windows for region in regions_of_stride(base, size, stride, len(cpus))
            )
    elif all(frame for frame, _ in cpus):
        regions = regions_of_frames(frame for frame, _ in cpus)
    else:
        raise MachineFileError("the MADT has no address of the redistributors, neither a GICR nor one in each GICC")
    return vgic.Config(
        topology=vgic.Topology(affinity.from_mpidr(mpidr) for _, mpidr in cpus),
        spis=qemu_spis if by_qemu else DEFAULT_SPIS,
        profile=vgic.QEMU if by_qemu else profile,
        gicd_base=gicd_base,
        redistributor_regions=regions,
        vlpi_frames=vlpi_frames,
        its=tuple(base for item in _of(entries, _ITS) for (base,) in [_fields(_ITS_FIELDS, "ITS", item)]),
    )


def _entries(table: bytes) -> Iterator[tuple[int, bytes]]:
    """The type and the bytes of each entry."""
    if len(table) < _HEADER:
        raise MachineFileError(f"the MADT ends early: {len(table)} bytes are less than its header")
    (length,) = _LENGTH.unpack_from(table, _LENGTH_AT)
    if not _HEADER <= length <= len(table):
        raise MachineFileError(f"the MADT says that it has {length:,} bytes; there are {len(table):,}")
    if length > _LARGEST:
        raise MachineFileError(f"the MADT has {length:,} bytes, more than {_LARGEST:,}")
    at = _HEADER
    while at < length:
        entry = table[at : min(at + table[at + 1], length)] if at + 1 < length else b""
        if len(entry) < 2 or len(entry) != entry[1]:
            raise MachineFileError(f"the MADT's entry at byte {at:#x} has a length that cannot be")
        yield entry[0], entry
        at += len(entry)


def _of(entries: list[tuple[int, bytes]], kind: int) -> Iterator[bytes]:
    return (entry for found, entry in entries if found == kind)


def _fields(layout: struct.Struct, name: str, entry: bytes) -> tuple[int, ...]:
    if len(entry) < layout.size:
        raise MachineFileError(f"an entry {name} of the MADT has {len(entry)} bytes, less than {layout.size}")
    return layout.unpack_from(entry)
