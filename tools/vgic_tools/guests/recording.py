"""Records what the GIC of a machine is told and answers, as a trace that `vgic replay` replays."""

from collections.abc import Callable
from struct import Struct
from typing import Final

import vgic
from mmio import IllegalAccess
from mmio.trace import Access, Command, CommandStart, CpuReset, Delivery, Line, Message, NativeWriter, Sgi, SysReg
from vgic import affinity
from vgic.config import REDISTRIBUTOR_SIZE
from vgic.its.device import ITS_SIZE
from vgic.layouts import gits, its_commands
from vgic.layouts.icc import ICC
from vgic_tools.guests.tape import Tape

__all__ = ["Recording"]

_NAMES: Final = {
    layout.offset + index: layout.title(index).removesuffix("_EL1")
    for layout in ICC
    for index in range(layout.count)
}
_RANGE_SELECTOR: Final = 0xF << 44
_IRM: Final = 1 << 40
_FRAME: Final = 0x1_0000
_WORDS: Final = Struct("<4Q")

# The operands of commands, by the names that events have for them.
_OPERANDS: Final = {
    "DeviceID": "device",
    "EventID": "event",
    "ICID": "collection",
    "pINTID": "intid",
    "RDbase": "target",
    "RDbase2": "to",
    "Size": "size",
}


class Recording(Tape):
    """Writes a trace."""

    def __init__(self, writer: NativeWriter) -> None:
        self._writer = writer
        self.now: Callable[[], int] = lambda: 0
        """Tells the time in nanoseconds."""
        self._gic: vgic.Gic
        self._owners: dict[int, int] = {}
        self._refused = False

    def follow(self, gic: vgic.Gic) -> None:
        """The GIC that is recorded; to be told before anything happens."""
        self._gic = gic
        self._owners = {base: cpu for cpu, base in enumerate(gic.redistributor_bases)}

    def access(self, address: int, size: int, value: int, write: bool, secure: bool = False) -> None:
        """A load or store of a frame."""
        refused, self._refused = self._refused, False
        device, owner, offset = self._place(address)
        self._writer.write(Access(0, self.now(), None, device, owner, offset, size, value, write, secure, refused))

    def _place(self, address: int) -> tuple[str, int | None, int]:
        """Kind of frame, whose, and the offset in it."""
        config = self._gic.config
        for base in config.its:
            if base <= address < base + ITS_SIZE:
                offset = address - base
                return ("gits", None, offset) if offset < _FRAME else ("gits_translater", None, offset)
        offset = address - config.gicd_base
        if 0 <= offset < _FRAME:
            return "gicd", None, offset
        for base, cpu in self._owners.items():
            if base <= address < base + REDISTRIBUTOR_SIZE:
                return "gicr", self._gic.affinity(cpu), address - base
        raise AssertionError(f"{address:#x} is no address of the GIC")

    def sysreg(self, cpu: int, register: int, value: int, write: bool) -> None:
        """An access to the CPU interface; SGIs with all that they reach, where an event can say that."""
        pe, now = self._gic.affinity(cpu), self.now()
        if register == vgic.ICC_SGI1R_EL1 and not value & _RANGE_SELECTOR:
            intid, cluster = value >> 24 & 0xF, affinity.sgi_cluster(value)
            self._writer.write(Sgi(0, now, cpu, pe, intid, value & _IRM != 0, cluster, value & 0xFFFF))
            for target in self._gic.sgi_targets(cpu, register, value):
                self._writer.write(Delivery(0, now, cpu, self._gic.affinity(target), intid))
            return
        self._writer.write(SysReg(0, now, cpu, pe, _NAMES[register], value, write))

    def line(self, cpu: int | None, intid: int, level: bool) -> None:
        """An input line."""
        owner = None if cpu is None else self._gic.affinity(cpu)
        self._writer.write(Line(0, self.now(), None, owner, intid, level))

    def reset(self, cpu: int) -> None:
        """A reset of a PE."""
        self._writer.write(CpuReset(0, self.now(), cpu, f"cpu{cpu}"))

    def message(self, device_id: int, event_id: int) -> None:
        """An MSI."""
        self._writer.write(Message(0, self.now(), None, device_id, gits.TRANSLATER.offset, 4, event_id))

    def fetched(self, address: int, command: bytes) -> None:
        """A command of the ITS."""
        base = self._gic.its(0).queue.base
        opcode, now = command[0], self.now()
        self._writer.write(CommandStart(0, now, None, (address - base) // its_commands.COMMAND_SIZE, opcode))
        layout = its_commands.COMMANDS.get(opcode)
        if layout is None:
            return
        fields = its_commands.decode(_WORDS.unpack(command))
        operands = {event: fields[name] for name, event in _OPERANDS.items() if name in fields}
        address_field = fields.get("ITT_addr")
        valid = fields.get("V")
        self._writer.write(
            Command(
                0,
                now,
                None,
                layout.name,
                **operands,
                address=None if address_field is None else address_field << its_commands.ITT_ALIGNMENT_BITS,
                valid=None if valid is None else valid == 1,
            )
        )

    def illegal_access(self, access: IllegalAccess) -> None:
        """The access that is being made is refused."""
        self._refused = True
