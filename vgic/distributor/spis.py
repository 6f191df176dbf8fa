"""The SPIs: where each is routed, and at which PE a 1-of-N one waits."""

from array import array
from collections.abc import Mapping

from mypy_extensions import i64

from vgic import affinity
from vgic.bits import bit
from vgic.config import Config
from vgic.cpu_interface.pending import INTID_MASK, NO_KEY
from vgic.distributor.one_of_n import OneOfN
from vgic.features import IRM
from vgic.interrupts.banks import InterruptBank
from vgic.interrupts.delivery import Forwarder
from vgic.intids import FIRST_SPI
from vgic.topology import NO_VCPU, AffinityIndex

__all__ = ["SharedInterrupts"]


class SharedInterrupts(InterruptBank):
    """The SPIs: INTID 32 and up. Each is routed to the vCPU whose affinity its GICD_IROUTER<n> names, or to any.

    The route is kept as a packed affinity of 32 bits and looked up when needed, so it follows the vCPUs' MPIDRs. An
    SPI that names no vCPU stays pending in the Distributor (rule ROUTE-3), and so does a 1-of-N one that no PE may
    be sent.
    """

    def __init__(
        self,
        config: Config,
        priority_mask: int,
        forwarder: Forwarder,
        affinities: AffinityIndex,
        one_of_n: OneOfN,
    ) -> None:
        super().__init__(FIRST_SPI, config.spis, priority_mask, config.profile.edge_records_line, forwarder)
        self._affinities = affinities
        self.one_of_n = one_of_n
        """Chooses the PEs of 1-of-N SPIs."""
        self._routing_mode = IRM if config.features.one_of_n else 0
        self.route = array("I", [0]) * config.spis
        """Packed affinity of the target."""
        self.unrouted: set[int] = set(range(config.spis)) if config.profile.first_vcpu_at_reset else set()
        """The SPIs that go to vCPU 0 because GICD_IROUTER<n>, 0, was never written (ROUTE-11)."""
        self.route_extra: dict[int, int] = {}
        """Reserved bits of GICD_IROUTER<n> that the profile lets software set, where not zero."""
        self._chosen: dict[int, int] = {}
        """The vCPU of each 1-of-N SPI that is forwarded."""
        self._unplaced: set[int] = set()
        """The 1-of-N SPIs that wait for a PE."""

    def target(self, index: i64) -> i64:
        """The vCPU that the route names, or that was chosen; NO_VCPU where there is none."""
        if self.is_one_of_n(index):
            return self._chosen.get(index, NO_VCPU)
        if self.unrouted and index in self.unrouted:
            return 0
        return self._affinities.find(self.route[index])

    def placement(self) -> tuple[dict[int, int], set[int]]:
        """The forwarded 1-of-N SPIs: index to vCPU, and the indices that no vCPU may be sent now."""
        return self._chosen, self._unplaced

    def is_one_of_n(self, index: i64) -> bool:
        """True where the SPI may go to any participating PE."""
        return self.words[index >> 5].any_pe >> (index & 31) & 1 != 0

    def forget_place(self, index: i64) -> None:
        """Forget where a 1-of-N SPI waits: it is not forwarded any more."""
        if self._chosen.pop(index, NO_VCPU) != NO_VCPU:
            self.forwarder.roams = bool(self._chosen)
        self._unplaced.discard(index)

    def place(self, index: i64, cpu: i64) -> None:
        """Decide, before it is forwarded, that a 1-of-N SPI waits at vCPU `cpu`, or for a PE (NO_VCPU)."""
        if cpu == NO_VCPU:
            self._unplaced.add(index)
        else:
            self._chosen[index] = cpu
            self.forwarder.roams = True

    def _forward(self, index: i64) -> None:
        if self.is_one_of_n(index) and index not in self._chosen:
            self.place(index, self.one_of_n.search(self.group(index)).next(self.key(index)))
        super()._forward(index)

    def _withdraw(self, index: i64) -> None:
        super()._withdraw(index)
        if self.is_one_of_n(index):
            self.forget_place(index)

    def selection_changed(self, cpu: i64) -> None:
        """Move 1-of-N SPIs away from where they may not stay, and place those that can now go to vCPU `cpu`.

        O(forwarded 1-of-N SPIs + vCPUs).
        """
        moving = [index for index, holder in self._chosen.items() if not self._selectable(holder, index)]
        moving += [index for index in self._unplaced if self.one_of_n.may_hold(cpu, self.group(index))]
        self._place_anew(moving)

    def set_wakes(self, wakes: bool) -> None:
        """Write GICD_CTLR.E1NWF: 1-of-N SPIs may wait at a sleeping PE, and ask for it to be woken."""
        if self.one_of_n.wakes != wakes:
            self.one_of_n.wakes = wakes
            moving = [index for index, holder in self._chosen.items() if not self._selectable(holder, index)]
            self._place_anew([*moving, *self._unplaced])
            self.forwarder.settle()

    def displaced(self, cpu: i64, key: i64) -> None:
        """Let another PE have a 1-of-N SPI that vCPU `cpu` was signalled and is no longer. O(vCPUs)."""
        index = (key & INTID_MASK) - self.first
        if self._chosen.get(index) == cpu:
            taker = self.one_of_n.taker(self.group(index), key)
            if taker != NO_VCPU:
                self._move(index, taker)

    def pe_free(self, cpu: i64) -> None:
        """Let vCPU `cpu`, to which nothing is signalled, take over the best 1-of-N SPI that another keeps waiting.

        O(forwarded 1-of-N SPIs).
        """
        best, found = NO_KEY, NO_VCPU
        for index, holder in self._chosen.items():
            key = self.key(index)
            waits = key < best and holder != cpu and not self.one_of_n.signalled(holder, key)
            if waits and self.one_of_n.takes(cpu, self.group(index), key):
                best, found = key, index
        if best != NO_KEY:
            self._move(found, cpu)

    def _move(self, index: i64, cpu: i64) -> None:
        self._withdraw(index)
        self.place(index, cpu)
        self._forward(index)

    def _selectable(self, cpu: i64, index: i64) -> bool:
        return self.one_of_n.is_selectable(cpu, self.group(index))

    def _place_anew(self, indices: list[int]) -> None:
        for index in indices:
            self._withdraw(index)
        for group in (0, 1):
            search = self.one_of_n.search(group)
            # The best first, so that the outcome does not depend on what came before.
            for index in sorted((item for item in indices if self.group(item) == group), key=self.key):
                self.place(index, search.next(self.key(index)))
                super()._forward(index)

    def set_route(self, index: i64, value: int) -> None:
        """Route an SPI as GICD_IROUTER<n> = `value` (64 bits) says; a pending one moves, an active one does not."""
        moved = self.is_queued(index) and (value != self.route_value(index) or index in self.unrouted)
        if moved:
            self._withdraw(index)
        self.store_route(index, value)
        if moved:
            self._forward(index)
        self.update(index >> 5, bit(index & 31))

    def unroute(self, index: i64) -> None:
        """Let an SPI be as if its GICD_IROUTER<n> had not been written (ROUTE-11)."""
        moved = self.is_queued(index)
        if moved:
            self._withdraw(index)
        self.store_route(index, 0)
        self.unrouted.add(index)
        if moved:
            self._forward(index)
        self.forwarder.settle()

    def store_route(self, index: i64, value: int) -> None:
        """Keep `value` as GICD_IROUTER<n> of an SPI that is not forwarded."""
        self.route[index] = affinity.from_irouter(value)
        self.unrouted.discard(index)
        word, mask = self.words[index >> 5], bit(index & 31)
        if value & self._routing_mode:
            word.any_pe |= mask
        else:
            word.any_pe &= ~mask
        extra = value & ~affinity.IROUTER_AFFINITY & ~self._routing_mode
        if extra:
            self.route_extra[index] = extra
        else:
            self.route_extra.pop(index, None)

    def route_value(self, index: i64) -> int:
        """GICD_IROUTER<n> of an SPI."""
        mode = IRM if self.is_one_of_n(index) else 0
        return affinity.to_irouter(self.route[index]) | mode | self.route_extra.get(index, 0)

    def move_vcpus(self, changes: Mapping[int, int]) -> None:
        """Give vCPUs (keys) other affinities (values); what is routed to an affinity goes to who has it then.

        Rules MPIDR-1, MPIDR-3.

        Raises AffinityError as `AffinityIndex.move` does, and then changes nothing.
        """
        concerned = {self._affinities.affinities[cpu] for cpu in changes} | set(changes.values())
        moved = [
            index
            for index in range(self.count)
            if self.route[index] in concerned and self.is_queued(index) and not self.is_one_of_n(index)
        ]
        for index in moved:
            self._withdraw(index)
        try:
            self._affinities.move(changes)
        finally:
            for index in moved:
                self._forward(index)
            self.forwarder.settle()
