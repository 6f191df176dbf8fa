"""The GIC in Cloud Hypervisor's snapshots: state.json, as `ch-remote snapshot` writes it.

Read in the source of version 37 and of August 2026 (hypervisor/src/kvm/aarch64/gic, arch/src/aarch64/layout.rs).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final

from vgic import Topology, VgicError
from vgic.kvm import Group
from vgic.layouts import gicd, gits
from vgic_tools.snapshots.errors import SnapshotError
from vgic_tools.snapshots.kvm_values import KvmValues, Words, snapshot_of_values, sysreg_words
from vgic_tools.snapshots.snapshot import Snapshot

__all__ = ["snapshot_of_cloud_hypervisor", "values_of_cloud_hypervisor"]

_DEVICE: Final = "gic-v3-its"
_GICD_BASE: Final = 0x08FF_0000
_ITS_SIZE: Final = 0x2_0000
_PER_32_SPIS: Final = 81
_PER_VCPU: Final = 7 + 17
_MOST_VCPUS: Final = 512
_DEEPEST: Final = 32


def snapshot_of_cloud_hypervisor(data: bytes) -> Snapshot:
    """The VM in a state.json. Raises SnapshotError where it is damaged, or has no GIC of KVM."""
    return snapshot_of_values(values_of_cloud_hypervisor(data))


def values_of_cloud_hypervisor(data: bytes) -> KvmValues:
    """The registers that it names. Raises SnapshotError where it is damaged, or has no GIC of KVM."""
    gic = _gic(_json(data, "state.json"))
    dist, rdist, icc = (_numbers(gic, name) for name in ("dist", "rdist", "icc"))
    groups, rest = divmod(len(dist) - 1, _PER_32_SPIS)
    if rest or not 0 < groups < 32:
        raise SnapshotError(f"dist has {len(dist):,} numbers: not 1 and {_PER_32_SPIS} for each 32 SPIs")
    cpus, rest = divmod(len(rdist), _PER_VCPU)
    if rest or not 0 < cpus <= _MOST_VCPUS:
        raise SnapshotError(f"rdist has {len(rdist):,} numbers: not {_PER_VCPU} for each vCPU")
    values = KvmValues("a snapshot of Cloud Hypervisor", _affinities(cpus), 32 * groups, _GICD_BASE)
    values.its_base = values.redistributors - _ITS_SIZE
    values.values[Group.DIST_REGS, 0, gicd.CTLR.offset] = _number(gic, "gicd_ctlr")
    words = Words("dist", dist)
    words.take(1)  # GICD_STATUSR
    words.distributor(values)
    words = Words("rdist", rdist)
    for cpu in range(cpus):
        words.rd_base(values, cpu)
    for cpu in range(cpus):
        words.sgi_base(values, cpu)
    words = Words("icc", icc)
    for cpu in range(cpus):
        sysreg_words(words, values, cpu)
    values.its = _its(gic)
    values.notes = (
        "affinities are those that KVM gives vCPUs by their number, and addresses those of Cloud Hypervisor's older"
        " placement: the file has neither",
        "the ITS's tables and pending LPIs are in memory-ranges, not in this file",
    )
    return values


def _affinities(cpus: int) -> tuple[int, ...]:
    try:
        return Topology.kvm(cpus).affinities
    except VgicError as error:
        raise SnapshotError(f"{error}") from error


def _json(text: bytes | str, what: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"{what} is damaged: no JSON that is read") from error


def _gic(document: object) -> Mapping[str, object]:
    found = next(_named(document, 0), None)
    if found is None:
        raise SnapshotError(f"JSON without {_DEVICE}, the GIC of Cloud Hypervisor")
    data = found.get("snapshot_data")
    state = data.get("state") if isinstance(data, dict) else None
    if isinstance(state, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in state):
        state = bytes(state)
    if not isinstance(state, str | bytes):
        raise SnapshotError(f"{_DEVICE} has no state")
    gic = _json(state, f"the state of {_DEVICE}")
    if isinstance(gic, dict) and (kinds := [name for name in gic if isinstance(gic[name], dict)]):
        if kinds != ["Kvm"]:
            raise SnapshotError(f"the GIC is one of {kinds[0]}; those of Kvm are read")
        gic = gic["Kvm"]
    if not isinstance(gic, dict):
        raise SnapshotError(f"the state of {_DEVICE} is no object")
    return gic


def _named(document: object, depth: int) -> Iterator[dict[str, object]]:
    """Whatever is called like the device, at any place in the tree."""
    if depth > _DEEPEST:
        return
    items = document.items() if isinstance(document, dict) else ()
    for name, inner in items:
        if name == _DEVICE and isinstance(inner, dict):
            yield inner
        yield from _named(inner, depth + 1)


def _number(gic: Mapping[str, object], name: str) -> int:
    value = gic.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 64:
        raise SnapshotError(f"the GIC has no number {name}")
    return value


def _numbers(gic: Mapping[str, object], name: str) -> list[int]:
    value = gic.get(name)
    if not isinstance(value, list) or not all(type(item) is int and 0 <= item < 1 << 32 for item in value):
        raise SnapshotError(f"the GIC has no list {name} of numbers of 32 bits")
    return value


def _its(gic: Mapping[str, object]) -> dict[int, int]:
    if "its_baser" not in gic:
        return {}
    registers = {
        layout.offset: _number(gic, f"its_{name}")
        for name, layout in {
            "ctlr": gits.CTLR,
            "iidr": gits.IIDR,
            "cbaser": gits.CBASER,
            "cwriter": gits.CWRITER,
            "creadr": gits.CREADR,
        }.items()
    }
    bases = gic["its_baser"]
    if not isinstance(bases, list) or len(bases) != gits.BASERS:
        raise SnapshotError(f"its_baser has not {gits.BASERS} numbers")
    for index, base in enumerate(bases):
        registers[gits.BASER.offset + index * gits.BASER.stride] = _number({"its_baser": base}, "its_baser")
    return registers
