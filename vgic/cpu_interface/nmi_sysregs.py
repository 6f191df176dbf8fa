"""The system registers of a VM with NMIs (GICv3.3), by encoding: those that show superpriority, and one more."""

from vgic.bits import bit, signed
from vgic.config import Config
from vgic.cpu_interface.group import GROUP0, GROUP1
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.nmi_registers import AcknowledgeNmi, AcknowledgeUnlessNmi, RunningNmi
from vgic.cpu_interface.registers import Acknowledge
from vgic.cpu_interface.sysregs import SystemRegisters
from vgic.layouts import nmi
from vgic.redistributor.sgi import SgiGenerator

__all__ = ["NmiSystemRegisters"]


class NmiSystemRegisters(SystemRegisters):
    """The ICC_*_EL1 registers of a VM with NMIs, shared by its vCPUs' CPU interfaces."""

    def _fill(self, config: Config, sgis: SgiGenerator) -> None:
        self._layouts = {**self._layouts, **{layout.name: layout for layout in nmi.ICC_NMI}}
        super()._fill(config, sgis)
        taking = Acknowledge(GROUP1)
        self._add("ICC_RPR_EL1", RunningNmi(config.profile.nmi_runs_as_nonsecure))
        self._add("ICC_IAR1_EL1", AcknowledgeUnlessNmi(taking, bit(GROUP1)))
        self._add("ICC_NMIAR1_EL1", AcknowledgeNmi(taking))

    def _active(self, group: int, number: int) -> tuple[str, int, int]:
        if group == GROUP0 or number:
            return super()._active(group, number)
        return nmi.AP1R0.name, 0, self._active_bits | nmi.AP1R0.mask("NMI")

    def write(self, interface: CpuInterface, encoding: int, value: int, secure: bool) -> bool:
        """See `SystemRegisters.write`."""
        return super().write(interface, encoding, signed(value), secure)
