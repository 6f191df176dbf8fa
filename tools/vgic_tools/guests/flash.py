"""Flash memory with firmware in it, where QEMU's virt has it: read and executed. A store to it changes nothing."""

import ctypes
from mmap import mmap
from typing import Final

from unicorn import UC_HOOK_MEM_WRITE_PROT, UC_PROT_EXEC, UC_PROT_READ, Uc

from vgic_tools.errors import UsageError

__all__ = ["FLASH_BASE", "Flash"]

FLASH_BASE: Final = 0
_BANK: Final = 0x400_0000
"""Bytes of the first of two; the second, where firmware stores things, is a `CfiFlash`."""

_ERASED: Final = b"\xff"


class Flash:
    """The bank with `firmware` from a file called `name`. Raises UsageError where it has no room."""

    def __init__(self, firmware: bytes, name: str) -> None:
        if not firmware:
            raise UsageError(f"{name}: is empty")
        if len(firmware) > _BANK:
            raise UsageError(f"{name}: has {len(firmware):,} bytes; flash memory has {_BANK:,}")
        self._content = mmap(-1, _BANK)
        self._content.write(firmware)
        self._content.write(_ERASED * (_BANK - len(firmware)))
        self._held = ctypes.c_char.from_buffer(self._content)

    def map_into(self, uc: Uc) -> None:
        """Show it to an engine."""
        uc.mem_map_ptr(FLASH_BASE, _BANK, UC_PROT_READ | UC_PROT_EXEC, ctypes.addressof(self._held))
        # Without a hook that says that all is well, Unicorn ends; with one, it leaves the memory as it is.
        uc.hook_add(UC_HOOK_MEM_WRITE_PROT, _ignore)


def _ignore(uc: Uc, access: int, address: int, size: int, value: int, _: object) -> bool:
    return True
