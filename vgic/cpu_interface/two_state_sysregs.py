"""The system registers of a VM with two Security states, by encoding and by who looks: see `CpuInterface.view`."""

from typing import Final

from vgic.bits import signed
from vgic.config import Config
from vgic.cpu_interface.group import GROUP0, GROUP1, SECURE_GROUP1
from vgic.cpu_interface.registers import (
    CBPR,
    EOI_MODE,
    MAX_BPR,
    Acknowledge,
    ActivePriorityWord,
    BinaryPoint,
    Deactivate,
    EndOfInterrupt,
    GroupEnable,
    HighestPending,
    Pmr,
    Register,
    RunningPriority,
)
from vgic.cpu_interface.sysregs import SystemRegisters
from vgic.cpu_interface.two_state_registers import (
    AcknowledgeAtEl3,
    AcknowledgeEither,
    BankedControl,
    EitherEndOfInterrupt,
    El3Control,
    GenerateSgiBetweenStates,
    GroupEnables,
    HighestPendingAtEl3,
    HighestPendingOfEither,
    NonsecureActivePriorityWord,
    NonsecurePmr,
    NonsecureRunningPriority,
    OfOneState,
    OwnBinaryPoint,
    SecureBinaryPoint,
)
from vgic.cpu_interface.two_states import AT_EL3, NONSECURE, SECURE, SHIFTED, VIEWS
from vgic.layouts import icc
from vgic.profiles import Profile
from vgic.redistributor.sgi import SgiGenerator

__all__ = ["EL3_VIEWS", "TwoStateSystemRegisters"]

_EL3_NONSECURE: Final = AT_EL3 + GROUP1
_EL3_SECURE: Final = AT_EL3 + SECURE_GROUP1
EL3_VIEWS: Final = (_EL3_NONSECURE, _EL3_SECURE)
_EVERY_VIEW: Final = (SECURE, NONSECURE, SHIFTED, *EL3_VIEWS)
_OF_BANK: Final = {GROUP1: (NONSECURE, SHIFTED, _EL3_NONSECURE), SECURE_GROUP1: (SECURE, _EL3_SECURE)}
"""By the group of a bank, the views in which its registers are; at EL3 SCR_EL3.NS chooses."""
_NAME_OF_BANK: Final = {GROUP1: "_NS", SECURE_GROUP1: "_S"}
_IGNORED_WORDS: Final = 2
"""Where there are more, what is Secure's of 128 priorities."""
_SGI_REGISTERS: Final = {
    "ICC_SGI1R_EL1": icc.ICC_SGI1R_EL1,
    "ICC_ASGI1R_EL1": icc.ICC_ASGI1R_EL1,
    "ICC_SGI0R_EL1": icc.ICC_SGI0R_EL1,
}


class TwoStateSystemRegisters(SystemRegisters):
    """The ICC_* registers of a VM with two Security states, shared by its vCPUs' CPU interfaces."""

    def _fill(self, config: Config, sgis: SgiGenerator) -> None:
        self._add_views(VIEWS)
        self._fill_priorities(config)
        self._fill_common(config, sgis)
        for bank in (GROUP1, SECURE_GROUP1):
            self._fill_bank(bank, config.profile)
        self._fill_actions()
        self._fill_higher(config)

    def _add_to(self, views: tuple[int, ...], name: str, register: Register, index: int = 0, ones: int = 0) -> None:
        for view in views:
            self._add(name, register, index, ones, view)

    def _fill_priorities(self, config: Config) -> None:
        bits = 0xFF00 >> config.priority_bits & 0xFF
        pmr = Pmr(bits)
        self._store("ICC_PMR_EL1", pmr)
        self._add_to(_EVERY_VIEW, "ICC_PMR_EL1", pmr)
        self._add_to(_EVERY_VIEW, "ICC_RPR_EL1", RunningPriority())
        keeps_idle = not config.profile.idle_priority_is_shifted
        self._add("ICC_PMR_EL1", NonsecurePmr(bits, keeps_idle), view=SHIFTED)
        self._add("ICC_RPR_EL1", NonsecureRunningPriority(), view=SHIFTED)

    def _fill_common(self, config: Config, sgis: SgiGenerator) -> None:
        """What is not banked, and the same in every view but for who writes it."""
        binary_point, enable = BinaryPoint(MAX_BPR, GROUP0), GroupEnable(1, GROUP0)
        self._store("ICC_BPR0_EL1", binary_point)
        self._add_to(_EVERY_VIEW, "ICC_BPR0_EL1", binary_point)
        self._store("ICC_IGRPEN0_EL1", enable)
        self._add_to(_EVERY_VIEW, "ICC_IGRPEN0_EL1", enable)
        for number in self._active_words:
            name, index, bits = self._active(GROUP0, number)
            word = ActivePriorityWord(bits, GROUP0, number)
            self._store(name, word, index)
            self._add_to(_EVERY_VIEW, name, word, index)
        self._add_to(_EVERY_VIEW, "ICC_SRE_EL1", Register())
        self._add_to(_EVERY_VIEW, "ICC_DIR_EL1", Deactivate())
        for view in _EVERY_VIEW:
            secure = view not in (NONSECURE, SHIFTED)
            for name, encoding in _SGI_REGISTERS.items():
                self._add(name, GenerateSgiBetweenStates(sgis, encoding, secure), view=view)

    def _fill_bank(self, bank: int, profile: Profile) -> None:
        views, name = _OF_BANK[bank], _NAME_OF_BANK[bank]
        at_el3 = AT_EL3 + bank
        binary_point = BinaryPoint(MAX_BPR, GROUP1) if bank == GROUP1 else SecureBinaryPoint(MAX_BPR, bank)
        self._store("ICC_BPR1_EL1", binary_point, bank=name)
        self._add_to(views, "ICC_BPR1_EL1", binary_point)
        self._add("ICC_BPR1_EL1", OwnBinaryPoint(MAX_BPR, bank), view=at_el3)
        control, enable = BankedControl(CBPR | EOI_MODE, bank), GroupEnable(1, bank)
        self._store("ICC_CTLR_EL1", control, ones=self._constant, bank=name)
        self._add_to(views, "ICC_CTLR_EL1", control, ones=self._constant)
        self._store("ICC_IGRPEN1_EL1", enable, bank=name)
        self._add_to(views, "ICC_IGRPEN1_EL1", enable)
        for number in self._active_words:
            active, index, bits = self._active(bank, number)
            word = ActivePriorityWord(bits, bank, number)
            self._store(active, word, index, bank=name)
            self._add_to(views, active, word, index)
            if bank == GROUP1:
                self._restrict(number, profile)

    def _restrict(self, number: int, profile: Profile) -> None:
        """Let Non-secure writes reach only the active priorities that are Non-secure's (PE-10)."""
        name, index, every = self._active(GROUP1, number)
        if profile.nonsecure_ap1r_ignores_writes and number < _IGNORED_WORDS:
            ignoring = NonsecureActivePriorityWord(every, number, 0, 0)
            self._add_to(_OF_BANK[GROUP1], name, ignoring, index)
            return
        levels = 32 * len(self._active_words)
        upper_half = (1 << levels) - (1 << levels // 2)
        # Superpriority is of the bank, and no priority of the lower half.
        own = upper_half >> 32 * number & self._active_bits | every & ~self._active_bits
        restricted = NonsecureActivePriorityWord(every, number, signed(own), signed(every))
        self._add_to((NONSECURE, SHIFTED), name, restricted, index)

    def _fill_actions(self) -> None:
        self._add_to((SECURE,), "ICC_IAR0_EL1", Acknowledge(GROUP0))
        self._add_to((SECURE,), "ICC_HPPIR0_EL1", HighestPending(GROUP0))
        self._add_to((SECURE,), "ICC_IAR1_EL1", Acknowledge(SECURE_GROUP1))
        self._add_to((SECURE,), "ICC_HPPIR1_EL1", HighestPending(SECURE_GROUP1))
        self._add_to((SECURE,), "ICC_EOIR0_EL1", EndOfInterrupt(GROUP0))
        self._add_to((SECURE,), "ICC_EOIR1_EL1", EndOfInterrupt(SECURE_GROUP1))
        nonsecure = (NONSECURE, SHIFTED)
        self._add_to(nonsecure, "ICC_IAR0_EL1", OfOneState(Acknowledge(GROUP0)))
        self._add_to(nonsecure, "ICC_HPPIR0_EL1", OfOneState(HighestPending(GROUP0)))
        self._add_to(nonsecure, "ICC_IAR1_EL1", Acknowledge(GROUP1))
        self._add_to(nonsecure, "ICC_HPPIR1_EL1", HighestPending(GROUP1))
        self._add_to(nonsecure, "ICC_EOIR0_EL1", OfOneState(EndOfInterrupt(GROUP0)))
        self._add_to(nonsecure, "ICC_EOIR1_EL1", EndOfInterrupt(GROUP1))
        self._add_to(EL3_VIEWS, "ICC_IAR0_EL1", AcknowledgeAtEl3())
        self._add_to(EL3_VIEWS, "ICC_HPPIR0_EL1", HighestPendingAtEl3())
        self._add_to(EL3_VIEWS, "ICC_IAR1_EL1", AcknowledgeEither())
        self._add_to(EL3_VIEWS, "ICC_HPPIR1_EL1", HighestPendingOfEither())
        self._add_to(EL3_VIEWS, "ICC_EOIR0_EL1", EndOfInterrupt(GROUP0))
        self._add_to(EL3_VIEWS, "ICC_EOIR1_EL1", EitherEndOfInterrupt())

    def _fill_higher(self, config: Config) -> None:
        """The registers of EL2 and EL3 (PE-14)."""
        control = El3Control(config.profile.el3_control_shows_nonsecure)
        constant = icc.CTLR_EL3.encode({**self._constant_fields, **config.profile.el3_control})
        self._store("ICC_CTLR_EL3", control, ones=constant)
        self._add_higher("ICC_CTLR_EL3", control, constant)
        self._add_higher("ICC_IGRPEN1_EL3", GroupEnables())
        self._add_higher("ICC_SRE_EL2", Register())
        self._add_higher("ICC_SRE_EL3", Register())
