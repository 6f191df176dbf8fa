"""What differs between kernels in how KVM's GIC devices answer a VMM. Rule KVM-61."""

from dataclasses import dataclass
from typing import Final

__all__ = ["KVM_6_1", "KVM_6_12", "KVM_7_2", "KvmVersion"]


@dataclass(frozen=True)
class KvmVersion:
    """A kernel's answers, as far as they are not every kernel's."""

    name: str
    identifies_early: bool
    """GICD_IIDR and GICD_TYPER2 can be accessed before CTRL_INIT."""
    maintenance_irq: bool
    """There is the group MAINT_IRQ."""
    refuses_unknown_control: bool
    """An ITS refuses an attribute of CTRL that does not exist; else setting one does nothing."""
    counts_vcpus: bool = False
    """Collections go to vCPUs in the order of creation, and not by their ids; MAPC names one even to unmap."""


KVM_6_1: Final = KvmVersion("6.1", False, False, False, counts_vcpus=True)
"""Linux 6.1."""

KVM_6_12: Final = KvmVersion("6.12", False, False, False)
"""Linux 6.12."""

KVM_7_2: Final = KvmVersion("7.2", True, True, True)
"""Linux 7.2."""
