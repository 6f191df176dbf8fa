"""The ways in which a judge is asked: which areas each can be asked about, and what stands beside the model."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from vgic_tools.compare.engine import Comparison
from vgic_tools.compare.freedoms import LateOutputs
from vgic_tools.judges.agent import QEMU
from vgic_tools.judges.errors import MissingJudgeError

__all__ = ["AREAS", "WAYS", "Way", "areas_of", "ways_for"]


class Way(NamedTuple):
    """A way to ask a judge."""

    name: str
    judge: str
    """Of `vgic compare`."""
    areas: frozenset[str]
    """What it can be asked about."""
    needed_for: frozenset[str]
    """What nothing else can be asked about."""
    open: Callable[[str], Comparison]
    """What starts it, given which QEMU or kernel."""
    default: str
    """The QEMU or kernel unless told."""
    sweeps_after: int
    """Operations after which every register is read."""


def _stopped(qemu: str) -> Comparison:
    from vgic_tools.judges.qemu import StoppedQemu

    judge = StoppedQemu(qemu)
    return Comparison(judge, judge.model())


def _running(qemu: str) -> Comparison:
    from vgic_tools.judges.qemu_guest import RunningQemu

    judge = RunningQemu(qemu)
    return Comparison(judge, judge.model(), [LateOutputs])


def _attributes(kernel: str) -> Comparison:
    from vgic_tools.judges.kvm import AttributesOfKvm, Facade

    judge = AttributesOfKvm(kernel)
    return Comparison(judge, Facade(judge.version))


WAYS: Final = {
    way.name: way
    for way in (
        Way(
            "running",
            "qemu",
            frozenset({"mmio", "cpu-interface", "lines", "sgis", "state"}),
            frozenset({"cpu-interface", "sgis"}),
            _running,
            QEMU,
            1000,
        ),
        Way("attributes", "kvm", frozenset({"attributes"}), frozenset({"attributes"}), _attributes, "6.12", 1000),
        Way(
            "stopped",
            "qemu",
            frozenset({"mmio", "lines", "its", "state"}),
            frozenset({"mmio", "lines", "its"}),
            _stopped,
            QEMU,
            250,
        ),
    )
}
"""By name."""

AREAS: Final = ("attributes", "mmio", "cpu-interface", "lines", "sgis", "its", "state")
"""What operations can be about."""


def areas_of(judge: str) -> frozenset[str]:
    """What a judge can be asked about. Raises MissingJudgeError for one that there is not."""
    known = frozenset(area for way in WAYS.values() if way.judge == judge for area in way.areas)
    if not known:
        judges = ", ".join(dict.fromkeys(way.judge for way in WAYS.values()))
        raise MissingJudgeError(f"there is no judge {judge!r}; there are {judges}")
    return known


def ways_for(judge: str, areas: frozenset[str]) -> Sequence[tuple[Way, frozenset[str]]]:
    """The ways to ask a judge about these areas, each with those that it is asked about.

    Raises MissingJudgeError where there is none for an area.
    """
    mine = [way for way in WAYS.values() if way.judge == judge]
    for area in sorted(areas):
        if not any(area in way.areas for way in mine):
            known = ", ".join(name for name in AREAS if any(name in way.areas for way in mine))
            raise MissingJudgeError(f"{judge} cannot be asked about {area}: only about {known}")
    chosen = [(way, way.areas & areas) for way in mine if way.needed_for & areas]
    # The state alone is nothing: it goes with whatever else is done.
    return chosen or [(mine[0], mine[0].areas)]
