"""Register offsets as the manuals give them, independent of the model's own layouts.

Arrays start at register 0, wherever the implemented part of them starts.
"""


class GICD:
    CTLR = 0x0000
    TYPER = 0x0004
    IIDR = 0x0008
    TYPER2 = 0x000C
    STATUSR = 0x0010
    SETSPI_NSR = 0x0040
    CLRSPI_NSR = 0x0048
    SETSPI_SR = 0x0050
    CLRSPI_SR = 0x0058
    ITARGETSR = 0x0800
    SGIR = 0x0F00
    CPENDSGIR = 0x0F10
    SPENDSGIR = 0x0F20
    IROUTER = 0x6000
    """Eight bytes for each INTID, counted from INTID 0."""


class GICR:
    """Offsets from RD_base."""

    CTLR = 0x0000
    IIDR = 0x0004
    TYPER = 0x0008
    STATUSR = 0x0010
    WAKER = 0x0014
    SETLPIR = 0x0040
    CLRLPIR = 0x0048
    PROPBASER = 0x0070
    PENDBASER = 0x0078
    INVLPIR = 0x00A0
    INVALLR = 0x00B0
    SYNCR = 0x00C0
    SGI_BASE = 0x1_0000
    """Offset of the second frame."""


class BANK:
    """Registers that the Distributor (INTIDs 32 and up) and SGI_base (INTIDs 0 to 31) have at the same offsets."""

    IGROUPR = 0x0080
    ISENABLER = 0x0100
    ICENABLER = 0x0180
    ISPENDR = 0x0200
    ICPENDR = 0x0280
    ISACTIVER = 0x0300
    ICACTIVER = 0x0380
    IPRIORITYR = 0x0400
    ICFGR = 0x0C00
    IGRPMODR = 0x0D00
    NSACR = 0x0E00
    INMIR = 0x0F80


EXTENDED = {
    BANK.IGROUPR: 0x1000,
    BANK.ISENABLER: 0x1200,
    BANK.ICENABLER: 0x1400,
    BANK.ISPENDR: 0x1600,
    BANK.ICPENDR: 0x1800,
    BANK.ISACTIVER: 0x1A00,
    BANK.ICACTIVER: 0x1C00,
    BANK.IPRIORITYR: 0x2000,
    BANK.ICFGR: 0x3000,
    BANK.IGRPMODR: 0x3400,
    BANK.NSACR: 0x3600,
    BANK.INMIR: 0x3B00,
    GICD.IROUTER: 0x8000,
}
"""Where the Distributor has the arrays of extended SPIs, whose first register is that of INTID 4096.

Those of extended PPIs are in SGI_base, where the arrays of INTIDs 0 to 31 go on as if 1024 were 0.
"""


class ID:
    """Identification registers, at the end of every frame."""

    PIDR4 = 0xFFD0
    PIDR0 = 0xFFE0
    PIDR1 = 0xFFE4
    PIDR2 = 0xFFE8
    CIDR0 = 0xFFF0
