"""A virtual Arm GICv3: distributor, redistributors and CPU interface, with affinity routing as its speciality.

>>> import vgic
>>> gic = vgic.Gic(vgic.Config(topology=vgic.Topology.kvm(4)))
>>> hex(gic.read(0x0800_FFE8, 4))  # GICD_PIDR2: a GICv3
'0x3b'
"""

from importlib.machinery import EXTENSION_SUFFIXES
from typing import Final

from vgic.config import Config, RedistributorRegion
from vgic.cpu_interface import interface
from vgic.cpu_interface.interface import LineSink
from vgic.cpu_interface.pe_state import PeState
from vgic.cpu_interface.reach import Reach
from vgic.cpu_interface.virtual_control import VirtualControl
from vgic.errors import AffinityError, ConfigError, InvariantError, StateError, VgicError, VgicWarning
from vgic.gic import Gic, Pending
from vgic.handles import Interrupt, Lpi, Spi
from vgic.instructions import SysRegAccess, sysreg_of_esr, sysreg_of_instruction
from vgic.intids import SPURIOUS
from vgic.its.device import Its, MsiOutcome, MsiResult, Translation
from vgic.its.errors import ItsCommandError, ItsError
from vgic.layouts.icc import (
    ICC_AP0R0_EL1,
    ICC_AP1R0_EL1,
    ICC_ASGI1R_EL1,
    ICC_BPR0_EL1,
    ICC_BPR1_EL1,
    ICC_CTLR_EL1,
    ICC_CTLR_EL3,
    ICC_DIR_EL1,
    ICC_EOIR0_EL1,
    ICC_EOIR1_EL1,
    ICC_HPPIR0_EL1,
    ICC_HPPIR1_EL1,
    ICC_IAR0_EL1,
    ICC_IAR1_EL1,
    ICC_IGRPEN0_EL1,
    ICC_IGRPEN1_EL1,
    ICC_IGRPEN1_EL3,
    ICC_NMIAR1_EL1,
    ICC_PMR_EL1,
    ICC_RPR_EL1,
    ICC_SGI0R_EL1,
    ICC_SGI1R_EL1,
    ICC_SRE_EL1,
    ICC_SRE_EL2,
    ICC_SRE_EL3,
    sysreg,
)
from vgic.layouts.ich import (
    ICH_AP0R0_EL2,
    ICH_AP1R0_EL2,
    ICH_EISR_EL2,
    ICH_ELRSR_EL2,
    ICH_HCR_EL2,
    ICH_LR0_EL2,
    ICH_MISR_EL2,
    ICH_VMCR_EL2,
    ICH_VTR_EL2,
)
from vgic.memory import GuestMemory, NoMemory, Ram, RamRegions
from vgic.observer import (
    IllegalSysReg,
    ItsObserver,
    NmiSink,
    Observer,
    VirtualLineSink,
    VirtualNmiSink,
    WakeObserver,
)
from vgic.profiles import ARCH, KVM, KVM_7_2, PROFILES, QEMU, QEMU_10_0, Profile, profile_named
from vgic.state.file import State
from vgic.state.saving import SavedState
from vgic.topology import MAX_VCPUS, Topology

__version__ = "0.1.0"

COMPILED: Final = str(interface.__file__).endswith(tuple(EXTENSION_SUFFIXES))
"""True where the hot path runs compiled, False where it is interpreted."""

__all__ = [
    "ARCH",
    "COMPILED",
    "ICC_AP0R0_EL1",
    "ICC_AP1R0_EL1",
    "ICC_ASGI1R_EL1",
    "ICC_BPR0_EL1",
    "ICC_BPR1_EL1",
    "ICC_CTLR_EL1",
    "ICC_CTLR_EL3",
    "ICC_DIR_EL1",
    "ICC_EOIR0_EL1",
    "ICC_EOIR1_EL1",
    "ICC_HPPIR0_EL1",
    "ICC_HPPIR1_EL1",
    "ICC_IAR0_EL1",
    "ICC_IAR1_EL1",
    "ICC_IGRPEN0_EL1",
    "ICC_IGRPEN1_EL1",
    "ICC_IGRPEN1_EL3",
    "ICC_NMIAR1_EL1",
    "ICC_PMR_EL1",
    "ICC_RPR_EL1",
    "ICC_SGI0R_EL1",
    "ICC_SGI1R_EL1",
    "ICC_SRE_EL1",
    "ICC_SRE_EL2",
    "ICC_SRE_EL3",
    "ICH_AP0R0_EL2",
    "ICH_AP1R0_EL2",
    "ICH_EISR_EL2",
    "ICH_ELRSR_EL2",
    "ICH_HCR_EL2",
    "ICH_LR0_EL2",
    "ICH_MISR_EL2",
    "ICH_VMCR_EL2",
    "ICH_VTR_EL2",
    "KVM",
    "KVM_7_2",
    "MAX_VCPUS",
    "PROFILES",
    "QEMU",
    "QEMU_10_0",
    "SPURIOUS",
    "AffinityError",
    "Config",
    "ConfigError",
    "Gic",
    "GuestMemory",
    "IllegalSysReg",
    "Interrupt",
    "InvariantError",
    "Its",
    "ItsCommandError",
    "ItsError",
    "ItsObserver",
    "LineSink",
    "Lpi",
    "MsiOutcome",
    "MsiResult",
    "NmiSink",
    "NoMemory",
    "Observer",
    "PeState",
    "Pending",
    "Profile",
    "Ram",
    "RamRegions",
    "Reach",
    "RedistributorRegion",
    "SavedState",
    "Spi",
    "State",
    "StateError",
    "SysRegAccess",
    "Topology",
    "Translation",
    "VgicError",
    "VgicWarning",
    "VirtualControl",
    "VirtualLineSink",
    "VirtualNmiSink",
    "WakeObserver",
    "profile_named",
    "sysreg",
    "sysreg_of_esr",
    "sysreg_of_instruction",
]
