"""Which VMM has saved a VM, by how the file begins. The readers are loaded only for a file of theirs."""

from typing import Final

__all__ = ["is_cloud_hypervisor", "is_crosvm", "is_firecracker"]

_TOLD_WITHIN: Final = 1 << 16
_FIRST_KEY_WITHIN: Final = 64


def is_cloud_hypervisor(start: bytes) -> bool:
    """True where a file that begins like this is a state.json of Cloud Hypervisor."""
    return start.lstrip()[:1] == b"{" and b'"snapshot' in start[:_TOLD_WITHIN] and b'"vgic-state"' not in start[:32]


def is_firecracker(start: bytes) -> bool:
    """True where a file that begins like this is a state that Firecracker's snapshot-editor shows."""
    head = start[:_TOLD_WITHIN]
    return b"GicState {" in head or (b"MicrovmState {" in head and b"VmState {" in head)


def is_crosvm(start: bytes) -> bool:
    """True where a file that begins like this is the file irqchip of crosvm: a map of CBOR with such a key."""
    head = start[:_FIRST_KEY_WITHIN]
    return start[:1] >= b"\xa0" and (b"cpu_specific" in head or b"dist_regs" in head)
