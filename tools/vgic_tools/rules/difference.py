"""How what a judge shows differs from what a rule says, in a few words."""

from typing import Final

import vgic
from mmio import RegisterLayout
from vgic_tools.compare.describe import describe, register_of
from vgic_tools.judges.model import FIQ, IRQ, ISR_EL1
from vgic_tools.judges.protocol import Load, Mrs, Msr, Outcome
from vgic_tools.rules.scenario import Step

__all__ = ["how"]

_MOST_FIELDS: Final = 4


def how(step: Step, outcome: Outcome, gic: vgic.Gic) -> str:
    """What an operation came to, and what it should have: "GICD_TYPER.MBIS is 0, not 1"."""
    operation = step.operation
    found = register_of(operation, gic)
    if outcome.undefined != step.undefined:
        verb = "a write" if isinstance(operation, Msr) else "a read"
        name = "the system register" if found is None else found.title
        return f"{verb} of {name} is {'' if outcome.undefined else 'not '}UNDEFINED"
    wanted, got = (step.wanted or 0) & step.mask, outcome.value & step.mask
    if isinstance(operation, Mrs) and operation.register == ISR_EL1:
        pairs = [
            f"{name} {bool(got & bit):d}, not {bool(wanted & bit):d}"
            for name, bit in (("IRQ", IRQ), ("FIQ", FIQ))
            if (got ^ wanted) & bit
        ]
        return f"vCPU {operation.cpu}: {', '.join(pairs)}"
    if found is None or not isinstance(found.layout, RegisterLayout) or not isinstance(operation, Load | Mrs):
        return f"{describe(operation, gic)}: {got:#x}, not {wanted:#x}"
    title = found.title.partition(" of ICC")[0]
    fields = [
        f"{field.name} is {field.extract(got << found.shift)}, not {field.extract(wanted << found.shift)}"
        for field in found.layout.fields
        if (got ^ wanted) << found.shift & field.mask
    ]
    covered = sum(field.mask for field in found.layout.fields)
    if len(fields) > _MOST_FIELDS or (got ^ wanted) << found.shift & ~covered or found.layout.name.startswith("GIC") and len(found.layout.fields) in (1, 16):
        return f"{title} is {got:#x}, not {wanted:#x}"
    return f"{title}: {', '.join(fields)}"
