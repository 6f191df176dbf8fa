"""Where 1-of-N SPIs wait: each at a PE that may be sent it, or in the Distributor until there is one.

All SPIs of a VM compete for its PEs, whichever bank they are in, so they go by their INTIDs here.

Which PE that is, `vgic.distributor.one_of_n` chooses; here is when one is looked for (rules ONEN-1 to ONEN-10 in
specs/features.md).
"""

from mypy_extensions import i64

from vgic.cpu_interface.pending import INTID_MASK, NO_KEY
from vgic.distributor.one_of_n import OneOfN
from vgic.interrupts.banks import InterruptBank
from vgic.interrupts.delivery import Forwarder, Placement
from vgic.topology import NO_VCPU

__all__ = ["SpiPlacement"]


class SpiPlacement(Placement):
    """The places of the 1-of-N SPIs of a VM, by INTID. `connect` gives it the banks that they are in."""

    __slots__ = ("_banks", "_forwarder", "held", "one_of_n", "unplaced")

    def __init__(self, one_of_n: OneOfN, forwarder: Forwarder) -> None:
        self._banks: list[InterruptBank] = []
        self._forwarder = forwarder
        self.one_of_n = one_of_n
        """Chooses PEs."""
        self.held: dict[int, int] = {}
        """The vCPU of each 1-of-N SPI that is forwarded."""
        self.unplaced: set[int] = set()
        """The 1-of-N SPIs that wait for a PE."""

    def connect(self, banks: list[InterruptBank]) -> None:
        """Give it the banks of SPIs, one or two."""
        self._banks = banks

    def holder(self, intid: i64) -> i64:
        """The vCPU at which an SPI waits, NO_VCPU where there is none."""
        return self.held.get(intid, NO_VCPU)

    def find_place(self, intid: i64) -> None:
        """Choose the PE of an SPI that is about to be forwarded, unless that is done."""
        if intid not in self.held:
            self.place(intid, self.one_of_n.search(self._group(intid)).next(self._key(intid)))

    def place(self, intid: i64, cpu: i64) -> None:
        """Decide, before it is forwarded, that an SPI waits at vCPU `cpu`, or for a PE (NO_VCPU)."""
        if cpu == NO_VCPU:
            self.unplaced.add(intid)
        else:
            self.held[intid] = cpu
            self._forwarder.set_one_of_n(True)

    def forget(self, intid: i64) -> None:
        """Forget where an SPI waits: it is not forwarded any more."""
        if self.held.pop(intid, NO_VCPU) != NO_VCPU:
            self._forwarder.set_one_of_n(len(self.held) != 0)
        self.unplaced.discard(intid)

    def selectable_changed(self, cpu: i64) -> None:
        """Move SPIs away from where they may not stay, and place those that can now go to vCPU `cpu`.

        O(forwarded 1-of-N SPIs + vCPUs).
        """
        moving = self._misplaced()
        moving += [intid for intid in self.unplaced if self.one_of_n.may_hold(cpu, self._group(intid))]
        self._place_anew(moving)

    def set_wakes(self, wakes: bool) -> None:
        """Write GICD_CTLR.E1NWF: SPIs may wait at a sleeping PE, and ask for it to be woken. Settles nothing."""
        if self.one_of_n.wakes != wakes:
            self.one_of_n.wakes = wakes
            self._place_anew([*self._misplaced(), *self.unplaced])

    def displaced(self, cpu: i64, key: i64) -> None:
        """Let another PE have an SPI that vCPU `cpu` was signalled and is no longer. O(vCPUs)."""
        intid = key & INTID_MASK
        if self.held.get(intid) == cpu and self.one_of_n.is_forwarded(self._group(intid)):
            taker = self.one_of_n.taker(self._group(intid), key)
            if taker != NO_VCPU:
                self._move(intid, taker)

    def pes_free(self, cpus: list[int]) -> None:
        """Let vCPUs, to which nothing is signalled, take over the best SPIs that others keep waiting.

        O(forwarded 1-of-N SPIs + vCPUs), but for sorting.
        """
        waiting = self._waiting() if cpus and self.held else []
        for cpu in cpus:
            best, found = NO_KEY, NO_VCPU
            for group, keys in enumerate(waiting):
                # One that it would not take at once is followed by none that it would.
                key = next((key for key in keys if self.held[key & INTID_MASK] != cpu), NO_KEY)
                if key < best and self.one_of_n.takes(cpu, group, key):
                    best, found = key, group
            if best != NO_KEY:
                waiting[found].remove(best)
                self._move(best & INTID_MASK, cpu)

    def _waiting(self) -> list[list[int]]:
        """By group, the keys of SPIs that wait at a PE to which they are not signalled, best first."""
        waiting: list[list[int]] = [[] for _ in range(self.one_of_n.groups)]
        for intid, cpu in self.held.items():
            group, key = self._group(intid), self._key(intid)
            if self.one_of_n.is_forwarded(group) and not self.one_of_n.signalled(cpu, key):
                waiting[group].append(key)
        for keys in waiting:
            keys.sort()
        return waiting

    def _bank(self, intid: i64) -> InterruptBank:
        bank = self._banks[0]
        return bank if bank.has(intid) else self._banks[-1]

    def _group(self, intid: i64) -> i64:
        bank = self._bank(intid)
        return bank.group(intid - bank.first)

    def _key(self, intid: i64) -> i64:
        bank = self._bank(intid)
        return bank.key(intid - bank.first)

    def _forward(self, intid: i64) -> None:
        bank = self._bank(intid)
        bank.forward(intid - bank.first)

    def _withdraw(self, intid: i64) -> None:
        bank = self._bank(intid)
        bank.withdraw(intid - bank.first)

    def _misplaced(self) -> list[int]:
        """The SPIs that may not stay where they are."""
        held = self.held.items()
        return [intid for intid, cpu in held if not self.one_of_n.is_selectable(cpu, self._group(intid))]

    def _move(self, intid: i64, cpu: i64) -> None:
        self._withdraw(intid)
        self.place(intid, cpu)
        self._forward(intid)

    def _place_anew(self, intids: list[int]) -> None:
        for intid in intids:
            self._withdraw(intid)
        self.forward_all(intids)

    def forward_all(self, intids: list[int]) -> None:
        """Choose the PEs of several SPIs, unless that is done, and forward them there. O(SPIs + vCPUs)."""
        for group in range(self.one_of_n.groups):
            search = self.one_of_n.search(group)
            # The best first, so that the outcome does not depend on what came before.
            for intid in sorted((item for item in intids if self._group(item) == group), key=self._key):
                if intid not in self.held:
                    self.place(intid, search.next(self._key(intid)))
                if intid in self.held:
                    self._forward(intid)
