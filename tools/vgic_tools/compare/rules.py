"""Which rules of specs/ an operation concerns. The specs are not installed: here are their ids, tied by a test."""

import re
from collections.abc import Sequence
from typing import Final

import vgic
from vgic_tools.compare.describe import register_of
from vgic_tools.judges.protocol import (
    GIC,
    Attr,
    Line,
    Load,
    Message,
    Mrs,
    Msr,
    Operation,
    Peek,
    Poke,
    SaveRestore,
    Store,
)

__all__ = ["RULES", "rules_of"]

RULES: Final = {
    r"GICD_CTLR": ("DIST-1", "DIST-2"),
    r"GICD_TYPER": ("DIST-5", "DIST-7", "DIST-8"),
    r"GICD_(SET|CLR)SPI_.*": ("DIST-13", "DIST-14", "ACC-21"),
    r"GIC[DR]_IGROUPR.*": ("STATE-13", "CPU-1"),
    r"GIC[DR]_IGRPMODR.*": ("SEC-2", "SEC-3"),
    r"GIC[DR]_NSACR.*": ("SEC-5", "SEC-9"),
    r"GIC[DR]_I[SC]ENABLER.*": ("STATE-10", "STATE-2"),
    r"GIC[DR]_I[SC]PENDR.*": ("STATE-3", "STATE-1"),
    r"GIC[DR]_I[SC]ACTIVER.*": ("STATE-11", "STATE-2"),
    r"GIC[DR]_IPRIORITYR.*": ("DIST-18", "DIST-19", "STATE-12"),
    r"GIC[DR]_ICFGR.*": ("DIST-12", "STATE-7", "STATE-8"),
    r"GICD_IROUTER.*": ("ROUTE-1", "ROUTE-2", "ROUTE-9"),
    r"GIC[DR]_(IIDR|[PC]IDR.*)": ("ACC-15", "ACC-17"),
    r"GICR_TYPER": ("RED-2", "RED-3", "RED-17"),
    r"GICR_WAKER": ("RED-5", "RED-7"),
    r"GICR_CTLR": ("LPI-3", "RED-16"),
    r"GICR_(PROP|PEND)BASER": ("LPI-5", "LPI-8"),
    r"GITS_CTLR": ("ITS-3", "ITS-40"),
    r"GITS_(CBASER|CWRITER|CREADR)": ("ITS-7", "ITS-41"),
    r"GITS_BASER.*": ("ITS-4", "ITS-40"),
    r"GITS_TRANSLATER": ("ITS-22",),
    r"GITS_.*": ("ITS-1", "ITS-40"),
    r"ICC_IAR[01].*": ("CPU-4", "CPU-5", "STATE-5"),
    r"ICC_HPPIR[01].*": ("CPU-6", "CPU-3"),
    r"ICC_EOIR[01].*": ("CPU-9", "CPU-10", "CPU-19"),
    r"ICC_DIR.*": ("CPU-11",),
    r"ICC_RPR.*": ("CPU-7", "PRIO-8"),
    r"ICC_PMR.*": ("PRIO-1",),
    r"ICC_BPR0.*": ("PRIO-3", "PRIO-5", "PRIO-7"),
    r"ICC_BPR1.*": ("PRIO-4", "PRIO-5", "PRIO-6"),
    r"ICC_AP[01]R.*": ("CPU-8",),
    r"ICC_(CTLR|IGRPEN1)_EL3": ("PE-9",),
    r"ICC_CTLR.*": ("CPU-13", "CPU-12"),
    r"ICC_SRE.*": ("CPU-17",),
    r"ICC_IGRPEN[01].*": ("CPU-18", "CPU-3"),
    r"ICC_A?SGI[01]R.*": ("SGI-1", "SGI-3", "SGI-6"),
    r"ICH_LR.*": ("VCPU-5", "VCPU-12"),
    r"ICH_VMCR.*": ("VCPU-6",),
    r"ICH_.*": ("VCPU-14", "VCPU-18"),
    r"GIC.*": ("ACC-5",),
    "a line": ("STATE-4", "STATE-1"),
    "no register": ("ACC-5",),
    "no system register": ("CPU-21",),
    "a message": ("ITS-22", "LPI-16"),
    "RAM": ("LPI-24", "ITS-42"),
    "saved": ("SAVE-1",),
    "attribute": ("KVM-1",),
    "ITS attribute": ("ITS-31",),
}
"""By a pattern of the names of registers, or by what else there is; the first one that fits counts."""


def rules_of(operation: Operation, gic: vgic.Gic | None) -> Sequence[str]:
    """The ids of the rules that an operation concerns, the nearest first."""
    name = _name(operation, gic)
    return next((ids for pattern, ids in RULES.items() if re.fullmatch(pattern, name)), RULES["no register"])


def _name(operation: Operation, gic: vgic.Gic | None) -> str:
    match operation:
        case Load() | Store() | Mrs() | Msr():
            found = None if gic is None else register_of(operation, gic)
            if found is not None:
                return found.layout.name
            return "no system register" if isinstance(operation, Mrs | Msr) else "no register"
        case Line():
            return "a line"
        case Message():
            return "a message"
        case Poke() | Peek():
            return "RAM"
        case Attr(_, device, _, _, _):
            return "attribute" if device == GIC else "ITS attribute"
        case SaveRestore():
            return "saved"
