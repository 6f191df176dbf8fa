"""The system registers by which a hypervisor controls a virtual CPU interface (ICH_*_EL2).

A list register has all 64 bits, so these are Python's integers, and not the machine's as in registers.py beside it.
From which Exception levels they are reached is in `vgic.gic`.
"""

from typing import Final

from mypy_extensions import i64

from mmio import ILLEGAL
from vgic.bits import signed, unsigned
from vgic.config import Config
from vgic.cpu_interface.group import GROUP0, GROUP1, GroupState
from vgic.cpu_interface.sysregs import constant_fields
from vgic.cpu_interface.virtual_control import VirtualControl
from vgic.layouts import ich, nmi

__all__ = ["HypervisorRegister", "HypervisorRegisters"]

_WORD_MASK: Final = 0xFFFF_FFFF
_PRIORITY_MASK: Final = 0xFF
_MAX_PREEMPTION_BITS: Final = 7
_LEVELS_OF_A_WORD: Final = 32

_EN: Final = ich.HCR.mask("En")
_EOI_COUNT: Final = ich.HCR.mask("EOIcount")
_EOI_COUNT_LSB: Final = 27
_ABSENT_CONTROLS: Final = ich.HCR.mask("TSEI") | ich.HCR.mask("DVIM") | ich.HCR.mask("vSGIEOICount")
"""What of ICH_HCR_EL2 a GICv3 lacks that generates no SErrors."""

_VPMR_LSB: Final = 24
_VBPR0_LSB: Final = 21
_VBPR1_LSB: Final = 18
_BPR_MASK: Final = 7
_VEOIM: Final = ich.VMCR.mask("VEOIM")
_VCBPR: Final = ich.VMCR.mask("VCBPR")
_VENG0: Final = ich.VMCR.mask("VENG0")
_VENG1: Final = ich.VMCR.mask("VENG1")

_NMI_ACTIVE: Final = nmi.ICH_AP1R0.mask("NMI")

_NMI: Final = nmi.LR.mask("NMI")
_NMI_OF_GROUP_1: Final = _NMI | nmi.LR.mask("Group")
_LR_PRIORITY_LSB: Final = 48
_NARROW_INTIDS: Final = 0xFFFF
_WIDE_INTIDS: Final = 0xFF_FFFF


class HypervisorRegister:
    """A register of the virtual CPU interface at EL2, the same for all vCPUs; by itself one that is read only."""

    def __init__(self, kept: int = 0) -> None:
        self.kept = kept
        """The bits that are state."""
        self.name = ""
        self.ones = 0
        """The bits that always read as one."""

    def view(self, control: VirtualControl) -> int:
        """What a read returns, but for the bits that always read as one."""
        raise NotImplementedError

    def keep(self, control: VirtualControl, value: int) -> None:
        """Store what `view` returned once, and do nothing else: what follows is told when all is stored."""

    def saved(self, control: VirtualControl) -> int:
        """What a read returns."""
        return self.view(control) | self.ones

    def restore(self, control: VirtualControl, value: int) -> None:
        """`keep` the bits of `value` that the register has."""
        self.keep(control, value & self.kept)


class _Constant(HypervisorRegister):
    def __init__(self, value: int) -> None:
        super().__init__()
        self.value = value

    def view(self, control: VirtualControl) -> int:
        return self.value


class _MaintenanceStatus(HypervisorRegister):
    def view(self, control: VirtualControl) -> int:
        return int(control.status())


class _EndStatus(HypervisorRegister):
    def view(self, control: VirtualControl) -> int:
        return int(control.list_registers.ended())


class _EmptyStatus(HypervisorRegister):
    def view(self, control: VirtualControl) -> int:
        return int(control.list_registers.free())


class _Control(HypervisorRegister):
    def view(self, control: VirtualControl) -> int:
        interface = control.interface
        return int(
            interface.unlisted_ends << _EOI_COUNT_LSB | control.conditions | (0 if interface.silent else _EN)
        )

    def keep(self, control: VirtualControl, value: int) -> None:
        control.interface.silent = value & _EN == 0
        control.interface.unlisted_ends = (value & _EOI_COUNT) >> _EOI_COUNT_LSB
        control.conditions = value & ~(_EN | _EOI_COUNT)


class _MachineControl(HypervisorRegister):
    """ICH_VMCR_EL2: what the guest sees in ICV_PMR_EL1, ICV_BPR<n>_EL1, ICV_CTLR_EL1 and ICV_IGRPEN<n>_EL1."""

    def view(self, control: VirtualControl) -> int:
        interface = control.interface
        group0, group1 = interface.groups[GROUP0], interface.groups[GROUP1]
        value: i64 = group0.binary_point << _VBPR0_LSB | group1.binary_point << _VBPR1_LSB
        value |= interface.pmr << _VPMR_LSB
        if interface.eoi_mode:
            value |= _VEOIM
        if group1.cbpr:
            value |= _VCBPR
        if group0.enabled:
            value |= _VENG0
        if group1.enabled:
            value |= _VENG1
        return int(value)

    def keep(self, control: VirtualControl, value: int) -> None:
        interface = control.interface
        group0, group1 = interface.groups[GROUP0], interface.groups[GROUP1]
        interface.pmr = value >> _VPMR_LSB & _PRIORITY_MASK
        _split_at(group0, value >> _VBPR0_LSB)
        _split_at(group1, value >> _VBPR1_LSB)
        interface.eoi_mode = value & _VEOIM != 0
        group1.cbpr = value & _VCBPR != 0
        group0.enabled = value & _VENG0 != 0
        group1.enabled = value & _VENG1 != 0


def _split_at(group: GroupState, binary_point: int) -> None:
    group.binary_point = max(binary_point & _BPR_MASK, group.min_binary_point)


class _ActivePriorities(HypervisorRegister):
    def __init__(self, kept: int, group: int, number: int) -> None:
        super().__init__(kept)
        self.group = group
        self.number = number

    def view(self, control: VirtualControl) -> int:
        return control.interface.groups[self.group].word(self.number)

    def keep(self, control: VirtualControl, value: int) -> None:
        control.interface.groups[self.group].set_word(self.number, value)


class _NmiActivePriorities(_ActivePriorities):
    """ICH_AP1R0_EL2 of a VM with NMIs (rule VCPU-31)."""

    def __init__(self, kept: int, group: int, number: int) -> None:
        super().__init__(kept | _NMI_ACTIVE, group, number)

    def view(self, control: VirtualControl) -> int:
        return unsigned(super().view(control))

    def keep(self, control: VirtualControl, value: int) -> None:
        super().keep(control, signed(value))


class _List(HypervisorRegister):
    def __init__(self, kept: int, number: int) -> None:
        super().__init__(kept)
        self.number = number

    def view(self, control: VirtualControl) -> int:
        return control.list_registers.registers[self.number].value()

    def keep(self, control: VirtualControl, value: int) -> None:
        control.list_registers.registers[self.number].set_value(value)


class _NmiList(_List):
    """One whose field of the priority is RES0 where it has superpriority (rule VCPU-29)."""

    def keep(self, control: VirtualControl, value: int) -> None:
        if value & _NMI_OF_GROUP_1 == _NMI_OF_GROUP_1:
            value &= ~(_PRIORITY_MASK << _LR_PRIORITY_LSB)
        super().keep(control, value)


class HypervisorRegisters:
    """The ICH_*_EL2 registers of a VM, shared by its vCPUs."""

    def __init__(self, config: Config) -> None:
        self.stored: list[HypervisorRegister] = []
        """Those that are state."""
        self._registers: dict[int, HypervisorRegister] = {}
        self._layouts = {layout.name: layout for layout in ich.ICH}
        if config.nmi:
            self._layouts.update({layout.name: layout for layout in nmi.ICH_NMI})
        self._writable = config.profile.writable
        fields = constant_fields(config)
        preemption_bits = min(config.priority_bits, _MAX_PREEMPTION_BITS)
        vtr = {
            "ListRegs": config.list_registers - 1,
            "TDS": 1,
            "nV4": int(not config.vlpi_frames),
            "PREbits": preemption_bits - 1,
            **{name: fields[name] for name in ("A3V", "IDbits", "PRIbits")},
        }
        # Priorities have as many bits as the CPU interface implements, the others are reserved.
        reserved = _PRIORITY_MASK >> config.priority_bits
        self._add("ICH_HCR_EL2", _Control(self._kept("ICH_HCR_EL2", _ABSENT_CONTROLS)))
        self._add("ICH_VTR_EL2", _Constant(ich.VTR.encode(vtr)))
        self._add("ICH_MISR_EL2", _MaintenanceStatus())
        self._add("ICH_EISR_EL2", _EndStatus())
        self._add("ICH_ELRSR_EL2", _EmptyStatus())
        self._add("ICH_VMCR_EL2", _MachineControl(self._kept("ICH_VMCR_EL2", reserved << _VPMR_LSB)))
        levels = 1 << preemption_bits
        for number in range(max(1, levels // _LEVELS_OF_A_WORD)):
            for group in (GROUP0, GROUP1):
                with_nmi = config.nmi and group == GROUP1 and number == 0
                kind = _NmiActivePriorities if with_nmi else _ActivePriorities
                self._add(f"ICH_AP{group}R<n>_EL2", kind(_WORD_MASK, group, number), number)
        absent = _WORD_MASK & ~(_WIDE_INTIDS if fields["IDbits"] else _NARROW_INTIDS)
        kept = self._kept("ICH_LR<n>_EL2", absent) & ~(reserved << _LR_PRIORITY_LSB)
        if config.nmi:
            kept |= _NMI
        list_register = _NmiList if config.nmi and not config.profile.listed_nmi_has_priority else _List
        for number in range(config.list_registers):
            self._add("ICH_LR<n>_EL2", list_register(kept, number), number)

    def _kept(self, name: str, absent: int) -> int:
        """The bits of a register that are state: all but the absent ones, where the profile says nothing else."""
        return self._writable.get(name, self._layouts[name].writable & ~absent)

    def _add(self, name: str, register: HypervisorRegister, index: int = 0) -> None:
        layout = self._layouts[name]
        register.name = layout.title(index)
        register.ones = layout.ones
        self._registers[layout.offset + index] = register
        if register.kept:
            self.stored.append(register)

    def defined(self, encoding: int, write: bool) -> bool:
        """True where there is the register, and it takes the access (rule VCPU-2)."""
        found = self._registers.get(encoding)
        return found is not None and (found.kept != 0 or not write)

    def read(self, control: VirtualControl, encoding: int) -> int:
        """Read a register; ILLEGAL where the access is not `defined`."""
        found = self._registers.get(encoding)
        return ILLEGAL if found is None else found.saved(control)

    def write(self, control: VirtualControl, encoding: int, value: int) -> bool:
        """Write `value` (64 bits); False where the access is not `defined`."""
        found = self._registers.get(encoding)
        if found is None or not found.kept:
            return False
        found.restore(control, value)
        control.interface.find_derived()
        control.settle()
        return True
