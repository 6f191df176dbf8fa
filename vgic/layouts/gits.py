"""An ITS's two frames, GICv3.0: its registers, and the one that messages are written to. 64 KiB each.

IHI 0069 sections 12.18 and 12.19. Not there: virtual LPIs (GICv4) and the reports of unmapped messages.
"""

from typing import Final

from mmio import AccessKind, RegisterLayout, layout, res0, ro, rw
from vgic.layouts.banks import identification, implementation, raz_wi

__all__ = ["BASERS", "CONTROL", "TRANSLATION"]

TABLE_ATTRIBUTES: Final = "cacheability or shareability of the table in memory"
QUEUE_ATTRIBUTES: Final = "cacheability or shareability of the command queue in memory"

BASERS: Final = 8
"""GITS_BASER<n> that there are at most."""

CTLR: Final[RegisterLayout] = layout(
    "GITS_CTLR",
    0x0000,
    32,
    AccessKind.RW,
    ro("Quiescent", 1, "no translation or command is in progress"),
    res0(22),
    ro("UMSIirq", 1, "unmapped messages raise an interrupt"),
    ro("ITS_Number", 4, "the ITS in VMOVP commands (GICv4)"),
    res0(2),
    ro("ImDe", 1, "implementation defined"),
    rw("Enabled", 1, "commands are read and messages translated"),
)

IIDR: Final[RegisterLayout] = implementation("GITS_IIDR", 0x0004)

TYPER: Final[RegisterLayout] = layout(
    "GITS_TYPER",
    0x0008,
    64,
    AccessKind.RO,
    res0(17),
    ro("INV", 1, "whether unmapping a collection or vPE invalidates its caches (GICv4.1)"),
    ro("UMSIirq", 1, "an interrupt on unmapped messages is supported"),
    ro("UMSI", 1, "reports of unmapped messages are supported"),
    ro("nID", 1, "individual doorbells are not supported (GICv4.1)"),
    ro("SVPET", 2, "which vPE tables are shared (GICv4.1)"),
    ro("VMAPP", 1, "the GICv4.1 form of VMAPP is supported"),
    ro("VSGI", 1, "virtual SGIs are supported (GICv4.1)"),
    ro("MPAM", 1, "MPAM is supported"),
    ro("VMOVP", 1, "one VMOVP serves every ITS (GICv4)"),
    ro("CIL", 1, "1: CIDbits says how many bits an ICID has, 0: they are 16"),
    ro("CIDbits", 4, "bits of an ICID, minus one"),
    ro("HCC", 8, "collections held by the ITS itself, without a table"),
    res0(4),
    ro("PTA", 1, "RDbase is 1: an address, 0: GICR_TYPER.Processor_Number"),
    ro("SEIS", 1, "command errors are reported by SEI"),
    ro("Devbits", 5, "bits of a DeviceID, minus one"),
    ro("ID_bits", 5, "bits of an EventID, minus one"),
    ro("ITT_entry_size", 4, "bytes of an interrupt translation entry, minus one"),
    ro("IMPDEF", 1, "implementation defined"),
    ro("CCT", 1, "collections beyond HCC need a table"),
    ro("Virtual", 1, "virtual LPIs are supported (GICv4)"),
    ro("Physical", 1, "physical LPIs are supported"),
)

CBASER: Final[RegisterLayout] = layout(
    "GITS_CBASER",
    0x0080,
    64,
    AccessKind.RW,
    rw("Valid", 1, "there is a command queue"),
    res0(1),
    rw("InnerCache", 3, QUEUE_ATTRIBUTES),
    res0(3),
    rw("OuterCache", 3, QUEUE_ATTRIBUTES),
    res0(1),
    rw("Physical_Address", 40, "bits [51:12] of the address of the queue, which is a multiple of 64 KiB"),
    rw("Shareability", 2, QUEUE_ATTRIBUTES),
    res0(2),
    rw("Size", 8, "4 KiB pages in the queue, minus one"),
)

CWRITER: Final[RegisterLayout] = layout(
    "GITS_CWRITER",
    0x0088,
    64,
    AccessKind.RW,
    res0(44),
    rw("Offset", 15, "bits [19:5] of the offset at which software writes the next command"),
    res0(4),
    rw("Retry", 1, "written as 1, a stalled queue goes on; reads as 0"),
)

# Read only; writes are legal and without effect, and one implementation takes them.
CREADR: Final[RegisterLayout] = layout(
    "GITS_CREADR",
    0x0090,
    64,
    AccessKind.RW,
    res0(44),
    ro("Offset", 15, "bits [19:5] of the offset of the command that is processed next"),
    res0(4),
    ro("Stalled", 1, "the queue waits at a command that failed"),
)

BASER: Final[RegisterLayout] = layout(
    "GITS_BASER",
    0x0100,
    64,
    AccessKind.RW,
    rw("Valid", 1, "there is a table"),
    rw("Indirect", 1, "the table is an array of level-1 descriptors, each of a page of entries"),
    rw("InnerCache", 3, TABLE_ATTRIBUTES),
    ro("Type", 3, "0: none, 1: devices, 2: vPEs, 4: collections"),
    rw("OuterCache", 3, TABLE_ATTRIBUTES),
    ro("Entry_Size", 5, "bytes of an entry, minus one"),
    rw("Physical_Address", 36, "bits [47:12] of the address; with 64 KiB pages [15:12] are bits [51:48] of it"),
    rw("Shareability", 2, TABLE_ATTRIBUTES),
    rw("Page_Size", 2, "0: 4 KiB, 1: 16 KiB, 2 and 3: 64 KiB"),
    rw("Size", 8, "pages in the table, or in its level 1, minus one"),
    first=0,
    count=BASERS,
)

CONTROL: Final[list[RegisterLayout]] = [
    CTLR,
    IIDR,
    TYPER,
    raz_wi("GITS_MPIDR", 0x0018),
    raz_wi("GITS_STATUSR", 0x0040),
    CBASER,
    CWRITER,
    CREADR,
    BASER,
    *identification("GITS"),
]
"""Every register of the control frame."""

TRANSLATER: Final[RegisterLayout] = layout(
    "GITS_TRANSLATER",
    0x0040,
    32,
    AccessKind.WO,
    rw("EventID", 32, "the event of the device that writes it"),
    # A device's message may be 16 bits wide.
    sizes=(2, 4),
)

TRANSLATION: Final[list[RegisterLayout]] = [TRANSLATER]
"""Every register of the frame that messages are written to."""
