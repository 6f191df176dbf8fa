"""Where 1-of-N SPIs wait: each at a PE that may be sent it, or in the Distributor until there is one.

Which PE that is, `vgic.distributor.one_of_n` chooses; here is when one is looked for (rules ONEN-1 to ONEN-10 in
specs/features.md).
"""

from mypy_extensions import i64

from vgic.cpu_interface.pending import INTID_MASK, NO_KEY
from vgic.distributor.one_of_n import OneOfN
from vgic.interrupts.banks import InterruptBank
from vgic.interrupts.delivery import Placement
from vgic.topology import NO_VCPU

__all__ = ["SpiPlacement"]


class SpiPlacement(Placement):
    """The places of the 1-of-N SPIs of a bank; `index` counts as in the bank."""

    __slots__ = ("_bank", "held", "one_of_n", "unplaced")

    def __init__(self, bank: InterruptBank, one_of_n: OneOfN) -> None:
        self._bank = bank
        self.one_of_n = one_of_n
        """Chooses PEs."""
        self.held: dict[int, int] = {}
        """The vCPU of each 1-of-N SPI that is forwarded."""
        self.unplaced: set[int] = set()
        """The 1-of-N SPIs that wait for a PE."""

    def holder(self, index: i64) -> i64:
        """The vCPU at which an SPI waits, NO_VCPU where there is none."""
        return self.held.get(index, NO_VCPU)

    def find_place(self, index: i64) -> None:
        """Choose the PE of an SPI that is about to be forwarded, unless that is done."""
        if index not in self.held:
            bank = self._bank
            self.place(index, self.one_of_n.search(bank.group(index)).next(bank.key(index)))

    def place(self, index: i64, cpu: i64) -> None:
        """Decide, before it is forwarded, that an SPI waits at vCPU `cpu`, or for a PE (NO_VCPU)."""
        if cpu == NO_VCPU:
            self.unplaced.add(index)
        else:
            self.held[index] = cpu
            self._bank.forwarder.set_one_of_n(True)

    def forget(self, index: i64) -> None:
        """Forget where an SPI waits: it is not forwarded any more."""
        if self.held.pop(index, NO_VCPU) != NO_VCPU:
            self._bank.forwarder.set_one_of_n(len(self.held) != 0)
        self.unplaced.discard(index)

    def selectable_changed(self, cpu: i64) -> None:
        """Move SPIs away from where they may not stay, and place those that can now go to vCPU `cpu`.

        O(forwarded 1-of-N SPIs + vCPUs).
        """
        moving = self._misplaced()
        moving += [index for index in self.unplaced if self.one_of_n.may_hold(cpu, self._bank.group(index))]
        self._place_anew(moving)

    def set_wakes(self, wakes: bool) -> None:
        """Write GICD_CTLR.E1NWF: SPIs may wait at a sleeping PE, and ask for it to be woken. Settles nothing."""
        if self.one_of_n.wakes != wakes:
            self.one_of_n.wakes = wakes
            self._place_anew([*self._misplaced(), *self.unplaced])

    def displaced(self, cpu: i64, key: i64) -> None:
        """Let another PE have an SPI that vCPU `cpu` was signalled and is no longer. O(vCPUs)."""
        index = self._index(key)
        if self.held.get(index) == cpu and self.one_of_n.is_forwarded(self._bank.group(index)):
            taker = self.one_of_n.taker(self._bank.group(index), key)
            if taker != NO_VCPU:
                self._move(index, taker)

    def pes_free(self, cpus: list[int]) -> None:
        """Let vCPUs, to which nothing is signalled, take over the best SPIs that others keep waiting.

        O(forwarded 1-of-N SPIs + vCPUs), but for sorting.
        """
        waiting = self._waiting() if cpus and self.held else []
        for cpu in cpus:
            best, found = NO_KEY, NO_VCPU
            for group, keys in enumerate(waiting):
                # One that it would not take at once is followed by none that it would.
                key = next((key for key in keys if self.held[self._index(key)] != cpu), NO_KEY)
                if key < best and self.one_of_n.takes(cpu, group, key):
                    best, found = key, group
            if best != NO_KEY:
                waiting[found].remove(best)
                self._move(self._index(best), cpu)

    def _waiting(self) -> list[list[int]]:
        """By group, the keys of SPIs that wait at a PE to which they are not signalled, best first."""
        waiting: list[list[int]] = [[] for _ in range(self.one_of_n.groups)]
        for index, cpu in self.held.items():
            group, key = self._bank.group(index), self._bank.key(index)
            if self.one_of_n.is_forwarded(group) and not self.one_of_n.signalled(cpu, key):
                waiting[group].append(key)
        for keys in waiting:
            keys.sort()
        return waiting

    def _index(self, key: int) -> int:
        return (key & INTID_MASK) - self._bank.first

    def _misplaced(self) -> list[int]:
        """The SPIs that may not stay where they are."""
        held = self.held.items()
        return [index for index, cpu in held if not self.one_of_n.is_selectable(cpu, self._bank.group(index))]

    def _move(self, index: i64, cpu: i64) -> None:
        self._bank.withdraw(index)
        self.place(index, cpu)
        self._bank.forward(index)

    def _place_anew(self, indices: list[int]) -> None:
        for index in indices:
            self._bank.withdraw(index)
        self.forward_all(indices)

    def forward_all(self, indices: list[int]) -> None:
        """Choose the PEs of several SPIs, unless that is done, and forward them there. O(SPIs + vCPUs)."""
        bank = self._bank
        for group in range(self.one_of_n.groups):
            search = self.one_of_n.search(group)
            # The best first, so that the outcome does not depend on what came before.
            for index in sorted((item for item in indices if bank.group(item) == group), key=bank.key):
                if index not in self.held:
                    self.place(index, search.next(bank.key(index)))
                if index in self.held:
                    bank.forward(index)
