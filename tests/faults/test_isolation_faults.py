"""The properties of isolation can fail: with each of these faults in the model, one of them does."""

from collections.abc import Callable
from typing import Any, Final

import pytest

import vgic
from isolation_twins import run_beside_a_twin, run_with_other_secrets
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.two_states import TwoStateInterface
from vgic.distributor import frame as distributor
from vgic.interrupts import guards
from vgic.interrupts.extended import _Extended
from vgic.interrupts.registers import BankOwner
from vgic.interrupts.words import FullWord
from vgic.lpis.priorities import LpiPriorities
from vgic.redistributor import frame as redistributor

pytestmark = pytest.mark.skipif(
    vgic.COMPILED, reason="a fault replaces methods of the model, which compiled classes do not allow"
)


def everything(self: object, *arguments: object) -> int:
    return guards.EVERYTHING


def as_secure(self: _Extended, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
    self.word.put(self.bank_of(owner), index, value, mask, True)


FAULTS: Final[dict[str, tuple[type, str, Callable[..., Any]]]] = {
    # Non-secure accesses enable, disable, activate or clear Secure interrupts.
    "bits-changed": (guards._Bits, "changed", everything),
    # They see whether a Secure interrupt is enabled, pending or active.
    "bits-shown": (guards._Bits, "seen", everything),
    # They give Secure interrupts other priorities.
    "priorities-changed": (guards._Priorities, "changed", everything),
    "priorities-shown": (guards._Priorities, "seen", everything),
    # A Non-secure priority is stored as it is written.
    "priorities-whole": (guards._Priorities, "put", guards.Guard.put),
    "triggers-changed": (guards._Pairs, "changed", everything),
    "triggers-shown": (guards._Pairs, "seen", everything),
    # Secure SPIs can be routed elsewhere.
    "routes-reached": (distributor._RouteGuard, "seen", everything),
    # Groups can be changed, and PEs put to sleep.
    "secure-registers-reached": (guards.SecureOnly, "seen", everything),
    # The Non-secure state opens what it likes.
    "access-reached": (guards.OfTwoStates, "seen", everything),
    # Messages make any SPI pending.
    "messages-reach-all": (distributor._MessageOfTwoStates, "put", distributor._Message.put),
    "secure-messages-from-all": (distributor._SecureMessage, "put", distributor._Message.put),
    # There is one view of GICD_CTLR.
    "control-written": (distributor._ControlOfTwoStates, "put", distributor._Control.put),
    "control-shown": (distributor._ControlOfTwoStates, "view", distributor._Control.view),
    # A PE can be made to decline Secure interrupts.
    "declining-reached": (redistributor._ControlGuard, "seen", everything),
    # Extended interrupts are not guarded.
    "extended-reached": (_Extended, "put", as_secure),
    # LPIs have all priorities, those of Secure interrupts too.
    "lpis-first": (LpiPriorities, "set_lower_half", lambda self, lower: None),
    # A hypervisor's list registers end Secure interrupts.
    "list-registers-end-all": (TwoStateInterface, "finish", CpuInterface.finish),
    # Whatever its group, an interrupt is everybody's.
    "groups-ignored": (FullWord, "reached", lambda self, level: self.implemented),
}

SEEDS: Final = 40
"""At most."""
OPERATIONS: Final = 2_000


def run_all() -> None:
    for seed in range(SEEDS):
        for opened in (False, True):
            run_beside_a_twin(
                f"fault {seed} {opened}", OPERATIONS, opened, list_registers=0 if opened else 4 * (seed % 2)
            )
        run_with_other_secrets(f"fault {seed}", OPERATIONS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_property_of_isolation_notices(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, method = FAULTS[fault]
    monkeypatch.setattr(owner, name, method)
    monkeypatch.setattr(vgic.Gic, "check", lambda self: None)
    with pytest.raises(AssertionError):
        run_all()
