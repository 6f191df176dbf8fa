"""The judges that are asked, by the words of `vgic rules`: "qemu", "qemu:newer", "kvm:6.1", "model:arch"."""

from collections.abc import Callable
from typing import Final

import vgic
from vgic_tools.errors import UsageError
from vgic_tools.judges import guest
from vgic_tools.judges.agent import QEMU
from vgic_tools.judges.errors import MissingJudgeError
from vgic_tools.judges.model import ModelJudge
from vgic_tools.judges.protocol import Judge, Load, Machine, Mrs, Operation, Store
from vgic_tools.judges.qemu import MEASURED
from vgic_tools.machines.qemu_cmdline import virt_config
from vgic_tools.rules.scenario import MPIDR_EL1

__all__ = ["USUAL", "RuledModel", "implementation_of", "opened"]

USUAL: Final = ("model:arch", "model:kvm", "model:qemu", "qemu", "qemu:newer", "kvm:6.1", "kvm:6.12", "kvm:newest")
"""Who is asked unless told."""

_IMPLEMENTATIONS: Final = {
    vgic.KVM.name: "KVM",
    **{profile.name: f"QEMU {release}" for release, profile in MEASURED.items()},
}
_FETCHED: Final = "`python -m vgic_tools.judges.fetch` fetches it"
_RAM_SIZE: Final = 0x20_0000


class RuledModel(ModelJudge):
    """The model with a profile, as the machine that the other judges build: its vCPUs see RAM and MPIDR_EL1."""

    def __init__(self, name: str, configure: Callable[[Machine], vgic.Config], implementation: str = "") -> None:
        super().__init__(configure, ram_base=guest.RAM, ram_size=_RAM_SIZE, tells_offers=False)
        self.version = name
        self.implementation = implementation
        """Whose choices it makes: rules about that one are about it."""

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


def _profiled(profile: vgic.Profile) -> RuledModel:
    def configure(machine: Machine) -> vgic.Config:
        return virt_config(machine.cpus, profile, its=machine.its)

    return RuledModel(profile.name, configure, _IMPLEMENTATIONS.get(profile.name, ""))


def opened(word: str, *, fetch: bool = True) -> Judge:
    """The judge that a word names. What is not in the cache is fetched, or else counts as missing.

    Raises UsageError for another word, MissingJudgeError where the judge is not there, JudgeError where it fails.
    """
    kind, _, which = word.partition(":")
    if kind == "qemu":
        from vgic_tools.judges.qemu_guest import RunningQemu
        from vgic_tools.judges.qemus import NEWER, cached_qemu

        if which == NEWER and not fetch and cached_qemu() is None:
            raise MissingJudgeError(f"there is no newer QEMU in the cache; {_FETCHED}")
        return RunningQemu(which or QEMU)
    if kind == "kvm" and which:
        from vgic_tools.judges.kernels import cached_kernel
        from vgic_tools.judges.kvm_guests import GuestsOfKvm

        if not fetch and cached_kernel(which) is None:
            raise MissingJudgeError(f"there is no kernel {which} in the cache; {_FETCHED}")
        return GuestsOfKvm(which)
    if kind == "model" and which in vgic.PROFILES:
        return _profiled(vgic.PROFILES[which])
    raise UsageError(f"there is no judge {word!r}; there are {', '.join(USUAL)}, and qemu:PATH")


def implementation_of(judge: Judge) -> str:
    """The implementation that a judge is, or whose choices it makes: "QEMU 7.2.22"."""
    return judge.implementation if isinstance(judge, RuledModel) else f"{judge.name} {judge.version}"
