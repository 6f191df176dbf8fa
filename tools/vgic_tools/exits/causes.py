"""What KVM's trace events say: why a vCPU left its guest, and which accesses it made.

The texts are those of Linux 4.16 to 7.2 (arch/arm64/kvm and virt/kvm: the events of the systems kvm and vgic).
"""

import re
from typing import Final, NamedTuple

__all__ = ["Mmio", "exit_name", "mmio_of", "register_of", "vcpu_of"]


class Mmio(NamedTuple):
    """An access to memory that KVM or its VMM emulates."""

    kind: str
    """"write", "read", or "unsatisfied-read": a read whose value is not known yet."""
    size: int
    """Bytes."""
    address: int
    value: int


_MMIO: Final = re.compile(
    r"mmio (write|read|unsatisfied-read) len ([1248]) gpa 0x([0-9a-f]{1,16}) val 0x([0-9a-f]{1,16})"
)
_EXIT: Final = re.compile(r"(\w{1,32}): HSR_EC: 0x[0-9a-f]{1,4} \(([^)]{1,32})\), PC: 0x[0-9a-f]{1,16}")
# Since 5.12 the name has no SYS_ before it in some events.
_REGISTER: Final = re.compile(
    r"PC: (?:0x)?[0-9a-f]{1,16} (?:SYS_)?(\w{1,64}) \([0-9]+,[0-9]+,[0-9]+,[0-9]+,[0-9]+\) (read|write)"
)
_VCPU: Final = re.compile(
    r"CPU ([0-9]{1,5})/KVM"  # QEMU
    r"|fc_vcpu ([0-9]{1,5})"  # Firecracker
    r"|kvm-vcpu-([0-9]{1,5})"  # kvmtool
    r"|(?:crosvm_)?vcpu_?([0-9]{1,5})"  # Cloud Hypervisor, crosvm
)


def vcpu_of(task: str) -> int | None:
    """The vCPU that a VMM has named a thread after, None where it has not."""
    found = _VCPU.fullmatch(task)
    return None if found is None else int(next(group for group in found.groups() if group is not None))


def mmio_of(text: str) -> Mmio | None:
    """The access of a kvm_mmio event, None where the text is not as it should be."""
    found = _MMIO.fullmatch(text.rstrip())
    if found is None:
        return None
    return Mmio(found[1], int(found[2]), int(found[3], 16), int(found[4], 16))


def exit_name(text: str) -> str | None:
    """What made a vCPU leave its guest: the class of a trapped instruction, or else what interrupted it."""
    found = _EXIT.fullmatch(text.rstrip())
    if found is None:
        return None
    return found[2] if found[1] == "TRAP" else found[1]


def register_of(text: str) -> str | None:
    """The system register of a kvm_sys_access event, and what was done with it."""
    found = _REGISTER.fullmatch(text.rstrip())
    return None if found is None else f"{found[1]} {found[2]}"
