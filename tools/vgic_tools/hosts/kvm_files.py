"""What KVM shows a new VM: Firecracker's fingerprints, and `idregs` in KVM's folders in debugfs."""

import re
from collections.abc import Iterable
from typing import Any, Final

from vgic.identity import Cluster, Cpu, Host, Hypervisor, View
from vgic.identity.registers import SELECTORS, arms_name, cache_register, is_register, name_of
from vgic_tools.errors import UsageError
from vgic_tools.judges import kvm_abi

__all__ = ["IDREGS_LINE", "from_fingerprint", "from_idregs", "register_name"]

IDREGS_LINE: Final = re.compile(r"\s*(?:SYS_)?([A-Z][A-Z0-9_]{1,31}):\s*([0-9a-f]{16})")
"""A line of idregs: the name in 20 columns, a colon, a tab, 16 hexadecimal digits."""

_ID: Final = re.compile(r"0x[0-9a-fA-F]{1,16}")
_BITMAP: Final = re.compile(r"0b[01x]{1,4096}")


def from_idregs(lines: Iterable[str], name: str) -> Host:
    """The host whose idregs these lines are. Raises UsageError that names the line."""
    registers: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = IDREGS_LINE.fullmatch(line.rstrip())
        if not found:
            raise UsageError(f"{name}:{number}: expected the name of a register, a colon, and 16 digits")
        # Older kernels have no names for newer registers.
        register = arms_name(found[1])
        if not is_register(register):
            raise UsageError(f"{name}:{number}: {register} is no identification register")
        if register in registers:
            raise UsageError(f"{name}:{number}: {register} is there twice")
        registers[register] = int(found[2], 16)
    return _host(name, registers, None)


def _host(name: str, registers: dict[str, int], version: str | None) -> Host:
    return Host(name, (Cluster("all", Cpu(registers)),), View.GUEST, Hypervisor("KVM", version))


def from_fingerprint(document: dict[str, Any], name: str) -> Host:
    """The host that a fingerprint of Firecracker's was taken of.

    A bit that is x in it is unknown, and so is then its register. Raises UsageError that names the place.
    """
    config = document.get("guest_cpu_config")
    modifiers = config.get("reg_modifiers") if isinstance(config, dict) else None
    if not isinstance(modifiers, list):
        raise UsageError(f"{name}: guest_cpu_config.reg_modifiers: expected a list, as on arm64")
    registers: dict[str, int] = {}
    for number, modifier in enumerate(modifiers):
        place = f"{name}: guest_cpu_config.reg_modifiers[{number}]"
        if not isinstance(modifier, dict):
            raise UsageError(f"{place}: expected an object")
        register = register_name(int(_matching(modifier.get("addr"), _ID, f"{place}.addr"), 16))
        bits = _matching(modifier.get("bitmap"), _BITMAP, f"{place}.bitmap")
        if register is None or "x" in bits:
            continue
        value = int(bits, 2)
        if value >> 64:
            raise UsageError(f"{place}.bitmap: {register} has 64 bits, and this has more")
        if register in registers:
            raise UsageError(f"{place}: {register} is there twice")
        registers[register] = value
    version = document.get("kernel_version")
    if version is not None and not isinstance(version, str):
        raise UsageError(f"{name}: kernel_version: expected a text")
    return _host(name, registers, version)


def _matching(value: object, pattern: re.Pattern[str], place: str) -> str:
    if isinstance(value, str) and pattern.fullmatch(value):
        return value
    what = "a number 0x..." if pattern is _ID else "bits 0b..."
    raise UsageError(f"{place}: expected {what}")


def register_name(kvm_id: int) -> str | None:
    """The identification register that KVM knows by this id; None where it is another."""
    selector = kvm_id - kvm_abi.cache_register(0)
    if selector in SELECTORS:
        return cache_register(selector)
    encoding = kvm_id - kvm_abi.system_register(0)
    return name_of(encoding) if 0 <= encoding < 1 << 16 else None
