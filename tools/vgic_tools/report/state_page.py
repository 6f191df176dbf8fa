"""The page of a saved state: what the VM is, which interrupts it has in hand, and every register."""

from collections.abc import Iterator, Mapping
from typing import Final

from vgic import Gic, VgicError, affinity
from vgic_tools.report.pages import rendered
from vgic_tools.snapshots.snapshot import Snapshot
from vgic_tools.state_words import describe, device_of

__all__ = ["state_page"]

_MOST_OPEN: Final = 8
"""Devices whose registers are shown from the start; the others open with a click."""


def state_page(snapshot: Snapshot, vm: Mapping[str, str], title: str, provenance: Mapping[str, str]) -> str:
    """A page of its own; `vm` is what the VM is, in words. Raises UsageError without Jinja."""
    state = snapshot.state
    devices: dict[str, list[tuple[str, str, str]]] = {}
    for name, value in state.data["registers"].items():
        devices.setdefault(device_of(name), []).append((name, f"{value:#x}", describe(name, value)))
    return rendered(
        "state.html",
        title=title,
        kind=snapshot.kind,
        notes=snapshot.notes,
        vm=list(vm.items()),
        interrupts=_interrupts(snapshot),
        devices=list(devices.items()),
        most_open=_MOST_OPEN,
        provenance=provenance,
    )


def _interrupts(snapshot: Snapshot) -> dict[str, object]:
    """Those that are pending or active, where there can be such a VM."""
    try:
        gic = snapshot.state.build(memory=snapshot.memory)
    except VgicError as error:
        return {"rows": [], "none": f"Not known: there is no such VM: {error}"}
    return {"rows": list(_in_hand(gic)), "none": "None."}


def _in_hand(gic: Gic) -> Iterator[tuple[str, str]]:
    for cpu in range(len(gic.config.topology)):
        of = f"vCPU {cpu} ({affinity.text(gic.affinity(cpu))})"
        for intid in gic.intids(private=True):
            interrupt = gic.interrupt(cpu, intid)
            if interrupt.pending or interrupt.active:
                yield of, str(interrupt)
        if gic.config.features.lpis:
            yield from ((of, str(gic.lpi(cpu, intid))) for intid in sorted(gic.lpis(cpu).pending))
    for spi in map(gic.spi, gic.intids(private=False)):
        if spi.pending or spi.active:
            yield "shared", str(spi)
