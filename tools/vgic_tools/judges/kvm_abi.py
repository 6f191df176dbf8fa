"""KVM's ioctls on arm64: their numbers, and how their structures are packed.

Source: Linux, include/uapi/linux/kvm.h and arch/arm64/include/uapi/asm/kvm.h; the numbers are the kernel's ABI.
"""

import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NamedTuple

__all__ = [
    "CAP_ARM_WRITABLE_IMP_ID_REGS",
    "DEVICE_ITS",
    "DEVICE_V2",
    "DEVICE_V3",
    "FEATURES",
    "MPIDR_EL1",
    "PC",
    "REGISTERS_OF_MASKS",
    "Exit",
    "Feature",
    "Ioctl",
    "X",
    "cache_register",
    "create_device",
    "created_device",
    "device_attr",
    "enable_cap",
    "exit_of",
    "irq_level",
    "line",
    "mask_range",
    "msi",
    "no_memory_region",
    "one_reg",
    "register_list",
    "registers_listed",
    "size_of",
    "system_register",
    "u64",
]


def _none(number: int) -> int:
    return 0xAE00 | number


def _write(number: int, size: int) -> int:
    return 1 << 30 | size << 16 | _none(number)


def _read(number: int, size: int) -> int:
    return 2 << 30 | size << 16 | _none(number)


def _both(number: int, size: int) -> int:
    return 3 << 30 | size << 16 | _none(number)


class Ioctl(IntEnum):
    """The requests, KVM_ left out."""

    CREATE_VM = _none(0x01)
    CHECK_EXTENSION = _none(0x03)
    CREATE_VCPU = _none(0x41)
    SET_USER_MEMORY_REGION = _write(0x46, 32)
    IRQ_LINE = _write(0x61, 8)
    ENABLE_CAP = _write(0xA3, 104)
    SIGNAL_MSI = _write(0xA5, 32)
    GET_ONE_REG = _write(0xAB, 16)
    SET_ONE_REG = _write(0xAC, 16)
    ARM_VCPU_INIT = _write(0xAE, 32)
    ARM_PREFERRED_TARGET = _read(0xAF, 32)
    GET_REG_LIST = _both(0xB0, 8)
    ARM_GET_REG_WRITABLE_MASKS = _read(0xB6, 64)
    ARM_VCPU_FINALIZE = _write(0xC2, 4)
    CREATE_DEVICE = _both(0xE0, 12)
    SET_DEVICE_ATTR = _write(0xE1, 24)
    GET_DEVICE_ATTR = _write(0xE2, 24)
    HAS_DEVICE_ATTR = _write(0xE3, 24)


DEVICE_V2: Final = 5
"""KVM_DEV_TYPE_ARM_VGIC_V2."""
V2_DIST: Final = 0
V2_CPU: Final = 1
"""Its attributes of the group ADDR."""
DEVICE_V3: Final = 7
"""KVM_DEV_TYPE_ARM_VGIC_V3."""
DEVICE_ITS: Final = 8
"""KVM_DEV_TYPE_ARM_VGIC_ITS."""

POINTER_OF_ATTR: Final = 16
"""Where a kvm_device_attr points at its value."""
POINTER_OF_REG: Final = 8
"""Where a kvm_one_reg does."""
POINTER_OF_MASKS: Final = 0
"""Where a reg_mask_range does."""

CAP_ARM_WRITABLE_IMP_ID_REGS: Final = 239
"""KVM_CAP_ARM_WRITABLE_IMP_ID_REGS, for `enable_cap`."""

VCPU_INIT_SIZE: Final = 32
"""Bytes of a kvm_vcpu_init."""
POWER_OFF: Final = 1 << 0
"""KVM_ARM_VCPU_POWER_OFF, among its features."""
PSCI_0_2: Final = 1 << 2
"""KVM_ARM_VCPU_PSCI_0_2."""


class Feature(NamedTuple):
    """What a vCPU has only where its VMM asks for it."""

    bits: int
    """Among its features."""
    extensions: tuple[int, ...]
    """KVM_CAP_*, for CHECK_EXTENSION: the host has it where all are there."""
    finalize: int = 0
    """What ARM_VCPU_FINALIZE is told before its registers are there; 0: nothing."""


FEATURES: Final[Mapping[str, Feature]] = {
    "pmu": Feature(1 << 3, (126,)),
    "sve": Feature(1 << 4, (170,), finalize=4),
    "pauth": Feature(1 << 5 | 1 << 6, (171, 172)),
}
"""KVM_ARM_VCPU_PMU_V3, _SVE, _PTRAUTH_ADDRESS and _GENERIC."""

VCPU_PMU: Final = 0
"""KVM_ARM_VCPU_PMU_V3_CTRL, a group of attributes of a vCPU."""
VCPU_PMU_IRQ: Final = 0
VCPU_PMU_INIT: Final = 1
PMU_IRQ: Final = 23
"""The INTID of the PMU that Arm's servers have (BSA)."""

_REGISTER: Final = 0x6030_0000_0000_0000
"""A register of 64 bits of an arm64 vCPU."""
_CORE: Final = 0x0010 << 16
_SYSTEM: Final = 0x0013 << 16

PC: Final = _REGISTER | _CORE | 0x100 // 4


def X(number: int) -> int:  # noqa: N802 - the register is called so
    """The id of the general-purpose register X0 to X30."""
    return _REGISTER | _CORE | 8 * number // 4


def system_register(encoding: int) -> int:
    """The id of a system register: op0 [15:14], op1 [13:11], CRn [10:7], CRm [6:3], op2 [2:0]."""
    return _REGISTER | _SYSTEM | encoding


def cache_register(selector: int) -> int:
    """The id of CCSIDR_EL1 where CSSELR_EL1 is `selector`, a register of 32 bits."""
    return 0x6020_0000_0011_0000 | selector


MPIDR_EL1: Final = system_register(0xC005)


def u64(value: int) -> bytes:
    """A number as KVM reads one through a pointer: the low 32 bits are first, for what has no more."""
    return struct.pack("<Q", value & (1 << 64) - 1)


def device_attr(group: int, attr: int) -> bytes:
    """A kvm_device_attr that points nowhere yet."""
    return struct.pack("<IIQQ", 0, group & 0xFFFF_FFFF, attr, 0)


def one_reg(register: int) -> bytes:
    """A kvm_one_reg that points nowhere yet."""
    return struct.pack("<QQ", register, 0)


REGISTERS_OF_MASKS: Final = tuple(
    _REGISTER | _SYSTEM | 3 << 14 | op1 << 11 | crm << 3 | op2
    for op1 in (0, 1, 3)
    for crm in range(8)
    for op2 in range(8)
)
"""The ids of the registers that ARM_GET_REG_WRITABLE_MASKS has a mask of, 64 bits each, in their order."""


def register_list(room: int) -> bytes:
    """A kvm_reg_list with room for so many ids."""
    return struct.pack("<Q", room) + bytes(8 * room)


def registers_listed(data: bytes) -> tuple[int, tuple[int, ...]]:
    """How many ids there are, and those that a kvm_reg_list holds."""
    (count,) = struct.unpack_from("<Q", data)
    return count, struct.unpack_from(f"<{min(count, len(data) // 8 - 1)}Q", data, 8)


def mask_range() -> bytes:
    """A reg_mask_range that points nowhere yet."""
    return bytes(64)


def size_of(register: int) -> int:
    """Bytes of a register, by its id."""
    return 1 << (register >> 52 & 0xF)


def create_device(kind: int) -> bytes:
    """A kvm_create_device."""
    return struct.pack("<III", kind, 0, 0)


def created_device(data: bytes) -> int:
    """The file of a device that has been created."""
    return int.from_bytes(data[4:8], "little")


def irq_level(kind: int, cpu: int, intid: int, level: bool) -> bytes:
    """A kvm_irq_level; `kind` is 1 for an SPI, 2 for a PPI of vCPU `cpu`."""
    return struct.pack("<II", (cpu >> 8) << 28 | kind << 24 | (cpu & 0xFF) << 16 | intid, level)


def line(intid: int, level: bool, cpu: int) -> bytes:
    """A kvm_irq_level of an SPI, or of a PPI of vCPU `cpu`."""
    return irq_level(1, 0, intid, level) if intid >= 32 else irq_level(2, cpu, intid, level)


_VALID_DEVID: Final = 1


def msi(address: int, data: int, device_id: int | None) -> bytes:
    """A kvm_msi; None for a message without a DeviceID."""
    flags = 0 if device_id is None else _VALID_DEVID
    return struct.pack("<IIIII12x", address & 0xFFFF_FFFF, address >> 32, data, flags, device_id or 0)


def no_memory_region(slot: int) -> bytes:
    """A kvm_userspace_memory_region that takes a slot of RAM away."""
    return struct.pack("<IIQQQ", slot, 0, 0, 0, 0)


def enable_cap(capability: int, argument: int = 0) -> bytes:
    """A kvm_enable_cap."""
    return struct.pack("<II4Q64x", capability, 0, argument, 0, 0, 0)


class Exit(NamedTuple):
    """Why a vCPU has left its guest, and the access that made it leave (reason MMIO)."""

    reason: int
    address: int
    size: int
    is_write: bool
    value: int


EXIT_MMIO: Final = 6


def exit_of(head: bytes) -> Exit:
    """What the beginning of a kvm_run says."""
    (reason,) = struct.unpack_from("<I", head, 8)
    address, data, size, is_write = struct.unpack_from("<Q8sIB", head, 32)
    return Exit(reason, address, size, bool(is_write), int.from_bytes(data[: min(size, 8)], "little"))
