"""The errors that the embedder's own mistakes raise, and the warning. A guest can never cause one."""

__all__ = ["AffinityError", "ConfigError", "InvariantError", "StateError", "VgicError", "VgicWarning", "not_copied"]


class VgicError(ValueError):
    """The base of the others; every message names the bad value."""


class AffinityError(VgicError):
    """An affinity that cannot be, or that two vCPUs share."""


class ConfigError(VgicError):
    """A VM that cannot be built, or a vCPU or INTID that the VM does not have."""


class InvariantError(VgicError):
    """`Gic.check` found a contradiction in the model's own state: a defect of the model."""


class StateError(VgicError):
    """A saved state that a VM cannot have, or a file that holds none; the message names the flaw."""


class VgicWarning(UserWarning):
    """What an embedder asked for is possible, and perhaps not what was meant."""


def not_copied(thing: object) -> TypeError:
    """The error of an attempt to copy or pickle what belongs to a running VM."""
    return TypeError(
        f"a {type(thing).__name__} is part of a VM that runs, with its lines and memory, and cannot be copied or"
        " pickled: vgic.State.of(gic) holds its state, from which State.build makes another Gic"
    )
