"""The project's own trace format: JSON Lines that hold every event without loss, and that a person can read.

A file is ASCII text, plain or gzip, with one JSON object on each line. The first is the header:

    {"format":"vgic-trace","version":1,"source":"boot.log"}

`format` and `version` are required; everything else in the header is metadata and free. This module reads and
writes version 1. Each other line is one event, in the order in which the events took effect:

    {"ev":"access","t":1795205157870615000,"tid":27195,"dev":"gicr","pe":"0.0.7.10","off":"0x8","size":8,
     "val":"0x70a01007a11","op":"read"}                                             (one line in the file)
    {"ev":"sysreg","pe":"0.0.0.0","reg":"ICC_PMR","val":"0xf0","op":"write"}
    {"ev":"sgi","pe":"0.0.0.0","intid":1,"cluster":"0x1","targets":"0x3"}
    {"ev":"delivery","pe":"0.0.1.1","intid":1}
    {"ev":"line","pe":"0.0.0.0","intid":27,"level":true}
    {"ev":"cpu_reset","cpu":"0x55e30a100b80"}
    {"ev":"candidate","pe":"0.0.0.0","intid":27,"group":2,"prio":160}
    {"ev":"outputs","pe":"0.0.0.0","fiq":false,"irq":true}
    {"ev":"virtual_candidate","pe":"0.0.0.0","lr":2,"intid":0,"group":0,"prio":255}
    {"ev":"virtual_outputs","pe":"0.0.0.0","fiq":false,"irq":true}
    {"ev":"maintenance","pe":"0.0.0.0","level":true}
    {"ev":"message","device":"0x8","off":"0x40","size":4,"event":"0x3"}
    {"ev":"command_start","slot":5,"opcode":"0xa"}
    {"ev":"command","name":"MAPTI","device":"0x8","event":"0x3","icid":"0x2","intid":8195}
    {"ev":"device_entry","device":"0x8","valid":true,"bits":2,"addr":"0x42ef7e00","op":"write"}
    {"ev":"event_entry","addr":"0x42ef7e00","event":"0x3","valid":true,"physical":true,"intid":8195,"icid":"0x2",
     "vpe":"0x0","doorbell":1023,"op":"read"}                                       (one line in the file)
    {"ev":"collection_entry","icid":"0x2","valid":true,"target":"0x2","op":"read"}
    {"ev":"other","name":"gicv3_its_cmd_vsync","text":"GICv3 ITS: command VSYNC"}
    {"ev":"text","text":"qemu: warning"}

| key            | in                 | value                                                               |
|----------------|--------------------|---------------------------------------------------------------------|
| ev             | all                | the kind of event; comes first                                      |
| t              | all, optional      | nanoseconds since the recorder's epoch                              |
| tid            | all, optional      | the recorder's thread id                                            |
| dev            | access             | the kind of frame: "gicd", "gicr", "gits" or "gits_translater"      |
| pe             | see above          | affinity of a PE, "Aff3.Aff2.Aff1.Aff0"; optional in access (only   |
|                |                    | for "gicr") and line (only for a private line)                      |
| off            | access             | offset in bytes, hexadecimal                                        |
| size           | access             | bytes: 1, 2, 4 or 8                                                 |
| val            | access, sysreg     | the value, hexadecimal; optional in access                          |
| op             | access, sysreg     | "read" or "write"                                                   |
| secure         | access, optional   | true for a Secure access                                            |
| illegal        | access, optional   | true where the device did not accept the access                     |
| reg            | sysreg             | the register's name without the exception level                     |
| intid          | see above          | INTID, a number                                                     |
| irm            | sgi, optional      | true for all PEs but the sender                                     |
| cluster        | sgi                | Aff3.Aff2.Aff1 of the targets packed in 24 bits, hexadecimal        |
| targets        | sgi                | the target list, 16 bits, hexadecimal                               |
| level          | line, maintenance  | true or false                                                       |
| cpu            | cpu_reset          | the recorder's token for the PE                                     |
| group, prio    | candidate,         | numbers                                                             |
|                | virtual_candidate  |                                                                     |
| lr             | virtual_candidate  | a list register's number, negative where there is none              |
| fiq, irq       | outputs,           | true or false                                                       |
|                | virtual_outputs    |                                                                     |
| device, event  | message, command,  | DeviceID and EventID, hexadecimal; optional in command              |
|                | entries            |                                                                     |
| slot           | command_start      | which command of the queue, a number                                |
| opcode         | command_start      | hexadecimal                                                         |
| icid, target,  | command, entries   | collection, where its interrupts go, and where they are moved to,   |
| to             |                    | hexadecimal; optional in command                                    |
| bits           | command, entries   | bits of EventID less one, a number; optional in command             |
| addr           | command, entries   | address of a translation table, hexadecimal; optional in command    |
| valid          | command, entries   | true or false; optional in command                                  |
| physical       | event_entry        | true for a physical interrupt                                       |
| vpe, doorbell  | event_entry        | what a virtual interrupt has instead, hexadecimal and a number      |
| name           | command, other     | the command's or event's name                                       |
| text           | other, text        | its text                                                            |

An optional key is left out when it does not apply or is false. An unknown key is an error, because a key with
a typing error in it would otherwise count as left out.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from mmio.trace.errors import TraceError
from mmio.trace.events import Event
from mmio.trace.native_fields import KIND_OF_CLASS, KINDS, REQUIRED
from mmio.trace.replacing import replacing

__all__ = [
    "FORMAT",
    "VERSION",
    "NativeWriter",
    "event_from_json",
    "event_to_json",
    "read_header",
    "read_native",
]

FORMAT = "vgic-trace"
"""What the header's `format` says."""

VERSION = 1
"""The version that is written, and the only one that is read."""


class NativeWriter:
    """Writes a trace in the native format, one event at a time.

        with NativeWriter("boot.jsonl.gz", {"source": "boot.log"}) as writer:
            writer.write(event)

    The file is gzip when its name ends in ".gz"; the same events and metadata give the same bytes. It appears
    under its name only when the `with` block ends without an exception; until then, a file of that name keeps
    its old contents. `metadata` goes into the header, and must be what `json` can write. Raises `OSError` when
    the file cannot be written, and `ValueError` for metadata called "format" or "version".
    """

    def __init__(self, path: str | os.PathLike[str], metadata: Mapping[str, object] | None = None) -> None:
        metadata = metadata or {}
        for name in ("format", "version"):
            if name in metadata:
                raise ValueError(f"metadata cannot be called {name!r}: the header has its own")
        self._path = os.fspath(path)
        self._header = _JSON.encode({"format": FORMAT, "version": VERSION, **metadata})
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._file = self._stack.enter_context(replacing(self._path))
        self._file.write(self._header + "\n")
        return self

    def write(self, event: Event) -> None:
        """Append an event. Its `line` is not kept: it becomes the line of the file that is written."""
        self._file.write(event_to_json(event) + "\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def event_to_json(event: Event) -> str:
    """The event as a line of a native trace, without the line end."""
    kind, fields = KIND_OF_CLASS[type(event)]
    item: dict[str, object] = {"ev": kind}
    for field, value in zip(fields, event[1:], strict=True):
        if value is not field.absent:
            item[field.key] = field.codec.encode(value)
    return _JSON.encode(item)


def read_header(line: str, path: str) -> dict[str, object]:
    """Return the metadata in the first line of a native trace: its header without `format` and `version`.

    `path` only names the trace in errors. Raises `TraceError` when the line is no header or one of a version
    that this module does not know.
    """
    header = _object(line, path, 1)
    if header.pop("format", None) != FORMAT:
        raise TraceError(path, 1, f'not a native trace: the header has no "format":"{FORMAT}"')
    version = header.pop("version", None)
    if type(version) is not int or version != VERSION:
        raise TraceError(path, 1, f"version {version!r} of the format is unknown; known is {VERSION}")
    return header


def read_native(lines: Iterable[tuple[int, str]], path: str) -> Iterator[Event]:
    """Yield the events of a native trace, whose first line is the header.

    `lines` gives each line's number, counted from 1, and its text without the line end; `path` only names the
    trace in errors. Raises `TraceError` for the first line that is not as the format says.
    """
    for number, text in lines:
        if number == 1:
            read_header(text, path)
        else:
            yield event_from_json(text, path, number)


def event_from_json(text: str, path: str, number: int) -> Event:
    """The event in line `number` of a native trace. Raises `TraceError`."""
    item = _object(text, path, number)
    kind = item.pop("ev", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise TraceError(path, number, f'unknown kind of event: "ev" is {kind!r}')
    make, fields = KINDS[kind]
    values: list[object] = []
    for field in fields:
        raw = item.pop(field.key, REQUIRED)
        if raw is REQUIRED:
            if field.absent is REQUIRED:
                raise TraceError(path, number, f"{kind} event without {field.key!r}")
            values.append(field.absent)
            continue
        try:
            values.append(field.codec.decode(raw))
        except ValueError:
            message = f"{kind} event: {field.key!r} is {raw!r}, expected {field.codec.what}"
            raise TraceError(path, number, message) from None
    if item:
        raise TraceError(path, number, f"{kind} event: unknown key {next(iter(item))!r}")
    return make(number, *values)


def _object(text: str, path: str, number: int) -> dict[str, object]:
    try:
        item: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise TraceError(path, number, f"not JSON: {error.msg} (column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise TraceError(path, number, f"not JSON that can be read: {error}") from error
    if not isinstance(item, dict):
        raise TraceError(path, number, "not a JSON object")
    return item


_JSON = json.JSONEncoder(separators=(",", ":"))
