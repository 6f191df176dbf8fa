"""The Distributor: its frame, and which groups are forwarded at all."""

from collections.abc import Sequence
from typing import Final

from mmio import NOT_THERE, Frame, StoredWord, Word
from vgic.config import Config
from vgic.cpu_interface.nmi import NONSECURE_BEST
from vgic.distributor.spis import SharedInterrupts
from vgic.features import E1NWF, writable_bits
from vgic.interrupts.banks import InterruptBank
from vgic.interrupts.extended import extended_words
from vgic.interrupts.guards import EVERYTHING, NOTHING, Guard, guarded
from vgic.interrupts.registers import BankOwner, Security, bank_words, nmi_words, two_state_words
from vgic.interrupts.words import full
from vgic.layouts import extended, gicd, nmi
from vgic.lpis.bank import LpiBank
from vgic.lpis.overlooking import OverlookingLpiBank

__all__ = ["Distributor", "distributor_frame"]

_MESSAGE_INTID: Final = gicd.SETSPI_NSR.mask("INTID")

_DS: Final = gicd.CTLR_OF_TWO_STATES.mask("DS")
_ARE_NS: Final = gicd.CTLR_OF_TWO_STATES.mask("ARE_NS")
_ARE_S: Final = gicd.CTLR_OF_TWO_STATES.mask("ARE_S")
"""Where the Non-secure view has ARE_NS, and that of DS = 1 ARE."""
_ENABLE_GRP1S: Final = gicd.CTLR_OF_TWO_STATES.mask("EnableGrp1S")
_ENABLE_GRP1NS: Final = gicd.CTLR_OF_TWO_STATES.mask("EnableGrp1NS")
_SECURITY_EXTN: Final = gicd.TYPER.mask("SecurityExtn")


class Distributor(BankOwner):
    """State of the Distributor that is not an interrupt's."""

    def __init__(
        self,
        interrupts: SharedInterrupts,
        extended: SharedInterrupts | None,
        banks: Sequence[InterruptBank],
        lpis: Sequence[LpiBank | None],
        config: Config,
        security: Security,
    ) -> None:
        super().__init__(interrupts, extended, security)
        self.spis = interrupts
        """The bank again, as what it is."""
        self.extended_spis = interrupts if extended is None else extended
        """That of the extended range, in a VM that has its registers."""
        profile, features = config.profile, config.features
        self._two_states = config.two_states
        self._group_enable_bits: list[int] = [*profile.group_enable_bits]
        """The bit of GICD_CTLR that forwards each group, by its number."""
        if config.two_states:
            self._group_enable_bits.append(_ENABLE_GRP1S)
        self.typer = gicd.TYPER.encode(
            {
                "ITLinesNumber": max(0, len(interrupts.words) - profile.unreported_spi_words),
                "A3V": int(features.a3v),
                "RSS": int(features.rss),
                "No1N": int(not features.one_of_n),
                "IDbits": config.id_bits - 1,
                "LPIS": int(features.lpis),
                "NMI": int(config.nmi),
                "ESPI": int(config.extended_spis > 0),
                "ESPI_range": max(0, config.extended_spis // 32 - 1),
                "DVIS": int(config.vlpi_frames),
                **profile.distributor_typer,
            }
        )
        self._banks = banks
        """All banks of the VM."""
        self._gated: Sequence[InterruptBank] = banks if profile.overlooks else []
        """The banks in which nothing is noticed while no group is forwarded (STATE-17)."""
        self._lpis = [bank for bank in lpis if bank is not None]
        self._gated_lpis = [bank for bank in lpis if isinstance(bank, OverlookingLpiBank)]
        self.control = 0
        """The writable bits of GICD_CTLR: the group enables, E1NWF and, with two Security states, DS."""

    @property
    def forwarded_groups(self) -> int:
        """Bit n: Group n is forwarded to the CPU interfaces (DIST-2, DIST-3)."""
        forwarded = 0
        for group, enable in enumerate(self._group_enable_bits):
            if self.control & enable:
                forwarded |= 1 << group
        return forwarded

    def spis_with(self, intid: int) -> SharedInterrupts | None:
        """The bank of SPIs that has this INTID, None where none has."""
        bank = self.spis if self.spis.has(intid) else self.extended_spis
        return bank if bank.has(intid) else None

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
            for gated in self._gated_lpis:
                gated.set_idle(not idle)
        self.spis.placement.set_wakes(self.wakes)
        self.spis.forwarder.settle()
        self.spis.forwarder.set_group_enables(self.forwarded_groups)
        if self.security.two and value & _DS:
            self._join_states()

    def _join_states(self) -> None:
        """DS is set: from now on there is one Security state, and what was Secure Group 1 is Group 0 (SEC-1)."""
        self.security.two = False
        for bank in self._banks:
            for number, word in enumerate(bank.words):
                if full(word).modifier:
                    bank.set_modifiers(number, 0)
            bank.set_best_of_group1(0)
        for lpis in self._lpis:
            lpis.withdraw_all()
            lpis.priorities.set_lower_half(False)
            lpis.sort_anew()
            lpis.forward_all()
        self.spis.forwarder.set_one_state(True)
        self.spis.forwarder.settle()

    def tell(self) -> None:
        """Tell the others what `control` says, and leave it to the caller to bring them up to date."""
        if self._two_states:
            self.security.two = not self.control & _DS
            for bank in self._banks:
                bank.best_of_group1 = NONSECURE_BEST if self.security.two else 0
            self.spis.forwarder.set_one_state(not self.security.two)
            for lpis in self._lpis:
                lpis.priorities.set_lower_half(self.security.two)
                lpis.sort_anew()
        self.spis.placement.one_of_n.wakes = self.wakes
        for bank in self._gated:
            bank.idle = not self.forwarded_groups
        for gated in self._gated_lpis:
            gated.idle = not self.forwarded_groups
        self.spis.forwarder.forward_groups(self.forwarded_groups)


class _Control(StoredWord[Distributor]):
    def get(self, owner: Distributor, index: int) -> int:
        return owner.control

    def keep(self, owner: Distributor, index: int, value: int) -> None:
        owner.control = value

    def put(self, owner: Distributor, index: int, value: int, mask: int, secure: bool) -> None:
        owner.set_control(value)


class _ControlOfTwoStates(_Control):
    """Stored as Secure accesses see it (SEC-1)."""

    def view(self, owner: Distributor, index: int, secure: bool) -> int:
        if not owner.security.two:
            return owner.control | _ARE_S
        if secure:
            return owner.control | _ARE_S | _ARE_NS
        return owner.control & _ENABLE_GRP1NS | _ARE_S

    def put(self, owner: Distributor, index: int, value: int, mask: int, secure: bool) -> None:
        if owner.security.two and not secure:
            value = owner.control & ~_ENABLE_GRP1NS | value & _ENABLE_GRP1NS
        elif not owner.security.two:
            value |= _DS
        if value & _DS:
            value &= ~_ENABLE_GRP1S
        owner.set_control(value)


class _Type(Word[Distributor]):
    def get(self, owner: Distributor, index: int) -> int:
        return owner.typer


class _TypeOfTwoStates(_Type):
    def get(self, owner: Distributor, index: int) -> int:
        return owner.typer | (_SECURITY_EXTN if owner.security.two else 0)


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
        bank = owner.spis_with(intid)
        if bank is not None:
            bank.set_message(intid - bank.first, self.level)


class _RouteGuard(Guard[Distributor]):
    """Non-secure accesses reach the route of a Secure SPI where GICD_NSACR is 3 (SEC-5)."""

    def __init__(self, route: _Route) -> None:
        super().__init__(route)
        self.route = route

    def seen(self, owner: Distributor, index: int, secure: bool) -> int:
        if secure or not owner.security.two:
            return EVERYTHING
        bank = self.route.bank(owner)
        return EVERYTHING if index < bank.count and bank.is_reached(index, 3) else NOTHING


class _MessageOfTwoStates(_Message):
    """GICD_SETSPI_NSR and GICD_CLRSPI_NSR; Non-secure ones reach Secure SPIs of this GICD_NSACR or more (SEC-7)."""

    def __init__(self, level: bool, reach: int) -> None:
        super().__init__(level)
        self.reach = reach

    def put(self, owner: Distributor, index: int, value: int, mask: int, secure: bool) -> None:
        intid = value & _MESSAGE_INTID
        bank = owner.spis_with(intid)
        reached = bank is not None and bank.is_reached(intid - bank.first, self.reach)
        if secure or not owner.security.two or reached:
            super().put(owner, index, value, mask, secure)


class _SecureMessage(_Message):
    """GICD_SETSPI_SR and GICD_CLRSPI_SR, for Secure accesses while there are two states (SEC-7)."""

    def put(self, owner: Distributor, index: int, value: int, mask: int, secure: bool) -> None:
        if secure and owner.security.two:
            super().put(owner, index, value, mask, secure)


def distributor_frame(config: Config) -> Frame[Distributor]:
    """The GICD frame of a VM."""
    profile = config.profile
    writable = writable_bits(config.features, config.two_states, profile.writable)
    route = _Route(writable["GICD_IROUTER"])
    deferred = not profile.config_takes_effect_at_once
    banks = bank_words("GICD", "GICD_ICFGR", deferred=deferred, overlooked=profile.overlooks)
    if config.nmi:
        banks.update(nmi_words("GICD", profile.nmi_keeps_priority))
    words: dict[str, Word[Distributor]] = {}
    layouts = gicd.GICD
    more = extended.GICD_EXTENDED
    routes: StoredWord[Distributor] = _Route(writable["GICD_IROUTER"], extended=True)
    if config.two_states:
        layouts = gicd.GICD_OF_TWO_STATES
        more = extended.GICD_EXTENDED_OF_TWO_STATES
        banks = guarded({**banks, **two_state_words("GICD")}, profile)
        routes = _RouteGuard(_Route(writable["GICD_IROUTER"], extended=True))
        words.update(
            {
                "GICD_CTLR": _ControlOfTwoStates(),
                "GICD_TYPER": _TypeOfTwoStates(),
                "GICD_IROUTER": _RouteGuard(route),
                "GICD_SETSPI_NSR": _MessageOfTwoStates(True, 1),
                "GICD_CLRSPI_NSR": _MessageOfTwoStates(False, 2),
                "GICD_SETSPI_SR": _SecureMessage(True),
                "GICD_CLRSPI_SR": _SecureMessage(False),
            }
        )
    else:
        words.update(
            {
                "GICD_CTLR": _Control(),
                "GICD_TYPER": _Type(),
                "GICD_IROUTER": route,
                "GICD_SETSPI_NSR": _Message(True),
                "GICD_CLRSPI_NSR": _Message(False),
            }
        )
    words.update(banks)
    if config.nmi:
        layouts = [*layouts, *nmi.GICD_NMI]
        more = [*more, *nmi.GICD_NMI_EXTENDED]
    if config.extended_spis:
        layouts = [*layouts, *more]
        words[extended.IROUTER.name] = routes
        words.update(extended_words(banks, more))
        writable[extended.IROUTER.name] = writable["GICD_IROUTER"]
    return Frame("GICD", layouts, words, config.fixed, writable, profile.absent)
