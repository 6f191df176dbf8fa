"""The figures that the benchmark shows: from measured times to ratios, and whether each is within its bound."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from vgic_tools.bench.cases import EMPTY, READ_CALLED, SGI_CYCLE
from vgic_tools.bench.loops import LOOPS
from vgic_tools.bench.lpis import LPI_FEW, LPI_MANY
from vgic_tools.bench.replays import PACKED, REPLAYED, TEXT
from vgic_tools.bench.start_up import BARE, STARTS
from vgic_tools.bench.subject import BROADCAST, IN_CORE, MIX, QUEUE_CALLS, QUEUE_FEW, QUEUE_MANY
from vgic_tools.bench.worst import MOST_VCPUS, PROFILES, worst_of

__all__ = [
    "CONSTRUCT",
    "INTERPRETED",
    "OBJECTS",
    "PER_LPI",
    "PER_SPI",
    "PER_VCPU",
    "QEMU",
    "Bound",
    "C",
    "Figure",
    "figures_of",
]

# Before the name of what is measured elsewhere than in this process's own core.
INTERPRETED: Final = "interpreted: "
C: Final = "C: "
QEMU: Final = "QEMU: "
OBJECTS: Final = "an object per interrupt: "
CONSTRUCT: Final = "Construct per access: "

PER_VCPU: Final = "memory per vCPU"
PER_SPI: Final = "memory per SPI"
PER_LPI: Final = "memory per mapped LPI, beside the guest's tables"


class Bound(NamedTuple):
    """What a figure must reach, and what it should."""

    bound: float
    aim: float
    at_least: bool
    """It must be as large as the bound, else as small."""

    def met(self, value: float) -> bool:
        """True where a value is within the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True)
class Figure:
    """One line of the result."""

    name: str
    unit: str
    value: float | None
    """None where it could not be measured."""
    bound: Bound | None
    """None for what is shown without a promise."""
    parts: Mapping[str, float]
    """What it comes from: nanoseconds, or bytes, by name."""
    why_not: str = ""
    """Why it could not be measured."""

    @property
    def met(self) -> bool | None:
        """Whether it is within its bound; None where it has none or was not measured."""
        return None if self.value is None or self.bound is None else self.bound.met(self.value)


class _Ratio(NamedTuple):
    """A figure that is one measurement divided by another."""

    name: str
    over: str
    under: str
    unit: str
    bound: Bound | None = None


def _at_least(bound: float, aim: float) -> Bound:
    return Bound(bound, aim, at_least=True)


def _at_most(bound: float, aim: float) -> Bound:
    return Bound(bound, aim, at_least=False)


_FASTER: Final = "times faster"
_AS_LONG: Final = "times as long"

_QEMU_BOUNDS: Final = {
    "GICD_CTLR read": _at_least(2, 4),
    "GICR_TYPER read": _at_least(2, 4),
    "IAR1 + EOIR1": _at_least(4, 10),
    "SGI to self + IAR1 + EOIR1": _at_least(4, 10),
}

_RATIOS: Final = (
    _Ratio(
        "trace mix, against the interpreted core",
        INTERPRETED + IN_CORE + MIX,
        IN_CORE + MIX,
        _FASTER,
        _at_least(10, 18),
    ),
    _Ratio("trace mix, against the C yardstick", IN_CORE + MIX, C + MIX, _AS_LONG, _at_most(4, 2)),
    *(
        _Ratio(
            f"{loop.name}, against QEMU",
            QEMU + loop.name,
            IN_CORE + loop.name,
            _FASTER,
            _QEMU_BOUNDS.get(loop.name),
        )
        for loop in LOOPS
    ),
    *(
        _Ratio(f"{loop.name} replayed and compared, against QEMU", QEMU + loop.name, REPLAYED + loop.name, _FASTER)
        for loop in LOOPS
    ),
    _Ratio("GICD_CTLR read called from Python", READ_CALLED, EMPTY, "empty method calls", _at_most(2.5, 1.6)),
    # The C yardstick is the same machine in the same run, and does not change with this core. It walks the state of
    # PEs as the broadcast does. Where 35 ns was the bound it took 12 ns for an operation of the mix.
    _Ratio(
        "SGI broadcast, each of 511 targets", BROADCAST, C + MIX, "operations of C's trace mix", _at_most(2.8, 1.4)
    ),
    *(
        _Ratio(name, name, BARE, "starts of python -c pass", _at_most(bound, bound))
        for name, bound in STARTS.items()
    ),
    _Ratio("queue update, 65,536 pending against 4", QUEUE_MANY, QUEUE_FEW, _AS_LONG, _at_most(2, 1.3)),
    _Ratio("LPI delivered, 65,536 mapped against 16", LPI_MANY, LPI_FEW, _AS_LONG, _at_most(1.2, 1)),
    _Ratio("trace mix called from Python, against the interpreted core", INTERPRETED + MIX, MIX, _FASTER),
    _Ratio("trace mix called from Python, against the C yardstick", MIX, C + MIX, _AS_LONG),
    _Ratio("trace mix, against an object per interrupt", OBJECTS + MIX, IN_CORE + MIX, _FASTER),
    _Ratio("trace mix, against Construct per access", CONSTRUCT + MIX, IN_CORE + MIX, _FASTER),
    *(
        _Ratio(f"{loop.name}, against the C yardstick", IN_CORE + loop.name, C + loop.name, _AS_LONG)
        for loop in LOOPS
    ),
)

# The calls alone are no part of what an update costs.
_NET_OF: Final = {QUEUE_MANY: QUEUE_CALLS, QUEUE_FEW: QUEUE_CALLS}

_PLAIN: Final = (
    (PER_VCPU, "bytes", _at_most(4096, 2048)),
    (PER_SPI, "bytes", _at_most(16, 12)),
    (PER_LPI, "bytes", _at_most(12, 2)),
)

_RATES: Final = (
    (TEXT, "QEMU text replayed", "lines per second", _at_least(2e6, 4e6)),
    (PACKED, "packed trace replayed", "records per second", _at_least(8e6, 15e6)),
)


# Some 5 ms: what an embedder may lose to a guest at a time.
_WORST: Final = {worst_of(profile): _at_most(20_000, 2000) for profile in PROFILES} | {MOST_VCPUS: None}


def figures_of(measured: Mapping[str, float], missing: Mapping[str, str]) -> list[Figure]:
    """Every figure, from what was measured.

    `missing` says why there are no measurements whose names begin so.
    """
    figures = [_ratio(ratio, measured, missing) for ratio in _RATIOS]
    for name, bound in _WORST.items():
        figures.append(_longest(name, bound, measured))
    for name, unit, bound in _PLAIN:
        figures.append(Figure(name, unit, measured[name], bound, {name: measured[name]}))
    for key, name, unit, bound in _RATES:
        figures.append(Figure(name, unit, 1e9 / measured[key], bound, {key: measured[key]}))
    return sorted(figures, key=lambda figure: figure.bound is None)


def _longest(name: str, bound: Bound | None, measured: Mapping[str, float]) -> Figure:
    """The longest of the accesses that belong to a figure, in SGI cycles."""
    worst = max((key for key in measured if key.startswith(f"{name}: ")), key=measured.__getitem__)
    parts = {worst: measured[worst], SGI_CYCLE: measured[SGI_CYCLE]}
    return Figure(name, "SGI cycles", measured[worst] / measured[SGI_CYCLE], bound, parts)


def _ratio(ratio: _Ratio, measured: Mapping[str, float], missing: Mapping[str, str]) -> Figure:
    wanted = [ratio.over, ratio.under]
    wanted += [_NET_OF[name] for name in wanted if name in _NET_OF]
    parts = {name: measured[name] for name in wanted if name in measured}
    for name in wanted:
        if name not in measured:
            why = next(reason for prefix, reason in missing.items() if name.startswith(prefix))
            return Figure(ratio.name, ratio.unit, None, ratio.bound, parts, why)
    over, under = (parts[name] - parts.get(_NET_OF.get(name, ""), 0) for name in (ratio.over, ratio.under))
    if over <= 0 or under <= 0:
        why = "some took no longer than an empty loop: too few repetitions, or too much else to do"
        return Figure(ratio.name, ratio.unit, None, ratio.bound, parts, why)
    return Figure(ratio.name, ratio.unit, over / under, ratio.bound, parts)
