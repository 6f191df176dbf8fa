"""KVM_DEV_TYPE_ARM_VGIC_ITS: an ITS as a VMM sees it that runs its VM with KVM, and the messages that it sends.

A VM has as many as its VMM creates, each a device of its own: `VgicV3Device.create_its`. Every call answers as KVM
does. Rules KVM-43 to KVM-60 in specs/kvm.md.
"""

import errno
from typing import Final

from mmio.address_map import Region
from vgic.gic import Gic
from vgic.its.device import ITS_SIZE, Its
from vgic.its.errors import ItsError
from vgic.kvm.errors import KvmError
from vgic.kvm.its_tables import ItsTables
from vgic.kvm.machine import Machine
from vgic.kvm.uapi import (
    ADDR_UNDEFINED,
    Group,
    ItsAddress,
    ItsControl,
    attr_offset,
    describe,
    is_one_of,
    register_at,
)
from vgic.layouts import gits
from vgic.profiles import Profile

__all__ = ["VgicItsDevice", "signal_msi"]

_IDENTIFICATION: Final = 0xFFD0
"""From here on, and below GITS_TYPER, registers have 32 bits."""

_REVISION: Final = 0xF000
"""GITS_IIDR.Revision: that of the format of the tables."""

_VALID: Final[int] = gits.BASER.mask("Valid")
_OFFSET: Final[int] = gits.CREADR.mask("Offset")


class VgicItsDevice:
    """ITS number `number` of a VM. Every method raises `KvmError` with KVM's number where KVM refuses."""

    def __init__(self, machine: Machine, number: int) -> None:
        self._machine = machine
        self.number = number
        """Which of the VM's ITSes, in the order of creation."""

    @property
    def has_address(self) -> bool:
        """Its address is set, so a guest can find it."""
        return self._machine.placement.its[self.number] is not None

    def set_attr(self, group: int, attr: int, value: int = 0) -> None:
        """KVM_SET_DEVICE_ATTR: `attr` and `value` have 64 bits."""
        self._machine.check_alive()
        what = self._describe(group, attr)
        match group:
            case Group.ADDR:
                self._check_address(what, attr)
                self._machine.place_its(what, self.number, value)
            case Group.CTRL:
                self._control(what, attr)
            case Group.ITS_REGS:
                self._set_register(what, attr, value)
            case _:
                raise self._unknown(what)

    def get_attr(self, group: int, attr: int, value: int = 0) -> int:
        """KVM_GET_DEVICE_ATTR. `value`, what the caller's variable holds before, is of no account."""
        self._machine.check_alive()
        what = self._describe(group, attr)
        match group:
            case Group.ADDR:
                self._check_address(what, attr)
                base = self._machine.placement.its[self.number]
                return ADDR_UNDEFINED if base is None else base
            case Group.ITS_REGS:
                return self._register(what, attr)
        raise self._unknown(what)

    def has_attr(self, group: int, attr: int) -> None:
        """KVM_HAS_DEVICE_ATTR: raises where the attribute does not exist (ENXIO), or is misaligned (EINVAL)."""
        self._machine.check_alive()
        what = self._describe(group, attr)
        match group:
            case Group.ADDR:
                known = is_one_of(ItsAddress, attr)
            case Group.CTRL:
                known = is_one_of(ItsControl, attr)
            case Group.ITS_REGS:
                self._check_aligned(what, attr)
                known = _has_register(self._machine.profile, attr_offset(attr))
            case _:
                known = False
        if not known:
            raise self._unknown(what)

    def _check_address(self, what: str, attr: int) -> None:
        if attr != ItsAddress.ITS:
            raise KvmError(errno.ENODEV, f"{what}: an ITS does not have it")

    # CTRL.

    def _control(self, what: str, attr: int) -> None:
        match attr:
            case ItsControl.INIT:
                pass
            case ItsControl.RESET:
                self._machine.check_stopped(what)
                _reset(self._ready(what))
            case ItsControl.SAVE_TABLES:
                self._machine.check_stopped(what)
                self._tables(what).save()
            case ItsControl.RESTORE_TABLES:
                self._machine.check_stopped(what)
                self._tables(what).restore()
            case _ if self._machine.version.refuses_unknown_control:
                raise self._unknown(what)

    def _tables(self, what: str) -> ItsTables:
        its = self._ready(what)
        return ItsTables(self._gic(what), its, what)

    # ITS_REGS.

    def _register(self, what: str, attr: int) -> int:
        its = self._open(what, attr)
        match attr_offset(attr):
            # As a guest would read them, these let the ITS go on.
            case gits.CTLR.offset:
                return its.ctlr
            case gits.CREADR.offset:
                return its.queue.creadr
        return self._frames(what).read(attr_offset(attr), _size(attr), False)

    def _set_register(self, what: str, attr: int, value: int) -> None:
        its = self._open(what, attr)
        match attr_offset(attr):
            case gits.IIDR.offset:
                if value & _REVISION:
                    raise KvmError(errno.EINVAL, f"{what}: revision 0 of the tables is all there is")
            case gits.CREADR.offset:
                self._set_reader(what, its, value)
            case offset:
                self._frames(what).write(offset, _size(attr), value, False)

    @staticmethod
    def _set_reader(what: str, its: Its, value: int) -> None:
        if its.enabled:
            raise KvmError(errno.EBUSY, f"{what}: the ITS is enabled")
        offset = value & _OFFSET
        if offset >= its.queue.size:
            raise KvmError(errno.EINVAL, f"{what}: {offset:#x} is beyond the queue of {its.queue.size:#x} bytes")
        its.queue.set_reader(offset)

    def _open(self, what: str, attr: int) -> Its:
        """The ITS, once it is clear that this register can be accessed now."""
        self._check_aligned(what, attr)
        self._machine.check_stopped(what)
        its = self._ready(what)
        if not _has_register(self._machine.profile, attr_offset(attr)):
            raise self._unknown(what)
        return its

    # Checks.

    def _check_aligned(self, what: str, attr: int) -> None:
        narrow = not gits.TYPER.offset <= attr_offset(attr) < _IDENTIFICATION
        if attr_offset(attr) % (4 if narrow else 8):
            raise KvmError(errno.EINVAL, f"{what} is misaligned")

    def _frames(self, what: str) -> Region:
        """The ITS in the GIC's address map, past its observer."""
        gic = self._gic(what)
        region = gic.map.find(gic.config.its[self.number])
        assert region is not None
        return region

    def _ready(self, what: str) -> Its:
        if not self.has_address:
            raise KvmError(errno.ENXIO, f"{what}: the ITS has no address")
        return self._gic(what).its(self.number)

    def _gic(self, what: str) -> Gic:
        gic = self._machine.gic_of_itses(what)
        if gic is None:
            raise KvmError(errno.ENXIO, f"{what}: the VM has no vCPU")
        return gic

    def _describe(self, group: int, attr: int) -> str:
        return f"ITS {self.number}: {describe(group, attr)}"

    @staticmethod
    def _unknown(what: str) -> KvmError:
        return KvmError(errno.ENXIO, f"{what}: this device does not have it")


def _has_register(profile: Profile, offset: int) -> bool:
    found = register_at(Group.ITS_REGS, offset)
    return found is not None and found[0].name not in profile.absent


def _size(attr: int) -> int:
    """Bytes of a register that exists."""
    found = register_at(Group.ITS_REGS, attr_offset(attr))
    assert found is not None
    return found[0].width // 8


def _reset(its: Its) -> None:
    """As it was when it was created, but for what its tables' registers hold beside Valid."""
    its.set_enabled(False)
    for index, value in enumerate(its.basers):
        its.set_baser(index, value & ~_VALID)
    its.queue.set_base(0)
    its.queue.cwriter = 0


_NOT_READY: Final = (ItsError.ITS_DISABLED, ItsError.LPIS_DISABLED)


def signal_msi(machine: Machine, address: int, data: int, device_id: int | None) -> int:
    """What KVM_SIGNAL_MSI returns; see `VgicV3Device.signal_msi`. Raises KvmError."""
    what = f"MSI {data:#x} to {address:#x}"
    bases = machine.placement.its
    if not bases:
        raise KvmError(errno.ENODEV, f"{what}: the VM has no ITS")
    if device_id is None:
        raise KvmError(errno.EINVAL, f"{what}: an ITS needs a DeviceID")
    there = [number for number, base in enumerate(bases) if base is not None and 0 <= address - base < ITS_SIZE]
    if not there:
        raise KvmError(errno.EINVAL, f"{what}: no ITS is there")
    if machine.gic is None:
        raise KvmError(errno.EBUSY, f"{what}: {ItsError.ITS_DISABLED.value}")
    error = machine.gic.its(there[0]).msi(device_id, data).error
    if error is None:
        return 1
    if error in _NOT_READY:
        raise KvmError(errno.EBUSY, f"{what}: {error.value}")
    return 0
