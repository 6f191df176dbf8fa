"""The registers of an ITS that are saved, and the collections that it keeps itself.

Names are as `vgic.state.registers` says. What no register shows:

| name | what it is |
|---|---|
| waits_for_retry | the queue is stalled, where GITS_CREADR.Stalled does not say so |
| unfinished | an access has left commands that the next one goes on with |
| collection<n> | what MAPC gave collection n, where the ITS keeps collections itself: V[63], RDbase[51:16] |
| collection_order<n> | which collection n is of those that commands have named, in order, from 1; as above |
| lpi<n> | where an LPI goes, where the ITS keeps that: V[63], discarded[33], cut off[32], ICID[31:16], vCPU[15:0] |

The tables are in guest RAM and are saved with it.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from mmio import Frame
from vgic.config import Config
from vgic.errors import InvariantError
from vgic.intids import FIRST_LPI
from vgic.its.device import Its
from vgic.its.kept_lpis import KeptLpis
from vgic.its.tables import ICID_BITS
from vgic.layouts import gits, its_commands
from vgic.state.saved_register import SavedRegister, flag, registers_of

__all__ = ["check_its", "its_registers"]

_OFFSET: Final[int] = gits.CREADR.mask("Offset")
_STALLED: Final[int] = gits.CREADR.mask("Stalled")
_MAPC: Final = its_commands.by_name("MAPC")
_VALID: Final[int] = _MAPC.mask("V") >> 128
_RDBASE_SHIFT: Final[int] = its_commands.FIELDS["RDbase"].shift
_RDBASE_MASK: Final[int] = its_commands.FIELDS["RDbase"].mask

_KEPT: Final = 0x3_FFFF_FFFF
"""What is kept of an LPI."""

_LPI: Final = re.compile(r"lpi([1-9][0-9]{3,7})", re.ASCII)
_ORDER: Final = re.compile(r"collection_order(0|[1-9][0-9]{0,4})", re.ASCII)
_COLLECTION: Final = re.compile(r"collection(0|[1-9][0-9]{0,4})", re.ASCII)


def its_registers(
    device: str, its: Its, frames: Iterable[Frame[Its]], config: Config, named: Iterable[str]
) -> Iterator[SavedRegister]:
    """What is saved of an ITS, whose names begin with `device`, in an order in which it can be written.

    Of the collections there are those that have a state, and those in `named` that could.
    """
    for frame in frames:
        yield from registers_of(frame, its, device, device)
    if its.choices.any_write_retries:
        yield flag(f"{device}waits_for_retry", 1, its.queue, "waits")
    yield flag(f"{device}unfinished", 1, its.queue, "unfinished")
    if its.choices.keeps_collections:
        for number in sorted(_numbers(_COLLECTION, device, named) | its.tables.kept.keys()):
            yield _collection(f"{device}collection{number}", its, number)
        for number in sorted(_numbers(_ORDER, device, named) | set(its.tables.named)):
            yield _order(f"{device}collection_order{number}", its, number)
    if its.kept is not None:
        for number in sorted(_numbers(_LPI, device, named) | set(its.kept.intids(its.number))):
            if FIRST_LPI <= number < 1 << config.lpi_id_bits:
                yield _lpi(f"{device}lpi{number}", its, its.kept, number)


def _numbers(pattern: re.Pattern[str], device: str, named: Iterable[str]) -> set[int]:
    """The numbers in names of a device that match."""
    matches = [pattern.fullmatch(name.removeprefix(device)) for name in named if name.startswith(device)]
    return {int(match[1]) for match in matches if match is not None}


def _collection(name: str, its: Its, number: int) -> SavedRegister:
    tables = its.tables

    def get() -> int:
        rdbase = tables.kept.get(number)
        return 0 if rdbase is None else _VALID | rdbase << _RDBASE_SHIFT

    def put(value: int) -> None:
        # What there was is forgotten before. One that the guest mapped stays when it makes the table smaller.
        if value & _VALID and tables.collections.count and number < 1 << ICID_BITS:
            tables.kept[number] = value >> _RDBASE_SHIFT & _RDBASE_MASK

    return SavedRegister(name, _VALID | _RDBASE_MASK << _RDBASE_SHIFT, get, put)


def _order(name: str, its: Its, number: int) -> SavedRegister:
    tables = its.tables

    def put(value: int) -> None:
        if value and tables.collections.count and number < 1 << ICID_BITS:
            tables.named.put(number, value)

    return SavedRegister(name, (2 << ICID_BITS) - 1, lambda: tables.named.place(number), put)


def _lpi(name: str, its: Its, kept: KeptLpis, intid: int) -> SavedRegister:
    def get() -> int:
        word = kept.word(its.number, intid)
        return 0 if word < 0 else _VALID | word

    def put(value: int) -> None:
        kept.set_word(its.number, intid, value & ~_VALID if value & _VALID else -1)

    return SavedRegister(name, _VALID | _KEPT, get, put)


def check_its(its: Its) -> None:
    """Raise InvariantError where the state of an ITS contradicts itself."""
    name, queue = f"GITS[{its.number}]", its.queue
    if queue.waits and not queue.creadr & _STALLED:
        raise InvariantError(f"{name}: the queue waits, and GITS_CREADR {queue.creadr:#x} is not Stalled")
    if not its.reader_writable and queue.creadr & _OFFSET and queue.creadr & _OFFSET >= queue.size:
        raise InvariantError(f"{name}: GITS_CREADR {queue.creadr:#x} is beyond the {queue.size:#x} bytes of queue")
    if its.tables.kept and not its.tables.collections.count:
        raise InvariantError(f"{name}: {len(its.tables.kept)} collections are kept without a table")
