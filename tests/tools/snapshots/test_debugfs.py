"""KVM's vgic-state and vgic-its-state: read, told apart, and why an interrupt does not arrive."""

from pathlib import Path

import pytest

from damage import survivors
from vgic_tools.snapshots.debugfs import (
    Dump,
    Listed,
    is_dump,
    is_its_dump,
    read_dump,
    read_its_dump,
)
from vgic_tools.snapshots.debugfs_report import differences
from vgic_tools.snapshots.delivery import why_not
from vgic_tools.snapshots.errors import SnapshotError

DUMP = (Path(__file__).parents[2] / "snapshots" / "kvm_6.12_vgic-state.txt").read_bytes()

# As Linux writes it; there was no host with an ITS to ask.
ITS = b"""
Device ID: 0x8, Event ID Range: [0 - 31]
EVENT_ID    INTID  HWINTID   TARGET   COL_ID HW
-----------------------------------------------
       0     8192        0        0        0  0
       1     8193       77        1        1  1

Device ID: 16, Event ID Range: [0 - 1]
EVENT_ID    INTID  HWINTID   TARGET   COL_ID HW
-----------------------------------------------
"""


def row(kind: str, intid: int, bits: str, *, target: int = 0, priority: int = 160, queued: int = -1) -> bytes:
    shown = (
        f"       {kind} {intid:4d}     {target:2d} {bits} {0:8d} {0:8x}  {0:2x} {priority:3d}      {queued:2d} \n"
    )
    return shown.encode()


def dump(*spis: bytes, enabled: int = 1) -> Dump:
    """A VM of a vCPU with these SPIs and LPIs."""
    head = (
        f"Distributor\n===========\nvgic_model:\tGICv3\nnr_spis:\t64\nnr_lpis:\t1\nenabled:\t{enabled}\n\n"
        "P=pending_latch, L=line_level, A=active\nE=enabled, H=hw, C=config (level=1, edge=0)\nG=group\n"
    ).encode()
    columns = b" TYP   ID TGT_ID PLAEHCG     HWID   TARGET SRC PRI VCPU_ID\n" + b"-" * 64 + b"\n"
    private = b"\nVCPU 0" + columns + row("SGI", 0, "0001001")
    return read_dump(head + private + b"\nSPI  0" + columns + b"".join(spis))


def test_a_live_hosts_file_is_read_line_by_line() -> None:
    found = read_dump(DUMP)
    assert (found.spis, found.lpis, found.enabled) == (64, 0, True)
    assert (found.vcpus, found.affinities) == (2, [0, 1])
    assert len(found.interrupts) == 2 * 32 + 64
    by_name = {item.name: item for item in found.interrupts}
    assert by_name["SPI 33"] == Listed("SPI", 33, None, 0, True, False, True, True, False, False, 1, 0, 0, 0, 0)
    assert by_name["PPI 27 of vCPU 1"].host_intid == 27
    assert [item.name for item in found.interrupts if item.pending] == [
        "SGI 3 of vCPU 0",
        "PPI 20 of vCPU 0",
        "PPI 20 of vCPU 1",
        "SPI 33",
        "SPI 40",
    ]


@pytest.mark.parametrize(
    ("shown", "enabled", "reason"),
    [
        (row("SPI", 40, "1000001"), 1, "it is disabled (GICD_ISENABLER1)"),
        (row("SPI", 40, "1001001"), 0, "the distributor is off (GICD_CTLR)"),
        (
            row("SPI", 40, "1001001", target=-1),
            1,
            "there is no such target: it is routed to 0.0.0.0, which no vCPU",
        ),
        (row("SPI", 40, "1011001", queued=0), 1, "it is active"),
        (row("SPI", 40, "1001001", priority=0xF8), 1, "its priority 0xf8 is masked by every ICC_PMR_EL1"),
        (row("SPI", 40, "1001001"), 1, "not queued, though nothing here forbids it"),
        (row("SPI", 40, "0101011"), 1, "not queued"),
        (
            row("SPI", 40, "1001001", queued=0),
            1,
            "on the list of vCPU 0: it arrives when that runs, with ICC_IGRPEN1",
        ),
        (row("SPI", 40, "1001000", queued=0), 1, "with ICC_IGRPEN0_EL1 on"),
        (row("LPI", 8192, "1000001"), 1, "the LPI was never enabled"),
    ],
)
def test_why_a_pending_interrupt_does_not_arrive_is_said(shown: bytes, enabled: int, reason: str) -> None:
    found = dump(shown, enabled=enabled)
    item = found.interrupts[-1]
    assert item.pending
    assert reason in "; ".join(why_not(item, found))


def test_a_level_that_is_low_again_or_an_edge_is_no_pending_interrupt() -> None:
    found = dump(row("SPI", 40, "0001011"), row("SPI", 41, "0101001"))
    assert [item.pending for item in found.interrupts[1:]] == [False, False]


def test_two_files_are_told_apart_field_by_field() -> None:
    one = dump(row("SPI", 40, "1001001"), row("SPI", 41, "0001001"))
    other = dump(row("SPI", 40, "1000001", priority=32), row("LPI", 8192, "0001001"), enabled=0)
    assert differences(one, one) == []
    assert differences(one, other) == [
        ("enabled", "True", "False"),
        ("SPI 40: enabled", "yes", "no"),
        ("SPI 40: priority", "160", "32"),
        ("SPI 41", "enabled", "-"),
        ("LPI 8192", "-", "enabled"),
    ]


def test_the_mappings_of_an_its_are_read() -> None:
    assert is_its_dump(ITS)
    assert not is_dump(ITS)
    found = read_its_dump(ITS)
    assert [(device.device, device.last_event, len(device.events)) for device in found.devices] == [
        (8, 31, 2),
        (16, 1, 0),
    ]
    assert found.devices[0].events[1] == (1, 8193, 77, 1, 1, True)


@pytest.mark.parametrize(
    ("was", "becomes", "reason"),
    [
        (b"GICv3", b"GICv2", "the VM's GIC is GICv2"),
        (b"       SPI   40", b"       SPI 1040", "there is no SPI 1040"),
        (b"       SPI   41", b"       SPI   40", "lists SPI 40 again"),
        (b"1001001", b"1002001", "is no interrupt as KVM lists them"),
        (b"VCPU 1 TYP", b"VCPU 9999 TYP", "there is no vCPU 9999"),
        (b"nr_spis:\t64", b"nr_spis:\tmany", "is many, which is no number"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(was: bytes, becomes: bytes, reason: str) -> None:
    with pytest.raises(SnapshotError, match=reason):
        read_dump(DUMP.replace(was, becomes, 1))


def test_a_pasted_file_may_have_the_command_above_it_and_other_line_ends() -> None:
    pasted = b"# cat /sys/kernel/debug/kvm/1234-10/vgic-state\n" + DUMP
    assert is_dump(pasted)
    assert read_dump(pasted.replace(b"\n", b"\r\n")) == read_dump(DUMP)


def test_a_gic_that_is_not_initialised_lists_nothing() -> None:
    assert read_dump(DUMP[: DUMP.index(b"VCPU 0")]).interrupts == ()


def test_damaged_files_are_read_or_refused() -> None:
    survivors(read_dump, DUMP, 300, seed=1)
    survivors(read_its_dump, ITS, 300, seed=1)


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_read_or_refused() -> None:
    assert survivors(read_dump, DUMP, 10_000, seed=2) > 50
    assert survivors(read_its_dump, ITS, 10_000, seed=2) > 50
