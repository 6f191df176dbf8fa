"""What Linux tells its programs of its CPUs: /proc/cpuinfo, and the identification registers in sysfs."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from vgic.identity import Cluster, Cpu, Host, View
from vgic.identity.implementation import MIDR
from vgic_tools.errors import UsageError

__all__ = ["SYSFS_LINE", "from_cpuinfo", "from_sysfs", "ranges"]

_MIDR_FIELDS: Final = {
    "CPU implementer": "Implementer",
    "CPU variant": "Variant",
    "CPU part": "PartNum",
    "CPU revision": "Revision",
}

_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]{1,4}|0|[1-9][0-9]{0,4}")
_INDEX: Final = re.compile(r"[0-9]{1,6}")
_BOGOMIPS: Final = re.compile(r"([0-9]{1,5})\.([0-9]{2})")

SYSFS_LINE: Final = re.compile(
    r"(?:.*/)?cpu([0-9]{1,6})/regs/identification/([a-z0-9_]{1,32}):\s*0x([0-9a-fA-F]{1,16})"
)
"""What `grep . /sys/devices/system/cpu/cpu*/regs/identification/*` prints."""

_SYSFS_REGISTERS: Final = {"midr_el1": "MIDR_EL1", "revidr_el1": "REVIDR_EL1", "aidr_el1": "AIDR_EL1"}
"""Files in sysfs. There is another, smidr_el1, which is about a unit that CPUs share."""


def from_cpuinfo(text: str, name: str) -> Host:
    """The host that /proc/cpuinfo is of: MIDR_EL1 of each CPU, and the frequency of the counter.

    Linux makes BogoMIPS of the frequency: it is twice that in MHz, cut to 5 kHz. Raises UsageError that names the
    line.
    """
    cpus: dict[int, dict[str, int]] = {}
    fields: dict[str, int] = {}
    current: int | None = None
    for number, line in enumerate(text.splitlines(), 1):
        key, colon, value = (part.strip() for part in line.partition(":"))
        place = f"{name}:{number}"
        if not colon:
            continue
        if key == "processor":
            if not _INDEX.fullmatch(value) or int(value) in cpus:
                raise UsageError(f"{place}: expected the number of another CPU")
            current, fields = int(value), {}
            cpus[current] = {}
        elif key in _MIDR_FIELDS or key == "BogoMIPS":
            if current is None:
                raise UsageError(f"{place}: {key} of no processor")
            if key == "BogoMIPS":
                cpus[current]["CNTFRQ_EL0"] = _frequency(value, place)
            else:
                fields[_MIDR_FIELDS[key]] = _field(_MIDR_FIELDS[key], value, place)
                if len(fields) == len(_MIDR_FIELDS):
                    cpus[current]["MIDR_EL1"] = MIDR.layout.encode(fields | {"Architecture": 0xF})
    # A file that ends in the middle of a CPU is cut.
    for cpu, registers in cpus.items():
        if "MIDR_EL1" not in registers:
            raise UsageError(f"{name}: of processor {cpu}, CPU implementer, variant, part or revision is missing")
    notes = ("CNTFRQ_EL0 is half of BogoMIPS, which Linux cuts to 5 kHz",)
    return Host(name, _clusters(cpus, name), View.USER, notes=notes)


def _field(field: str, value: str, place: str) -> int:
    width = MIDR.layout.field(field).width
    number = int(value, 0) if _NUMBER.fullmatch(value) else 1 << width
    if number >> width:
        raise UsageError(f"{place}: {value!r} is no {field} of {width} bits")
    return number


def _frequency(value: str, place: str) -> int:
    found = _BOGOMIPS.fullmatch(value)
    if not found:
        raise UsageError(f"{place}: {value!r} is no BogoMIPS, such as 50.00")
    return (int(found[1]) * 100 + int(found[2])) * 5000


def from_sysfs(lines: Iterable[str], name: str) -> Host:
    """The host whose identification registers these lines hold, see `SYSFS_LINE`. Raises UsageError."""
    cpus: dict[int, dict[str, int]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = SYSFS_LINE.fullmatch(line.strip())
        if not found:
            raise UsageError(f"{name}:{number}: expected .../cpuN/regs/identification/REGISTER:0xVALUE")
        registers = cpus.setdefault(int(found[1]), {})
        register = _SYSFS_REGISTERS.get(found[2])
        if register in registers:
            raise UsageError(f"{name}:{number}: {register} of CPU {found[1]} is there twice")
        if register:
            registers[register] = int(found[3], 16)
    return Host(name, _clusters(cpus, name), View.USER)


def _clusters(cpus: Mapping[int, dict[str, int]], name: str) -> tuple[Cluster, ...]:
    """CPUs that are alike, in the order of their numbers."""
    if not cpus:
        raise UsageError(f"{name}: names no CPU")
    alike: dict[tuple[tuple[str, int], ...], list[int]] = {}
    for number in sorted(cpus):
        alike.setdefault(tuple(sorted(cpus[number].items())), []).append(number)
    return tuple(
        Cluster(f"cpu{ranges(numbers)}", Cpu(dict(registers)), len(numbers)) for registers, numbers in alike.items()
    )


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers as Linux writes them: "0-3,8"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)
