"""Where the random guest of an ITS has its memory and tables, and where an ITS has its registers."""

from typing import Final

from vgic_tools.compare.accesses import ITS, Access

RAM: Final = 0x4000_0000
RAM_SIZE: Final = 0x100_0000

NOWHERE: Final = RAM + RAM_SIZE + 0x10_0000
"""An address behind which there is nothing."""

K64: Final = 0x1_0000
TABLES: Final = RAM + 0x20_0000
DEVICES: Final = TABLES
DEVICE_PAGES: Final = TABLES + 2 * K64
"""Second levels of the device table."""
COLLECTIONS: Final = TABLES + 4 * K64
COLLECTION_PAGES: Final = TABLES + 5 * K64
QUEUE: Final = TABLES + 6 * K64
ITTS: Final = TABLES + 7 * K64
CONFIGURATION: Final = TABLES + 8 * K64
PENDING: Final = TABLES + 9 * K64
LAST_PAGE: Final = RAM + RAM_SIZE - 0x1000

GITS_CTLR: Final = 0x0000
GITS_CBASER: Final = 0x0080
GITS_CWRITER: Final = 0x0088
GITS_CREADR: Final = 0x0090
GITS_BASER: Final = 0x0100
GITS_TRANSLATER: Final = 0x1_0040
GICR_PROPBASER: Final = 0x0070
GICR_PENDBASER: Final = 0x0078


def every_its_register() -> list[Access]:
    """A read of every register of an ITS that QEMU has, and of some that it has not."""
    reads = [Access(ITS, offset, 4) for offset in (0x00, 0x04, 0x18, 0x40, *range(0xFFD0, 0x1_0000, 4))]
    reads += [Access(ITS, offset, 8) for offset in (0x08, 0x48, 0x80, 0x88, 0x90, *range(0x100, 0x140, 8))]
    return [*reads, Access(ITS, GITS_TRANSLATER, 4)]


def stretches(cpus: int) -> list[tuple[int, int]]:
    """Address and length of the memory that may have been written."""
    return [(TABLES, 9 * K64 + cpus * K64), (LAST_PAGE, 0x1000)]
