"""What can be wrong with a message or a command of the guest's: a report, never an exception of the embedder's."""

from enum import Enum
from typing import Final, NamedTuple

from vgic.layouts.its_commands import OPCODES

__all__ = ["EVERY_ERROR", "OUT_OF_RAM", "Fault", "ItsCommandError", "ItsError", "error_code"]


class ItsError(Enum):
    """Why a message is not delivered, or a command not obeyed."""

    DEVICE_OUT_OF_RANGE = "the DeviceID is beyond the device table"
    DEVICE_UNMAPPED = "no MAPD maps the DeviceID"
    SIZE_OUT_OF_RANGE = "the device would have more EventIDs than the ITS supports"
    EVENT_OUT_OF_RANGE = "the EventID is beyond what MAPD gave the device"
    EVENT_UNMAPPED = "no MAPTI or MAPI maps the EventID"
    INTID_OUT_OF_RANGE = "the pINTID is no LPI of this VM"
    COLLECTION_OUT_OF_RANGE = "the ICID is beyond the collection table"
    COLLECTION_UNMAPPED = "no MAPC maps the collection"
    PROCESSOR_OUT_OF_RANGE = "RDbase is no Redistributor of this VM"
    COMMAND_UNREADABLE = "the command is not in RAM"
    COLLECTION_UNREADABLE = "the entry of the collection is not in RAM"
    UNREADABLE = "an entry of the device, or of its event, is not in RAM"
    LPI_UNREADABLE = "the configuration or the pending bit of the LPI is not in RAM"
    UNKNOWN_COMMAND = "the opcode means no command"
    ITS_DISABLED = "GITS_CTLR.Enabled is 0"
    LPIS_DISABLED = "GICR_CTLR.EnableLPIs of the target is 0"
    LPI_OUT_OF_RANGE = "the LPI is beyond GICR_PROPBASER.IDbits of the target"


EVERY_ERROR: Final = frozenset(ItsError)
OUT_OF_RAM: Final = frozenset({ItsError.COLLECTION_UNREADABLE, ItsError.UNREADABLE})
"""A table points to where there is no RAM."""


class Fault(Exception):  # noqa: N818  # never leaves the ITS
    """Ends the look-up or the command that is under way."""

    def __init__(self, error: ItsError) -> None:
        super().__init__(error.value)
        self.error = error


class ItsCommandError(NamedTuple):
    """A command that was not obeyed."""

    its: int
    """Which ITS of the VM."""
    offset: int
    """Bytes from the start of the command queue."""
    command: str
    """Its name, or what its opcode is."""
    error: ItsError
    code: int
    """Arm's syndrome for this command and error (24 bits), 0 where it has none."""
    stalled: bool
    """The queue waits for GITS_CWRITER.Retry; otherwise it goes on with the next command."""


_SYNDROMES: Final = {
    ItsError.DEVICE_OUT_OF_RANGE: 0x01,
    ItsError.SIZE_OUT_OF_RANGE: 0x02,
    ItsError.COLLECTION_OUT_OF_RANGE: 0x03,
    ItsError.DEVICE_UNMAPPED: 0x04,
    ItsError.EVENT_OUT_OF_RANGE: 0x05,
    ItsError.INTID_OUT_OF_RANGE: 0x06,
    ItsError.EVENT_UNMAPPED: 0x07,
    ItsError.COLLECTION_UNMAPPED: 0x09,
}

_PROCESSOR_SYNDROMES: Final = {OPCODES["MAPC"]: 0x02, OPCODES["MOVALL"]: 0x01}

_CLEAR_COMMAND: Final = 0x05


def error_code(opcode: int, error: ItsError) -> int:
    """The syndrome 0x01ccee that Arm's ITSs give a command error, 0 where there is none (ITS-11).

    cc is the opcode, but for CLEAR 0x05; ee is the error (CoreLink GIC-600AE TRM, ITS command errors).

    >>> hex(error_code(0x0A, ItsError.EVENT_OUT_OF_RANGE))
    '0x10a05'
    """
    syndrome = _SYNDROMES.get(error, 0)
    if error is ItsError.PROCESSOR_OUT_OF_RANGE:
        syndrome = _PROCESSOR_SYNDROMES.get(opcode, 0)
    if not syndrome:
        return 0
    return 0x01_0000 | (_CLEAR_COMMAND if opcode == OPCODES["CLEAR"] else opcode) << 8 | syndrome
