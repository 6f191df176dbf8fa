"""The native format: what it looks like, that it loses nothing, and what it refuses."""

import gzip
import json
from pathlib import Path

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
    Maintenance,
    Message,
    NativeWriter,
    Other,
    Outputs,
    Sgi,
    SysReg,
    Text,
    TraceError,
    VirtualCandidate,
    VirtualOutputs,
    open_trace,
    read_native,
    read_qemu,
)

HEADER = '{"format":"vgic-trace","version":1}'

# One event with every field in use and one with as few as possible, and how they look.
SAMPLES: list[tuple[Event, str]] = [
    (
        Access(2, 1795205157870615000, 27195, "gicr", 0x70A, 8, 8, 0x70A01007A11, False, True, True),
        '{"ev":"access","t":1795205157870615000,"tid":27195,"dev":"gicr","pe":"0.0.7.10","off":"0x8","size":8,'
        '"val":"0x70a01007a11","op":"read","secure":true,"illegal":true}',
    ),
    (
        Access(2, None, None, "gicd", None, 0x84, 4, None, True, False, False),
        '{"ev":"access","dev":"gicd","off":"0x84","size":4,"op":"write"}',
    ),
    (
        SysReg(2, None, None, 0, "ICC_PMR", 0xF0, True),
        '{"ev":"sysreg","pe":"0.0.0.0","reg":"ICC_PMR","val":"0xf0","op":"write"}',
    ),
    (
        Sgi(2, None, None, 0x01020304, 1, True, 0, 0),
        '{"ev":"sgi","pe":"1.2.3.4","intid":1,"irm":true,"cluster":"0x0","targets":"0x0"}',
    ),
    (
        Sgi(2, 0, 7, 0, 15, False, 0x10203, 0x8001),
        '{"ev":"sgi","t":0,"tid":7,"pe":"0.0.0.0","intid":15,"cluster":"0x10203","targets":"0x8001"}',
    ),
    (Delivery(2, None, None, 0x101, 1), '{"ev":"delivery","pe":"0.0.1.1","intid":1}'),
    (Line(2, None, None, 0, 27, True), '{"ev":"line","pe":"0.0.0.0","intid":27,"level":true}'),
    (Line(2, None, None, None, 36, False), '{"ev":"line","intid":36,"level":false}'),
    (CpuReset(2, None, None, "0x55e30a100b80"), '{"ev":"cpu_reset","cpu":"0x55e30a100b80"}'),
    (
        Candidate(2, None, None, 0, 27, 2, 160),
        '{"ev":"candidate","pe":"0.0.0.0","intid":27,"group":2,"prio":160}',
    ),
    (Outputs(2, None, None, 0, False, True), '{"ev":"outputs","pe":"0.0.0.0","fiq":false,"irq":true}'),
    (
        VirtualCandidate(2, None, None, 0, -1, 0, 0, 255),
        '{"ev":"virtual_candidate","pe":"0.0.0.0","lr":-1,"intid":0,"group":0,"prio":255}',
    ),
    (
        VirtualOutputs(2, None, None, 0, False, True),
        '{"ev":"virtual_outputs","pe":"0.0.0.0","fiq":false,"irq":true}',
    ),
    (Maintenance(2, None, None, 0, True), '{"ev":"maintenance","pe":"0.0.0.0","level":true}'),
    (Message(2, None, None, 8, 0x40, 4, 3), '{"ev":"message","device":"0x8","off":"0x40","size":4,"event":"0x3"}'),
    (CommandStart(2, None, None, 5, 0xA), '{"ev":"command_start","slot":5,"opcode":"0xa"}'),
    (Command(2, None, None, "SYNC"), '{"ev":"command","name":"SYNC"}'),
    (
        Command(2, 0, 7, "MAPD", 8, 3, 2, 8195, 0, 1, 2, 0x42EF7E00, False),
        '{"ev":"command","t":0,"tid":7,"name":"MAPD","device":"0x8","event":"0x3","icid":"0x2","intid":8195,'
        '"target":"0x0","to":"0x1","bits":2,"addr":"0x42ef7e00","valid":false}',
    ),
    (
        DeviceEntry(2, None, None, 8, True, 2, 0x42EF7E00, True),
        '{"ev":"device_entry","device":"0x8","valid":true,"bits":2,"addr":"0x42ef7e00","op":"write"}',
    ),
    (
        EventEntry(2, None, None, 0x42EF7E00, 3, True, True, 8195, 2, 0, 1023, False),
        '{"ev":"event_entry","addr":"0x42ef7e00","event":"0x3","valid":true,"physical":true,"intid":8195,'
        '"icid":"0x2","vpe":"0x0","doorbell":1023,"op":"read"}',
    ),
    (
        CollectionEntry(2, None, None, 2, False, 3, False),
        '{"ev":"collection_entry","icid":"0x2","valid":false,"target":"0x3","op":"read"}',
    ),
    (
        Other(2, None, None, "gicv3_its_cmd_vsync", "GICv3 ITS: command VSYNC"),
        '{"ev":"other","name":"gicv3_its_cmd_vsync","text":"GICv3 ITS: command VSYNC"}',
    ),
    (Text(2, None, None, 'a "b"\x00\u2028'), '{"ev":"text","text":"a \\"b\\"\\u0000\\u2028"}'),
]


def read(*lines: str) -> list[Event]:
    return list(read_native(enumerate(lines, 1), "boot.jsonl"))


@pytest.mark.parametrize(("event", "line"), SAMPLES)
def test_reads_what_the_format_says(event: Event, line: str) -> None:
    (back,) = read(HEADER, line)
    assert back == event
    assert type(back) is type(event)


def test_writes_what_the_format_says(tmp_path: Path) -> None:
    path = tmp_path / "boot.jsonl"
    with NativeWriter(path, {"source": "boot.log"}) as writer:
        for event, _ in SAMPLES:
            writer.write(event)
    assert path.read_text().split("\n") == [
        '{"format":"vgic-trace","version":1,"source":"boot.log"}',
        *(line for _, line in SAMPLES),
        "",
    ]


times = st.none() | st.integers(-(2**63), 2**63)
threads = st.none() | st.integers(0, 2**32)
affinities = st.integers(0, 2**32 - 1)
values = st.integers(0, 2**64 - 1)
intids = st.integers(0, 2**24 - 1)
counts = st.integers(0, 2**32)
texts = st.text(st.characters())  # lone surrogates, too


def strategy(kind: type[Event], *fields: st.SearchStrategy[object]) -> st.SearchStrategy[Event]:
    return st.builds(kind, st.just(0), times, threads, *fields)


events = st.one_of(
    strategy(
        Access,
        st.sampled_from(["gicd", "gicr", "gits", "gits_translater"]),
        st.none() | affinities,
        values,
        st.sampled_from([1, 2, 4, 8]),
        st.none() | values,
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    strategy(SysReg, affinities, texts, values, st.booleans()),
    strategy(
        Sgi,
        affinities,
        st.integers(0, 15),
        st.booleans(),
        st.integers(0, 2**24 - 1),
        st.integers(0, 2**16 - 1),
    ),
    strategy(Delivery, affinities, st.integers(0, 15)),
    strategy(Line, st.none() | affinities, intids, st.booleans()),
    strategy(CpuReset, texts),
    strategy(Candidate, affinities, intids, st.integers(0, 2), st.integers(0, 255)),
    strategy(Outputs, affinities, st.booleans(), st.booleans()),
    strategy(VirtualCandidate, affinities, st.integers(-1, 15), intids, st.integers(0, 2), st.integers(0, 255)),
    strategy(VirtualOutputs, affinities, st.booleans(), st.booleans()),
    strategy(Maintenance, affinities, st.booleans()),
    strategy(Message, values, values, st.sampled_from([1, 2, 4, 8]), values),
    strategy(CommandStart, counts, values),
    strategy(
        Command,
        texts,
        *[st.none() | values] * 3,
        st.none() | intids,
        *[st.none() | values] * 2,
        st.none() | counts,
        st.none() | values,
        st.none() | st.booleans(),
    ),
    strategy(DeviceEntry, values, st.booleans(), counts, values, st.booleans()),
    strategy(
        EventEntry,
        values,
        values,
        st.booleans(),
        st.booleans(),
        intids,
        values,
        values,
        intids,
        st.booleans(),
    ),
    strategy(CollectionEntry, values, st.booleans(), values, st.booleans()),
    strategy(Other, texts, texts),
    strategy(Text, texts),
)


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
@given(written=st.lists(events, min_size=1))
def test_events_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, written: list[Event]
) -> None:
    path = tmp_path_factory.getbasetemp() / f"events.{suffix}"
    written.append(Delivery(0, None, None, 0, 0))  # a file of text alone is no trace
    with NativeWriter(path) as writer:
        for event in written:
            writer.write(event)
    back = list(open_trace(path))
    assert [type(event) for event in back] == [type(event) for event in written]
    assert [event[1:] for event in back] == [event[1:] for event in written]
    assert [event.line for event in back] == list(range(2, len(written) + 2))


def test_qemu_log_to_native_and_back(tmp_path: Path) -> None:
    log = [
        "22903@1795204693.938080:guest_cpu_reset cpu=0x55d61bc32340 ",
        "22903@1795204693.938081:gicv3_dist_set_irq GICv3 distributor interrupt 36 level changed to 1",
        "22903@1795204693.938082:gicv3_cpuif_update GICv3 CPU i/f 0x0 HPPI update: irq 36 group 2 prio 160",
        "22903@1795204693.938084:gicv3_cpuif_set_irqs GICv3 CPU i/f 0x0 HPPI update: setting FIQ 0 IRQ 1",
        "2025-07-21T18:43:28.089797Z gicv3_icc_iar1_read GICv3 ICC_IAR1 read cpu 0x0 value 0x24",
        "gicv3_icc_generate_sgi GICv3 CPU i/f 0x0 generating SGI 0 IRM 0 target affinity 0x1xx targetlist 0x1",
        "gicv3_redist_send_sgi GICv3 redistributor 0x100 pending SGI 0",
        "gicv3_dist_badread GICv3 distributor read: offset 0xc size 4 secure 0: error",
        "gicv3_redist_write GICv3 redistributor 0x0 write: offset 0x10180 data 0xffffffff size 4 secure 0",
        "gicv3_its_cmd_sync GICv3 ITS: command SYNC",
        "warning: caf\u00e9",
    ]
    original = list(read_qemu(enumerate(log, 1), "qemu.log"))
    path = tmp_path / "boot.jsonl.gz"
    with NativeWriter(path, {"source": "qemu.log"}) as writer:
        for event in original:
            writer.write(event)
    trace = open_trace(path)
    assert (trace.format, trace.metadata) == ("native", {"source": "qemu.log"})
    assert [event._replace(line=event.line - 1) for event in trace] == original


def test_the_same_events_give_the_same_gzip_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"]
    for path in paths:
        with NativeWriter(path) as writer:
            writer.write(SAMPLES[0][0])
    contents = [path.read_bytes() for path in paths]
    assert contents[0] == contents[1]
    assert contents[0][4:8] == bytes(4)
    assert gzip.decompress(contents[0]).decode() == f"{HEADER}\n{SAMPLES[0][1]}\n"


@pytest.mark.parametrize("name", ["boot.jsonl", "boot.jsonl.gz"])
def test_interrupted_write_leaves_the_old_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("old")

    def interrupted() -> None:
        with NativeWriter(path) as writer:
            writer.write(SAMPLES[0][0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "boot.jsonl"
    with NativeWriter(path) as writer:
        writer.write(SAMPLES[0][0])
        assert not path.exists()
    assert list(tmp_path.iterdir()) == [path]


def test_writing_through_a_link_keeps_the_link(tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to(tmp_path / "boot.jsonl")
    with NativeWriter(link) as writer:
        writer.write(SAMPLES[0][0])
    assert link.is_symlink()
    assert (tmp_path / "boot.jsonl").read_text() == f"{HEADER}\n{SAMPLES[0][1]}\n"


@pytest.mark.parametrize("name", [".", "missing/boot.jsonl"])
def test_path_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match=r"not a regular file|No such file"), NativeWriter(tmp_path / name):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["format", "version"])
def test_metadata_cannot_replace_the_header(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        NativeWriter("boot.jsonl", {name: 2})


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("{}", 'not a native trace: the header has no "format":"vgic-trace"'),
        ('{"format":"other","version":1}', 'not a native trace: the header has no "format":"vgic-trace"'),
        ('{"format":"vgic-trace"}', "version None of the format is unknown; known is 1"),
        ('{"format":"vgic-trace","version":2}', "version 2 of the format is unknown; known is 1"),
        ('{"format":"vgic-trace","version":true}', "version True of the format is unknown; known is 1"),
        ('{"format":"vgic-trace","version":"1"}', "version '1' of the format is unknown; known is 1"),
        ("[]", "not a JSON object"),
        ('{"format":', "not JSON: Expecting value (column 11)"),
    ],
)
def test_header_that_is_none(header: str, message: str) -> None:
    with pytest.raises(TraceError) as caught:
        read(header)
    assert str(caught.value) == f"boot.jsonl:1: {message}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "not JSON: Expecting value (column 1)"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "not JSON that can be read: "),
        ('{"ev":"delivery","pe":"0.0.0.0","intid":' + "1" * 5000 + "}", "not JSON that can be read: "),
        ("{}", 'unknown kind of event: "ev" is None'),
        ('{"ev":"reset"}', "unknown kind of event: \"ev\" is 'reset'"),
        ('{"ev":["line"]}', "unknown kind of event: \"ev\" is ['line']"),
        ('{"ev":"cpu_reset"}', "cpu_reset event without 'cpu'"),
        ('{"ev":"cpu_reset","cpu":"1","pe":"0.0.0.0"}', "cpu_reset event: unknown key 'pe'"),
        ('{"ev":"text","text":1}', "text event: 'text' is 1, expected a string"),
        ('{"ev":"text","t":"0","text":""}', "text event: 't' is '0', expected an integer"),
        ('{"ev":"text","t":1.5,"text":""}', "text event: 't' is 1.5, expected an integer"),
        ('{"ev":"text","t":null,"text":""}', "text event: 't' is None, expected an integer"),
        ('{"ev":"text","tid":-1,"text":""}', "text event: 'tid' is -1, expected an integer that is not negative"),
        (
            '{"ev":"delivery","pe":"0.0.0.0","intid":true}',
            "delivery event: 'intid' is True, expected an integer that is not negative",
        ),
    ],
)
def test_line_that_is_no_event(line: str, message: str) -> None:
    with pytest.raises(TraceError) as caught:
        read(HEADER, '{"ev":"text","text":"first"}', line)
    assert str(caught.value).startswith(f"boot.jsonl:3: {message}")
    assert "\n" not in str(caught.value)


ACCESS = {"ev": "access", "dev": "gicr", "pe": "0.0.0.1", "off": "0x8", "size": 4, "val": "0x1f", "op": "write"}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("pe", "0.0.1", 'an affinity such as "0.0.1.0"'),
        ("pe", "0.0.0.256", 'an affinity such as "0.0.1.0"'),
        ("pe", "0.0.0.-1", 'an affinity such as "0.0.1.0"'),
        ("pe", 1, 'an affinity such as "0.0.1.0"'),
        ("off", "8", 'a hexadecimal string such as "0x1f", of 64 bits at most'),
        ("off", "0x", 'a hexadecimal string such as "0x1f", of 64 bits at most'),
        ("off", "-0x1", 'a hexadecimal string such as "0x1f", of 64 bits at most'),
        ("off", "0x1_0", 'a hexadecimal string such as "0x1f", of 64 bits at most'),
        ("val", 31, 'a hexadecimal string such as "0x1f", of 64 bits at most'),
        ("val", "0x10000000000000000", 'a hexadecimal string such as "0x1f", of 64 bits at most'),
        ("size", 3, "1, 2, 4 or 8"),
        ("size", "4", "1, 2, 4 or 8"),
        ("op", "Write", '"read" or "write"'),
        ("op", True, '"read" or "write"'),
        ("secure", 1, "true or false"),
        ("illegal", "true", "true or false"),
    ],
)
def test_field_of_the_wrong_kind(key: str, value: object, expected: str) -> None:
    with pytest.raises(TraceError) as caught:
        read(HEADER, json.dumps(ACCESS | {key: value}))
    assert str(caught.value) == f"boot.jsonl:2: access event: {key!r} is {value!r}, expected {expected}"


@pytest.mark.parametrize("key", ["dev", "off", "size", "op"])
def test_missing_field(key: str) -> None:
    with pytest.raises(TraceError, match=f"^boot.jsonl:2: access event without '{key}'$"):
        read(HEADER, json.dumps({name: value for name, value in ACCESS.items() if name != key}))


def test_false_may_be_written_out() -> None:
    assert read(HEADER, json.dumps(ACCESS | {"secure": False})) == read(HEADER, json.dumps(ACCESS))
