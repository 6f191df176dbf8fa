"""What an erratum is: which CPUs have it, told by MIDR_EL1 and REVIDR_EL1, and what else it hangs on.

Rules IDENT-50 to IDENT-53. The errata themselves are in `vgic.identity.errata_table`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, NamedTuple

from vgic.identity.hardware import field_of
from vgic.identity.host import Cpu
from vgic.identity.implementation import MIDR

__all__ = ["Applies", "Condition", "Erratum", "Implementation", "Quantifier", "Range", "Which", "revision"]

_MODEL: Final = MIDR.layout.mask("Implementer") | MIDR.layout.mask("Architecture") | MIDR.layout.mask("PartNum")
_VARIANT: Final = MIDR.layout.field("Variant")
_REVISION: Final = MIDR.layout.field("Revision")


class Implementation(NamedTuple):
    """Which CPU it is, as a guest is told of one that it may run on."""

    midr: int
    """MIDR_EL1, 32 bits."""
    revidr: int
    """REVIDR_EL1, 64 bits."""
    aidr: int
    """AIDR_EL1, 64 bits."""


Which = tuple[int, int | None]
"""MIDR_EL1 and REVIDR_EL1 of a CPU, None where the latter is unknown."""


class Applies(IntEnum):
    """Whether an erratum is there; the greater, the worse for who leaves its workaround out."""

    NO = 0
    UNKNOWN = 1
    """Something that decides is not told."""
    YES = 2


class Quantifier(Enum):
    """How many CPUs of a list have to be on a safe list for the whole to be safe."""

    ALL = "all"
    ANY = "any"
    """What Linux asks so far: one entry that is safe hides the others. Rule IDENT-52."""


def revision(variant: int, minor: int) -> int:
    """rVpM as the one number that ranges compare: variant [7:4], revision [3:0].

    >>> hex(revision(3, 1))
    '0x31'
    """
    return variant << _REVISION.width | minor


class Range(NamedTuple):
    """CPUs of one model and a range of revisions. Rule IDENT-50."""

    model: int
    """MIDR_EL1 with variant and revision zero."""
    first: int = 0x00
    """The lowest revision, as `revision` makes them."""
    last: int = 0xFF
    """The highest."""
    fixed: tuple[tuple[int, int], ...] = ()
    """Revisions, each with the bits of REVIDR_EL1 of which any says that this CPU is mended."""

    def has(self, cpu: Which) -> Applies:
        """Whether a CPU is one of these; UNKNOWN where REVIDR_EL1 would tell and is not told."""
        midr, revidr = cpu
        number = revision(_VARIANT.extract(midr), _REVISION.extract(midr))
        if midr & _MODEL != self.model or not self.first <= number <= self.last:
            return Applies.NO
        masks = [mask for mended, mask in self.fixed if mended == number]
        if masks and revidr is None:
            return Applies.UNKNOWN
        return Applies.NO if any((revidr or 0) & mask for mask in masks) else Applies.YES


class Condition(NamedTuple):
    """A field of what a guest sees of its CPU, and the least value from which on it counts."""

    register: str
    field: str
    least: int

    def holds(self, guest: Cpu) -> Applies:
        """Whether a guest sees it; UNKNOWN where the register is."""
        seen = field_of(guest, self.register, self.field)
        if seen is None:
            return Applies.UNKNOWN
        return Applies.YES if seen >= self.least else Applies.NO


@dataclass(frozen=True)
class Erratum:
    """An erratum, or a weakness, for which operating systems have a workaround."""

    name: str
    """Who counts it, and the number: "Arm 843419"."""
    about: str
    """What goes wrong, or what has to be done, in a few words."""
    ranges: tuple[Range, ...]
    """The CPUs that have it; those that are known not to where `safe`."""
    safe: bool = False
    """`ranges` is a safe list: a CPU that is not on it is taken to have the erratum. Rule IDENT-52."""
    needs: Condition | None = None
    """It is there only where the guest sees this. Rule IDENT-53."""
    unless: Condition | None = None
    """It is not there where the guest sees this."""
    at_el2: bool = False
    """Its workaround is one of kernels at EL2, and no guest of ours has it to apply."""

    def of_cpu(self, cpu: Which) -> Applies:
        """Whether one CPU has it, whatever a guest sees."""
        found = max((one.has(cpu) for one in self.ranges), default=Applies.NO)
        return Applies(Applies.YES - found) if self.safe else found

    def among(self, cpus: Iterable[Which], safe_if: Quantifier = Quantifier.ALL) -> Applies:
        """Whether any of `cpus` has it, whatever a guest sees; NO of none.

        Each CPU is matched for itself. One that has it is enough, so that a safe list makes safe only those that
        are on it all; `safe_if` ANY is the other reading of safe lists.
        """
        each = [self.of_cpu(cpu) for cpu in cpus]
        if self.safe and safe_if is Quantifier.ANY:
            return min(each, default=Applies.NO)
        return max(each, default=Applies.NO)

    def shown_to(self, guest: Cpu) -> Applies:
        """Whether what a guest sees of its CPU lets it be there at all."""
        needed = Applies.YES if self.needs is None else self.needs.holds(guest)
        cured = Applies.NO if self.unless is None else self.unless.holds(guest)
        return min(needed, Applies(Applies.YES - cured))

    def applies(self, cpus: Iterable[Which], guest: Cpu, safe_if: Quantifier = Quantifier.ALL) -> Applies:
        """Whether a guest that may run on any of `cpus`, and sees `guest` of its own, works around it."""
        return min(self.among(cpus, safe_if), self.shown_to(guest))
