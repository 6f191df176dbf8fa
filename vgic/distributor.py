"""The Distributor: SPIs, where each is routed, and which groups are forwarded at all."""

from array import array
from typing import Final

from mmio import Frame, Word
from vgic import affinity
from vgic.bank_registers import BankOwner, bank_words
from vgic.config import Config
from vgic.forwarding import Forwarder
from vgic.interrupts import InterruptBank
from vgic.layouts import gicd
from vgic.profile import Profile
from vgic.topology import Topology

__all__ = ["Distributor", "SharedInterrupts", "distributor_frame"]

FIRST_SPI: Final = 32


class SharedInterrupts(InterruptBank):
    """The SPIs: INTID 32 and up. Each is routed to the vCPU whose affinity its GICD_IROUTER<n> names.

    The route is kept as a packed affinity of 32 bits and looked up when needed, so it follows the topology. An
    SPI that names no vCPU stays pending in the Distributor (rule ROUTE-3).
    """

    def __init__(
        self, count: int, priority_mask: int, records_line: bool, forwarder: Forwarder, topology: Topology
    ) -> None:
        super().__init__(FIRST_SPI, count, priority_mask, records_line, forwarder)
        self._topology = topology
        self.route = array("I", bytes(4 * count))
        """Packed affinity of the target."""
        self.route_extra: dict[int, int] = {}
        """Other bits of GICD_IROUTER<n> that the profile lets software set, where not zero."""

    def target(self, index: int) -> int:
        """The vCPU that the route names, NO_VCPU where there is none."""
        return self._topology.find(self.route[index])

    def set_route(self, index: int, value: int) -> None:
        """Route an SPI as GICD_IROUTER<n> = `value` (64 bits) says; a pending one moves, an active one does not."""
        queued = self.is_queued(index)
        if queued:
            self._withdraw(index)
        self.route[index] = affinity.from_irouter(value)
        extra = value & ~affinity.IROUTER_AFFINITY
        if extra:
            self.route_extra[index] = extra
        else:
            self.route_extra.pop(index, None)
        if queued:
            self._forward(index)
        self.update(index >> 5, 1 << (index & 31))

    def route_value(self, index: int) -> int:
        """GICD_IROUTER<n> of an SPI."""
        return affinity.to_irouter(self.route[index]) | self.route_extra.get(index, 0)


class Distributor(BankOwner):
    """State of the Distributor that is not an interrupt's."""

    interrupts: SharedInterrupts

    def __init__(self, interrupts: SharedInterrupts, config: Config) -> None:
        super().__init__(interrupts)
        self._group_enable_bits = config.profile.group_enable_bits
        words = len(interrupts.enabled)
        reported = max(0, words - config.profile.unreported_spi_words)
        self.typer = gicd.TYPER.encode({**config.profile.distributor_typer, "ITLinesNumber": reported})
        self.enables = 0
        """The group enables of GICD_CTLR."""

    def set_enables(self, value: int) -> None:
        """Write the group enables of GICD_CTLR."""
        self.enables = value
        forwarded = 0
        for group, bit in enumerate(self._group_enable_bits):
            if value & bit:
                forwarded |= 1 << group
        self.interrupts.forwarder.set_group_enables(forwarded)


class _Control(Word[Distributor]):
    def get(self, owner: Distributor, index: int, secure: bool) -> int:
        return owner.enables

    def put(self, owner: Distributor, index: int, value: int, mask: int, secure: bool) -> None:
        owner.set_enables(value)


class _Type(Word[Distributor]):
    def get(self, owner: Distributor, index: int, secure: bool) -> int:
        return owner.typer


class _Route(Word[Distributor]):
    def get(self, owner: Distributor, index: int, secure: bool) -> int:
        bank = owner.interrupts
        return bank.route_value(index) if index < bank.count else 0

    def put(self, owner: Distributor, index: int, value: int, mask: int, secure: bool) -> None:
        if index < owner.interrupts.count:
            owner.interrupts.set_route(index, value)


class _Message(Word[Distributor]):
    """GICD_SETSPI_NSR and GICD_CLRSPI_NSR: the value written is an INTID."""

    def __init__(self, level: bool) -> None:
        self.level = level

    def put(self, owner: Distributor, index: int, value: int, mask: int, secure: bool) -> None:
        bank = owner.interrupts
        intid = value & 0x1FFF
        if bank.has(intid):
            bank.set_message(intid - bank.first, self.level)


def distributor_frame(profile: Profile) -> Frame[Distributor]:
    """The GICD frame as the profile has it."""
    words: dict[str, Word[Distributor]] = {
        "GICD_CTLR": _Control(),
        "GICD_TYPER": _Type(),
        "GICD_IROUTER": _Route(),
        "GICD_SETSPI_NSR": _Message(True),
        "GICD_CLRSPI_NSR": _Message(False),
    }
    words.update(bank_words("GICD", "GICD_ICFGR", deferred=not profile.config_takes_effect_at_once))
    return Frame("GICD", gicd.GICD, words, profile.fixed, profile.writable, profile.absent)
