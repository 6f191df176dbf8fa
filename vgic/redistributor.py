"""A Redistributor: the private interrupts of one PE, and what the guest learns from GICR_TYPER."""

from typing import Final

from mmio import Frame, Word
from vgic import affinity
from vgic.bank_registers import BankOwner, bank_words
from vgic.cpu_interface import CpuInterface
from vgic.interrupts import PrivateInterrupts
from vgic.layouts import gicr
from vgic.profile import Profile
from vgic.topology import Topology

__all__ = ["Redistributor", "redistributor_frames"]

_CHILDREN_ASLEEP: Final = 1 << 2
_PROCESSOR_SLEEP: Final = 1 << 1


class Redistributor(BankOwner):
    """State of one Redistributor that is not an interrupt's."""

    def __init__(
        self,
        interrupts: PrivateInterrupts,
        interface: CpuInterface,
        topology: Topology,
        profile: Profile,
        last: bool,
    ) -> None:
        super().__init__(interrupts)
        self.interface = interface
        self._topology = topology
        self._profile = profile
        self._constant = gicr.TYPER.encode(
            {**profile.redistributor_typer, "Processor_Number": interface.cpu, "Last": int(last)}
        )
        self.ctlr_constant = gicr.CTLR.encode(profile.redistributor_ctlr)
        self.ctlr = 0
        self.propbaser = 0
        self.pendbaser = 0
        self.processor_sleep = False
        self.set_sleep(profile.asleep_at_reset)

    @property
    def typer(self) -> int:
        """GICR_TYPER (64 bits); the affinity is looked up, so it follows the topology (rule AFF-5)."""
        shown = self._topology.affinities[self.interface.cpu] & self._profile.redistributor_affinity
        return affinity.to_typer(shown) | self._constant

    def set_sleep(self, asleep: bool) -> None:
        """Write GICR_WAKER.ProcessorSleep: a sleeping PE is sent nothing, what is pending waits (rule RED-5)."""
        self.processor_sleep = asleep
        self.interface.asleep = asleep and self._profile.sleep_gates
        self.interface.settle()


class _Control(Word[Redistributor]):
    def get(self, owner: Redistributor, index: int, secure: bool) -> int:
        return owner.ctlr

    def view(self, owner: Redistributor, index: int, secure: bool) -> int:
        return owner.ctlr | owner.ctlr_constant

    def put(self, owner: Redistributor, index: int, value: int, mask: int, secure: bool) -> None:
        owner.ctlr = value


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


def redistributor_frames(profile: Profile) -> list[Frame[Redistributor]]:
    """The RD_base and SGI_base frames as the profile has them."""
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
    choices = (profile.fixed, profile.writable, profile.absent)
    return [
        Frame("GICR RD_base", gicr.RD_BASE, control, *choices),
        Frame("GICR SGI_base", gicr.SGI_BASE, banks, *choices),
    ]
