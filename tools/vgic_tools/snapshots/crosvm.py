"""The GIC in crosvm's snapshots: the file irqchip of such a folder, in CBOR.

Read in the source of August 2026, which calls the format experimental. Older files, of JSON, are not read.
"""

from collections.abc import Mapping
from typing import Final

from vgic.kvm import Group
from vgic.kvm.uapi import SYSREGS
from vgic_tools.errors import UsageError
from vgic_tools.snapshots.errors import SnapshotError
from vgic_tools.snapshots.kvm_values import KvmValues, snapshot_of_values
from vgic_tools.snapshots.snapshot import Snapshot

__all__ = ["snapshot_of_crosvm", "values_of_crosvm"]

_GICD_BASE: Final = 0x3FFF_0000
_SPIS: Final = 32
_MOST_VCPUS: Final = 512
_DISTRIBUTOR_WORDS: Final = 0x1_0000 // 4
_REDISTRIBUTOR_WORDS: Final = 0x2_0000 // 4


def snapshot_of_crosvm(data: bytes) -> Snapshot:
    """The VM in such a file. Raises SnapshotError where it is damaged; UsageError where no CBOR can be read."""
    return snapshot_of_values(values_of_crosvm(data))


def values_of_crosvm(data: bytes) -> KvmValues:
    """The registers that it names. Raises SnapshotError where it is damaged, UsageError without cbor2."""
    document = _decoded(data)
    vcpus = document.get("cpu_specific") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(vcpus, dict) or not 0 < len(vcpus) <= _MOST_VCPUS:
        raise SnapshotError(f"no irqchip of crosvm: cpu_specific has not 1 to {_MOST_VCPUS} vCPUs")
    affinities = []
    for key in vcpus:
        if not isinstance(key, int) or key >> 64 or key & 0xFFFF_FFFF:
            raise SnapshotError(f"a vCPU is called {str(key)[:40]}, which is no affinity")
        affinities.append(key >> 32)
    kind = "a snapshot of crosvm"
    values = KvmValues(kind, affinities, _SPIS, _GICD_BASE)
    for offset, word in _words(document, "dist_regs", _DISTRIBUTOR_WORDS):
        values.values[Group.DIST_REGS, 0, offset] = word
    for cpu, vcpu in enumerate(vcpus.values()):
        if not isinstance(vcpu, dict):
            raise SnapshotError(f"vCPU {cpu} has no registers")
        for offset, word in _words(vcpu, "redist_regs", _REDISTRIBUTOR_WORDS):
            values.values[Group.REDIST_REGS, cpu, offset] = word
        registers = vcpu.get("cpu_sys_regs")
        for encoding, value in registers.items() if isinstance(registers, dict) else ():
            if isinstance(encoding, int) and encoding in SYSREGS:
                values.values[Group.CPU_SYSREGS, cpu, encoding] = _number(value, 64)
    values.notes = ("crosvm keeps no ITS",)
    return values


def _decoded(data: bytes) -> object:
    try:
        import cbor2
    except ImportError as error:
        raise UsageError('snapshots of crosvm are read with cbor2: pip install "vgic[snapshots]"') from error
    try:
        decoded: object = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise SnapshotError("the file irqchip of crosvm is damaged: no CBOR that is read") from error
    return decoded


def _words(document: Mapping[object, object], name: str, count: int) -> list[tuple[int, int]]:
    words = document.get(name)
    if not isinstance(words, list) or len(words) != count:
        raise SnapshotError(f"{name} has not {count:,} numbers, one for each word of the frames")
    return [(4 * index, _number(word, 32)) for index, word in enumerate(words) if word]


def _number(value: object, bits: int) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << bits:
        raise SnapshotError(f"{str(value)[:40]} is no number of {bits} bits")
    return value
