"""The Distributor: its frame, and which groups are forwarded at all."""

from collections.abc import Sequence
from typing import Final

from mmio import NOT_THERE, Frame, StoredWord, Word
from vgic.config import Config
from vgic.distributor.spis import SharedInterrupts
from vgic.features import E1NWF, writable_bits
from vgic.interrupts.banks import InterruptBank, PrivateInterrupts
from vgic.interrupts.registers import BankOwner, bank_words, extended_words
from vgic.layouts import extended, gicd
from vgic.lpis.bank import LpiBank
from vgic.lpis.overlooking import OverlookingLpiBank

__all__ = ["Distributor", "distributor_frame"]

_MESSAGE_INTID: Final = gicd.SETSPI_NSR.mask("INTID")


class Distributor(BankOwner):
    """State of the Distributor that is not an interrupt's."""

    def __init__(
        self,
        interrupts: SharedInterrupts,
        extended: SharedInterrupts | None,
        private: Sequence[PrivateInterrupts],
        lpis: Sequence[LpiBank | None],
        config: Config,
    ) -> None:
        super().__init__(interrupts, extended)
        self.spis = interrupts
        """The bank again, as what it is."""
        self.extended_spis = interrupts if extended is None else extended
        """That of the extended range, in a VM that has its registers."""
        profile, features = config.profile, config.features
        self._group_enable_bits = profile.group_enable_bits
        self.typer = gicd.TYPER.encode(
            {
                "ITLinesNumber": max(0, len(interrupts.words) - profile.unreported_spi_words),
                "A3V": int(features.a3v),
                "RSS": int(features.rss),
                "No1N": int(not features.one_of_n),
                "IDbits": config.id_bits - 1,
                "LPIS": int(features.lpis),
                "ESPI": int(config.extended_spis > 0),
                "ESPI_range": max(0, config.extended_spis // 32 - 1),
                **profile.distributor_typer,
            }
        )
        self._gated: list[InterruptBank] = [interrupts, *private] if profile.overlooks else []
        """The banks in which nothing is noticed while no group is forwarded (STATE-17)."""
        self._gated_lpis = [bank for bank in lpis if isinstance(bank, OverlookingLpiBank)]
        self.control = 0
        """The writable bits of GICD_CTLR: the group enables and E1NWF."""

    @property
    def forwarded_groups(self) -> int:
        """Bit n: Group n is forwarded to the CPU interfaces (DIST-2, DIST-3)."""
        forwarded = 0
        for group, enable in enumerate(self._group_enable_bits):
            if self.control & enable:
                forwarded |= 1 << group
        return forwarded

    @property
    def wakes(self) -> bool:
        """1-of-N SPIs may wake a sleeping PE (ONEN-8)."""
        return self.control & E1NWF != 0

    def set_control(self, value: int) -> None:
        """Write the writable bits of GICD_CTLR."""
        idle = not self.forwarded_groups
        self.control = value
        if idle == bool(self.forwarded_groups):
            for bank in self._gated:
                bank.set_idle(not idle)
            for lpis in self._gated_lpis:
                lpis.set_idle(not idle)
        self.spis.placement.set_wakes(self.wakes)
        self.spis.forwarder.settle()
        self.spis.forwarder.set_group_enables(self.forwarded_groups)

    def tell(self) -> None:
        """Tell the others what `control` says, and leave it to the caller to bring them up to date."""
        self.spis.placement.one_of_n.wakes = self.wakes
        for bank in self._gated:
            bank.idle = not self.forwarded_groups
        for lpis in self._gated_lpis:
            lpis.idle = not self.forwarded_groups
        self.spis.forwarder.forward_groups(self.forwarded_groups)


class _Control(StoredWord[Distributor]):
    def get(self, owner: Distributor, index: int) -> int:
        return owner.control

    def keep(self, owner: Distributor, index: int, value: int) -> None:
        owner.control = value

    def put(self, owner: Distributor, index: int, value: int, mask: int, secure: bool) -> None:
        owner.set_control(value)


class _Type(Word[Distributor]):
    def get(self, owner: Distributor, index: int) -> int:
        return owner.typer


class _Route(StoredWord[Distributor]):
    def __init__(self, writable: int, extended: bool = False) -> None:
        self.writable = writable
        self.extended = extended

    def bank(self, owner: Distributor) -> SharedInterrupts:
        """The SPIs that these registers route."""
        return owner.extended_spis if self.extended else owner.spis

    def get(self, owner: Distributor, index: int) -> int:
        bank = self.bank(owner)
        return bank.route_value(index) if index < bank.count else 0

    def kept(self, owner: Distributor, index: int, writable: int) -> int:
        return writable if index < self.bank(owner).count else NOT_THERE

    def keep(self, owner: Distributor, index: int, value: int) -> None:
        self.bank(owner).store_route(index, value)

    def put(self, owner: Distributor, index: int, value: int, mask: int, secure: bool) -> None:
        bank = self.bank(owner)
        # A write of bits that this VM has not got writes nothing.
        if index < bank.count and mask & self.writable:
            bank.set_route(index, value)


class _Message(Word[Distributor]):
    """GICD_SETSPI_NSR and GICD_CLRSPI_NSR: the value written is an INTID."""

    def __init__(self, level: bool) -> None:
        self.level = level

    def put(self, owner: Distributor, index: int, value: int, mask: int, secure: bool) -> None:
        intid = value & _MESSAGE_INTID
        bank = owner.spis if owner.spis.has(intid) else owner.extended_spis
        if bank.has(intid):
            bank.set_message(intid - bank.first, self.level)


def distributor_frame(config: Config) -> Frame[Distributor]:
    """The GICD frame of a VM."""
    profile = config.profile
    writable = writable_bits(config.features, profile.writable)
    words: dict[str, Word[Distributor]] = {
        "GICD_CTLR": _Control(),
        "GICD_TYPER": _Type(),
        "GICD_IROUTER": _Route(writable["GICD_IROUTER"]),
        "GICD_SETSPI_NSR": _Message(True),
        "GICD_CLRSPI_NSR": _Message(False),
    }
    at_once = profile.config_takes_effect_at_once
    words.update(bank_words("GICD", "GICD_ICFGR", deferred=not at_once, overlooked=profile.overlooks))
    layouts = list(gicd.GICD)
    if config.extended_spis:
        layouts += extended.GICD_EXTENDED
        words[extended.IROUTER.name] = _Route(writable["GICD_IROUTER"], extended=True)
        words.update(extended_words("GICD"))
        writable[extended.IROUTER.name] = writable["GICD_IROUTER"]
    return Frame("GICD", layouts, words, profile.fixed, writable, profile.absent)
