"""What reading a trace raises."""

__all__ = ["LostEventsError", "TraceError"]


class TraceError(ValueError):
    """A trace cannot be read, or cannot be trusted.

    `str()` is one line, `PATH:LINE: message`, or `PATH: message` for what concerns the file as a whole.
    """

    def __init__(self, path: str, line: int, message: str) -> None:
        # All three go to the base class, so that the error can be pickled and copied.
        super().__init__(path, line, message)
        self.path = path
        """The file, as it was named to the reader."""
        self.line = line
        """The line, counted from 1; 0 when no single line is to blame."""
        self.message = message
        """What is wrong, without the place."""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.message}"


class LostEventsError(TraceError):
    """The trace itself says that its recorder lost events, so a replay of the others would mean nothing."""
