"""The judges that are asked, by the words of `vgic rules`: "qemu", "kvm:6.1", "model:arch"."""

from dataclasses import replace
from typing import Final

import vgic
from vgic_tools.errors import UsageError
from vgic_tools.judges import guest
from vgic_tools.judges.agent import QEMU
from vgic_tools.judges.errors import MissingJudgeError
from vgic_tools.judges.model import ModelJudge
from vgic_tools.judges.protocol import Judge, Load, Machine, Mrs, Operation, Store
from vgic_tools.qemu_cmdline import virt_config
from vgic_tools.rules.scenario import MPIDR_EL1

__all__ = ["USUAL", "RuledModel", "opened"]

USUAL: Final = ("model:arch", "model:kvm", "model:qemu", "qemu", "kvm:6.1", "kvm:6.12", "kvm:newest")
"""Who is asked unless told."""

_RAM_SIZE: Final = 0x20_0000


class RuledModel(ModelJudge):
    """The model with a profile, as the machine that the other judges build. Its vCPUs see RAM and their MPIDR_EL1."""

    def __init__(self, profile: vgic.Profile, **features: bool | None) -> None:
        super().__init__(self._config, ram_base=guest.RAM, ram_size=_RAM_SIZE, tells_offers=False)
        self.version = profile.name
        self._profile = profile
        self._features = features

    def _config(self, machine: Machine) -> vgic.Config:
        return replace(virt_config(machine.cpus, self._profile, its=machine.its), **self._features)

    def _act(self, operation: Operation) -> tuple[int, bool]:
        if isinstance(operation, Load | Store) and 0 <= operation.address - guest.RAM < _RAM_SIZE:
            at = slice(operation.address - guest.RAM, operation.address - guest.RAM + operation.size)
            if isinstance(operation, Store):
                self.ram[at] = operation.value.to_bytes(operation.size, "little")
                return 0, False
            return int.from_bytes(self.ram[at], "little"), False
        if isinstance(operation, Mrs) and operation.register == MPIDR_EL1:
            return self.gic.mpidr(operation.cpu), False
        return super()._act(operation)


def opened(word: str) -> Judge:
    """The judge that a word names. Raises UsageError for another word, MissingJudgeError where it is not there."""
    kind, _, which = word.partition(":")
    if kind == "qemu":
        from vgic_tools.judges.qemu_guest import RunningQemu

        return RunningQemu(which or QEMU)
    if kind == "kvm" and which:
        from vgic_tools.judges.kvm_running import RunningKvm

        return RunningKvm(which)
    if kind == "model" and which in vgic.PROFILES:
        return RuledModel(vgic.PROFILES[which])
    raise UsageError(f"there is no judge {word!r}; there are {', '.join(USUAL)}, and qemu:PATH")
