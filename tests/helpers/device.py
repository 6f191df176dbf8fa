"""A device that has nothing to do with interrupts: a frame for tests of mmio alone."""

from mmio import AccessKind, Frame, IllegalAccess, RegisterLayout, Word, layout, ro, rw

ALL = rw("all", 32, "every bit")


class Device:
    """Remembers words by name, and every write."""

    def __init__(self, **words: int) -> None:
        self.words = words
        self.writes: list[tuple[str, int, int, int, bool]] = []
        """Name, index, value, mask, secure."""


class Stored(Word[Device]):
    """A word of a `Device`; a read also shows the bits of `extra`."""

    def __init__(self, name: str, extra: int = 0) -> None:
        self.name = name
        self.extra = extra

    def get(self, owner: Device, index: int) -> int:
        return owner.words.get(f"{self.name}{index}", 0)

    def view(self, owner: Device, index: int, secure: bool) -> int:
        return self.get(owner, index) | self.extra

    def put(self, owner: Device, index: int, value: int, mask: int, secure: bool) -> None:
        owner.words[f"{self.name}{index}"] = value
        owner.writes.append((self.name, index, value, mask, secure))


class Listener:
    """Remembers the accesses that had no effect."""

    def __init__(self) -> None:
        self.heard: list[IllegalAccess] = []

    def illegal_access(self, access: IllegalAccess) -> None:
        self.heard.append(access)


LAYOUTS: list[RegisterLayout] = [
    layout("CONTROL", 0x000, 32, AccessKind.RW, ALL),
    layout("TYPE", 0x004, 32, AccessKind.RO, ro("all", 32, "every bit"), reset=0x1234_5678),
    layout("BYTES", 0x100, 32, AccessKind.RW, ALL, count=4, sizes=(1, 4)),
    layout("SEND", 0x200, 32, AccessKind.WO, ALL, sizes=(2, 4)),
    layout("WIDE", 0x300, 64, AccessKind.RW, rw("all", 64, "every bit"), count=2),
    layout("SET", 0x400, 32, AccessKind.W1S, ALL),
    layout("CLEAR", 0x404, 32, AccessKind.W1C, ALL),
    layout("NOTHING", 0x500, 32, AccessKind.RAZ_WI, ALL),
]


def device_frame() -> Frame[Device]:
    """A frame with a register of every kind."""
    flags = Stored("FLAGS")
    return Frame(
        "DEVICE",
        LAYOUTS,
        {
            "CONTROL": Stored("CONTROL"),
            "BYTES": Stored("BYTES"),
            "SEND": Stored("SEND"),
            "WIDE": Stored("WIDE"),
            "SET": flags,
            "CLEAR": flags,
        },
    )
