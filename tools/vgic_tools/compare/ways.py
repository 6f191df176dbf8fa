"""The ways in which a judge is asked: which areas each can be asked about, and what stands beside the model."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from vgic_tools.compare.areas import AREAS
from vgic_tools.compare.engine import Comparison, Life, lives
from vgic_tools.compare.freedoms import Freedom, LateOutputs
from vgic_tools.judges.agent import QEMU
from vgic_tools.judges.errors import MissingJudgeError
from vgic_tools.judges.protocol import (
    Attr,
    Judge,
    Line,
    Load,
    Message,
    Model,
    Mrs,
    Msr,
    Operation,
    Peek,
    Poke,
    SaveRestore,
    Store,
)

NEWER: Final = "newer"
"""As in `vgic_tools.judges.qemus`, which is loaded when it is asked."""

__all__ = ["WAYS", "Way", "areas_of", "ways_for"]


class Way(NamedTuple):
    """A way to ask a judge."""

    name: str
    judge: str
    """Of `vgic compare`."""
    areas: frozenset[str]
    """What it can be asked about."""
    needed_for: frozenset[str]
    """What nothing else can be asked about."""
    performs: tuple[type[Operation], ...]
    """The operations that there are."""
    judges: Callable[[str], Judge]
    """What starts the judge, given which QEMU or kernel."""
    model: Callable[[str], Model]
    """The model for a version of the judge."""
    freedoms: Sequence[Callable[[], Freedom]]
    default: str
    """The QEMU or kernel unless told."""
    sweeps_after: int
    """Operations after which every register is read."""
    by_default: bool = True
    """It is asked unless areas are named."""
    has: str = ""
    """What its machines have that is asked for by name: secure, virtualization or nmi, or several of them."""
    compares: Callable[[Judge, Model], Comparison] | None = None
    """What compares where the model has to follow the judge."""
    draws: Callable[[int, frozenset[str], int | None, str], Iterator[Life]] | None = None
    """What the judge of a version can be asked, from a seed, where that is not just anything."""

    def open(self, which: str | None = None) -> Comparison:
        """Start the judge. Raises MissingJudgeError."""
        judge = self.judges(which or self.default)
        model = self.model(judge.version)
        if self.compares is not None:
            return self.compares(judge, model)
        return Comparison(judge, model, self.freedoms)

    def lives(self, seed: int, areas: frozenset[str], cpus: int | None, version: str) -> Iterator[Life]:
        """Machines without end, and random operations on each of them."""
        drawn = lives(seed, areas, cpus) if self.draws is None else self.draws(seed, areas, cpus, version)
        return (life._replace(sweeps_after=self.sweeps_after) for life in drawn)


# What starts a judge loads what it needs.


def _stopped(qemu: str) -> Judge:
    from vgic_tools.judges.qemu import StoppedQemu

    return StoppedQemu(qemu)


def _beside_stopped(version: str) -> Model:
    from vgic_tools.judges.qemu import stopped_model

    return stopped_model(version)


def _running(qemu: str) -> Judge:
    from vgic_tools.judges.qemu_guest import RunningQemu

    return RunningQemu(qemu)


def _beside_running(version: str) -> Model:
    from vgic_tools.judges.qemu_guest import running_model

    return running_model(version)


def _beside_placed(version: str) -> Model:
    from vgic_tools.judges.placed_model import PlacedModel
    from vgic_tools.judges.qemu import configured

    return PlacedModel(configured(version))


def _two_state_lives(seed: int, areas: frozenset[str], cpus: int | None, version: str) -> Iterator[Life]:
    from vgic_tools.compare.two_states import two_state_lives

    return two_state_lives(seed, areas, cpus, version)


def _hypervisor_lives(seed: int, areas: frozenset[str], cpus: int | None, version: str) -> Iterator[Life]:
    from vgic_tools.compare.hypervisors import hypervisor_lives

    return hypervisor_lives(seed, areas, cpus, version)


def _renewed(qemu: str) -> Judge:
    from vgic_tools.judges.qemu import FIRST_WITH_NMIS, profile_of
    from vgic_tools.judges.qemu_guest import RenewedQemu

    judge = RenewedQemu(qemu)
    if not profile_of(judge.version).nmis:
        raise MissingJudgeError(f"QEMU {judge.version} has no NMIs to compare: {FIRST_WITH_NMIS}")
    return judge


def _beside_nmis(version: str) -> Model:
    from vgic_tools.judges.nmi_model import NmiModel
    from vgic_tools.judges.qemu import configured

    return NmiModel(configured(version))


def _beside_placed_nmis(version: str) -> Model:
    from vgic_tools.judges.placed_nmi_model import PlacedNmiModel
    from vgic_tools.judges.qemu import configured

    return PlacedNmiModel(configured(version))


def _listed_nmi_lives(seed: int, areas: frozenset[str], cpus: int | None, version: str) -> Iterator[Life]:
    from vgic_tools.compare.listed_nmis import listed_nmi_lives

    return listed_nmi_lives(seed, areas, cpus, version)


def _nmi_lives(seed: int, areas: frozenset[str], cpus: int | None, version: str) -> Iterator[Life]:
    from vgic_tools.compare.nmis import nmi_lives

    return nmi_lives(seed, areas, cpus, version)


def _two_state_nmi_lives(seed: int, areas: frozenset[str], cpus: int | None, version: str) -> Iterator[Life]:
    from vgic_tools.compare.two_state_nmis import two_state_nmi_lives

    return two_state_nmi_lives(seed, areas, cpus, version)


def _attributes(kernel: str) -> Judge:
    from vgic_tools.judges.kvm import AttributesOfKvm

    return AttributesOfKvm(kernel)


def _beside_attributes(version: str) -> Model:
    from vgic_tools.judges.kvm import Facade

    return Facade(version)


def _guests(kernel: str) -> Judge:
    from vgic_tools.judges.kvm_guests import GuestsOfKvm

    return GuestsOfKvm(kernel)


def _beside_guests(version: str) -> Model:
    from vgic_tools.judges.kvm_guests import guests_model

    return guests_model(version)


def _following(judge: Judge, model: Model) -> Comparison:
    from vgic_tools.compare.following import FollowingComparison

    return FollowingComparison(judge, model)


def _guest_lives(seed: int, areas: frozenset[str], cpus: int | None, version: str) -> Iterator[Life]:
    from vgic_tools.compare.following import guest_lives

    return guest_lives(seed, areas, cpus, version)


WAYS: Final = {
    way.name: way
    for way in (
        Way(
            "running",
            "qemu",
            frozenset({"mmio", "cpu-interface", "lines", "sgis", "state"}),
            frozenset({"cpu-interface", "sgis"}),
            (Load, Store, Mrs, Msr, Line, SaveRestore),
            _running,
            _beside_running,
            (LateOutputs,),
            QEMU,
            1000,
        ),
        Way(
            "secure",
            "qemu",
            frozenset({"mmio", "cpu-interface", "lines", "sgis", "state"}),
            frozenset({"mmio", "cpu-interface", "lines", "sgis"}),
            (Load, Store, Mrs, Msr, Line, SaveRestore),
            _running,
            _beside_placed,
            (LateOutputs,),
            QEMU,
            2500,
            has="secure",
            draws=_two_state_lives,
        ),
        Way(
            "hypervisor",
            "qemu",
            frozenset({"cpu-interface", "state"}),
            frozenset({"cpu-interface"}),
            (Load, Store, Mrs, Msr, Line, SaveRestore),
            _running,
            _beside_placed,
            (),
            QEMU,
            1000,
            has="virtualization",
            draws=_hypervisor_lives,
        ),
        Way(
            "nmi",
            "qemu",
            frozenset({"mmio", "cpu-interface", "lines", "sgis"}),
            frozenset({"mmio", "cpu-interface", "lines", "sgis"}),
            (Load, Store, Mrs, Msr, Line),
            _renewed,
            _beside_nmis,
            (LateOutputs,),
            NEWER,
            1000,
            has="nmi",
            draws=_nmi_lives,
        ),
        Way(
            "secure-nmi",
            "qemu",
            frozenset({"mmio", "cpu-interface", "lines", "sgis", "state"}),
            frozenset({"mmio", "cpu-interface", "lines", "sgis"}),
            (Load, Store, Mrs, Msr, Line, SaveRestore),
            _renewed,
            _beside_placed_nmis,
            (LateOutputs,),
            NEWER,
            2500,
            has="secure and nmi",
            draws=_two_state_nmi_lives,
        ),
        Way(
            "listed-nmi",
            "qemu",
            frozenset({"cpu-interface", "state"}),
            frozenset({"cpu-interface"}),
            (Load, Store, Mrs, Msr, Line, SaveRestore),
            _renewed,
            _beside_placed_nmis,
            (),
            NEWER,
            1000,
            has="virtualization and nmi",
            draws=_listed_nmi_lives,
        ),
        Way(
            "attributes",
            "kvm",
            frozenset({"attributes"}),
            frozenset({"attributes"}),
            (Attr,),
            _attributes,
            _beside_attributes,
            (),
            "6.12",
            1000,
        ),
        Way(
            "guests",
            "kvm",
            frozenset({"mmio", "cpu-interface", "sgis", "lines", "its"}),
            frozenset({"mmio", "cpu-interface", "sgis", "lines", "its"}),
            (Load, Store, Mrs, Msr, Line, Message, Poke),
            _guests,
            _beside_guests,
            (),
            "6.12",
            1000,
            by_default=False,
            compares=_following,
            draws=_guest_lives,
        ),
        Way(
            "stopped",
            "qemu",
            frozenset({"mmio", "lines", "its", "state"}),
            frozenset({"mmio", "lines", "its"}),
            (Load, Store, Line, Poke, Peek, SaveRestore),
            _stopped,
            _beside_stopped,
            (),
            QEMU,
            250,
        ),
    )
}
"""By name."""


def areas_of(judge: str, has: str = "") -> frozenset[str]:
    """What a judge is asked about unless told, of machines that have something (`Way.has`).

    Raises MissingJudgeError for a judge that there is not, or that builds no such machines.
    """
    known = frozenset(area for way in _ways(judge, has) if way.by_default for area in way.areas)
    if not known:
        if any(way.judge == judge for way in WAYS.values()):
            raise MissingJudgeError(f"{judge} builds no machines that can be asked about with {has}")
        judges = ", ".join(dict.fromkeys(way.judge for way in WAYS.values()))
        raise MissingJudgeError(f"there is no judge {judge!r}; there are {judges}")
    return known


def _ways(judge: str, has: str) -> list[Way]:
    return [way for way in WAYS.values() if (way.judge, way.has) == (judge, has)]


def ways_for(judge: str, areas: frozenset[str], has: str = "") -> Sequence[tuple[Way, frozenset[str]]]:
    """The ways to ask a judge about these areas, each with those that it is asked about.

    Raises MissingJudgeError where there is none for an area.
    """
    mine = _ways(judge, has)
    for area in sorted(areas):
        if not any(area in way.areas for way in mine):
            known = ", ".join(name for name in AREAS if any(name in way.areas for way in mine))
            raise MissingJudgeError(f"{judge} cannot be asked about {area}: only about {known}")
    chosen = [(way, way.areas & areas) for way in mine if way.needed_for & areas]
    # The state alone is nothing: it goes with whatever else is done.
    return chosen or [(mine[0], mine[0].areas)]
