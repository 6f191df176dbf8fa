"""The GIC in Firecracker's snapshots, as `snapshot-editor info-vmstate vm-state --vmstate-path FILE` shows them.

The file itself holds Rust's own form of a program's structures, which only that version of the program reads. What
is read here is the debugging text of version 1.x, as its source has it in August 2026 (snapshots of format 11).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from vgic import Topology
from vgic.kvm import Group
from vgic.layouts import gicd, gits
from vgic_tools.snapshots.errors import SnapshotError
from vgic_tools.snapshots.kvm_values import KvmValues, Words, snapshot_of_values, sysreg_words
from vgic_tools.snapshots.snapshot import Snapshot

__all__ = ["snapshot_of_firecracker", "values_of_firecracker"]

_BEGINS: Final = "GicState {"
_GICD_BASE: Final = 0x3FFF_0000
_ITS_SIZE: Final = 0x2_0000
_MOST_VCPUS: Final = 512
_DEEPEST: Final = 32
_PER_32_SPIS: Final = 81

_TOKEN: Final = re.compile(r'\s*(?:([A-Za-z_]\w*)|(\d{1,20})\b|("(?:[^"\\]|\\.)*")|([][{}(),:]))', re.ASCII)

Value: TypeAlias = "int | str | list[Value] | dict[str, Value] | None"


def snapshot_of_firecracker(data: bytes) -> Snapshot:
    """The VM in such a text. Raises SnapshotError where it is damaged, or has no GICv3."""
    return snapshot_of_values(values_of_firecracker(data))


def values_of_firecracker(data: bytes) -> KvmValues:
    """The registers that it names. Raises SnapshotError where it is damaged, or has no GICv3."""
    text = data.decode("utf-8", "replace")
    at = text.find(_BEGINS)
    if at < 0:
        raise SnapshotError("a text of snapshot-editor without the GIC: show it with info-vmstate vm-state")
    gic = _Parser(text, at).value(0)
    if not isinstance(gic, dict):
        raise SnapshotError("GicState has no fields")
    dist = list(_flat(gic.get("dist")))
    groups, rest = divmod(len(dist) - 2, _PER_32_SPIS)
    if rest or not 0 < groups < 32:
        raise SnapshotError(f"dist has {len(dist):,} numbers: not 2 and {_PER_32_SPIS} for each 32 SPIs")
    vcpus = gic.get("gic_vcpu_states")
    if not isinstance(vcpus, list) or not 0 < len(vcpus) <= _MOST_VCPUS:
        raise SnapshotError(f"gic_vcpu_states has not 1 to {_MOST_VCPUS} vCPUs")
    kind = "Firecracker's state of a VM, as snapshot-editor shows it"
    values = KvmValues(kind, Topology.kvm(len(vcpus)).affinities, 32 * groups, _GICD_BASE)
    values.its_base = values.redistributors - _ITS_SIZE
    words = Words("dist", dist)
    values.values[Group.DIST_REGS, 0, gicd.CTLR.offset], _ = words.take(2)  # GICD_STATUSR
    words.distributor(values)
    for cpu, vcpu in enumerate(vcpus):
        _vcpu(values, cpu, vcpu if isinstance(vcpu, dict) else {})
    its = gic.get("its_state")
    values.its = _its(its) if isinstance(its, dict) else {}
    values.notes = (
        "affinities are those that KVM gives vCPUs by their number: the part with the GIC does not have them",
        "the ITS's tables and pending LPIs are in the memory file, not in this text",
    )
    return values


def _vcpu(values: KvmValues, cpu: int, vcpu: Mapping[str, Value]) -> None:
    words = Words(f"rdist of vCPU {cpu}", list(_flat(vcpu.get("rdist"))))
    words.rd_base(values, cpu)
    words.sgi_base(values, cpu)
    interface = vcpu.get("icc")
    if not isinstance(interface, dict):
        raise SnapshotError(f"vCPU {cpu} has no icc")
    registers = [*_flat(interface.get("main_icc_regs")), *_flat(interface.get("ap_icc_regs"))]
    sysreg_words(Words(f"icc of vCPU {cpu}", registers), values, cpu)


def _its(its: Mapping[str, Value]) -> dict[int, int]:
    layouts = {"iidr": gits.IIDR, "cbaser": gits.CBASER, "creadr": gits.CREADR, "cwriter": gits.CWRITER}
    registers = {}
    for name, layout in (layouts | {"ctlr": gits.CTLR}).items():
        numbers = list(_flat(its.get(name)))
        if len(numbers) != 1:
            raise SnapshotError(f"its_state has no number {name}")
        registers[layout.offset] = numbers[0]
    bases = list(_flat(its.get("baser")))
    if len(bases) != gits.BASERS:
        raise SnapshotError(f"baser has not {gits.BASERS} numbers")
    return registers | {gits.BASER.offset + index * gits.BASER.stride: base for index, base in enumerate(bases)}


def _flat(value: Value) -> Iterator[int]:
    """Every number in a value, in order."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _flat(item)


class _Parser:
    """Reads what Rust's {:#?} writes. Raises SnapshotError, naming the line, where it is something else."""

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self._at = at
        self._ahead = ""
        self._advance()

    def value(self, depth: int) -> Value:
        """A number, a name, a list, or a structure: `Name { field: value }` as a dict, `Name(value)` as a list.

        An option is None, or its value.
        """
        if depth > _DEEPEST:
            raise self._error("structures within structures without end")
        token = self._ahead
        self._advance()
        if token.isdecimal():
            number = int(token)
            if number >> 64:
                raise self._error(f"{number} has more than 64 bits")
            return number
        if token == "[":
            return self._items("]", depth)
        if token[:1] in '"' or not token.isidentifier():
            if token[:1] == '"':
                return token
            raise self._error(f"{token or 'the end'}, where a value was to come")
        if self._ahead == "{":
            self._advance()
            return self._fields(depth)
        if self._ahead == "(":
            self._advance()
            items = self._items(")", depth)
            return items[0] if token == "Some" and len(items) == 1 else items
        return None if token == "None" else token

    def _items(self, end: str, depth: int) -> list[Value]:
        items: list[Value] = []
        while self._ahead != end:
            items.append(self.value(depth + 1))
            if self._ahead != end:
                self._expect(",")
        self._advance()
        return items

    def _fields(self, depth: int) -> dict[str, Value]:
        fields: dict[str, Value] = {}
        while self._ahead != "}":
            name = self._ahead
            self._advance()
            self._expect(":")
            fields[name] = self.value(depth + 1)
            if self._ahead != "}":
                self._expect(",")
        # Behind the last brace anything may come.
        if depth:
            self._advance()
        return fields

    def _expect(self, token: str) -> None:
        if self._ahead != token:
            raise self._error(f"{self._ahead or 'the end'}, where {token} was to come")
        self._advance()

    def _advance(self) -> None:
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            if self._text[self._at :].strip():
                raise self._error("no text of snapshot-editor")
            self._ahead = ""
            return
        self._ahead, self._at = found[found.lastindex or 0], found.end()

    def _error(self, what: str) -> SnapshotError:
        line = self._text.count("\n", 0, self._at) + 1
        return SnapshotError(f"line {line}: {' '.join(what.split())[:80]}")
