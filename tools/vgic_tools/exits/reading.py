"""Reads a KVM trace: what it holds is counted, and what it shows of one VM's GIC is replayed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import vgic
from mmio.trace import TraceError
from mmio.trace.kernel import LostEvents, read_kernel_trace
from vgic.config import MAX_SPIS, REDISTRIBUTOR_SIZE
from vgic.its.device import ITS_SIZE
from vgic.layouts import gicd
from vgic.profiles import KVM_VERSIONS
from vgic_tools.exits.causes import Mmio, mmio_of, vcpu_of
from vgic_tools.exits.counts import ExitCounts
from vgic_tools.exits.dialogue import Dialogue
from vgic_tools.machines.machine import Machine
from vgic_tools.machines.qemu_cmdline import GICD_BASE, GITS_BASE, LOW_REGION, QEMU_SPIS

__all__ = ["KvmTrace", "as_kvm", "guessed_machine", "read_trace"]


@dataclass
class KvmTrace:
    """What a trace says."""

    path: str
    machine: Machine
    counts: ExitCounts
    dialogue: Dialogue
    lost: int = 0
    """Events that the recorder says it lost."""
    unanswered: int = 0
    """Reads of the GIC whose value the trace does not show."""

    @property
    def vms(self) -> int:
        """How many VMs the names of threads tell of, at least."""
        return max((len(threads) for threads in self.counts.vcpu_threads.values()), default=1)

    @property
    def undecided(self) -> str:
        """Why what was replayed says nothing of the GIC, "" where it does."""
        if self.vms > 1:
            return f"the trace holds {self.vms} VMs, whose accesses cannot be told apart: record one (trace-cmd -P)"
        if self.lost:
            return f"the recorder lost {self.lost:,} events, some of which may be writes of the guest"
        if not self.dialogue.compared:
            return "no read of the GIC in it shows what was known before"
        return ""


def as_kvm(machine: Machine, profile: str | None) -> Machine:
    """The machine as KVM makes it, where nobody has named a profile."""
    if profile is not None or machine.config.profile in KVM_VERSIONS:
        return machine
    return Machine(
        replace(machine.config, profile=vgic.KVM, priority_bits=5), machine.origin, "the trace is of KVM"
    )


def guessed_machine(lines: Iterable[tuple[int, str]]) -> Machine:
    """The machine that a trace is of, where QEMU runs it as its virt machine: the vCPUs that are seen.

    Raises ConfigError where there are more than such a machine has.
    """
    vcpus, words, its = 1, None, False
    for event in read_kernel_trace(lines):
        if isinstance(event, LostEvents):
            continue
        vcpus = max(vcpus, (vcpu_of(event.task) or 0) + 1)
        mmio = mmio_of(event.text) if event.name == "kvm_mmio" else None
        if mmio is None:
            continue
        slot = (mmio.address - LOW_REGION.base) // REDISTRIBUTOR_SIZE
        if 0 <= slot < LOW_REGION.count:
            vcpus = max(vcpus, slot + 1)
        its |= GITS_BASE <= mmio.address < GITS_BASE + ITS_SIZE
        if mmio.kind == "read" and mmio.size == 4 and mmio.address == GICD_BASE + gicd.TYPER.offset:
            words = gicd.TYPER.decode(mmio.value)["ITLinesNumber"]
    config = vgic.Config(
        vgic.Topology.kvm(vcpus),
        spis=min(32 * words, MAX_SPIS) if words else QEMU_SPIS,
        profile=vgic.KVM,
        gicd_base=GICD_BASE,
        redistributor_regions=(vgic.RedistributorRegion(LOW_REGION.base, vcpus),),
        its=(GITS_BASE,) if its else (),
    )
    return Machine(config, "what the trace shows (--machine FILE says it)")


def read_trace(
    lines: Iterable[tuple[int, str]],
    path: str,
    machine: Machine,
    from_start: bool = False,
    progress: Callable[[], None] | None = None,
) -> KvmTrace:
    """Count and replay a whole trace, which `from_start` says begins with the VM.

    Raises TraceError where it is malformed, or holds no event of KVM."""
    dialogue = Dialogue(vgic.Gic(machine.config), from_start)
    counts = ExitCounts(path, dialogue.place)
    trace = KvmTrace(path, machine, counts, dialogue)
    asked: dict[int, Mmio] = {}
    for seen, event in enumerate(read_kernel_trace(lines)):
        if progress is not None and not seen & 0xFFF:
            progress()
        if isinstance(event, LostEvents):
            trace.lost += event.events
            continue
        counts.take(event)
        mmio = mmio_of(event.text) if event.name == "kvm_mmio" else None
        if mmio is None:
            continue
        # A read is told twice: when it is asked for, and when it is answered, on the same thread.
        if mmio.kind == "unsatisfied-read":
            asked[event.thread] = mmio
            trace.unanswered += bool(dialogue.place(mmio))
        else:
            question = asked.pop(event.thread, None) if mmio.kind == "read" else None
            if question is not None and question.address == mmio.address and dialogue.place(mmio):
                trace.unanswered -= 1
            dialogue.take(mmio, event.line, event.time)
    counts.finish()
    if not any(name.startswith(("kvm_", "vgic_")) for name in counts.events):
        raise TraceError(path, 0, "holds no event of KVM: trace-cmd record -e kvm -e vgic")
    return trace
