"""Whether time in a VM goes on as it was promised: CNTFRQ_EL0, and the counter whose rate it tells.

No trap reaches CNTFRQ_EL0, and an offset is all that hardware adds to a counter. Where a host counts at another
rate, a guest that has run has its clocks set to the old one. Rules IDENT-48 and IDENT-49.
"""

from collections.abc import Iterator
from typing import Final

from vgic.identity.finding import Cost, Finding, Outcome
from vgic.identity.hardware import field_of, hardware_field
from vgic.identity.host import Cpu, View
from vgic.identity.implementation import CNTFRQ
from vgic.identity.kvm_versions import KvmIdVersion

__all__ = ["counter_findings"]

_FIELD: Final = "Frequency"
_COUNTER: Final = "CNTVCT_EL0"

_CUT: Final = 5000
"""Hz: to multiples of these, /proc/cpuinfo cuts what it tells of a frequency."""

_TRAPS: Final = (
    "CNTHCTL_EL2.EL1TVCT",
    "CNTHCTL_EL2.EL1TVT",
    "CNTHCTL_EL2.EL1PCTEN",
    "CNTHCTL_EL2.EL1PTEN",
)
"""The virtual counter and its timer, which FEAT_ECV lets trap; the physical ones, which trap where these are 0."""


def counter_findings(
    promised: Cpu,
    host: Cpu,
    kvm: KvmIdVersion | None = None,
    *,
    view: View = View.HARDWARE,
    has_run: bool = True,
) -> Iterator[Finding]:
    """What becomes of the frequency of its counter that a VM was promised. Raises nothing.

    Without `kvm`, what the architecture allows a hypervisor that virtualises everything; with it, what KVM does.
    `view` is that of the host's registers. A VM that has not run takes its clocks from the host on which it starts.
    """
    mine, its = field_of(promised, CNTFRQ.name, _FIELD), field_of(host, CNTFRQ.name, _FIELD)
    unknown = _unknown(mine, its)
    if unknown:
        remedy = f"read {CNTFRQ.name} in the VM and on the host"
        yield Finding(CNTFRQ.name, _FIELD, mine, its, Outcome.UNKNOWN, "IDENT-48", unknown, remedy=remedy)
    elif mine == its:
        yield Finding(CNTFRQ.name, _FIELD, mine, its, Outcome.SAME, "IDENT-48", "the host counts as fast")
    else:
        why = "nothing traps reads, so that a guest which looks is told the host's"
        yield Finding(CNTFRQ.name, _FIELD, mine, its, Outcome.LEAK, "IDENT-48", why)
        if has_run:
            ecv = hardware_field(host, "ID_AA64MMFR0_EL1", "ECV", view)
            yield _kvm_rate(mine, its) if kvm else _rate(mine, its, ecv)


def _unknown(mine: int | None, its: int | None) -> str:
    """Why nobody can say whether two frequencies are one; "" where it is plain."""
    if mine is None or its is None:
        return f"nobody has told what {'the VM was promised' if mine is None else 'the host has'}"
    if not mine or not its:
        return f"0 is no frequency: firmware has not told {'the VM' if not mine else 'the host'} what it is"
    low, high = sorted((mine, its))
    if low % _CUT == 0 and 0 < high - low < _CUT:
        return "the two may be one, of which /proc/cpuinfo tells multiples of 5 kHz"
    return ""


_ONE_RATE: Final = "let the VM move between hosts of one frequency alone"


def _rate(mine: int | None, its: int | None, ecv: int | None) -> Finding:
    """Rule IDENT-49."""
    traps: tuple[str, ...] = ()
    cost, remedy = Cost.NONE, _ONE_RATE
    if ecv:
        outcome, traps, cost = Outcome.TRAP, _TRAPS, Cost.PER_READ
        why = (
            "every read of a counter, by programs too that ask for the time, traps and is scaled, and so do timers"
        )
        remedy += "; or tell the guest its frequency by the device tree, since it is not to believe CNTFRQ_EL0"
    elif ecv is None:
        outcome = Outcome.UNKNOWN
        why = "the counter must be trapped and scaled, for which the host needs FEAT_ECV: nobody has told"
        remedy += "; or read ID_AA64MMFR0_EL1 on the host"
    else:
        outcome = Outcome.REFUSED
        why = (
            "the host lacks FEAT_ECV, without which the virtual counter cannot trap: time would run at another rate"
        )
    return Finding(_COUNTER, "", mine, its, outcome, "IDENT-49", why, traps, cost, remedy=remedy)


def _kvm_rate(mine: int | None, its: int | None) -> Finding:
    """Rule IDENT-49."""
    why = "KVM lets a VMM set a counter's offset, and not its rate: time would run at another"
    return Finding(_COUNTER, "", mine, its, Outcome.REFUSED, "IDENT-49", why, remedy=_ONE_RATE)
