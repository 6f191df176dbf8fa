"""What reading a machine raises."""

__all__ = ["MachineFileError"]


class MachineFileError(ValueError):
    """A file describes no machine that can be modelled; the message says why, without the file's name."""
