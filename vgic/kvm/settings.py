"""The register writes that carry a VM's interrupts over: which registers, in which order, read from where.

The order is KVM's: GICD_IIDR is not among them because it comes before all; GICD_CTLR comes before what is pending,
because KVM does not queue an SPI that becomes pending while the Distributor is disabled, and does not look for one
when userspace enables it; PROPBASER and PENDBASER come before GICR_CTLR, which may enable LPIs; a set that writing
1 adds to is emptied first.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

from mmio import FRAME_SIZE, AccessKind, RegisterLayout
from vgic.gic import Gic
from vgic.interrupts.words import ALL_BITS
from vgic.kvm.uapi import SYSREGS, Group, level_attr
from vgic.layouts import gicd, gicr, icc
from vgic.layouts.intids import intids_in

__all__ = ["SYSREG_ORDER", "Getter", "Setting", "settings", "sysregs_of"]

Getter: TypeAlias = Callable[[Group, int, int], int]
"""Reads a register: its group, vCPU, and offset or encoding."""


class Setting(NamedTuple):
    """A register and its value."""

    group: Group
    cpu: int
    """The vCPU whose register it is; 0 for the Distributor's."""
    offset: int
    """The low half of the attribute."""
    value: int


_BANK: Final = ("IGROUPR", "ICFGR", "IPRIORITYR", "ISENABLER", "ISPENDR", "ISACTIVER")
_DISTRIBUTOR: Final = ("GICD_CTLR", "GICD_IROUTER", *(f"GICD_{name}" for name in _BANK))
_TABLES: Final = ("GICR_PROPBASER", "GICR_PENDBASER")
_SGI_BASE: Final = tuple(f"GICR_{name}" for name in (*_BANK, "ICFGR1"))


def settings(get: Getter, cpus: int, spis: int, lpis: bool, sysregs: Iterable[int]) -> Iterator[Setting]:
    """The registers of a VM, in the order in which to write them.

    `lpis`: with those of LPIs; `sysregs` are the encodings of the system registers that it has. Rule KVM-36.
    """
    rd_base = ("GICR_WAKER", *(_TABLES if lpis else ()))
    intids = 32 + spis
    yield from _registers(get, Group.DIST_REGS, 0, 0, _pick(gicd.GICD, _DISTRIBUTOR), intids)
    for cpu in range(cpus):
        redist = Group.REDIST_REGS
        yield from _registers(get, redist, cpu, 0, _pick(gicr.RD_BASE, rd_base), intids)
        yield from _registers(get, redist, cpu, FRAME_SIZE, _pick(gicr.SGI_BASE, _SGI_BASE), intids)
        yield from _registers(get, redist, cpu, 0, _pick(gicr.RD_BASE, ("GICR_CTLR",)), intids)
    for intid in range(32, intids, 32):
        yield _setting(get, Group.LEVEL_INFO, 0, level_attr(0, intid))
    for cpu in range(cpus):
        yield _setting(get, Group.LEVEL_INFO, cpu, level_attr(0, 0))
    for cpu in range(cpus):
        for encoding in sysregs:
            yield _setting(get, Group.CPU_SYSREGS, cpu, encoding)


def _setting(get: Getter, group: Group, cpu: int, offset: int) -> Setting:
    return Setting(group, cpu, offset, get(group, cpu, offset))


def _pick(
    layouts: list[RegisterLayout], names: tuple[str, ...]
) -> list[tuple[RegisterLayout, RegisterLayout | None]]:
    """Registers in the order of `names`, each with the one that empties it, if any."""
    live = {layout.name: layout for layout in layouts if layout.access is not AccessKind.RAZ_WI}
    chosen = (live[name] for name in names if name in live)
    return [
        (layout, live[layout.name.replace("_IS", "_IC")] if layout.access is AccessKind.W1S else None)
        for layout in chosen
    ]


def _registers(
    get: Getter,
    group: Group,
    cpu: int,
    frame: int,
    layouts: list[tuple[RegisterLayout, RegisterLayout | None]],
    intids: int,
) -> Iterator[Setting]:
    for layout, clearing in layouts:
        for element in range(layout.count):
            if next(intids_in(layout, element, (1 << layout.width) - 1), 0) >= intids:
                break
            # ICPENDR does nothing here, and ISPENDR needs nothing.
            if clearing is not None and not clearing.name.endswith("_ICPENDR"):
                yield Setting(group, cpu, frame + clearing.offset + element * clearing.stride, ALL_BITS)
            for half in range(0, layout.width // 8, 4):
                yield _setting(get, group, cpu, frame + layout.offset + element * layout.stride + half)


def sysregs_of(gic: Gic) -> tuple[int, ...]:
    """The encodings of the system registers that a vCPU of this VM has, in the order in which to write them.

    Rule KVM-29.
    """
    return tuple(register for register in SYSREG_ORDER if gic.sysreg_defined(register, write=True))


# ICC_SRE_EL1 and ICC_CTLR_EL1 first: they are what a host may refuse.
_FIRST: Final = (icc.ICC_SRE_EL1, icc.ICC_CTLR_EL1)
SYSREG_ORDER: Final = (*_FIRST, *sorted(SYSREGS.keys() - set(_FIRST)))
"""The encodings of the system registers that userspace can access, in the order in which to write them."""
