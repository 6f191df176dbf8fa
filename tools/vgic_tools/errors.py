"""What goes wrong on the user's side."""

__all__ = ["UsageError"]


class UsageError(Exception):
    """An input that cannot be used; the message names it and says what would do. The command exits with 2."""
