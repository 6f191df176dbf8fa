"""How what a judge shows differs from what a rule says, in a few words."""

from typing import Final

import vgic
from mmio import Field, RegisterLayout
from vgic_tools.compare.describe import describe, register_of
from vgic_tools.judges.model import FIQ, IRQ, ISR_EL1
from vgic_tools.judges.protocol import Load, Mrs, Msr, Outcome
from vgic_tools.rules.scenario import Step

__all__ = ["how"]

_MOST_FIELDS: Final = 4
_SMALL: Final = 10
"""Numbers below read the same in any base."""
_PER_INTID: Final = ("bits", "offset_", "config_")


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
    layout, shift = found.layout, found.shift
    different = (got ^ wanted) << shift & (1 << layout.width) - 1
    fields = [field for field in layout.fields if different & field.mask]
    named = sum(field.mask for field in fields)
    # What has a field for each INTID reads best as it is.
    if different & ~named or len(fields) > _MOST_FIELDS or layout.fields[0].name.startswith(_PER_INTID):
        return f"{found.title} is {got:#x}, not {wanted:#x}"
    parts = [
        f"{field.name} is {_number(field, got << shift)}, not {_number(field, wanted << shift)}" for field in fields
    ]
    return f"{found.title}: {', '.join(parts)}"


def _number(field: Field, value: int) -> str:
    number = field.extract(value)
    return str(number) if number < _SMALL or field.name == "INTID" else f"{number:#x}"
