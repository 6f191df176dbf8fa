"""What a VM may have that KVM's device attributes have no registers for. Rule KVM-66."""

from vgic.config import Config

__all__ = ["beyond_kvm"]


def beyond_kvm(config: Config) -> tuple[str, ...]:
    """What of a VM would be lost on the way through KVM's attributes, in words; empty where nothing would.

    >>> from vgic import Topology
    >>> beyond_kvm(Config(Topology.kvm(1), nmi=True, list_registers=4))
    ('NMIs', '4 list registers')
    """
    present = (
        (config.two_states, "two Security states"),
        (config.extended_spis, f"{config.extended_spis} SPIs of the extended range"),
        (config.extended_ppis, f"{config.extended_ppis} PPIs of the extended range"),
        (config.nmi, "NMIs"),
        (config.list_registers, f"{config.list_registers} list registers"),
        (config.vlpi_frames, "the frames of a GICv4"),
    )
    return tuple(what for there, what in present if there)
