"""Profiles: the choices that the architecture leaves open, and where an implementation departs from it.

A profile is data. The model reads these values; it never asks which profile it runs. `ARCH` is the default: IHI
0069, with what the model supports honestly advertised. `KVM` answers as the arm64 KVM of Linux 6.1 and 6.12 does,
`KVM_7_2` as that of Linux 7.2, `QEMU` as QEMU 7.2 and `QEMU_10_0` as QEMU 10.0, so that their recordings replay;
each departure is a rule with status "deviation" in specs/.
"""

from collections.abc import Mapping
from typing import Final

from vgic.errors import ConfigError
from vgic.profiles.arch import ARCH
from vgic.profiles.choices import Profile
from vgic.profiles.kvm import KVM, KVM_7_2, KVM_VERSIONS
from vgic.profiles.qemu import QEMU, QEMU_10_0, QEMU_VERSIONS

__all__ = [
    "ARCH",
    "KVM",
    "KVM_7_2",
    "KVM_VERSIONS",
    "PROFILES",
    "QEMU",
    "QEMU_10_0",
    "QEMU_VERSIONS",
    "Profile",
    "profile_named",
]

PROFILES: Final[Mapping[str, Profile]] = {
    profile.name: profile for profile in (ARCH, *KVM_VERSIONS, *QEMU_VERSIONS)
}
"""Every profile by name."""


def profile_named(name: str) -> Profile:
    """The profile of this name. Raises ConfigError naming the known ones."""
    if not isinstance(name, str) or name not in PROFILES:
        raise ConfigError(f"no profile {name!r}; there are {', '.join(PROFILES)}")
    return PROFILES[name]
