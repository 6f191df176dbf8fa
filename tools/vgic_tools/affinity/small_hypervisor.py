"""A small hypervisor: it gives a guest its interrupts through a few list registers, and counts what that takes.

The best pending interrupt is always in a list register, then what is active, then what else is pending. What has no
place waits here: a maintenance interrupt asks for it when no list register is pending any more (NPIE), and EOIcount
tells which active one without a place has ended (LRENPIE). So it is with EOImode 0, where they end in the order of
priorities; with EOImode 1 they end in any, and meanwhile the guest's writes of ICV_DIR_EL1 are trapped (TDIR).
"""

from dataclasses import dataclass
from typing import Final

import vgic
from vgic.layouts.ich import HCR, VMCR
from vgic.layouts.nmi import LR

__all__ = ["Counts", "SmallHypervisor"]

_EN: Final = HCR.mask("En")
_NPIE: Final = HCR.mask("NPIE")
_LRENPIE: Final = HCR.mask("LRENPIE")
_TDIR: Final = HCR.mask("TDIR")
_EOI_COUNT_LSB: Final = 27
_VEOIM: Final = VMCR.mask("VEOIM")
_OPEN: Final = VMCR.encode({"VPMR": 0xF8, "VENG0": 1, "VENG1": 1})
_STATE_LSB: Final = 62
_ASKS: Final = 1 << 9
"""Of pINTID: the end asks for maintenance."""
_PENDING: Final = 1
_ACTIVE: Final = 2


@dataclass
class Counts:
    """What the hypervisor did."""

    exits: int = 0
    """The guest was stopped: an interrupt arrived for it, maintenance was asked for, or it was trapped."""
    maintenance: int = 0
    """Those of them that were maintenance interrupts."""
    reads: int = 0
    """Of list registers."""
    writes: int = 0
    left_out: int = 0
    """The most interrupts that had no list register at once."""


@dataclass
class _Virtual:
    """A virtual interrupt of the guest."""

    intid: int
    priority: int
    group: int
    nmi: bool = False
    """It has superpriority."""
    pending: bool = False
    active: bool = False
    held_back: bool = False
    """It is pending again, and its list register does not say so."""

    @property
    def state(self) -> int:
        """As a list register has it."""
        return (_PENDING if self.pending else 0) | (_ACTIVE if self.active else 0)


_HYPERVISOR: Final = vgic.PeState(2)


class SmallHypervisor:
    """It runs on a machine of one PE. Its guest is given the interrupts of `priorities`: by INTID, 8 bits each.

    Those of `nmis`, which are in Group 1, have superpriority.
    """

    def __init__(
        self,
        list_registers: int,
        priorities: dict[int, int],
        groups: dict[int, int] | None = None,
        nmis: frozenset[int] = frozenset(),
    ) -> None:
        topology = vgic.Topology.kvm(1)
        self.gic = vgic.Gic(vgic.Config(topology, spis=32, list_registers=list_registers, nmi=bool(nmis)))
        self.tell_sctlr(False)
        self.counts = Counts()
        groups = groups or {}
        self._virtual = {
            intid: _Virtual(intid, priority, groups.get(intid, 1), intid in nmis)
            for intid, priority in priorities.items()
        }
        self._listed: list[_Virtual] = []
        """What is in each list register, from the first on."""
        self._write(vgic.ICH_VMCR_EL2, _OPEN)
        self._write(vgic.ICH_HCR_EL2, _EN)

    # What the guest does and sees.

    def read(self, register: int) -> int:
        """An MRS of the guest."""
        self.gic.set_pe_state(0, self._guest)
        value = self.gic.icv_read(0, register)
        self._maintain()
        return value

    def write(self, register: int, value: int) -> None:
        """An MSR of the guest."""
        self.gic.set_pe_state(0, self._guest)
        if register == vgic.ICC_DIR_EL1 and self.gic.sysreg_reach(0, register) is vgic.Reach.EL2:
            self._deactivate(value)
        else:
            self.gic.icv_write(0, register, value)
        self._maintain()

    def tell_sctlr(self, nmi: bool) -> None:
        """The guest has this in SCTLR_EL1.NMI."""
        self._guest = vgic.PeState(1, hcr_imo=True, hcr_fmo=True, sctlr_nmi=nmi)

    @property
    def outputs(self) -> tuple[bool, bool]:
        """The guest's IRQ and FIQ."""
        return self.gic.virtual_outputs(0)

    # What the hypervisor does.

    def arrive(self, intid: int) -> bool:
        """An edge-triggered interrupt arrives for the guest; False where it is pending already."""
        self._fold()
        virtual = self._virtual[intid]
        merged, virtual.pending = virtual.pending, True
        self._flush()
        self._maintain()
        return not merged

    def _deactivate(self, intid: int) -> None:
        """What the guest wants of ICV_DIR_EL1, wherever the interrupt is."""
        self._fold()
        virtual = self._virtual.get(intid)
        if virtual is not None and self._read(vgic.ICH_VMCR_EL2) & _VEOIM:
            virtual.active = False
        self._flush()

    def _maintain(self) -> None:
        """Take maintenance interrupts, until there is nothing to do."""
        while self.gic.ppi(0, self.gic.config.maintenance_intid).level:
            self.counts.maintenance += 1
            self._fold()
            self._flush()

    def _fold(self) -> None:
        """Stop the guest, and look at what has become of its list registers."""
        self.counts.exits += 1
        for number, virtual in enumerate(self._listed):
            state = self._read(vgic.ICH_LR0_EL2 + number) >> _STATE_LSB
            self.counts.reads += 1
            virtual.pending = state & _PENDING != 0 or virtual.held_back
            virtual.active = state & _ACTIVE != 0
            virtual.held_back = False
        ended = self._read(vgic.ICH_HCR_EL2) >> _EOI_COUNT_LSB
        unlisted = [virtual for virtual in self._virtual.values() if virtual.active and virtual not in self._listed]
        # Ends come in the order of priorities, the highest first.
        for virtual in sorted(unlisted, key=_order)[:ended]:
            virtual.active = False

    def _flush(self) -> None:
        """Fill the list registers, the best interrupt first, and let the guest go on."""
        pending = sorted((v for v in self._virtual.values() if v.pending and not v.active), key=_order)
        active = sorted((v for v in self._virtual.values() if v.active), key=_order)
        wanted = [*pending[:1], *active, *pending[1:]]
        count, before = self.gic.config.list_registers, len(self._listed)
        self._listed = wanted[:count]
        left_out = wanted[count:]
        # Of equal priorities the guest takes the one in the lowest list register.
        self._listed.sort(key=_order)
        waits = any(not virtual.active for virtual in left_out)
        for number, virtual in enumerate(self._listed):
            # Else it could be taken, once it has ended, before what waits.
            virtual.held_back = waits and virtual.active and virtual.pending
            fields = {
                "State": _ACTIVE if virtual.held_back else virtual.state,
                "Group": virtual.group,
                "NMI": int(virtual.nmi),
                "Priority": 0 if virtual.nmi else virtual.priority,
                "pINTID": _ASKS if virtual.held_back else 0,
                "vINTID": virtual.intid,
            }
            self._write(vgic.ICH_LR0_EL2 + number, LR.encode(fields))
        for number in range(len(self._listed), before):
            self._write(vgic.ICH_LR0_EL2 + number, 0)
        self.counts.writes += max(len(self._listed), before)
        self.counts.left_out = max(self.counts.left_out, len(left_out))
        control = _EN
        if waits:
            control |= _NPIE
        if any(virtual.active for virtual in left_out):
            control |= _LRENPIE | _TDIR
        self._write(vgic.ICH_HCR_EL2, control)

    def _read(self, register: int) -> int:
        self.gic.set_pe_state(0, _HYPERVISOR)
        return self.gic.sysreg_read(0, register)

    def _write(self, register: int, value: int) -> None:
        self.gic.set_pe_state(0, _HYPERVISOR)
        self.gic.sysreg_write(0, register, value)


def _order(virtual: _Virtual) -> tuple[bool, int, int]:
    """Which is taken first."""
    return not virtual.nmi, 0 if virtual.nmi else virtual.priority, virtual.intid
