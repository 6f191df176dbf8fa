"""The rules that can be asked, by area."""

from typing import Final

from vgic_tools.rules.checks.access import ACCESS
from vgic_tools.rules.checks.cpu_interface import CPU_INTERFACE
from vgic_tools.rules.checks.distributor import DISTRIBUTOR
from vgic_tools.rules.checks.its import ITS
from vgic_tools.rules.checks.lpis import LPIS
from vgic_tools.rules.checks.priorities import PRIORITIES
from vgic_tools.rules.checks.redistributor import REDISTRIBUTOR
from vgic_tools.rules.checks.routing import ROUTING
from vgic_tools.rules.checks.sgis import SGIS
from vgic_tools.rules.checks.states import STATES

__all__ = ["CHECKS"]

CHECKS: Final = (
    *ACCESS,
    *DISTRIBUTOR,
    *STATES,
    *REDISTRIBUTOR,
    *ROUTING,
    *SGIS,
    *CPU_INTERFACE,
    *PRIORITIES,
    *LPIS,
    *ITS,
)
"""All of them, by area; more than one may ask for the same rule."""
