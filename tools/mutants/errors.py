"""What ends the command with a sentence instead of a traceback."""

__all__ = ["MutantsError"]


class MutantsError(Exception):
    """Something that the caller can mend: an argument, or a suite that fails without a mutation."""
