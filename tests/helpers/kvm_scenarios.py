"""Every scenario: loading a room adds its own."""

import kvm_its_scenarios  # noqa: F401
import kvm_register_scenarios  # noqa: F401
import kvm_vm_scenarios  # noqa: F401
from kvm_life import SCENARIOS

__all__ = ["SCENARIOS"]
