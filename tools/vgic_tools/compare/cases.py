"""Case files: a machine, a few operations on it, and what a judge said that each of them came to.

JSON lines: first what it is about, then one line for each operation. Numbers that people read in hexadecimal are
strings, "0x104".
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vgic import Pending
from vgic_tools.errors import UsageError
from vgic_tools.judges.protocol import (
    Attr,
    Line,
    Load,
    Machine,
    Message,
    Mrs,
    Msr,
    Operation,
    Outcome,
    Peek,
    Poke,
    SaveRestore,
    Store,
)

__all__ = ["VERSION", "Case", "read_case", "write_case"]

VERSION: Final = 1
"""Of the format."""

MOST: Final = 1 << 24
"""Bytes of a case file that is read."""

_KINDS: Final[Mapping[str, type[Any]]] = {
    "load": Load,
    "store": Store,
    "mrs": Mrs,
    "msr": Msr,
    "line": Line,
    "message": Message,
    "poke": Poke,
    "peek": Peek,
    "attr": Attr,
    "save-restore": SaveRestore,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}
_MOST_BITS: Final = {
    "cpu": 16,
    "size": 11,
    "place": 7,
    "intid": 24,
    "device": 8,
    "group": 32,
    "device_id": 16,
    "event_id": 16,
}
"""Bits of a number; others have 64."""
_SIZES: Final = (1, 2, 4, 8)
_MOST_CPUS: Final = 512
_MOST_POKED: Final = 1 << 20
_MOST_PEEKED: Final = 1 << 10


@dataclass(frozen=True)
class Case:
    """A case: what was done, and what it came to."""

    judge: str
    """Of `vgic compare`: qemu or kvm."""
    version: str
    """The judge's."""
    way: str
    """How it was asked, see `vgic_tools.compare.ways`."""
    machine: Machine
    operations: Sequence[Operation]
    told: Sequence[Outcome]
    """What each operation came to, as far as the judge saw it."""
    rules: Sequence[str] = field(default=())
    """Of specs/, that are concerned."""


def write_case(case: Case, path: Path) -> None:
    """Write a case file. Raises UsageError where that is not possible."""
    machine = {name: value for name, value in case.machine._asdict().items() if value}
    head = {
        "vgic-case": VERSION,
        "judge": case.judge,
        "version": case.version,
        "way": case.way,
        "machine": machine,
        "rules": list(case.rules),
    }
    lines = [head, *map(_line, case.operations, case.told)]
    try:
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _line(operation: Operation, told: Outcome) -> dict[str, object]:
    line: dict[str, object] = {"op": _NAMES[type(operation)]}
    for name, value in operation._asdict().items():
        if name != "place" or value:
            line[name] = _shown(name, value)
    seen: dict[str, object] = {}
    if isinstance(operation, Load | Mrs | Peek | Attr) and not told.undefined:
        seen["value"] = hex(told.value)
    if told.errno:
        seen["errno"] = told.errno
    if told.undefined:
        seen["undefined"] = True
    if told.level:
        seen["level"] = told.level
    if told.signals is not None:
        seen["signals"] = hex(told.signals)
    if told.offers is not None:
        seen["offers"] = [None if offer is None else list(offer) for offer in told.offers]
    return {**line, "told": seen} if seen else line


def _shown(name: str, value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    hexadecimal = (
        isinstance(value, int) and not isinstance(value, bool) and name in ("address", "value", "register", "attr")
    )
    return hex(value) if hexadecimal else value  # type: ignore[arg-type]  # an int, as was just asked


class _Line:
    """A line of a case file, whose parts are asked for by name."""

    def __init__(self, path: Path, number: int, text: str) -> None:
        self._place = f"{path}:{number}"
        try:
            parts = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{self._place}: no JSON: {error}") from None
        if not isinstance(parts, dict):
            raise self.wrong("not an object")
        self.parts: dict[str, Any] = parts

    def wrong(self, how: str) -> UsageError:
        return UsageError(f"{self._place}: {how}")

    def text(self, name: str, choices: Sequence[str] = ()) -> str:
        value = self.parts.get(name)
        if not isinstance(value, str) or (choices and value not in choices):
            expected = f"one of {', '.join(choices)}" if choices else "a text"
            raise self.wrong(f"{name!r} is {value!r}, not {expected}")
        return value

    def number(self, name: str, value: object, bits: int = 64, least: int = 0) -> int:
        if isinstance(value, str):
            try:
                value = int(value, 16)
            except ValueError:
                raise self.wrong(f"{name!r} is {value!r}, which is no number") from None
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 1 << bits:
            raise self.wrong(f"{name!r} is {value!r}, not a number of {bits} bits")
        return value

    def operation(self, machine: Machine) -> Operation:
        kind = _KINDS[self.text("op", tuple(_KINDS))]
        names = kind._fields
        missing = [name for name in names if name not in self.parts and name not in kind._field_defaults]
        unknown = [name for name in self.parts if name not in (*names, "op", "told")]
        if missing or unknown:
            wrong = f"lacks {missing[0]!r}" if missing else f"has no {unknown[0]!r}"
            raise self.wrong(f"{self.parts['op']} {wrong}")
        operation: Operation = kind(**{name: self._field(kind, name) for name in names if name in self.parts})
        cpu = getattr(operation, "cpu", 0)
        if cpu >= machine.cpus:
            raise self.wrong(f"there is no vCPU {cpu}: the machine has {machine.cpus}")
        if isinstance(operation, Message) and not machine.its:
            raise self.wrong("there is no ITS for a message: the machine has none")
        if isinstance(operation, Load | Store):
            if operation.size not in _SIZES:
                raise self.wrong(f"'size' is {operation.size}, not one of 1, 2, 4, 8")
            if operation.address % operation.size:
                raise self.wrong(f"{operation.address:#x} is not aligned to {operation.size} bytes")
        return operation

    def _field(self, kind: type[Any], name: str) -> object:
        value = self.parts[name]
        if name == "call":
            return self.text("call", ("has", "get", "set"))
        if name == "level":
            if not isinstance(value, bool):
                raise self.wrong(f"'level' is {value!r}, not true or false")
            return value
        if name == "data":
            try:
                data = bytes.fromhex(self.text("data"))
            except ValueError:
                raise self.wrong("'data' is no text of hexadecimal digits") from None
            if len(data) > _MOST_POKED:
                raise self.wrong(f"'data' is {len(data)} bytes long, of {_MOST_POKED} at most")
            return data
        return self.number(name, value, _MOST_BITS.get(name, 64), least=-1 if name == "device" else 0)

    def outcome(self) -> Outcome:
        told = self.parts.get("told", {})
        if not isinstance(told, dict) or not told.keys() <= {*Outcome._fields}:
            raise self.wrong(f"'told' is {told!r}, not what an operation comes to")
        offers = told.get("offers")
        signals = told.get("signals")
        return Outcome(
            self.number("value", told.get("value", 0), 8 * _MOST_PEEKED),
            self.number("errno", told.get("errno", 0), 16),
            told.get("undefined", False) is True,
            None if signals is None else self.number("signals", signals, 16),
            None if offers is None else self._offers(offers),
            self.number("level", told.get("level", 0), 2),
        )

    def _offers(self, offers: object) -> tuple[Pending | None, ...]:
        if not isinstance(offers, list):
            raise self.wrong(f"'offers' is {offers!r}, not a list")
        found: list[Pending | None] = []
        for offer in offers:
            if offer is None:
                found.append(None)
            elif isinstance(offer, list) and len(offer) == len(Pending._fields):
                found.append(Pending(*(self.number("offers", part, 32) for part in offer)))
            else:
                raise self.wrong(f"an offer is {offer!r}, not an INTID, a group and a priority")
        return tuple(found)


def read_case(path: Path, ways: Sequence[str]) -> Case:
    """Read a case file; `ways` are those that there are. Raises UsageError with the line that is wrong."""
    try:
        if path.stat().st_size > MOST:
            raise UsageError(f"{path} is longer than {MOST >> 20} MiB: no case")
        texts = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text") from None
    lines = [_Line(path, number, text) for number, text in enumerate(texts, 1) if text.strip()]
    if not lines:
        raise UsageError(f"{path} is empty")
    head, *rest = lines
    found = head.parts.get("vgic-case")
    if found != VERSION:
        raise head.wrong(f"'vgic-case' is {found!r}, not {VERSION}, the version of the format that is known")
    machine = _machine(head)
    rules = head.parts.get("rules", [])
    if not isinstance(rules, list) or not all(isinstance(rule, str) for rule in rules):
        raise head.wrong(f"'rules' is {rules!r}, not a list of ids")
    if not rest:
        raise head.wrong("there is no operation")
    return Case(
        head.text("judge"),
        head.text("version"),
        head.text("way", ways),
        machine,
        [line.operation(machine) for line in rest],
        [line.outcome() for line in rest],
        rules,
    )


def _machine(head: _Line) -> Machine:
    parts = head.parts.get("machine")
    if not isinstance(parts, dict) or not parts.keys() <= {*Machine._fields}:
        raise head.wrong(f"'machine' is {parts!r}, not a machine")
    cpus = head.number("cpus", parts.get("cpus", 0), 16)
    ids = parts.get("ids", [])
    if not 1 <= cpus <= _MOST_CPUS:
        raise head.wrong(f"'cpus' is {cpus}, not 1 to {_MOST_CPUS}")
    has = {name: parts.get(name, False) for name in ("its", "secure", "virtualization", "nmi")}
    for name, value in has.items():
        if not isinstance(value, bool):
            raise head.wrong(f"{name!r} is {value!r}, not true or false")
    if not isinstance(ids, list):
        raise head.wrong(f"'ids' is {ids!r}, not a list")
    return Machine(cpus, ids=tuple(head.number("ids", number, 16) for number in ids), **has)
