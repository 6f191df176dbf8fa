"""What an ITS leaves to the implementation: part of a `Profile`, plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from vgic.its.errors import EVERY_ERROR, ItsError
from vgic.layouts import gits
from vgic.layouts.its_tables import ARCH, TableFormat

__all__ = ["COLLECTIONS", "DEVICES", "PAGES_OF_64K", "STALLING", "VPES", "ItsChoices", "TableRegister"]

DEVICES: Final = 1
"""GITS_BASER<n>.Type of the device table."""

VPES: Final = 2
"""GITS_BASER<n>.Type of the vPE table of a GICv4."""

COLLECTIONS: Final = 4
"""GITS_BASER<n>.Type of the collection table."""

PAGES_OF_64K: Final = gits.BASER.encode({"Page_Size": 2})


@dataclass(frozen=True)
class TableRegister:
    """A GITS_BASER<n> that an ITS has."""

    type: int
    """DEVICES, VPES or COLLECTIONS."""
    writable: int = gits.BASER.writable
    """The bits that a guest can write."""
    constant: int = 0
    """Bits beside these that always read as one."""
    reset: int = 0
    """The writable bits at reset."""


@dataclass(frozen=True)
class ItsChoices:
    """The choices of one implementation; the defaults are those of the profile `arch`."""

    typer: Mapping[str, int] = field(default_factory=lambda: {"Physical": 1, "ID_bits": 15, "Devbits": 15})
    """Fields of GITS_TYPER other than ITT_entry_size, which is as `entries` has it."""
    tables: tuple[TableRegister, ...] = (
        TableRegister(DEVICES, reset=PAGES_OF_64K),
        TableRegister(COLLECTIONS, reset=PAGES_OF_64K),
    )
    """GITS_BASER0, 1, ...; those beyond are RES0."""
    entries: TableFormat = ARCH
    """How the tables' entries look."""
    keeps_collections: bool = False
    """Collections are kept in the ITS, and their table is written when it is saved only."""
    keeps_lpis: bool = False
    """Each LPI has a vCPU of its own beside its collection's: MOVALL changes it, DISCARD leaves it pending."""
    stalls_on: frozenset[ItsError] = frozenset()
    """The command errors at which the queue stalls; at others the command is skipped."""
    skips: frozenset[tuple[str, ItsError]] = frozenset()
    """Commands that are skipped at an error at which others stall."""
    any_write_retries: bool = False
    """Any write of GITS_CWRITER, or of 1 to Enabled, restarts a stalled queue, and Stalled stays 1."""
    queue_alignment: int = 0x1_0000
    """Bytes; lower bits of the address in GITS_CBASER are taken as zero."""
    queue_reset_clears_writer: bool = False
    """A write of GITS_CBASER zeroes GITS_CWRITER as well as GITS_CREADR."""
    refuses_offset_beyond_queue: bool = False
    """A write of GITS_CWRITER beyond the queue is ignored; otherwise the queue is dead until one within it."""
    enable_needs_tables: bool = False
    """GITS_CTLR.Enabled cannot be set while GITS_CBASER or a GITS_BASER<n> is not Valid."""
    quiescent: Literal["disabled", "idle", "always"] = "disabled"
    """When GITS_CTLR.Quiescent is 1: while the ITS is disabled, while no command waits, or ever."""
    missing_page_is_empty: bool = False
    """Where a level-1 descriptor is not valid, entries read as not mapped and writes vanish; else an error."""
    mapd_clears_events: bool = False
    """Mapping a device zeroes its translation table."""
    mapti_keeps_mapping: bool = False
    """Mapping an event that is mapped does nothing."""
    mapti_checks_properties: bool = False
    """MAPTI and MAPI check the pINTID against GICR_PROPBASER too, and not at delivery only."""
    mapti_reads_tables: bool = False
    """Mapping an event reads the configuration of its LPI, and makes it pending as the pending table says."""
    mapd_always_checks_size: bool = False
    """Size of MAPD must be in range even where V is 0."""
    counts_vcpus: bool = False
    """RDbase of a collection counts vCPUs in their order, instead of naming one by its Processor_Number."""
    mapc_always_checks_target: bool = False
    """RDbase of MAPC must name a Redistributor even where V is 0."""
    invall_needs_collection: bool = True
    """INVALL of a collection that is not mapped is an error, and affects its target only; else it affects all."""
    translater_device: int | None = None
    """The DeviceID of a vCPU's store to GITS_TRANSLATER; None: it is ignored."""

    def with_vpes(self) -> "ItsChoices":
        """The choices of an ITS of a GICv4: it has a vPE table, and one VMOVP serves every ITS (VLPI-3)."""
        return replace(
            self,
            typer={**self.typer, "Virtual": 1, "VMOVP": 1},
            tables=(*self.tables, TableRegister(VPES, reset=PAGES_OF_64K)),
        )

    def numbers(self, processors: Sequence[int]) -> Sequence[int]:
        """What RDbase names the vCPUs by, whose GICR_TYPER.Processor_Numbers are these."""
        return range(len(processors)) if self.counts_vcpus else processors


STALLING: Final = ItsChoices(stalls_on=EVERY_ERROR)
"""The architecture's other reaction to a command error: the queue stalls, whatever it is."""
