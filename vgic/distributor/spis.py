"""The SPIs: where each is routed, and at which PE a 1-of-N one waits."""

from array import array
from collections.abc import Mapping, Set

from mypy_extensions import i64

from vgic import affinity
from vgic.bits import bit
from vgic.config import Config
from vgic.distributor.placement import SpiPlacement
from vgic.features import IRM
from vgic.interrupts.banks import InterruptBank
from vgic.interrupts.delivery import Forwarder
from vgic.interrupts.words import InterruptWord
from vgic.topology import NO_VCPU, AffinityIndex

__all__ = ["SharedInterrupts", "move_vcpus"]


class SharedInterrupts(InterruptBank):
    """The SPIs of a range, that from INTID 32 on or the extended one.

    Each is routed to the vCPU whose affinity its GICD_IROUTER<n> names, or to any. The route is kept as a packed
    affinity of 32 bits and looked up when needed, so it follows the vCPUs' MPIDRs. An SPI that names no vCPU stays
    pending in the Distributor (rule ROUTE-3), and so does a 1-of-N one that no PE may be sent.
    """

    def __init__(
        self,
        first: int,
        count: int,
        config: Config,
        priority_mask: int,
        forwarder: Forwarder,
        affinities: AffinityIndex,
        placement: SpiPlacement,
    ) -> None:
        super().__init__(first, count, config, priority_mask, forwarder)
        self._affinities = affinities
        self.placement = placement
        """Where 1-of-N SPIs wait."""
        self._routing_mode = IRM if config.features.one_of_n else 0
        self.route = array("I", [0]) * count
        """Packed affinity of the target."""
        self.unrouted: set[int] = set(range(count)) if config.profile.first_vcpu_at_reset else set()
        """The SPIs that go to vCPU 0 because GICD_IROUTER<n>, 0, was never written (ROUTE-11)."""
        self._minds_place = config.profile.virtual_interface
        self._overlooks = config.profile.overlooks
        self.elsewhere: dict[int, int] = {}
        """The vCPU at which an SPI is active whose route has changed since, where the profile minds."""
        self.route_extra: dict[int, int] = {}
        """Reserved bits of GICD_IROUTER<n> that the profile lets software set, where not zero."""

    def target(self, index: i64) -> i64:
        """The vCPU that the route names, or where a 1-of-N SPI waits; NO_VCPU where there is none."""
        if self.is_one_of_n(index):
            return self.placement.holder(self.first + index)
        if self.unrouted and index in self.unrouted:
            return 0
        return self._affinities.find(self.route[index])

    def is_one_of_n(self, index: i64) -> bool:
        """True where the SPI may go to any participating PE."""
        return self.words[index >> 5].any_pe >> (index & 31) & 1 != 0

    def place(self, index: i64) -> i64:
        """The vCPU that an active SPI was routed to when it became active (ROUTE-14)."""
        if self.elsewhere and index in self.elsewhere:
            return self.elsewhere[index]
        return self.target(index)

    def deactivate(self, index: i64) -> None:
        """Active to inactive. Settles nothing."""
        if self.elsewhere:
            self.elsewhere.pop(index, None)
        super().deactivate(index)

    def forget_inactive(self) -> None:
        """Some may be active no longer: where they were is of no interest any more. Settles nothing."""
        for index in [index for index in self.elsewhere if not self.is_active(index)]:
            del self.elsewhere[index]

    def forward(self, index: i64) -> None:
        """Give an SPI that is due to its PE, which for a 1-of-N one is found first. Settles nothing."""
        if self.is_one_of_n(index):
            self.placement.find_place(self.first + index)
        super().forward(index)

    def _forward_all(self, word: InterruptWord, bits: i64) -> None:
        """`forward` each of several; the 1-of-N ones share a search for their PEs."""
        roaming = bits & word.any_pe
        super()._forward_all(word, bits & ~roaming)
        if roaming:
            first = self.first + word.start
            self.placement.forward_all([first + number for number in range(32) if roaming >> number & 1])

    def withdraw(self, index: i64) -> None:
        """Take it back. Settles nothing."""
        super().withdraw(index)
        if self.is_one_of_n(index):
            self.placement.forget(self.first + index)

    def set_route(self, index: i64, value: int) -> None:
        """Route an SPI as GICD_IROUTER<n> = `value` (64 bits) says; a pending one moves, an active one does not."""
        if self.is_queued(index) and (value != self.route_value(index) or index in self.unrouted):
            self.words[index >> 5].queued ^= bit(index & 31)
            self.withdraw(index)
            if self._overlooks and self.target(index) == NO_VCPU:
                self._overlook(index)
        if self._minds_place and self.is_active(index):
            self._leave(index)
        self.store_route(index, value)
        self.update(index >> 5, bit(index & 31))

    def _leave(self, index: i64) -> None:
        """Let an SPI be active where it is when its route changes, if it is anywhere (ROUTE-14)."""
        if index not in self.elsewhere:
            place = self.target(index)
            self.elsewhere[index] = place
            if place == NO_VCPU:
                self.words[index >> 5].overlooked |= bit(index & 31)

    def _notice(self, word: InterruptWord, mask: i64) -> None:
        """See `InterruptBank.notice`; what is active nowhere is at its target from now on."""
        super()._notice(word, mask)
        for index in self._nowhere():
            if index >> 5 == word.start >> 5 and mask >> (index & 31) & 1:
                del self.elsewhere[index]

    def set_idle(self, idle: bool) -> None:
        """See `InterruptBank.set_idle`."""
        super().set_idle(idle)
        for index in self._nowhere():
            self.words[index >> 5].overlooked |= bit(index & 31)

    def _nowhere(self) -> list[int]:
        """The SPIs that are active at no vCPU, though they are routed to one."""
        return [index for index, place in self.elsewhere.items() if place == NO_VCPU]

    def _overlook(self, index: i64) -> None:
        """Leave an SPI that waits for a target alone until something else happens to it (STATE-17)."""
        word, mask = self.words[index >> 5], bit(index & 31)
        word.overlooked |= mask
        word.queued &= ~mask

    def unroute(self, index: i64) -> None:
        """Let an SPI be as if its GICD_IROUTER<n> had not been written (ROUTE-11)."""
        moved = self.is_queued(index)
        if moved:
            self.withdraw(index)
        self.store_route(index, 0)
        self.unrouted.add(index)
        if moved:
            self.forward(index)
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

    def withdraw_routed(self, affinities: Set[int]) -> list[int]:
        """Take back those routed to these affinities by name; the caller forwards them again."""
        moved = [
            index
            for index in range(self.count)
            if self.route[index] in affinities and self.is_queued(index) and not self.is_one_of_n(index)
        ]
        for index in moved:
            self.withdraw(index)
        return moved


def move_vcpus(banks: list[SharedInterrupts], affinities: AffinityIndex, changes: Mapping[int, int]) -> None:
    """Give vCPUs (keys) other affinities (values); what is routed to an affinity goes to who has it then.

    Rules MPIDR-1, MPIDR-3.

    Raises AffinityError as `AffinityIndex.move` does, and then changes nothing.
    """
    concerned = {affinities.affinities[cpu] for cpu in changes} | set(changes.values())
    moved = [bank.withdraw_routed(concerned) for bank in banks]
    try:
        affinities.move(changes)
    finally:
        for bank, indices in zip(banks, moved, strict=True):
            for index in indices:
                bank.forward(index)
        banks[0].forwarder.settle()
