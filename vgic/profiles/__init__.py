"""Profiles: the choices that the architecture leaves open, by implementation."""

from vgic.profiles.profile import ARCH, KVM, PROFILES, QEMU, ItsChoices, LpiChoices, Profile, profile_named

__all__ = ["ARCH", "KVM", "PROFILES", "QEMU", "ItsChoices", "LpiChoices", "Profile", "profile_named"]
