"""What KVM answers instead of 0."""

import errno

__all__ = ["KvmError"]


class KvmError(OSError):
    """An attribute or a call that KVM refuses: `errno` is KVM's number, `strerror` says which and why."""

    def __init__(self, number: int, sentence: str) -> None:
        super().__init__(number, sentence)

    @property
    def name(self) -> str:
        """The number by name: "EINVAL"."""
        return errno.errorcode.get(self.errno or 0, str(self.errno))

    def __str__(self) -> str:
        return f"{self.name}: {self.strerror}"
