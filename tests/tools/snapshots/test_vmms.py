"""What VMMs have saved of KVM's GIC: read as the VM was, and what is wrong with it found."""

import json
from collections.abc import Callable

import cbor2
import pytest

from damage import survivors
from vgic import State
from vgic.kvm import VgicV3Device
from vgic_tools.snapshots.cloud_hypervisor import (
    snapshot_of_cloud_hypervisor,
    values_of_cloud_hypervisor,
)
from vgic_tools.snapshots.crosvm import snapshot_of_crosvm, values_of_crosvm
from vgic_tools.snapshots.errors import SnapshotError
from vgic_tools.snapshots.firecracker import snapshot_of_firecracker, values_of_firecracker
from vgic_tools.snapshots.kvm_values import KvmValues, snapshot_of_values
from vgic_tools.snapshots.snapshot import Snapshot
from vgic_tools.snapshots.vmms import is_cloud_hypervisor, is_crosvm, is_firecracker
from vmm_files import VCPUS, cloud_hypervisor, crosvm, firecracker, vm

NOT_KEPT = ("overlooked", "unrouted", "active_mpidr")
"""What the model knows of a VM that runs, and KVM shows in no attribute."""


def made(vmm: str) -> tuple[VgicV3Device, bytes]:
    if vmm == "crosvm":
        device, _ = vm(vmm, 32)
        return device, cbor2.dumps(crosvm(device))
    device, its = vm(vmm)
    assert its is not None
    return device, {"cloud-hypervisor": cloud_hypervisor, "firecracker": firecracker}[vmm](device, its)


@pytest.fixture(scope="module")
def files() -> dict[str, tuple[VgicV3Device, bytes]]:
    return {vmm: made(vmm) for vmm in READERS}


READERS: dict[str, tuple[Callable[[bytes], bool], Callable[[bytes], Snapshot], Callable[[bytes], KvmValues]]] = {
    "cloud-hypervisor": (is_cloud_hypervisor, snapshot_of_cloud_hypervisor, values_of_cloud_hypervisor),
    "firecracker": (is_firecracker, snapshot_of_firecracker, values_of_firecracker),
    "crosvm": (is_crosvm, snapshot_of_crosvm, values_of_crosvm),
}
each = pytest.mark.parametrize("vmm", READERS)


@each
def test_the_state_is_that_of_the_vm(vmm: str, files: dict[str, tuple[VgicV3Device, bytes]]) -> None:
    device, data = files[vmm]
    snapshot = READERS[vmm][1](data)
    want, got = State.of(device.gic).data, snapshot.state.data
    assert got["vm"] == want["vm"]
    names = {name for name in {*want["registers"], *got["registers"]} if not any(part in name for part in NOT_KEPT)}
    assert len(names) > 40
    differing = {
        name: (want["registers"].get(name, 0), got["registers"].get(name, 0))
        for name in names
        if want["registers"].get(name, 0) != got["registers"].get(name, 0)
    }
    assert differing == {}
    assert not [note for note in snapshot.notes if "refuses" in note]


@each
def test_each_is_known_by_its_content_alone(vmm: str, files: dict[str, tuple[VgicV3Device, bytes]]) -> None:
    data = files[vmm][1]
    assert [name for name, (is_it, _, _) in READERS.items() if is_it(data)] == [vmm]
    assert not READERS[vmm][0](State.of(files[vmm][0].gic).to_bytes())


@each
def test_what_the_vmm_does_not_keep_is_said(vmm: str, files: dict[str, tuple[VgicV3Device, bytes]]) -> None:
    said = [finding.split()[0].rstrip(",") for finding in READERS[vmm][1](files[vmm][1]).findings]
    # crosvm reads whole frames, and so has the IIDR.
    assert said == (["LEVEL_INFO"] if vmm == "crosvm" else ["GICD_IIDR", "LEVEL_INFO"])


def test_a_vmm_that_read_vcpu_0_again_and_again_is_found_out() -> None:
    device, its = vm("cloud-hypervisor")
    assert its is not None
    for read_as, found in (
        ((0,) * VCPUS, "3 vCPUs, 0 first, have the same LPI pending table, at 0x80030000: LPIs get lost"),
        ((0, 1, 1), "vCPUs 1 and 2 have the same LPI pending table, at 0x80040000: LPIs get lost"),
    ):
        findings = snapshot_of_cloud_hypervisor(cloud_hypervisor(device, its, read_as)).findings
        assert findings[0] == found
        assert findings[1].startswith("each vCPU has the Redistributor of vCPU 0") == (not any(read_as))


def without(data: bytes, change: Callable[[dict[str, object]], object]) -> bytes:
    document = json.loads(data)
    holder = document["snapshots"]["device-manager"]["snapshots"]["gic-v3-its"]["snapshot_data"]
    state = json.loads(holder["state"])
    change(state)
    holder["state"] = json.dumps(state)
    return json.dumps(document).encode()


def test_what_is_no_gic_of_kvm_is_refused_in_a_sentence(files: dict[str, tuple[VgicV3Device, bytes]]) -> None:
    good = files["cloud-hypervisor"][1]
    for damaged, reason in (
        (good[:-1], "no JSON that is read"),
        (good.replace(b"gic-v3-its", b"gic-v5-its"), "JSON without gic-v3-its"),
        (
            without(good, lambda state: state.update(Kvm={**state["Kvm"], "dist": [0] * 100})),
            "dist has 100 numbers",
        ),
        (without(good, lambda state: state.update(Kvm={**state["Kvm"], "icc": [0] * 3})), "icc has 3 numbers"),
        (without(good, lambda state: state.update(MshvGicV2M=state.pop("Kvm"))), "one of MshvGicV2M"),
    ):
        with pytest.raises(SnapshotError, match=reason):
            snapshot_of_cloud_hypervisor(damaged)
    text = files["firecracker"][1]
    for damaged, reason in (
        (text[:-3000], "the end, where"),
        (text.replace(b"GicState", b"Other", 1), "without the GIC"),
        (text.replace(b"rdist", b"redist", 1), "rdist of vCPU 0 has 0 numbers"),
        (text.replace(b"dist: [", b"dist: [" + b"[" * 50, 1), "without end"),
    ):
        with pytest.raises(SnapshotError, match=reason):
            snapshot_of_firecracker(damaged)
    with pytest.raises(SnapshotError, match="no CBOR that is read"):
        snapshot_of_crosvm(files["crosvm"][1][:1000])
    with pytest.raises(SnapshotError, match="cpu_specific has not"):
        snapshot_of_crosvm(cbor2.dumps({"dist_regs": []}))


@each
def test_a_damaged_snapshot_is_read_or_refused(vmm: str, files: dict[str, tuple[VgicV3Device, bytes]]) -> None:
    survivors(READERS[vmm][1], files[vmm][1], 25, seed=1)
    survivors(READERS[vmm][2], files[vmm][1], 200, seed=2)


@pytest.mark.slow
@each
def test_ten_thousand_damaged_snapshots_are_read_or_refused(
    vmm: str, files: dict[str, tuple[VgicV3Device, bytes]]
) -> None:
    read, data = READERS[vmm][2], files[vmm][1]

    def and_sometimes_restored(damaged: bytes) -> None:
        values = read(damaged)
        if sum(damaged[-64:]) % 64 == 0:
            snapshot_of_values(values)

    assert survivors(and_sometimes_restored, data, 10_000, seed=3) > 100
