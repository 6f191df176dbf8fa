"""The command queue: a ring in guest RAM between GITS_CREADR, which the ITS moves, and GITS_CWRITER.

An access to the ITS takes at most `BUDGET` steps (`vgic.lpis.work`) and those of its last command. What is left
waits for the next access, so that no register write takes longer for what the guest has queued. GITS_CREADR stays
at a command that is not finished.
"""

import struct
from collections.abc import Callable
from typing import Final

from vgic.its.choices import ItsChoices
from vgic.its.commands import Commands, Words
from vgic.its.errors import Fault, ItsCommandError, ItsError, error_code
from vgic.layouts import gits, its_commands
from vgic.lpis.work import STEPS_OF_AN_ACCESS
from vgic.memory import GuestMemory

__all__ = ["BUDGET", "CommandQueue"]

BUDGET: Final = STEPS_OF_AN_ACCESS
"""Steps of one access: so many commands, if they are short."""

_VALID: Final[int] = gits.CBASER.mask("Valid")
_ADDRESS: Final[int] = gits.CBASER.mask("Physical_Address")
_PAGES: Final = gits.CBASER.field("Size")
_PAGE: Final = 0x1000
_OFFSET: Final[int] = gits.CWRITER.mask("Offset")
_RETRY: Final[int] = gits.CWRITER.mask("Retry")
_STALLED: Final[int] = gits.CREADR.mask("Stalled")

_WORDS: Final = struct.Struct("<4Q")
_OPCODE: Final = its_commands.FIELDS["Opcode"]


class CommandQueue:
    """The queue of ITS number `its`. `report` is told of every command that is not obeyed."""

    def __init__(
        self,
        its: int,
        commands: Commands,
        memory: GuestMemory,
        choices: ItsChoices,
        report: Callable[[ItsCommandError], None],
    ) -> None:
        self._its = its
        self._commands = commands
        self._memory = memory
        self._choices = choices
        self._report = report
        self._busy = False
        self.enabled = False
        """GITS_CTLR.Enabled: commands are read."""
        self.waits = False
        """The command that GITS_CREADR points to failed, and nothing has restarted the queue."""
        self.unfinished = False
        """The budget of an access was spent with commands left."""
        self.cbaser = 0
        """GITS_CBASER (64 bits)."""
        self.cwriter = 0
        """GITS_CWRITER (64 bits), without Retry."""
        self.creadr = 0
        """GITS_CREADR (64 bits)."""

    @property
    def base(self) -> int:
        """Physical address of the queue."""
        return self.cbaser & _ADDRESS & -self._choices.queue_alignment

    @property
    def size(self) -> int:
        """Bytes of the queue."""
        return _PAGE * (_PAGES.extract(self.cbaser) + 1)

    @property
    def idle(self) -> bool:
        """Every command has been read."""
        return self.creadr & _OFFSET == self.cwriter & _OFFSET

    def set_base(self, value: int) -> None:
        """Write GITS_CBASER: the queue begins anew (ITS-5, ITS-6)."""
        self.cbaser = value
        self.set_reader(0)
        if self._choices.queue_reset_clears_writer:
            self.cwriter = 0

    def set_writer(self, value: int) -> None:
        """Write GITS_CWRITER (ITS-7, ITS-8, ITS-12)."""
        if self._choices.refuses_offset_beyond_queue and value & _OFFSET >= self.size:
            return
        self.cwriter = value & ~_RETRY
        if self._choices.any_write_retries:
            self.waits = False
        elif value & _RETRY:
            self.waits = False
            self.creadr &= ~_STALLED
        self.process()

    def set_reader(self, value: int) -> None:
        """Move GITS_CREADR to the offset in `value` (ITS-6)."""
        self.creadr = value & ~_STALLED
        self.waits = False
        self.unfinished = False
        self._commands.abandon()

    def set_enabled(self, enabled: bool) -> None:
        """Write GITS_CTLR.Enabled (ITS-3)."""
        self.enabled = enabled
        if enabled and self._choices.any_write_retries:
            self.waits = False
        self.process()

    def process(self) -> None:
        """Execute commands until none is left, one stalls the queue, or the budget is spent.

        Rules ITS-7, ITS-10, ITS-12.
        """
        # A callback of the embedder's may come back with an access while a command is half done.
        if self._busy:
            return
        self._busy = True
        try:
            steps = 0
            while steps < BUDGET and self._runs():
                steps += self._step()
                if self._commands.unfinished:
                    break
            self.unfinished = self._runs()
        finally:
            self._busy = False

    def go_on(self) -> None:
        """Execute what an earlier access has left, as a guest that polls expects (ITS-10)."""
        if self.unfinished:
            self.process()

    def _runs(self) -> bool:
        if not self.enabled or not self.cbaser & _VALID or self.waits or self.idle:
            return False
        size = self.size
        return self.creadr & _OFFSET < size and self.cwriter & _OFFSET < size

    def _step(self) -> int:
        """Execute the next command, or some of it; how many steps it took."""
        offset = self.creadr & _OFFSET
        following = (offset + its_commands.COMMAND_SIZE) % self.size
        words: Words = (0, 0, 0, 0)
        # Before the command, whose callbacks may write registers; one that fails has called nobody.
        self.creadr = self.creadr & ~_OFFSET | following
        try:
            words = self._read(offset)
            steps = self._commands.execute(words)
        except Fault as fault:
            self._fail(offset, _OPCODE.extract(words), fault.error)
            return 1
        if self._commands.unfinished and self.creadr & _OFFSET == following:
            self.creadr = self.creadr & ~_OFFSET | offset
        return steps

    def _read(self, offset: int) -> Words:
        address = self.base + offset
        if not self._memory.is_ram(address, its_commands.COMMAND_SIZE):
            raise Fault(ItsError.COMMAND_UNREADABLE)
        words: Words = _WORDS.unpack(self._memory.read(address, its_commands.COMMAND_SIZE))
        return words

    def _fail(self, offset: int, opcode: int, error: ItsError) -> None:
        name = its_commands.name_of(opcode)
        stalls = error in self._choices.stalls_on and (name, error) not in self._choices.skips
        if stalls:
            self.creadr = self.creadr & ~_OFFSET | offset | _STALLED
            self.waits = True
        self._report(ItsCommandError(self._its, offset, name, error, error_code(opcode, error), stalls))
