"""The revision of KVM's implementation that a VM was given, which userspace chooses by writing GICD_IIDR."""

from dataclasses import replace
from typing import Final

from vgic.profiles import KVM, Profile

__all__ = ["with_iidr"]

_REVISION: Final = 0xF000
_PRODUCT: Final = KVM.fixed["GICD_IIDR"] & ~_REVISION

_GROUPS_WRITABLE: Final = 2
"""The oldest that can be chosen: guests may write IGROUPR."""

_CTLR_TELLS: Final = 3
"""GICR_CTLR shows IR and CES."""

_SILENT: Final = dict.fromkeys(KVM.redistributor_ctlr, 0)
"""As the fields of GICR_CTLR are, with LPIs or without, where it does not."""


def with_iidr(profile: Profile, iidr: int) -> Profile | None:
    """The profile with this GICD_IIDR (32 bits), None where there is no such one.

    Only the revision of KVM's own GICD_IIDR can be chosen: 2 or 3.
    """
    current = profile.fixed["GICD_IIDR"]
    if iidr == current:
        return profile
    revision = (iidr & _REVISION) >> 12
    if iidr & ~_REVISION != _PRODUCT or current & ~_REVISION != _PRODUCT or revision not in _REVISIONS:
        return None
    return replace(
        profile,
        fixed={**profile.fixed, "GICD_IIDR": iidr},
        redistributor_ctlr=KVM.redistributor_ctlr if revision >= _CTLR_TELLS else _SILENT,
    )


_REVISIONS: Final = range(_GROUPS_WRITABLE, _CTLR_TELLS + 1)
