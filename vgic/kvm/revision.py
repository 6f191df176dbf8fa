"""The revision of KVM's implementation that a VM was given, which userspace chooses by writing GICD_IIDR."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from vgic.profiles import KVM, Profile

__all__ = ["with_iidr"]

_REVISION: Final = 0xF000
_PRODUCT: Final = KVM.fixed["GICD_IIDR"] & ~_REVISION

_GROUPS_FIXED: Final = 1
"""Every interrupt is in Group 1 for good."""

_GROUPS_WRITABLE: Final = 2

_CTLR_TELLS: Final = 3
"""GICR_CTLR shows IR and CES."""

_READ_ONLY_GROUPS: Final[Mapping[str, int]] = {"GICD_IGROUPR": 0, "GICR_IGROUPR": 0}


def with_iidr(profile: Profile, iidr: int) -> Profile | None:
    """The profile with this GICD_IIDR (32 bits), None where there is no such one.

    Only the revision of KVM's own GICD_IIDR can be chosen: 1, 2 or 3.
    """
    current = profile.fixed["GICD_IIDR"]
    if iidr == current:
        return profile
    revision = (iidr & _REVISION) >> 12
    if iidr & ~_REVISION != _PRODUCT or current & ~_REVISION != _PRODUCT or revision not in _REVISIONS:
        return None
    writable = {name: bits for name, bits in profile.writable.items() if name not in _READ_ONLY_GROUPS}
    if revision < _GROUPS_WRITABLE:
        writable.update(_READ_ONLY_GROUPS)
    return replace(
        profile,
        fixed={**profile.fixed, "GICD_IIDR": iidr},
        writable=writable,
        redistributor_ctlr=KVM.redistributor_ctlr if revision >= _CTLR_TELLS else {},
    )


_REVISIONS: Final = range(_GROUPS_FIXED, _CTLR_TELLS + 1)
