"""What becomes of a VM's view of its CPU interface, by both engines. Rule IDENT-27, and those of specs/host.md."""

import errno
from collections.abc import Iterator
from typing import Final

from vgic.errors import ConfigError
from vgic.host.capabilities import CpuInterfaceView, HostCapabilities
from vgic.host.trap_plan import Control, Difference, trap_plan
from vgic.identity.finding import Cost, Finding, Outcome
from vgic.identity.host import Cpu

__all__ = ["gic_findings"]

_RULES: Final = {"A3V": "HOST-6", "PRIbits": "HOST-7", "PREbits": "HOST-8", "IDbits": "HOST-10", "SEIS": "HOST-11"}
_GICV2: Final = 2
_WITHOUT_VTR: Final = "ICH_VTR_EL2 of the host would tell"


def gic_findings(view: CpuInterfaceView, host: Cpu, version: int | None, *, kvm: bool) -> Iterator[Finding]:
    """The findings of the `kvm` or the `contract` engine on a host whose GIC is of `version`. Raises nothing."""
    if version == _GICV2:
        why = "the host has a GICv2, and no system registers for the VM's GICv3"
        remedy = "a host with a GICv3"
        yield Finding(
            "",
            "GIC",
            3,
            version,
            Outcome.REFUSED,
            "IDENT-27",
            why,
            errno=errno.ENODEV if kvm else None,
            remedy=remedy,
        )
        return
    vtr = host.registers.get("ICH_VTR_EL2")
    if vtr is None:
        why = "nobody has told what the host's CPU interface can do"
        yield Finding("ICH_VTR_EL2", "", None, None, Outcome.UNKNOWN, "HOST-1", why, remedy=_WITHOUT_VTR)
        return
    try:
        capabilities = HostCapabilities.from_vtr(vtr)
    except ConfigError as error:
        yield Finding("ICH_VTR_EL2", "", None, vtr, Outcome.UNKNOWN, "HOST-2", str(error))
        return
    found = trap_plan(view, capabilities).differences
    for difference in found:
        yield _by_kvm(difference) if kvm else _by_traps(difference)
    if not found:
        why = "the host's CPU interface is the VM's"
        yield Finding("ICC_CTLR_EL1", "", None, None, Outcome.SAME, "HOST-13", why)


def _by_kvm(difference: Difference) -> Finding:
    """KVM compares what is written to ICC_CTLR_EL1, and traps nothing for a difference. Rule HOST-12."""
    place = ("ICC_CTLR_EL1", difference.field, difference.guest, difference.host)
    if difference.kvm_refuses:
        return Finding(*place, Outcome.REFUSED, "HOST-12", difference.reason, errno=errno.EINVAL)
    why = "KVM takes it and traps nothing for it: " + difference.reason
    return Finding(*place, Outcome.LEAK, "HOST-12", why)


def _by_traps(difference: Difference) -> Finding:
    place = ("ICC_CTLR_EL1", difference.field, difference.guest, difference.host)
    rule = _RULES[difference.field]
    if not difference.controls:
        return Finding(*place, Outcome.REFUSED, "HOST-9" if rule != "HOST-10" else rule, difference.reason)
    traps = tuple(f"ICH_HCR_EL2.{control.name}" for control in difference.controls)
    often = {Control.TC, Control.TALL0, Control.TALL1} & set(difference.controls)
    cost = Cost.PER_ACCESS if often else Cost.RARE
    return Finding(*place, Outcome.TRAP, rule, difference.reason, traps, cost)
