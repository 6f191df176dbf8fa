"""The system registers of a VM with NMIs and two Security states, by encoding and by who looks."""

from vgic.bits import bit, signed
from vgic.config import Config
from vgic.cpu_interface.group import GROUP0, GROUP1, SECURE_GROUP1
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.nmi_registers import AcknowledgeNmi, AcknowledgeUnlessNmi, RunningNmiOfEither
from vgic.cpu_interface.registers import Acknowledge, Register, RunningPriority
from vgic.cpu_interface.two_state_registers import AcknowledgeEither, NonsecureRunningPriority
from vgic.cpu_interface.two_state_sysregs import EL3_VIEWS, TwoStateSystemRegisters
from vgic.cpu_interface.two_states import NONSECURE, SECURE, SHIFTED
from vgic.layouts import nmi
from vgic.redistributor.sgi import SgiGenerator

__all__ = ["TwoStateNmiSystemRegisters"]


class TwoStateNmiSystemRegisters(TwoStateSystemRegisters):
    """The ICC_* registers of a VM with NMIs and two Security states, shared by its vCPUs' CPU interfaces."""

    def _fill(self, config: Config, sgis: SgiGenerator) -> None:
        self._layouts = {**self._layouts, **{layout.name: layout for layout in nmi.ICC_NMI}}
        super()._fill(config, sgis)
        heeds_ds = not config.profile.nmi_runs_as_nonsecure
        running = RunningPriority()
        self._add_to((SECURE, *EL3_VIEWS), "ICC_RPR_EL1", RunningNmiOfEither(running, False, heeds_ds))
        self._add("ICC_RPR_EL1", RunningNmiOfEither(running, True, heeds_ds), view=NONSECURE)
        self._add("ICC_RPR_EL1", RunningNmiOfEither(NonsecureRunningPriority(), True, heeds_ds), view=SHIFTED)
        self._take((SECURE,), Acknowledge(SECURE_GROUP1), bit(SECURE_GROUP1))
        self._take((NONSECURE, SHIFTED), Acknowledge(GROUP1), bit(GROUP1))
        self._take(EL3_VIEWS, AcknowledgeEither(), bit(GROUP1) | bit(SECURE_GROUP1))

    def _take(self, views: tuple[int, ...], taking: Register, groups: int) -> None:
        """Have interrupts of some groups (bit n: of Group n) taken as `taking` does, but for who takes NMIs."""
        self._add_to(views, "ICC_IAR1_EL1", AcknowledgeUnlessNmi(taking, groups))
        self._add_to(views, "ICC_NMIAR1_EL1", AcknowledgeNmi(taking))

    def _active(self, group: int, number: int) -> tuple[str, int, int]:
        if group == GROUP0 or number:
            return super()._active(group, number)
        return nmi.AP1R0.name, 0, self._active_bits | nmi.AP1R0.mask("NMI")

    def write(self, interface: CpuInterface, encoding: int, value: int, secure: bool) -> bool:
        """See `SystemRegisters.write`."""
        return super().write(interface, encoding, signed(value), secure)
