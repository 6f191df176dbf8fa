"""The machine that a command works on, and where its description came from."""

from dataclasses import dataclass

import vgic
from vgic.state.document import config_of, from_document, to_document
from vgic.state.saving import describe
from vgic_tools.errors import UsageError

__all__ = ["Machine", "machine_document", "machine_from_document"]


@dataclass(frozen=True)
class Machine:
    """A VM's interrupt controller and where its description came from."""

    config: vgic.Config
    origin: str
    profile_origin: str = ""
    """How the profile was found out, where it is not `origin` that says it."""

    def __str__(self) -> str:
        config = self.config
        cpus, regions, services = len(config.topology), len(config.redistributor_regions), len(config.its)
        profile_origin = f" ({self.profile_origin})" if self.profile_origin else ""
        more = ((config.extended_spis, "SPIs"), (config.extended_ppis, "PPIs"))
        extended = "".join(f" {count} extended {what}," for count, what in more if count)
        listed = config.list_registers
        lists = f" {listed} list register{'s' if listed > 1 else ''}," if listed else ""
        its = f" {services} ITS{'es' if services > 1 else ''}," if services else ""
        return (
            f"{cpus} vCPU{'s' if cpus > 1 else ''}, {config.spis} SPIs,{extended}"
            f" {regions} redistributor region{'s' if regions > 1 else ''},{its}"
            f"{' two Security states,' if config.two_states else ''}{' NMIs,' if config.nmi else ''}{lists}"
            f"{' frames of a GICv4,' if config.vlpi_frames else ''}"
            f" profile {config.profile.name}{profile_origin}, from {self.origin}"
        )


def machine_document(machine: Machine) -> object:
    """The machine as plain data that JSON can hold."""
    return to_document({"vm": describe(machine.config), "registers": {}})["vm"]


def machine_from_document(document: object, origin: str) -> Machine:
    """The machine that `machine_document` was given; `origin` names where it was found. Raises UsageError."""
    try:
        return Machine(config_of(from_document({"vm": document, "registers": {}})["vm"]), origin)
    except vgic.VgicError as error:
        raise UsageError(f"{origin}: the machine that it names cannot be: {error}") from error
