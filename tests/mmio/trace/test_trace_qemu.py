"""The reader of QEMU's text log."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmio.trace import (
    Access,
    Candidate,
    CollectionEntry,
    Command,
    CommandStart,
    CpuReset,
    Delivery,
    DeviceEntry,
    Event,
    EventEntry,
    Line,
    LostEventsError,
    Maintenance,
    Message,
    Other,
    Outputs,
    Sgi,
    SysReg,
    Text,
    TraceError,
    VirtualCandidate,
    VirtualOutputs,
    read_qemu,
)


def read(*lines: str) -> list[Event]:
    return list(read_qemu(enumerate(lines, 1), "qemu.log"))


# Lines as recorded, without their prefix, and what follows line, time and thread in the event.
SAMPLES: list[tuple[str, type[Event], tuple[object, ...]]] = [
    (
        "gicv3_dist_read GICv3 distributor read: offset 0xffe8 data 0x3b size 4 secure 0",
        Access,
        ("gicd", None, 0xFFE8, 4, 0x3B, False, False, False),
    ),
    (
        "gicv3_dist_write GICv3 distributor write: offset 0x6100 data 0x0 size 8 secure 0",
        Access,
        ("gicd", None, 0x6100, 8, 0, True, False, False),
    ),
    (
        "gicv3_dist_write GICv3 distributor write: offset 0x84 data 0x2265b1f5 size 4 secure 1",
        Access,
        ("gicd", None, 0x84, 4, 0x2265B1F5, True, True, False),
    ),
    (
        "gicv3_dist_badread GICv3 distributor read: offset 0xc size 4 secure 0: error",
        Access,
        ("gicd", None, 0xC, 4, 0, False, False, True),
    ),
    (
        "gicv3_dist_badwrite GICv3 distributor write: offset 0x6104 data 0xb3 size 1 secure 0: error",
        Access,
        ("gicd", None, 0x6104, 1, 0xB3, True, False, True),
    ),
    (
        "gicv3_redist_read GICv3 redistributor 0x70a read: offset 0x8 data 0x70a01007a11 size 8 secure 0",
        Access,
        ("gicr", 0x70A, 8, 8, 0x70A01007A11, False, False, False),
    ),
    (
        "gicv3_redist_write GICv3 redistributor 0x0 write: offset 0x10180 data 0xffffffff size 4 secure 0",
        Access,
        ("gicr", 0, 0x10180, 4, 0xFFFFFFFF, True, False, False),
    ),
    (
        "gicv3_redist_badread GICv3 redistributor 0x3 read: offset 0x10000 size 2 secure 0: error",
        Access,
        ("gicr", 3, 0x10000, 2, 0, False, False, True),
    ),
    (
        "gicv3_redist_badwrite GICv3 redistributor 0x2 write: offset 0x10200 data 0x18b4 size 2 secure 0: error",
        Access,
        ("gicr", 2, 0x10200, 2, 0x18B4, True, False, True),
    ),
    (
        "gicv3_its_read GICv3 ITS read: offset 0xffe8 data 0x3b size 4",
        Access,
        ("gits", None, 0xFFE8, 4, 0x3B, False, False, False),
    ),
    (
        "gicv3_its_write GICv3 ITS write: offset 0x100 data 0xb900000042f80700 size 8",
        Access,
        ("gits", None, 0x100, 8, 0xB900000042F80700, True, False, False),
    ),
    (
        "gicv3_its_badread GICv3 ITS read: offset 0x30 size 4: error",
        Access,
        ("gits", None, 0x30, 4, 0, False, False, True),
    ),
    (
        "gicv3_its_badwrite GICv3 ITS write: offset 0x30 data 0x1 size 4: error",
        Access,
        ("gits", None, 0x30, 4, 1, True, False, True),
    ),
    ("gicv3_icc_iar1_read GICv3 ICC_IAR1 read cpu 0x70a value 0x1b", SysReg, (0x70A, "ICC_IAR1", 0x1B, False)),
    ("gicv3_icc_eoir_write GICv3 ICC_EOIR1 write cpu 0x70a value 0x24", SysReg, (0x70A, "ICC_EOIR1", 0x24, True)),
    ("gicv3_icc_eoir_write GICv3 ICC_EOIR0 write cpu 0x0 value 0x24", SysReg, (0, "ICC_EOIR0", 0x24, True)),
    ("gicv3_icc_ap_write GICv3 ICC_AP0R0 write cpu 0x0 value 0x0", SysReg, (0, "ICC_AP0R0", 0, True)),
    ("gicv3_icc_pmr_write GICv3 ICC_PMR write cpu 0x0 value 0x8", SysReg, (0, "ICC_PMR", 8, True)),
    ("gicv3_icc_ctlr_read GICv3 ICC_CTLR read cpu 0x0 value 0x8c00", SysReg, (0, "ICC_CTLR", 0x8C00, False)),
    ("gicv3_icc_bpr_read GICv3 ICC_BPR0 read cpu 0x3 value 0x2", SysReg, (3, "ICC_BPR0", 2, False)),
    (
        "gicv3_icc_ctlr_el3_write GICv3 ICC_CTLR_EL3 write cpu 0x0 value 0x4",
        SysReg,
        (0, "ICC_CTLR_EL3", 4, True),
    ),
    (
        "gicv3_icc_generate_sgi GICv3 CPU i/f 0x0 generating SGI 10 IRM 0 target affinity 0x1xx targetlist 0x1",
        Sgi,
        (0, 10, False, 1, 1),
    ),
    (
        "gicv3_icc_generate_sgi GICv3 CPU i/f 0x1 generating SGI 1 IRM 1 target affinity 0x0xx targetlist 0xffff",
        Sgi,
        (1, 1, True, 0, 0xFFFF),
    ),
    ("gicv3_redist_send_sgi GICv3 redistributor 0x70a pending SGI 0", Delivery, (0x70A, 0)),
    ("gicv3_dist_set_irq GICv3 distributor interrupt 36 level changed to 1", Line, (None, 36, True)),
    ("gicv3_dist_set_irq GICv3 distributor interrupt 36 level changed to 4", Line, (None, 36, True)),
    ("gicv3_redist_set_irq GICv3 redistributor 0x10 interrupt 27 level changed to 0", Line, (0x10, 27, False)),
    ("guest_cpu_reset cpu=0x55e30a100b80 ", CpuReset, ("0x55e30a100b80",)),
    ("cpu_reset 3", CpuReset, ("3",)),
    ("gicv3_cpuif_update GICv3 CPU i/f 0x1 HPPI update: irq 27 group 2 prio 160", Candidate, (1, 27, 2, 160)),
    ("gicv3_cpuif_update GICv3 CPU i/f 0x0 HPPI update: irq 0 group 0 prio 255", Candidate, (0, 0, 0, 255)),
    ("gicv3_cpuif_set_irqs GICv3 CPU i/f 0x0 HPPI update: setting FIQ 0 IRQ 1", Outputs, (0, False, True)),
    (
        "gicv3_cpuif_virt_update GICv3 CPU i/f 0x0 virt HPPI update LR index -1 HPPVLPI 0 grp 0 prio 255",
        VirtualCandidate,
        (0, -1, 0, 0, 255),
    ),
    (
        "gicv3_cpuif_virt_update GICv3 CPU i/f 0x1 virt HPPI update LR index 3 HPPVLPI 8192 grp 2 prio 160",
        VirtualCandidate,
        (1, 3, 8192, 2, 160),
    ),
    (
        "gicv3_cpuif_virt_set_irqs GICv3 CPU i/f 0x1 virt HPPI update: setting FIQ 0 IRQ 1",
        VirtualOutputs,
        (1, False, True),
    ),
    (
        "gicv3_cpuif_virt_set_maint_irq GICv3 CPU i/f 0x1 virt HPPI update: setting maintenance-irq 1",
        Maintenance,
        (1, True),
    ),
    (
        "gicv3_its_translation_write GICv3 ITS TRANSLATER write: offset 0x40 data 0x3 size 4 requester_id 0x8",
        Message,
        (8, 0x40, 4, 3),
    ),
    ("gicv3_its_process_command GICv3 ITS: processing command at offset 0x1c: 0xf", CommandStart, (0x1C, 0xF)),
    (
        "gicv3_its_cmd_mapd GICv3 ITS: command MAPD DeviceID 0x8 Size 0x2 ITT_addr 0x42ef7e V 1",
        Command,
        ("MAPD", 8, None, None, None, None, None, 2, 0x42EF7E00, True),
    ),
    (
        "gicv3_its_cmd_mapc GICv3 ITS: command MAPC ICID 0x3 RDbase 0x80a0000 V 0",
        Command,
        ("MAPC", None, None, 3, None, 0x80A0000, None, None, None, False),
    ),
    (
        "gicv3_its_cmd_mapti GICv3 ITS: command MAPTI DeviceID 0x8 EventID 0x1 ICID 0x2 pINTID 0x2001",
        Command,
        ("MAPTI", 8, 1, 2, 0x2001, None, None, None, None, None),
    ),
    (
        "gicv3_its_cmd_mapi GICv3 ITS: command MAPI DeviceID 0x8 EventID 0x2001 ICID 0x2",
        Command,
        ("MAPI", 8, 0x2001, 2, None, None, None, None, None, None),
    ),
    (
        "gicv3_its_cmd_movi GICv3 ITS: command MOVI DeviceID 0x10 EventID 0x0 ICID 0x1",
        Command,
        ("MOVI", 0x10, 0, 1, None, None, None, None, None, None),
    ),
    (
        "gicv3_its_cmd_movall GICv3 ITS: command MOVALL RDbase1 0x1 RDbase2 0x3",
        Command,
        ("MOVALL", None, None, None, None, 1, 3, None, None, None),
    ),
    *(
        (
            f"gicv3_its_cmd_{name.lower()} GICv3 ITS: command {name} DeviceID 0x10 EventID 0x4",
            Command,
            (name, 0x10, 4, None, None, None, None, None, None, None),
        )
        for name in ("DISCARD", "CLEAR", "INT", "INV")
    ),
    ("gicv3_its_cmd_invall GICv3 ITS: command INVALL", Command, ("INVALL", *[None] * 9)),
    ("gicv3_its_cmd_sync GICv3 ITS: command SYNC", Command, ("SYNC", *[None] * 9)),
    (
        "gicv3_its_dte_read GICv3 ITS: Device Table read for DeviceID 0x8: valid 1 size 0x2 ITTaddr 0x42ef7e00",
        DeviceEntry,
        (8, True, 2, 0x42EF7E00, False),
    ),
    (
        "gicv3_its_dte_write GICv3 ITS: Device Table write for DeviceID 0x8: valid 0 size 0x2 ITTaddr 0x42ef7e",
        DeviceEntry,
        (8, False, 2, 0x42EF7E00, True),
    ),
    (
        "gicv3_its_ite_read GICv3 ITS: Interrupt Table read for ITTaddr 0x42ef7e00 EventID 0x3: valid 1 inttype 1"
        " intid 0x2003 ICID 0x2 vPEID 0x0 doorbell 0x3ff",
        EventEntry,
        (0x42EF7E00, 3, True, True, 0x2003, 2, 0, 0x3FF, False),
    ),
    (
        "gicv3_its_ite_write GICv3 ITS: Interrupt Table write for ITTaddr 0x42ef7e00 EventID 0x3: valid 0 inttype 0"
        " intid 0x0 ICID 0x0 vPEID 0x0 doorbell 0x0",
        EventEntry,
        (0x42EF7E00, 3, False, False, 0, 0, 0, 0, True),
    ),
    (
        "gicv3_its_cte_read GICv3 ITS: Collection Table read for ICID 0x2: valid 1 RDBase 0x3",
        CollectionEntry,
        (2, True, 3, False),
    ),
    (
        "gicv3_its_cte_write GICv3 ITS: Collection Table write for ICID 0x2: valid 1 RDBase 0x3",
        CollectionEntry,
        (2, True, 3, True),
    ),
    (
        "gicv3_its_dte_read_fault GICv3 ITS: Device Table read for DeviceID 0x8: faulted",
        Other,
        ("gicv3_its_dte_read_fault", "GICv3 ITS: Device Table read for DeviceID 0x8: faulted"),
    ),
    ("gicv3_its_cmd_vsync GICv3 ITS: command VSYNC", Other, ("gicv3_its_cmd_vsync", "GICv3 ITS: command VSYNC")),
    (
        "memory_region_ops_read cpu 0 mr 0x5621c4d5d4a0 addr 0x800ffe8 value 0x3b size 4 name 'gicv3_dist'",
        Other,
        (
            "memory_region_ops_read",
            "cpu 0 mr 0x5621c4d5d4a0 addr 0x800ffe8 value 0x3b size 4 name 'gicv3_dist'",
        ),
    ),
    (
        "gicv3_dist_read: invalid guest read at offset 000000000000000c size 4",
        Text,
        ("gicv3_dist_read: invalid guest read at offset 000000000000000c size 4",),
    ),
    ("qemu-system-aarch64: warning: nothing", Text, ("qemu-system-aarch64: warning: nothing",)),
    ("gicv3_its", Text, ("gicv3_its",)),
    ("", Text, ("",)),
]

PREFIXES = [
    ("", None, None),
    ("27195@1795205157.055973:", 1795205157055973000, 27195),
    ("2025-07-21T18:43:28.089797Z ", 1753123408089797000, None),
    ("2025-07-21T18:43:28Z ", 1753123408000000000, None),
]


@pytest.mark.parametrize(("prefix", "time", "thread"), PREFIXES)
@pytest.mark.parametrize(("line", "kind", "fields"), SAMPLES)
def test_every_kind_of_line_with_every_prefix(
    line: str,
    kind: type[Event],
    fields: tuple[object, ...],
    prefix: str,
    time: int | None,
    thread: int | None,
) -> None:
    (event,) = read(prefix + line)
    assert type(event) is kind
    assert event == (1, time, thread, *fields)


def test_lines_keep_their_numbers_and_their_order() -> None:
    events = read("first", SAMPLES[0][0], "", SAMPLES[1][0])
    assert [event.line for event in events] == [1, 2, 3, 4]
    assert [type(event) for event in events] == [Text, Access, Text, Access]


@pytest.mark.parametrize(
    "line",
    [
        "gicv3_dist_read",
        "gicv3_dist_read ",
        "gicv3_dist_read GICv3 distributor read: offset 0xffe8 data 0x3b size 4 secure",
        "gicv3_dist_read GICv3 distributor read: offset 0xffe8 data 0x3b size 4 secure 0: error",
        "gicv3_dist_read GICv3 distributor read: offset ffe8 data 0x3b size 4 secure 0",
        "gicv3_dist_read GICv3 distributor read: offset 0xffe8 data 0x3b size 3 secure 0",
        "gicv3_dist_read GICv3 distributor write: offset 0xffe8 data 0x3b size 4 secure 0",
        "gicv3_dist_read GICv3 redistributor 0x0 read: offset 0xffe8 data 0x3b size 4 secure 0",
        "gicv3_dist_write GICv3 distributor write: offset 0x0 data 0x10000000000000000 size 8 secure 0",
        "gicv3_dist_badread GICv3 distributor read: offset 0xc data 0x0 size 4 secure 0: error",
        "gicv3_redist_read GICv3 redistributor read: offset 0x8 data 0x0 size 8 secure 0",
        "gicv3_redist_read GICv3 redistributor 0x100000000 read: offset 0x8 data 0x0 size 8 secure 0",
        "gicv3_its_read GICv3 ITS read: offset 0xffe8 data 0x3b size 4 secure 0",
        "gicv3_its_translation_write GICv3 ITS TRANSLATER write: offset 0x40 data 0x3 size 4",
        "gicv3_its_process_command GICv3 ITS: processing command at offset 28: 0xf",
        "gicv3_its_cmd_mapc GICv3 ITS: command MAPC ICID 0x3 RDbase 0x1",
        "gicv3_its_cmd_mapc GICv3 ITS: command MAPC ICID 0x3 RDbase 0x1 V 2",
        "gicv3_its_cmd_inv GICv3 ITS: command DISCARD DeviceID 0x10 EventID 0x4",
        "gicv3_its_cmd_sync GICv3 ITS: command SYNC RDbase 0x1",
        "gicv3_its_dte_read GICv3 ITS: Device Table write for DeviceID 0x8: valid 1 size 0x2 ITTaddr 0x42ef7e",
        "gicv3_its_ite_read GICv3 ITS: Interrupt Table read for ITTaddr 0x42ef7e00 EventID 0x3: valid 1",
        "gicv3_its_cte_read GICv3 ITS: Collection Table read for ICID 0x100000000: valid 1 RDBase 0x3",
        "gicv3_icc_iar1_read GICv3 ICC_IAR1 read cpu 0 value 0x1b",
        "gicv3_icc_iar1_read GICv3 ICC_IAR1 write cpu 0x0 value 0x1b",
        "gicv3_icc_pmr_write GICv3 ICC_PMR write cpu 0x0 value 0x",
        "gicv3_icc_generate_sgi GICv3 CPU i/f 0x0 generating SGI 0 IRM 0 target affinity 0x1 targetlist 0x1",
        "gicv3_icc_generate_sgi GICv3 CPU i/f 0x0 generating SGI 0 IRM 0 target affinity 0x1xx targetlist 0x10000",
        "gicv3_redist_send_sgi GICv3 redistributor 0x0 pending SGI 0x1",
        "gicv3_dist_set_irq GICv3 distributor interrupt 0x24 level changed to 1",
        "gicv3_dist_set_irq GICv3 distributor interrupt 36 level changed to",
        "gicv3_redist_set_irq GICv3 redistributor interrupt 27 level changed to 1",
        "gicv3_redist_set_irq GICv3 redistributor 0x0 interrupt \u0662\u0667 level changed to 1",
        "guest_cpu_reset 0x55e30a100b80 ",
        "gicv3_cpuif_update GICv3 CPU i/f 0x0 HPPI update: irq 27 group 3 prio 160",
        "gicv3_cpuif_update GICv3 CPU i/f 0x0 HPPI update: irq 27 group 2 prio",
        "gicv3_cpuif_set_irqs GICv3 CPU i/f 0x0 HPPI update: setting FIQ 0 IRQ 2",
        "gicv3_cpuif_virt_update GICv3 CPU i/f 0x0 virt HPPI update LR index - HPPVLPI 0 grp 0 prio 255",
        "gicv3_cpuif_virt_set_irqs GICv3 CPU i/f 0x0 virt HPPI update: setting FIQ 2 IRQ 0",
        "gicv3_cpuif_virt_set_maint_irq GICv3 CPU i/f 0x0 virt HPPI update: setting maintenance-irq 2",
    ],
)
def test_malformed_event_is_an_error_that_names_it(line: str) -> None:
    name, _, text = line.partition(" ")
    with pytest.raises(TraceError) as caught:
        read("first", "27195@1795205157.055973:" + line)
    assert (caught.value.path, caught.value.line) == ("qemu.log", 2)
    assert str(caught.value).startswith(f"qemu.log:2: malformed {name} event: {text[:97]!r}"[:-1])
    assert "\n" not in str(caught.value)


def test_long_malformed_text_is_shortened() -> None:
    with pytest.raises(TraceError) as caught:
        read("gicv3_dist_set_irq " + "x" * 5000)
    assert caught.value.message == f"malformed gicv3_dist_set_irq event: '{'x' * 97}...'"


def test_time_that_does_not_exist() -> None:
    with pytest.raises(TraceError, match=r"^qemu\.log:1: malformed time stamp '2025-13-21T18:43:28'"):
        read("2025-13-21T18:43:28Z " + SAMPLES[0][0])


@pytest.mark.parametrize(
    "line",
    [
        "CPU:1 [LOST 12 EVENTS]",
        "CPU:1 [12 EVENTS DROPPED]",
        "LOST 12 events!",
        "Dropped_Event 0.000 num_events_dropped=12",
        "27195@1795205157.055973:Dropped_Event 0.000 num_events_dropped=12",
    ],
)
def test_lost_events_are_an_error(line: str) -> None:
    with pytest.raises(LostEventsError, match=r"^qemu\.log:2: the recorder lost events") as caught:
        read(SAMPLES[0][0], line)
    assert line[-12:] in caught.value.message


def test_events_before_an_error_come_first() -> None:
    events = read_qemu(enumerate([SAMPLES[0][0], "gicv3_dist_read x"], 1), "qemu.log")
    assert isinstance(next(events), Access)
    with pytest.raises(TraceError):
        next(events)


@given(st.sampled_from(SAMPLES), st.data())
def test_cut_line_is_read_or_refused(
    sample: tuple[str, type[Event], tuple[object, ...]], data: st.DataObject
) -> None:
    line = "27195@1795205157.055973:" + sample[0]
    cut = line[: data.draw(st.integers(0, len(line)))]
    with suppress(TraceError):
        assert len(read(cut)) == 1


@given(st.text(st.characters(exclude_characters="\n")))
def test_any_text_gives_one_event_or_an_error(line: str) -> None:
    with suppress(TraceError):
        assert len(read(line)) == 1
