"""The profile `arch`, the default: IHI 0069, with what the model supports honestly advertised."""

from typing import Final

from vgic.profiles.choices import Profile
from vgic.profiles.common import ARM_CORESIGHT, identification

__all__ = ["ARCH"]

ARCH: Final = Profile(
    name="arch",
    fixed={
        # Product 'V', no revision, Arm as implementer: no driver keys a workaround to it.
        "GICD_IIDR": 0x5600_043B,
        "GICR_IIDR": 0x5600_043B,
        "GITS_IIDR": 0x5600_043B,
        **identification("GICD", PIDR0=0x92, **ARM_CORESIGHT),
        **identification("GICR", PIDR0=0x93, **ARM_CORESIGHT),
        **identification("GITS", PIDR0=0x94, **ARM_CORESIGHT),
    },
    distributor_typer={"MBIS": 1},
)
