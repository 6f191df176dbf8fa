"""The life of devices against its account can fail: with each of these faults in the ITS, it does."""

from collections.abc import Callable
from typing import Any, Final

import pytest

import vgic
from its_life import live
from vgic.its.commands import Commands, Targets
from vgic.its.device import Its
from vgic.its.entries import Device
from vgic.its.queue import CommandQueue
from vgic.its.tables import Tables
from vgic.lpis.bank import LpiBank

pytestmark = pytest.mark.skipif(
    vgic.COMPILED, reason="a fault replaces methods of the model, which compiled classes do not allow"
)


DELIVERED: Final = vgic.MsiResult(vgic.MsiOutcome.DELIVERED, None)


def nothing(self: object, *arguments: object) -> int:
    return 0


def eight_bytes(self: Tables, device: Device, event_id: int) -> int:
    return device.itt + 8 * event_id


def flat(self: Tables, table: Any, number: int) -> int:
    return int(table.base + number * table.kind.entry_size)


FAULTS: Final[dict[str, tuple[vgic.Profile, type, str, Callable[..., Any] | property]]] = {
    # The queue is read beyond its end.
    "no-wrap": (vgic.ARCH, CommandQueue, "size", property(lambda self: 0x10_0000)),
    # Translation entries are taken to be as long as those of another implementation.
    "short-entries": (vgic.QEMU, Tables, "_place", eight_bytes),
    # A two-level table is taken for a flat one.
    "always-flat": (vgic.ARCH, Tables, "_address", flat),
    # A collection goes to the vCPU of its number.
    "collection-is-cpu": (vgic.ARCH, Tables, "rdbase", lambda self, collection: collection),
    # Every collection goes to the first vCPU.
    "always-vcpu-0": (vgic.KVM, Targets, "cpu", lambda self, rdbase: 0),
    # MOVI leaves what is pending where it was.
    "pending-stays": (vgic.ARCH, LpiBank, "move", nothing),
    # MOVI moves what is pending, and not the event.
    "event-stays": (vgic.ARCH, Tables, "move_event", nothing),
    # DISCARD leaves the event mapped.
    "discard-forgets-nothing": (vgic.ARCH, Tables, "unmap_event", nothing),
    # What is pending outlives DISCARD and CLEAR.
    "pending-for-ever": (vgic.ARCH, LpiBank, "clear_pending", nothing),
    # INV does nothing.
    "inv-ignored": (vgic.ARCH, Commands, "_inv", nothing),
    # INT does nothing.
    "int-ignored": (vgic.ARCH, Commands, "_int", nothing),
    # MOVALL does nothing.
    "movall-ignored": (vgic.ARCH, Commands, "_movall", nothing),
    # A message is translated and told to be delivered, and makes nothing pending.
    "message-lost": (vgic.ARCH, Its, "msi", lambda self, device, event: DELIVERED),
}
SEED: Final = 1


@pytest.mark.parametrize("fault", FAULTS)
def test_the_account_notices(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    profile, cls, name, replacement = FAULTS[fault]
    monkeypatch.setattr(vgic.Gic, "check", nothing)
    monkeypatch.setattr(cls, name, replacement)
    with pytest.raises(AssertionError):
        live(profile, SEED)
