"""The comparison of LPIs with their reference can fail: with each of these faults in the model, it does."""

from collections.abc import Callable
from typing import Any, Final

import pytest

import vgic
from random_lpis import run
from vgic.lpis.bank import LpiBank
from vgic.lpis.configuration import LpiConfiguration
from vgic.lpis.pieces import Piece
from vgic.lpis.rescanning import RescanningLpiBank
from vgic.lpis.tables import ConfigurationTable, PendingTable
from vgic.redistributor.frame import Redistributor

pytestmark = pytest.mark.skipif(
    vgic.COMPILED, reason="a fault replaces methods of the model, which compiled classes do not allow"
)

ORIGINAL_PIECE: Final = PendingTable.piece


def nothing(self: object, *arguments: object) -> None:
    pass


def moves_anywhere(self: LpiBank, intid: int, to: LpiBank) -> None:
    if self.clear_pending(intid):
        to.make_pending(intid)


def one_short(self: PendingTable, number: int) -> bytes:
    bits = ORIGINAL_PIECE(self, number)
    return bits and bits[:-1] + bytes([bits[-1] & 0x7F])


FAULTS: Final[dict[str, tuple[vgic.Profile, type, str, Callable[..., Any] | property]]] = {
    # A cached configuration outlives EnableLPIs and INVALL.
    "cache-for-ever": (vgic.ARCH, LpiConfiguration, "forget", nothing),
    # What is pending when LPIs are disabled is lost.
    "nothing-is-saved": (vgic.ARCH, LpiBank, "_save", nothing),
    # GICR_PENDBASER.PTZ is not heeded.
    "ptz-ignored": (vgic.ARCH, PendingTable, "is_zero", property(lambda self: False)),
    # PTZ holds for ever.
    "ptz-for-ever": (vgic.ARCH, PendingTable, "has_changed", nothing),
    # The configuration is never cached.
    "nothing-is-cached": (vgic.ARCH, LpiConfiguration, "byte", lambda self, table, intid: table.read(intid)),
    # INV is for LPIs that arrive later; a pending one goes by what it had.
    "inv-comes-late": (vgic.ARCH, LpiBank, "reload", lambda self, intid: self.configuration.forget()),
    # INVALL does nothing.
    "invall-ignored": (vgic.KVM, LpiBank, "reload_all", nothing),
    # Six bits of priority count where the CPU interface has five.
    "priority-too-fine": (
        vgic.ARCH,
        Piece,
        "key",
        lambda self, place: (self.data[place] & 0xFC) << 25 | self.first + place,
    ),
    # Every LPI is enabled, whatever the table says.
    "enable-bit-ignored": (vgic.KVM, ConfigurationTable, "read", lambda self, intid: 0xA3),
    # MOVI and MOVALL lose what the other PE cannot take.
    "moves-anywhere": (vgic.ARCH, LpiBank, "move", moves_anywhere),
    # The last LPI of the pending table is forgotten.
    "table-too-short": (vgic.QEMU, PendingTable, "piece", one_short),
    # The best LPI is only looked for when the table is read.
    "arrivals-wait": (vgic.QEMU, RescanningLpiBank, "_arrive", nothing),
    # What is behind the best LPI is not looked for when that is gone.
    "no-rescan": (vgic.QEMU, RescanningLpiBank, "_rescan", nothing),
    # The pending table is not written.
    "table-not-written": (vgic.QEMU, PendingTable, "set", lambda self, intid, pending: True),
    # GICR_CTLR.EnableLPIs cannot be cleared.
    "enable-stuck": (vgic.ARCH, Redistributor, "enables_lpis", property(lambda self: True)),
    # Acknowledging leaves the LPI pending.
    "iar-leaves-pending": (vgic.KVM, LpiBank, "acknowledge", nothing),
}

RANDOM_GUESTS: Final = 400
"""At most."""


@pytest.mark.parametrize("fault", FAULTS)
def test_random_lpis_notice(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    profile, owner, name, method = FAULTS[fault]
    monkeypatch.setattr(owner, name, method)
    monkeypatch.setattr(vgic.Gic, "check", lambda self: None)
    with pytest.raises(AssertionError):
        run(profile, RANDOM_GUESTS, shrink=False)
