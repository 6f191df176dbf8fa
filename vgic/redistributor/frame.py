"""A Redistributor: the private interrupts of one PE, and what the guest learns from GICR_TYPER."""

from typing import Final

from mypy_extensions import i64

from mmio import NOT_THERE, Frame, RegisterLayout, StoredWord, Word
from vgic import affinity
from vgic.config import Config
from vgic.cpu_interface.interface import CpuInterface
from vgic.features import DPG0, DPG1NS, DPG1S, ENABLE_LPIS, writable_bits
from vgic.interrupts.banks import ExtendedPpis, PrivateInterrupts
from vgic.interrupts.extended import extended_words
from vgic.interrupts.guards import EVERYTHING, Guard, OfTwoStates, SecureOnly, guarded
from vgic.interrupts.registers import BankOwner, Security, bank_words, nmi_words, spread, two_state_words
from vgic.layouts import extended, gicr, nmi
from vgic.lpis.bank import LpiBank
from vgic.lpis.base_registers import Substitutes
from vgic.profiles.choices import LpiChoices
from vgic.topology import AffinityIndex

__all__ = ["Redistributor", "redistributor_frames"]

_CHILDREN_ASLEEP: Final = gicr.WAKER.mask("ChildrenAsleep")
_PROCESSOR_SLEEP: Final = gicr.WAKER.mask("ProcessorSleep")

_LOW_WORD: Final = 0xFFFF_FFFF
_LOW_BITS: Final = 0x5555_5555
"""Bit 0 of each of sixteen fields of two bits."""

_DECLINING: Final = (DPG0, DPG1NS, DPG1S)
"""The bit of GICR_CTLR by which 1-of-N interrupts are kept away from the PE, by group."""

_RWP: Final = gicr.CTLR.mask("RWP")
_BUSY: Final = gicr.SYNCR.mask("Busy")

_SAME_AFF3: Final = 1
"""GICR_TYPER.CommonLPIAff: PEs of the same Aff3 share an LPI configuration table."""


class Redistributor(BankOwner):
    """State of one Redistributor that is not an interrupt's."""

    __slots__ = (
        "_a3v",
        "_affinities",
        "_constant",
        "_sleep_gates",
        "_typer",
        "_typer_moves",
        "ctlr",
        "interface",
        "lpis",
        "private",
        "processor_sleep",
        "vpendbaser",
        "vpropbaser",
    )

    def __init__(
        self,
        interrupts: PrivateInterrupts,
        extended: ExtendedPpis | None,
        interface: CpuInterface,
        lpis: LpiBank | None,
        affinities: AffinityIndex,
        config: Config,
        security: Security,
        last: bool,
    ) -> None:
        super().__init__(interrupts, extended, security)
        self.private = interrupts
        """The bank again, as what it is."""
        self.interface = interface
        self.lpis = lpis
        """None where the VM has no LPIs."""
        self._affinities = affinities
        profile, features = config.profile, config.features
        self._a3v = features.a3v
        self._sleep_gates = profile.sleep_gates
        fields = {
            "PLPIS": int(features.lpis),
            "DirectLPI": int(features.lpis and "GICR_SETLPIR" not in profile.absent),
            **profile.redistributor_typer,
            "Processor_Number": config.topology.processors[interface.cpu],
            "Last": int(last),
            "DPGS": int(features.one_of_n),
            "PPInum": config.extended_ppis // 32,
            "VLPIS": int(config.vlpi_frames),
        }
        if not features.a3v and fields.get("CommonLPIAff") == _SAME_AFF3:
            fields["CommonLPIAff"] = 0  # Without Aff3, all PEs have the same.
        self._constant = gicr.TYPER.encode(fields)
        self.ctlr = 0
        """The writable bits of GICR_CTLR."""
        self.processor_sleep = profile.asleep_at_reset
        self.vpropbaser = 0
        """GICR_VPROPBASER (64 bits), in a VM that has the frames of a GICv4."""
        self.vpendbaser = 0
        """GICR_VPENDBASER, likewise."""
        self._typer = 0
        self._typer_moves: i64 = -1
        """`AffinityIndex.moves` when GICR_TYPER was last put together."""
        self._tell_interface()

    @property
    def typer(self) -> int:
        """GICR_TYPER (64 bits); the affinity is looked up, so it follows MPIDR_EL1 (rule AFF-5)."""
        if self._affinities.moves != self._typer_moves:
            self._typer_moves = self._affinities.moves
            packed = self._affinities.affinities[self.interface.cpu]
            shown = packed if self._a3v else affinity.without_aff3(packed)
            self._typer = affinity.to_typer(shown) | self._constant
        return self._typer

    @property
    def asleep(self) -> bool:
        """The PE sleeps and is sent nothing (RED-5 to RED-7)."""
        return self.processor_sleep and self._sleep_gates

    @property
    def enables_lpis(self) -> bool:
        """GICR_CTLR.EnableLPIs."""
        return self.ctlr & ENABLE_LPIS != 0

    @property
    def declines(self) -> list[bool]:
        """By group: 1-of-N interrupts are kept away from the PE (ONEN-3)."""
        return [self.ctlr & bit != 0 for bit in _DECLINING[: len(self.interface.groups)]]

    def set_control(self, value: int) -> None:
        """Write the writable bits of GICR_CTLR (LPI-3, ONEN-1)."""
        self.ctlr = value
        if self.lpis is not None:
            if self.lpis.saving:
                self.ctlr &= ~ENABLE_LPIS
            if self.enables_lpis:
                self.lpis.enable()
            else:
                self.lpis.disable()
        self._tell_interface()

    def set_sleep(self, asleep: bool) -> None:
        """Write GICR_WAKER.ProcessorSleep: a sleeping PE is sent nothing, what is pending waits (rule RED-5)."""
        self.processor_sleep = asleep
        self._tell_interface()

    def _tell_interface(self) -> None:
        self.interface.set_distribution(self.asleep, self.declines)

    def tell(self) -> None:
        """Tell the others what `ctlr` and `processor_sleep` say; the caller brings them up to date."""
        self.interface.follow_redistributor(self.asleep, self.declines)
        if self.lpis is not None:
            self.lpis.enabled = self.enables_lpis


class _Control(StoredWord[Redistributor]):
    def get(self, owner: Redistributor, index: int) -> int:
        return owner.ctlr

    def keep(self, owner: Redistributor, index: int, value: int) -> None:
        owner.ctlr = value

    def view(self, owner: Redistributor, index: int, secure: bool) -> int:
        lpis = owner.lpis
        if lpis is not None and lpis.busy:
            lpis.go_on()
            if lpis.saving:
                return self.get(owner, index) | _RWP
        return self.get(owner, index)

    def put(self, owner: Redistributor, index: int, value: int, mask: int, secure: bool) -> None:
        owner.set_control(value)


class _ControlGuard(Guard[Redistributor]):
    """DPG1S and DPG0 are Secure; with GICD_CTLR.DS = 1 there is no DPG1S (SEC-8)."""

    def seen(self, owner: Redistributor, index: int, secure: bool) -> int:
        if not owner.security.two:
            return ~DPG1S
        return EVERYTHING if secure else ~(DPG1S | DPG0)


class _Type(Word[Redistributor]):
    def view(self, owner: Redistributor, index: int, secure: bool) -> int:
        return owner.typer


class _Waker(StoredWord[Redistributor]):
    """ChildrenAsleep follows ProcessorSleep at once (RED-4 to RED-7)."""

    def get(self, owner: Redistributor, index: int) -> int:
        return (_CHILDREN_ASLEEP | _PROCESSOR_SLEEP) if owner.processor_sleep else 0

    def kept(self, owner: Redistributor, index: int, writable: int) -> int:
        return (_CHILDREN_ASLEEP | _PROCESSOR_SLEEP) if writable else 0

    def keep(self, owner: Redistributor, index: int, value: int) -> None:
        owner.processor_sleep = value != 0

    def put(self, owner: Redistributor, index: int, value: int, mask: int, secure: bool) -> None:
        owner.set_sleep(value & _PROCESSOR_SLEEP != 0)


class _SgiAccess(StoredWord[Redistributor]):
    """GICR_NSACR, whose value 3 is the same as 2 and reads so unless the profile keeps it (SEC-9, SEC-21)."""

    def __init__(self, keeps_reserved: bool) -> None:
        self.keeps_reserved = keeps_reserved

    def get(self, owner: Redistributor, index: int) -> int:
        return owner.private.nsacr

    def keep(self, owner: Redistributor, index: int, value: int) -> None:
        owner.private.nsacr = value

    def put(self, owner: Redistributor, index: int, value: int, mask: int, secure: bool) -> None:
        self.keep(owner, index, value if self.keeps_reserved else value & ~(value >> 1 & _LOW_BITS))


class _SgiTriggers(Word[Redistributor]):
    """GICR_ICFGR0: SGIs are edge-triggered; of a Secure one a Non-secure access sees nothing (SEC-4)."""

    def view(self, owner: Redistributor, index: int, secure: bool) -> int:
        every = gicr.ICFGR0.reset
        if secure or not owner.security.two:
            return every
        return every & 0b11 * spread(owner.private.word.group1 & 0xFFFF)


class _TableBase(StoredWord[Redistributor]):
    """A register that says where a table is; RES0 without LPIs."""

    def __init__(self, layout: RegisterLayout, choices: LpiChoices) -> None:
        self.locked = choices.tables_locked
        self.substitutes = Substitutes(layout, choices.attributes)

    def kept(self, owner: Redistributor, index: int, writable: int) -> int:
        return NOT_THERE if owner.lpis is None else writable

    def may_be_written(self, owner: Redistributor) -> bool:
        """Some implementations take no writes while LPIs are enabled."""
        lpis = owner.lpis
        return lpis is not None and not (self.locked and (lpis.enabled or lpis.saving))


class _PropBaser(_TableBase):
    def get(self, owner: Redistributor, index: int) -> int:
        return 0 if owner.lpis is None else owner.lpis.propbaser

    def keep(self, owner: Redistributor, index: int, value: int) -> None:
        if owner.lpis is not None:
            owner.lpis.propbaser = value

    def put(self, owner: Redistributor, index: int, value: int, mask: int, secure: bool) -> None:
        if self.may_be_written(owner):
            self.keep(owner, index, self.substitutes.stored(value))


class _PendBaser(_TableBase):
    """PTZ is kept, since it says what the table holds, but not shown."""

    def __init__(self, layout: RegisterLayout, choices: LpiChoices) -> None:
        super().__init__(layout, choices)
        self.hidden = layout.mask("PTZ") if choices.honours_ptz else 0

    def get(self, owner: Redistributor, index: int) -> int:
        return 0 if owner.lpis is None else owner.lpis.pendbaser

    def keep(self, owner: Redistributor, index: int, value: int) -> None:
        if owner.lpis is not None:
            owner.lpis.pendbaser = value

    def view(self, owner: Redistributor, index: int, secure: bool) -> int:
        return self.get(owner, index) & ~self.hidden

    def put(self, owner: Redistributor, index: int, value: int, mask: int, secure: bool) -> None:
        if self.may_be_written(owner):
            self.keep(owner, index, self.substitutes.stored(value))


class _LpiCommand(Word[Redistributor]):
    """A register that acts on an LPI when its lower half is written."""

    def put(self, owner: Redistributor, index: int, value: int, mask: int, secure: bool) -> None:
        if owner.lpis is not None and mask & _LOW_WORD:
            self.act(owner.lpis, value & _LOW_WORD)

    def act(self, lpis: LpiBank, intid: int) -> None:
        """Do it."""
        raise NotImplementedError


class _SetLpi(_LpiCommand):
    def act(self, lpis: LpiBank, intid: int) -> None:
        lpis.make_pending(intid)


class _ClearLpi(_LpiCommand):
    def act(self, lpis: LpiBank, intid: int) -> None:
        lpis.clear_pending(intid)


class _InvalidateLpi(_LpiCommand):
    def act(self, lpis: LpiBank, intid: int) -> None:
        lpis.reload(intid)


class _InvalidateAll(_LpiCommand):
    def act(self, lpis: LpiBank, intid: int) -> None:
        lpis.reload_all()


class _Synchronise(Word[Redistributor]):
    """A guest that polls it lets the Redistributor go on."""

    def view(self, owner: Redistributor, index: int, secure: bool) -> int:
        lpis = owner.lpis
        if lpis is None or not lpis.busy:
            return 0
        lpis.go_on()
        return _BUSY if lpis.busy else 0


def redistributor_frames(config: Config) -> list[Frame[Redistributor]]:
    """The RD_base and SGI_base frames of a VM."""
    profile = config.profile
    control: dict[str, Word[Redistributor]] = {
        "GICR_CTLR": _Control(),
        "GICR_TYPER": _Type(),
        "GICR_WAKER": _Waker(),
        "GICR_SETLPIR": _SetLpi(),
        "GICR_CLRLPIR": _ClearLpi(),
        "GICR_PROPBASER": _PropBaser(gicr.PROPBASER, profile.lpi),
        "GICR_PENDBASER": _PendBaser(gicr.PENDBASER, profile.lpi),
        "GICR_INVLPIR": _InvalidateLpi(),
        "GICR_INVALLR": _InvalidateAll(),
        "GICR_SYNCR": _Synchronise(),
    }
    # Register 0 of PPI configuration covers INTIDs 16-31, the upper half of the bank's only word.
    half = 1
    words = bank_words("GICR", "GICR_ICFGR1", first_half=half)
    others = bank_words("GICR", "GICR_ICFGR")
    if config.nmi:
        for some in (words, others):
            some.update(nmi_words("GICR", profile.nmi_keeps_priority))
    more = extended.SGI_BASE_EXTENDED
    banks: dict[str, Word[Redistributor]] = {}
    layouts = gicr.SGI_BASE
    if config.two_states:
        layouts = gicr.SGI_BASE_OF_TWO_STATES
        control["GICR_CTLR"] = _ControlGuard(_Control())
        if not profile.nonsecure_reaches_waker:
            control["GICR_WAKER"] = SecureOnly(_Waker())
        ours = two_state_words("GICR")
        others = guarded({**others, **ours}, profile)
        more = extended.SGI_BASE_EXTENDED_OF_TWO_STATES
        banks.update(guarded({**words, **ours}, profile, half))
        banks["GICR_NSACR"] = OfTwoStates(_SgiAccess(profile.keeps_reserved_nsacr))
        banks["GICR_ICFGR0"] = _SgiTriggers()
    else:
        banks.update(words)
    if config.nmi:
        layouts = [*layouts, *nmi.SGI_BASE_NMI]
        more = [*more, *nmi.SGI_BASE_NMI_EXTENDED]
    if config.extended_ppis:
        layouts = [*layouts, *more]
        banks.update(extended_words(others, more))
    absent = profile.absent
    if not config.features.lpis:
        absent |= {layout.name for layout in gicr.OF_LPIS}
    constants = {
        "CES": int(config.features.lpis),
        "IR": int(config.features.lpis and "GICR_INVLPIR" not in absent),
        **profile.redistributor_ctlr,
    }
    ones = {"GICR_CTLR": gicr.CTLR.encode(constants)}
    writable = writable_bits(config.features, config.two_states, profile.writable)
    return [
        Frame("GICR RD_base", gicr.RD_BASE, control, config.fixed, writable, absent, ones),
        Frame("GICR SGI_base", layouts, banks, config.fixed, writable, absent, ones),
    ]
