"""What a guest does to have LPIs: tables in its RAM, an ITS, and commands for it."""

from struct import unpack
from typing import Final

from vgic.layouts import its_commands
from vgic.layouts.gits import BASER, CBASER
from vgic_tools.judges import guest
from vgic_tools.rules.scenario import Step, Steps, get, given, put, shows, steps, store
from vgic_tools.rules.setting import ready

__all__ = ["DEVICE", "EVENT", "LPI", "LPIS_THERE", "Its", "configured", "enabled_lpis", "pending_byte"]

LPI: Final = 8200
DEVICE: Final = 3
EVENT: Final = 2

_PAGE: Final = 0x1_0000
_DEVICES, _COLLECTIONS, _QUEUE, PROPERTIES, _PENDING = (guest.RAM + 0x11_0000 + n * _PAGE for n in range(5))
_TRANSLATIONS: Final = guest.RAM + 0x1C_0000
"""All within the RAM that the resident guest leaves free, at multiples of 64 KiB."""

ID_BITS: Final = 15
LPIS_THERE: Final = given(shows("GICD_TYPER", LPIS=1), "it has no LPIs: GICD_TYPER.LPIS is 0")


def configured(lpi: int, *, at: int = 0x80, on: bool = True, cpu: int = 0) -> Step:
    """The byte of an LPI in the configuration table."""
    return store(PROPERTIES + lpi - 8192, at | 2 | on, size=1, cpu=cpu)


def pending_byte(lpi: int, of: int = 0) -> int:
    """The address of the byte with an LPI's bit in the pending table of a vCPU."""
    return _PENDING + of * _PAGE + lpi // 8


def table_registers(*cpus: int, id_bits: int = ID_BITS) -> Steps:
    """Each Redistributor is told where its tables are."""
    return tuple(
        step
        for cpu in cpus
        for step in (
            put("GICR_PROPBASER", PROPERTIES | id_bits, cpu=cpu),
            put("GICR_PENDBASER", _PENDING + cpu * _PAGE, cpu=cpu),
        )
    )


def enabled_lpis(*cpus: int, id_bits: int = ID_BITS) -> Steps:
    """These vCPUs have LPIs, and take interrupts."""
    return steps(
        LPIS_THERE,
        ready(*cpus),
        table_registers(*cpus, id_bits=id_bits),
        (put("GICR_CTLR", 1, cpu=cpu) for cpu in cpus),
    )


class Its:
    """Commands for an ITS, one after the other in its queue."""

    def __init__(self) -> None:
        self._offset = 0

    def start(self) -> Steps:
        """Tables, a queue of 4 KiB, and Enabled."""
        one_page = BASER.encode({"Valid": 1, "Page_Size": 2})
        return steps(
            put("GITS_BASER0", one_page | _DEVICES),
            put("GITS_BASER1", one_page | _COLLECTIONS),
            put("GITS_CBASER", CBASER.encode({"Valid": 1}) | _QUEUE),
            put("GITS_CWRITER", 0),
            put("GITS_CTLR", 1),
        )

    def command(self, name: str, **fields: int) -> Steps:
        """A command, which is executed at once."""
        words = unpack("<4Q", its_commands.encode(name, **fields))
        stores = [store(_QUEUE + self._offset + 8 * n, word) for n, word in enumerate(words)]
        self._offset += its_commands.COMMAND_SIZE
        return steps(stores, put("GITS_CWRITER", self._offset), get("GITS_CREADR", self._offset))

    def collection(self, icid: int, cpu: int, valid: int = 1) -> Steps:
        """MAPC."""
        return self.command("MAPC", ICID=icid, RDbase=cpu, V=valid)

    def device(self, valid: int = 1, device: int = DEVICE) -> Steps:
        """MAPD, with 16 events."""
        return self.command("MAPD", DeviceID=device, Size=3, ITT_addr=_TRANSLATIONS >> 8, V=valid)

    def event(self, lpi: int = LPI, event: int = EVENT, icid: int = 0, device: int = DEVICE) -> Steps:
        """MAPTI."""
        return self.command("MAPTI", DeviceID=device, EventID=event, pINTID=lpi, ICID=icid)

    def message(self, event: int = EVENT, device: int = DEVICE) -> Steps:
        """INT, which does what a message of the device does."""
        return self.command("INT", DeviceID=device, EventID=event)

    def mapped(self, *cpus: int) -> Steps:
        """Started, with a collection for each of the vCPUs, the first of which gets the LPI of the event."""
        return steps(
            self.start(),
            *(self.collection(icid, cpu) for icid, cpu in enumerate(cpus)),
            self.device(),
            self.event(),
        )
