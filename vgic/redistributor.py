"""A Redistributor: the private interrupts of one PE, and what the guest learns from GICR_TYPER."""

from typing import Final

from mmio import Frame, Word
from vgic import affinity
from vgic.bank_registers import BankOwner, bank_words
from vgic.config import Config
from vgic.cpu_interface import CpuInterface
from vgic.features import DPG0, DPG1NS, writable_bits
from vgic.interrupts import PrivateInterrupts
from vgic.layouts import gicr
from vgic.topology import AffinityIndex

__all__ = ["Redistributor", "redistributor_frames"]

_CHILDREN_ASLEEP: Final = gicr.WAKER.mask("ChildrenAsleep")
_PROCESSOR_SLEEP: Final = gicr.WAKER.mask("ProcessorSleep")

_SAME_AFF3: Final = 1
"""GICR_TYPER.CommonLPIAff: PEs of the same Aff3 share an LPI configuration table."""


class Redistributor(BankOwner):
    """State of one Redistributor that is not an interrupt's."""

    __slots__ = (
        "_a3v",
        "_affinities",
        "_constant",
        "_sleep_gates",
        "ctlr",
        "ctlr_constant",
        "interface",
        "pendbaser",
        "private",
        "processor_sleep",
        "propbaser",
    )

    def __init__(
        self,
        interrupts: PrivateInterrupts,
        interface: CpuInterface,
        affinities: AffinityIndex,
        config: Config,
        last: bool,
    ) -> None:
        super().__init__(interrupts)
        self.private = interrupts
        """The bank again, as what it is."""
        self.interface = interface
        self._affinities = affinities
        profile, features = config.profile, config.features
        self._a3v = features.a3v
        self._sleep_gates = profile.sleep_gates
        fields = {
            **profile.redistributor_typer,
            "Processor_Number": interface.cpu,
            "Last": int(last),
            "DPGS": int(features.one_of_n),
        }
        if not features.a3v and fields.get("CommonLPIAff") == _SAME_AFF3:
            fields["CommonLPIAff"] = 0  # Without Aff3, all PEs have the same.
        self._constant = gicr.TYPER.encode(fields)
        self.ctlr_constant = gicr.CTLR.encode(profile.redistributor_ctlr)
        self.ctlr = 0
        self.propbaser = 0
        self.pendbaser = 0
        self.processor_sleep = profile.asleep_at_reset
        self._tell_interface()

    @property
    def typer(self) -> int:
        """GICR_TYPER (64 bits); the affinity is looked up, so it follows MPIDR_EL1 (rule AFF-5)."""
        packed = self._affinities.affinities[self.interface.cpu]
        return affinity.to_typer(packed if self._a3v else affinity.without_aff3(packed)) | self._constant

    @property
    def asleep(self) -> bool:
        """The PE sleeps and is sent nothing."""
        return self.processor_sleep and self._sleep_gates

    @property
    def declines(self) -> list[bool]:
        """By group: 1-of-N interrupts are kept away from the PE."""
        return [self.ctlr & DPG0 != 0, self.ctlr & DPG1NS != 0]

    def set_control(self, value: int) -> None:
        """Write the writable bits of GICR_CTLR."""
        self.ctlr = value
        self._tell_interface()

    def set_sleep(self, asleep: bool) -> None:
        """Write GICR_WAKER.ProcessorSleep: a sleeping PE is sent nothing, what is pending waits (rule RED-5)."""
        self.processor_sleep = asleep
        self._tell_interface()

    def _tell_interface(self) -> None:
        self.interface.set_distribution(self.asleep, self.declines)


class _Control(Word[Redistributor]):
    def get(self, owner: Redistributor, index: int, secure: bool) -> int:
        return owner.ctlr

    def view(self, owner: Redistributor, index: int, secure: bool) -> int:
        return owner.ctlr | owner.ctlr_constant

    def put(self, owner: Redistributor, index: int, value: int, mask: int, secure: bool) -> None:
        owner.set_control(value)


class _Type(Word[Redistributor]):
    def get(self, owner: Redistributor, index: int, secure: bool) -> int:
        return owner.typer


class _Waker(Word[Redistributor]):
    """ChildrenAsleep follows ProcessorSleep at once."""

    def get(self, owner: Redistributor, index: int, secure: bool) -> int:
        return (_CHILDREN_ASLEEP | _PROCESSOR_SLEEP) if owner.processor_sleep else 0

    def put(self, owner: Redistributor, index: int, value: int, mask: int, secure: bool) -> None:
        owner.set_sleep(value & _PROCESSOR_SLEEP != 0)


class _PropBaser(Word[Redistributor]):
    def get(self, owner: Redistributor, index: int, secure: bool) -> int:
        return owner.propbaser

    def put(self, owner: Redistributor, index: int, value: int, mask: int, secure: bool) -> None:
        owner.propbaser = value


class _PendBaser(Word[Redistributor]):
    def get(self, owner: Redistributor, index: int, secure: bool) -> int:
        return owner.pendbaser

    def put(self, owner: Redistributor, index: int, value: int, mask: int, secure: bool) -> None:
        owner.pendbaser = value


def redistributor_frames(config: Config) -> list[Frame[Redistributor]]:
    """The RD_base and SGI_base frames of a VM."""
    control: dict[str, Word[Redistributor]] = {
        "GICR_CTLR": _Control(),
        "GICR_TYPER": _Type(),
        "GICR_WAKER": _Waker(),
        "GICR_PROPBASER": _PropBaser(),
        "GICR_PENDBASER": _PendBaser(),
    }
    banks: dict[str, Word[Redistributor]] = {}
    # Register 0 of PPI configuration covers INTIDs 16-31, the upper half of the bank's only word.
    banks.update(bank_words("GICR", "GICR_ICFGR1", first_half=1))
    profile = config.profile
    choices = (profile.fixed, writable_bits(config.features, profile.writable), profile.absent)
    return [
        Frame("GICR RD_base", gicr.RD_BASE, control, *choices),
        Frame("GICR SGI_base", gicr.SGI_BASE, banks, *choices),
    ]
