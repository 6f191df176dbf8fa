"""Why a snapshot cannot be used."""

__all__ = ["SnapshotError"]


class SnapshotError(ValueError):
    """A snapshot is damaged, or of a kind that is not read; the message says what, and where."""
