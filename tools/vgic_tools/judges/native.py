"""Asking the KVM of this machine itself: the commands of agent.c, performed here. For Linux on arm64.

No compiler is needed, and nothing is left behind: what was opened is closed at the end.
"""

import ctypes
import errno
import fcntl
import os
import platform
import signal
import stat
from collections.abc import Callable, Iterable
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, mmap
from typing import Final, NamedTuple

from vgic_tools.judges.answers import Answer
from vgic_tools.judges.errors import MissingJudgeError

__all__ = ["NativeAgent", "missing_kvm"]

_KVM: Final = "/dev/kvm"
_GET_VCPU_MMAP_SIZE: Final = 0xAE04
_RUN: Final = 0xAE80
_SET_USER_MEMORY_REGION: Final = 0x4020_AE46
_IMMEDIATE_EXIT: Final = 1
"""Where a kvm_run has the byte that makes KVM_RUN end at once."""
_RUN_HEAD: Final = 72
"""Bytes of a kvm_run that are told, as agent.c does."""
_MOST_OF_A_FILE: Final = 1 << 15


def missing_kvm(device: str = _KVM) -> str | None:
    """Why KVM cannot be asked here, as a sentence; None where it can."""
    machine = platform.machine()
    if machine not in ("aarch64", "arm64"):
        return f"this machine is {machine or 'of an unknown kind'} and no arm64"
    try:
        mode = os.stat(device).st_mode
    except FileNotFoundError:
        return f"there is no {device}: this Linux has no KVM, or was not started at EL2"
    except OSError as error:
        return f"{device}: {error.strerror}"
    if not stat.S_ISCHR(mode):
        return f"{device} is no device"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"this user may not open {device}: root may, and members of its group (kvm)"
    return None


class _Slot(NamedTuple):
    """RAM of a VM."""

    vm: int
    address: int
    ram: mmap


class NativeAgent:
    """Performs commands as `Agent` does. Raises MissingJudgeError where there is no KVM to ask."""

    def __init__(self) -> None:
        missing = missing_kvm()
        if missing is not None:
            raise MissingJudgeError(missing)
        self._files: set[int] = set()
        self._slots: list[_Slot] = []
        self._runs: dict[int, mmap] = {}
        self._run_size = 0

    def close(self) -> None:
        """Close every file that was opened, and forget every VM."""
        for run in self._runs.values():
            run.close()
        self._runs.clear()
        for file in self._files:
            os.close(file)
        self._files.clear()
        # Its RAM goes after the VM that KVM runs in it.
        self._slots.clear()

    def pin(self, cpus: Iterable[int]) -> None:
        """Have what is asked from now on run on these CPUs of the machine. Raises MissingJudgeError."""
        try:
            os.sched_setaffinity(0, cpus)
        except OSError as error:
            raise MissingJudgeError(f"cannot run on the CPUs {sorted(cpus)}: {error.strerror}") from error

    def ask_all(self, commands: Iterable[str]) -> list[Answer]:
        """What each of the commands comes to, in their order."""
        return [self.ask(command) for command in commands]

    def ask(self, command: str) -> Answer:
        """What one command (see agent.c) comes to."""
        name, *words = command.split(" ")
        perform = _COMMANDS.get(name)
        try:
            return Answer(-1, errno.ENOSYS) if perform is None else perform(self, words)
        except OSError as error:
            return Answer(-1, error.errno or errno.EIO)

    def _open(self, words: list[str]) -> Answer:
        return Answer(self._opened(os.open(words[0], os.O_RDWR | os.O_CLOEXEC)), 0)

    def _opened(self, file: int) -> int:
        self._files.add(file)
        return file

    def _call(self, words: list[str]) -> Answer:
        file, request, argument = _numbers(words)
        value = fcntl.ioctl(file, request, argument)
        return Answer(self._opened(value) if request in _CREATING else value, 0)

    def _give(self, words: list[str]) -> Answer:
        file, request = _numbers(words[:2])
        data = bytearray.fromhex(words[2])
        try:
            value = fcntl.ioctl(file, request, data, True)
        except OSError as error:
            return Answer(-1, error.errno or errno.EIO, bytes(data))
        if request == _CREATE_DEVICE:
            self._opened(int.from_bytes(data[4:8], "little"))
        return Answer(value, 0, bytes(data))

    def _link(self, words: list[str]) -> Answer:
        file, request = _numbers(words[:2])
        data, offset = bytearray.fromhex(words[2]), int(words[3], 16)
        more = bytes.fromhex(words[4])
        # Some registers have more than a caller has room for.
        target = ctypes.create_string_buffer(more, max(len(more), _MOST_OF_A_REGISTER))
        data[offset : offset + 8] = ctypes.addressof(target).to_bytes(8, "little")
        try:
            value, number = fcntl.ioctl(file, request, data, True), 0
        except OSError as error:
            value, number = -1, error.errno or errno.EIO
        return Answer(value, number, bytes(data), target.raw[: len(more)])

    def _ram(self, words: list[str]) -> Answer:
        vm, slot, address, size = _numbers(words)
        ram = mmap(-1, size, MAP_PRIVATE | MAP_ANONYMOUS)
        place = ctypes.addressof(ctypes.c_char.from_buffer(ram))
        region = b"".join(
            number.to_bytes(width, "little")
            for number, width in ((slot, 4), (0, 4), (address, 8), (size, 8), (place, 8))
        )
        fcntl.ioctl(vm, _SET_USER_MEMORY_REGION, region)
        self._slots.append(_Slot(vm, address, ram))
        return Answer(0, 0)

    def _at(self, vm: int, address: int, size: int) -> tuple[mmap, int]:
        for slot in self._slots:
            offset = address - slot.address
            if slot.vm == vm and 0 <= offset <= len(slot.ram) - size:
                return slot.ram, offset
        raise OSError(errno.EFAULT, "no RAM")

    def _peek(self, words: list[str]) -> Answer:
        vm, address, size = _numbers(words)
        ram, at = self._at(vm, address, size)
        return Answer(0, 0, ram[at : at + size])

    def _poke(self, words: list[str]) -> Answer:
        vm, address = _numbers(words[:2])
        data = bytes.fromhex(words[2])
        ram, at = self._at(vm, address, len(data))
        ram[at : at + len(data)] = data
        return Answer(0, 0)

    def _run(self, words: list[str]) -> Answer:
        vcpu, milliseconds = _numbers(words)
        if vcpu not in self._runs:
            self._runs[vcpu] = mmap(vcpu, self._size_of_run(), MAP_SHARED)
        run = self._runs[vcpu]
        run[_IMMEDIATE_EXIT] = 0

        def interrupt(number: int, frame: object) -> None:
            run[_IMMEDIATE_EXIT] = 1

        before = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
        try:
            value, number = fcntl.ioctl(vcpu, _RUN, 0), 0
        except OSError as error:
            value, number = -1, error.errno or errno.EIO
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        return Answer(value, number, run[:_RUN_HEAD])

    def _size_of_run(self) -> int:
        if not self._run_size:
            kvm = os.open(_KVM, os.O_RDWR | os.O_CLOEXEC)
            try:
                self._run_size = fcntl.ioctl(kvm, _GET_VCPU_MMAP_SIZE, 0)
            finally:
                os.close(kvm)
        return self._run_size

    def _file(self, words: list[str]) -> Answer:
        with open(words[0], "rb") as file:
            data = file.read(_MOST_OF_A_FILE)
        return Answer(len(data), 0, data)

    def _reset(self, words: list[str]) -> Answer:
        self.close()
        return Answer(0, 0)


_CREATING: Final = frozenset({0xAE01, 0xAE41})
"""KVM_CREATE_VM, KVM_CREATE_VCPU."""
_CREATE_DEVICE: Final = 0xC00C_AEE0
_MOST_OF_A_REGISTER: Final = 4096


def _numbers(words: list[str]) -> list[int]:
    return [int(word, 16) for word in words]


_COMMANDS: Final[dict[str, Callable[[NativeAgent, list[str]], Answer]]] = {
    "open": NativeAgent._open,
    "call": NativeAgent._call,
    "give": NativeAgent._give,
    "link": NativeAgent._link,
    "ram": NativeAgent._ram,
    "peek": NativeAgent._peek,
    "poke": NativeAgent._poke,
    "run": NativeAgent._run,
    "file": NativeAgent._file,
    "reset": NativeAgent._reset,
}
