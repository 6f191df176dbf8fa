"""Rules of specs/lpis.md, and what the CPU interface does with LPIs."""

from typing import Final

from vgic_tools.rules.its_driver import DEVICE, EVENT, LPI, LPIS_THERE, Its, configured, enabled_lpis, pending_byte
from vgic_tools.rules.scenario import Check, Steps, get, given, memory, put, shows, signalled, steps, store
from vgic_tools.rules.setting import NONE, acknowledged, finish, pend, spi

__all__ = ["LPIS"]

_BIT: Final = 1 << LPI % 8
_ALL: Final = (1 << 64) - 1
_DIRECT: Final = given(shows("GICR_TYPER", DirectLPI=1), "it has no direct LPIs: GICR_TYPER.DirectLPI is 0")
_CACHED: Final = given(shows("GICR_CTLR", IR=1), "it has no invalidation registers: GICR_CTLR.IR is 0")


def _mapped(*cpus: int, at: int = 0x80, on: bool = True) -> tuple[Its, Steps]:
    """An ITS that has the LPI of the event go to the first of these vCPUs."""
    its = Its()
    return its, steps(configured(LPI, at=at, on=on), enabled_lpis(*cpus), its.mapped(*cpus))


def _check(rule: str, *parts: Steps) -> Check:
    return Check(rule, steps(*parts), its=True)


def _one_propbaser() -> Check:
    return _check(
        "LPI-4",
        steps(
            LPIS_THERE,
            put("GICR_PROPBASER", 0x4040_0000 | 14),
            shows("GICR_PROPBASER", Physical_Address=0x4_0400, IDbits=14),
            get("GICR_PROPBASER", 0, cpu=1),
            put("GICR_PROPBASER", _ALL, cpu=1),
            get("GICR_PROPBASER", 0, 0xF8F0_0000_0000_0060, cpu=1),
        ),
    )


def _locked() -> Check:
    _, mapped = _mapped(0)
    return _check(
        "LPI-5",
        mapped,
        steps(
            put("GICR_PROPBASER", 0x4050_0000 | 15),
            shows("GICR_PROPBASER", Physical_Address=0x4_0340),
            put("GICR_PENDBASER", 0x4050_0000),
            shows("GICR_PENDBASER", Physical_Address=0x4035),
        ),
    )


def _beyond() -> Check:
    its = Its()
    return _check(
        "LPI-9",
        steps(configured(LPI), configured(20_000), enabled_lpis(0, id_bits=13)),
        steps(its.mapped(0), its.event(20_000, EVENT + 1)),
        its.message(EVENT + 1),
        steps(signalled(0)),
        its.message(),
        steps(signalled(irq=True), acknowledged(LPI)),
    )


def _configuration() -> Check:
    its, mapped = _mapped(0, on=False)
    return _check(
        "LPI-10",
        mapped,
        its.message(),
        steps(signalled(), configured(LPI, at=0x40)),
        its.command("INV", DeviceID=DEVICE, EventID=EVENT),
        steps(signalled(irq=True), acknowledged(LPI), get("ICC_RPR_EL1", 0x40)),
    )


def _cached() -> Check:
    its, mapped = _mapped(0)
    return _check(
        "LPI-11",
        mapped,
        its.message(),
        steps(acknowledged(LPI), finish(LPI), configured(LPI, on=False)),
        its.message(),
        steps(signalled(irq=True)),
        its.command("INV", DeviceID=DEVICE, EventID=EVENT),
        steps(signalled()),
    )


def _loaded() -> Check:
    _, mapped = _mapped(0)
    return _check(
        "LPI-12",
        mapped,
        steps(
            put("GICR_CTLR", 0),
            store(pending_byte(LPI), _BIT, size=1),
            put("GICR_CTLR", 1),
            signalled(irq=True),
            acknowledged(LPI),
        ),
    )


def _saved() -> Check:
    its, mapped = _mapped(0)
    return _check(
        "LPI-14",
        mapped,
        its.message(),
        steps(
            signalled(irq=True),
            put("GICR_CTLR", 0),
            signalled(),
            memory(pending_byte(LPI), _BIT, _BIT, size=1),
        ),
    )


def _disabled() -> Check:
    its, mapped = _mapped(0)
    return _check(
        "LPI-16",
        mapped,
        steps(put("GICR_CTLR", 0)),
        its.message(),
        steps(put("GICR_CTLR", 1), signalled(), acknowledged(NONE)),
    )


def _direct() -> Check:
    return _check(
        "LPI-17",
        steps(_DIRECT, configured(LPI), enabled_lpis(0), put("GICR_SETLPIR", LPI), signalled(irq=True)),
        steps(put("GICR_CLRLPIR", LPI), signalled(), put("GICR_SETLPIR", LPI, size=4), acknowledged(LPI)),
        steps(get("GICR_SETLPIR", 0)),
    )


def _invalidated() -> Check:
    its, mapped = _mapped(0, on=False)
    return _check(
        "LPI-18",
        steps(_CACHED),
        mapped,
        its.message(),
        steps(signalled(), configured(LPI), put("GICR_INVLPIR", LPI), get("GICR_SYNCR", 0), signalled(irq=True)),
        steps(configured(LPI, on=False), put("GICR_INVALLR", 0), signalled()),
    )


def _no_active_state() -> Check:
    its, mapped = _mapped(0)
    return _check(
        "LPI-19",
        mapped,
        its.message(),
        steps(acknowledged(LPI), get("ICC_RPR_EL1", 0x80), signalled()),
        its.message(),
        steps(signalled(), finish(LPI), signalled(irq=True), acknowledged(LPI), finish(LPI), signalled()),
    )


def _group_1() -> Check:
    its, mapped = _mapped(0)
    return _check(
        "LPI-20",
        mapped,
        steps(spi(40, at=0x88)),
        its.message(),
        steps(
            pend(40),
            put("GICD_CTLR", 1),
            signalled(),
            put("GICD_CTLR", 3),
            signalled(irq=True),
            get("ICC_HPPIR0_EL1", NONE),
            get("ICC_HPPIR1_EL1", LPI),
            put("ICC_PMR_EL1", 0x80),
            signalled(),
            put("ICC_PMR_EL1", 0xFF),
            acknowledged(LPI),
            finish(LPI),
            acknowledged(40),
        ),
    )


def _drops_only() -> Check:
    its, mapped = _mapped(0)
    return _check(
        "CPU-20",
        mapped,
        its.message(),
        steps(acknowledged(LPI), get("ICC_RPR_EL1", 0x80), finish(LPI), get("ICC_RPR_EL1", 0xFF)),
        steps(put("ICC_CTLR_EL1", 2)),
        its.message(),
        steps(acknowledged(LPI), finish(LPI), get("ICC_RPR_EL1", 0xFF)),
        its.message(),
        steps(signalled(irq=True)),
    )


LPIS: Final = (
    _check("LPI-1", steps(LPIS_THERE, shows("GICR_TYPER", PLPIS=1), shows("GITS_TYPER", Physical=1))),
    _check(
        "LPI-3",
        steps(
            LPIS_THERE,
            shows("GICR_CTLR", EnableLPIs=0, CES=1),
            enabled_lpis(0),
            shows("GICR_CTLR", EnableLPIs=1, RWP=0),
            put("GICR_CTLR", 0),
            shows("GICR_CTLR", EnableLPIs=0, RWP=0),
        ),
    ),
    _one_propbaser(),
    _locked(),
    _check(
        "LPI-6",
        steps(LPIS_THERE, put("GICR_PENDBASER", 1 << 62 | 0x4050_0000))
        + steps(shows("GICR_PENDBASER", PTZ=0, Physical_Address=0x4050)),
    ),
    _beyond(),
    _configuration(),
    _cached(),
    _loaded(),
    _saved(),
    _disabled(),
    _direct(),
    _invalidated(),
    _no_active_state(),
    _group_1(),
    _drops_only(),
    Check("LPI-27", _loaded().steps + steps(memory(pending_byte(LPI), _BIT, _BIT, size=1)), its=True, of="KVM"),
)
"""Checks."""
