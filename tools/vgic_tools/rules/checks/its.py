"""Rules of specs/its.md."""

from typing import Final

from vgic_tools.rules.its_driver import DEVICE, EVENT, LPI, Its, configured, enabled_lpis
from vgic_tools.rules.scenario import Check, Steps, get, given, put, shows, signalled, steps
from vgic_tools.rules.setting import NONE, acknowledged, finish

__all__ = ["ITS"]

_THERE: Final = given(shows("GICD_TYPER", LPIS=1), "it has no ITS")
_NUMBERS: Final = given(shows("GITS_TYPER", PTA=0), "its collections name addresses: GITS_TYPER.PTA is 1")


class _Scenario:
    """A device whose LPIs go to vCPU 0 by collection 0; collection 1 is that of vCPU 1."""

    def __init__(self, rule: str, *, mapped: bool = True) -> None:
        self.rule = rule
        self.its = Its()
        self.steps = steps(configured(LPI), configured(LPI + 1), enabled_lpis(0, 1))
        self.steps += self.its.mapped(0, 1) if mapped else self.its.start()

    def then(self, *parts: Steps) -> "_Scenario":
        self.steps += steps(*parts)
        return self

    def does(self, name: str, **fields: int) -> "_Scenario":
        """The ITS obeys a command."""
        return self.then(self.its.command(name, **fields))

    def to_event(self, name: str, **fields: int) -> "_Scenario":
        """A command about the event."""
        return self.does(name, DeviceID=DEVICE, EventID=EVENT, **fields)

    def message(self) -> "_Scenario":
        return self.then(self.its.message())

    def taken(self, cpu: int, lpi: int = LPI) -> "_Scenario":
        """A vCPU is signalled the LPI and no other is; it takes and finishes it."""
        return self.then(
            steps(
                signalled(1 - cpu),
                signalled(cpu, irq=True),
                acknowledged(lpi, cpu=cpu),
                finish(lpi, cpu=cpu),
                signalled(cpu),
            )
        )

    def silent(self) -> "_Scenario":
        """No vCPU is signalled anything."""
        return self.then(steps(signalled(0), signalled(1), acknowledged(NONE)))

    @property
    def check(self) -> Check:
        return Check(self.rule, self.steps, its=True)


def _registers(rule: str, *parts: Steps) -> Check:
    return Check(rule, steps(_THERE, *parts), its=True)


_QUEUE_4K: Final = 1 << 63 | 0x4050_0000

_REGISTERS: Final = (
    _registers("ITS-1", steps(shows("GITS_PIDR2", ArchRev=3))),
    _registers(
        "ITS-2",
        steps(
            shows("GITS_TYPER", Physical=1, Virtual=0, VMOVP=0, HCC=0, PTA=0),
            shows("GITS_TYPER", Devbits=15, ID_bits=15),
        ),
    ),
    _registers(
        "ITS-3",
        steps(
            shows("GITS_CTLR", Enabled=0, Quiescent=1),
            Its().start(),
            shows("GITS_CTLR", Enabled=1, Quiescent=0),
            put("GITS_CTLR", 0),
            shows("GITS_CTLR", Enabled=0, Quiescent=1),
        ),
    ),
    _registers(
        "ITS-4",
        steps(
            shows("GITS_BASER0", Type=1),
            shows("GITS_BASER1", Type=4),
            put("GITS_BASER0", 1 << 63 | 0x4050_0000),
            shows("GITS_BASER0", Type=1, Valid=1, Physical_Address=0x4_0500),
            put("GITS_BASER2", (1 << 64) - 1),
            get("GITS_BASER2", 0),
            get("GITS_BASER7", 0),
        ),
    ),
    _registers(
        "ITS-5",
        steps(
            Its().start(),
            put("GITS_CBASER", _QUEUE_4K | 0x5_0000),
            shows("GITS_CBASER", Physical_Address=0x4_0330),
            put("GITS_BASER0", 0),
            shows("GITS_BASER0", Valid=1),
        ),
    ),
    _registers(
        "ITS-6",
        _Scenario("ITS-6").steps,
        steps(
            put("GITS_CTLR", 0),
            put("GITS_CBASER", _QUEUE_4K),
            get("GITS_CREADR", 0),
            get("GITS_CWRITER", 4 * 32),
        ),
    ),
    _registers(
        "ITS-8",
        _Scenario("ITS-8").steps,
        steps(put("GITS_CWRITER", 0x2000), get("GITS_CREADR", 4 * 32)),
    ),
)

_COMMANDS: Final = (
    _Scenario("ITS-7").message().taken(0).message().message().taken(0),
    # A command that there is not, and a message of a device that there is not.
    _Scenario("ITS-11").does("INT", DeviceID=9, EventID=0).silent().message().taken(0),
    _Scenario("ITS-13").does("MAPD", DeviceID=DEVICE, V=0).does("MAPD", DeviceID=7, V=0).message().silent(),
    _Scenario("ITS-14").does("MAPC", ICID=0, RDbase=1, V=1).message().taken(1),
    _Scenario("ITS-15")
    .to_event("MAPTI", pINTID=LPI + 1, ICID=1)
    .message()
    .taken(1, LPI + 1)
    .does("MAPI", DeviceID=DEVICE, EventID=0, ICID=0),
    _Scenario("ITS-16").message().to_event("MOVI", ICID=1).taken(1).message().taken(1),
    _Scenario("ITS-17").message().does("MOVALL", RDbase=0, RDbase2=1).taken(1),
    _Scenario("ITS-18").message().to_event("DISCARD").silent().message().silent(),
    _Scenario("ITS-19").message().to_event("CLEAR").silent().message().taken(0),
    _Scenario("ITS-20")
    .then(steps(configured(LPI, on=False)))
    .to_event("INV")
    .message()
    .silent()
    .then(steps(configured(LPI)))
    .does("INVALL", ICID=0)
    .taken(0),
    _Scenario("ITS-21").does("SYNC", RDbase=0).does("SYNC", RDbase=77).message().taken(0),
    _Scenario("ITS-22").message().message().taken(0),
)


def _later() -> Check:
    scenario = _Scenario("ITS-25", mapped=False)
    its = scenario.its
    scenario.then(its.device(), its.event()).message().silent()
    return scenario.then(its.collection(0, 0)).silent().message().taken(0).check


def _numbered() -> Check:
    scenario = _Scenario("ITS-24", mapped=False)
    its = scenario.its
    scenario.then(steps(_NUMBERS), its.collection(5, 1), its.device(), its.event(icid=5))
    return scenario.message().taken(1).check


ITS: Final = (*_REGISTERS, *(scenario.check for scenario in _COMMANDS), _later(), _numbered())
"""Checks."""
