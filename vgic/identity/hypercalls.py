"""The hypercalls by which a guest learns on which CPUs it may run, and what Linux's guest makes of the answers.

KVM only advertises these calls: a VMM takes them over with KVM's SMCCC filter and answers itself. `TargetCalls` is
what it, or any other embedder, calls with R0 to R3. Rules IDENT-57 to IDENT-59.

>>> from vgic.identity.hypercalls import TargetCalls, discovered
>>> calls = TargetCalls([(0x413FD0C1, 0, 0), (0xC00FAC40, 0, 0)])
>>> calls.set_advertised(0b11)
>>> [hex(target.midr) for target in discovered(calls.call).targets]
['0x413fd0c1', '0xc00fac40']
"""

import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from vgic.identity.errata import checked_targets
from vgic.identity.erratum import Implementation
from vgic.identity.host import HostError
from vgic.kvm.errors import KvmError

__all__ = [
    "CALL_UID",
    "DISCOVER_IMPL_CPUS",
    "DISCOVER_IMPL_VER",
    "FEATURES",
    "INVALID_PARAMETER",
    "NOT_SUPPORTED",
    "SUCCESS",
    "UID",
    "Discovery",
    "ErratumNumbers",
    "Registers",
    "TargetCalls",
    "bitmap",
    "discovered",
    "numbers_in",
]

CALL_UID: Final = 0x8600_FF01
FEATURES: Final = 0x8600_0000
DISCOVER_IMPL_VER: Final = 0xC600_0040
DISCOVER_IMPL_CPUS: Final = 0xC600_0041

_FEATURES_NUMBER: Final = FEATURES & 0xFFFF
_FIRST_NUMBER: Final = DISCOVER_IMPL_VER & 0xFFFF
"""The function number of bit 0 of the firmware register KVM_REG_ARM_VENDOR_HYP_BMAP_2."""
_KNOWN: Final = 0b11
"""Its bits: DISCOVER_IMPL_VER and DISCOVER_IMPL_CPUS."""

_X: Final = (1 << 64) - 1
_W: Final = (1 << 32) - 1

SUCCESS: Final = 0
NOT_SUPPORTED: Final = -1 & _X
INVALID_PARAMETER: Final = -3 & _X

_MAJOR: Final = 1
_MINOR: Final = 0
_WORD: Final = 32
_NUMBERS: Final = range(4 * _WORD)


class Registers(NamedTuple):
    """R0 to R3, 64 bits each, unsigned."""

    r0: int
    r1: int = 0
    r2: int = 0
    r3: int = 0


UID: Final = Registers(0xB66F_B428, 0xE911_C52E, 0x564B_CAA9, 0x743A_004D)
"""That a hypervisor has KVM's calls: 28b46fb6-2ec5-11e9-a9ca-4b564d003a74, four bytes a register, little-endian."""


def bitmap(numbers: Iterable[int]) -> Registers:
    """Numbers from 0 to 127 as four bitmaps of 32 bits, R0 first. Raises HostError for any other number.

    >>> bitmap([0, 64, 65])
    Registers(r0=1, r1=0, r2=3, r3=0)
    """
    words = [0] * 4
    for number in numbers:
        if number not in _NUMBERS:
            raise HostError(f"{number} is no number of a bitmap, which has 0 to {_NUMBERS[-1]}")
        words[number // _WORD] |= 1 << number % _WORD
    return Registers(*words)


def numbers_in(registers: Registers) -> frozenset[int]:
    """The numbers in four bitmaps. Raises HostError where a register has more than 32 bits, as errors do."""
    for place, word in enumerate(registers):
        if not 0 <= word <= _W:
            raise HostError(f"R{place}: {word:#x} is no bitmap of {_WORD} bits")
    return frozenset(number for number in _NUMBERS if registers[number // _WORD] >> number % _WORD & 1)


class TargetCalls:
    """The calls about the CPUs that a guest may run on, answered for one list of them.

    `targets` are (MIDR_EL1, REVIDR_EL1, AIDR_EL1), in the order of their index. `others` are the function numbers
    of calls that the embedder has beside these, which FEATURES is to tell too. Raises HostError where a value does
    not fit.
    """

    def __init__(self, targets: Iterable[tuple[int, int, int]], others: Iterable[int] = ()) -> None:
        self.targets = checked_targets(targets)
        self.has_run = False
        self._advertised = 0
        self._others = numbers_in(bitmap([_FEATURES_NUMBER, *others]))

    @property
    def advertised(self) -> int:
        """KVM_REG_ARM_VENDOR_HYP_BMAP_2: bit 0 for DISCOVER_IMPL_VER, 1 for DISCOVER_IMPL_CPUS; 0 at first."""
        return self._advertised

    def set_advertised(self, bits: int) -> None:
        """Write the firmware register, as KVM_SET_ONE_REG does.

        Raises KvmError with EINVAL for a bit that is none of the two, EBUSY for another value once a vCPU has run.
        """
        if bits & ~_KNOWN:
            raise KvmError(errno.EINVAL, f"{bits:#x} has bits of calls that there are not")
        if self.has_run and bits != self._advertised:
            raise KvmError(errno.EBUSY, "which calls there are is settled, a vCPU has run")
        self._advertised = bits

    def run(self) -> None:
        """A vCPU of the VM runs for the first time."""
        self.has_run = True

    def call(self, r0: int, r1: int = 0, r2: int = 0, r3: int = 0) -> Registers:
        """What an HVC with these registers returns; NOT_SUPPORTED in R0 for what is none of these calls, or not
        advertised. Raises nothing."""
        function = r0 & _W
        if function == CALL_UID:
            return UID
        if function == FEATURES:
            own = (_FIRST_NUMBER + bit for bit in range(_KNOWN.bit_length()) if self._advertised >> bit & 1)
            return bitmap([*self._others, *own])
        if function == DISCOVER_IMPL_VER and self._advertised & 1:
            return Registers(SUCCESS, _MAJOR << 16 | _MINOR, len(self.targets))
        if function == DISCOVER_IMPL_CPUS and self._advertised & 2:
            if r2 or r3 or not 0 <= r1 < len(self.targets):
                return Registers(INVALID_PARAMETER)
            return Registers(SUCCESS, *self.targets[r1])
        return Registers(NOT_SUPPORTED)


class Discovery(NamedTuple):
    """What a guest has learnt of the CPUs that it may run on."""

    targets: tuple[Implementation, ...]
    """None of them where the guest goes by its own CPU."""
    ignored: str = ""
    """Why it does, a sentence without its full stop; "" where it goes by `targets`."""


Call = Callable[[int, int, int, int], Registers]


def discovered(call: Call, most: int = 1 << 16) -> Discovery:
    """What Linux's guest learns at boot from a hypervisor that answers with `call`.

    A single wrong answer and it ignores the whole list. `most` stands for the memory that it has for a list: a
    hypervisor can name any number of entries. Raises what `call` raises.
    """
    uid = call(CALL_UID, 0, 0, 0)
    if Registers(*(word & _W for word in uid)) != UID:
        return _ignored("the hypervisor is not KVM by its UID")
    features = call(FEATURES, 0, 0, 0)
    if not {_FIRST_NUMBER, _FIRST_NUMBER + 1} <= numbers_in(Registers(*(word & _W for word in features))):
        return _ignored("the calls are not among the features")
    status, version, count, _ = call(DISCOVER_IMPL_VER, 0, 0, 0)
    if status != SUCCESS:
        return _ignored(f"DISCOVER_IMPL_VER returned {_signed(status)}")
    major = (version & _W) >> 16
    if major != _MAJOR:
        return _ignored(f"the version is {major}.{version & 0xFFFF}, and the major one has to be {_MAJOR}")
    if not count:
        return _ignored("the list is said to have no entry")
    if count > most:
        return _ignored(f"the list is said to have {count} entries, for which there is no memory")
    return _listed(call, count)


def _listed(call: Call, count: int) -> Discovery:
    targets: list[Implementation] = []
    for index in range(count):
        status, *target = call(DISCOVER_IMPL_CPUS, index, 0, 0)
        if status != SUCCESS:
            return _ignored(f"DISCOVER_IMPL_CPUS returned {_signed(status)} for entry {index} of {count}")
        targets.append(Implementation(*target))
    return Discovery(tuple(targets))


def _ignored(why: str) -> Discovery:
    return Discovery((), why)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


@dataclass(frozen=True)
class ErratumNumbers:
    """Errata by numbers that never change, for a call that returns them as bitmaps in R0 to R3.

    Such a call was proposed before the list of CPUs took its place, and which erratum has which number was never
    settled: `numbers`, from 0 to 127 by the name of an erratum, are the caller's. Raises HostError where two errata
    have one number, or a number is none of a bitmap.
    """

    numbers: Mapping[str, int]

    def __post_init__(self) -> None:
        bitmap(self.numbers.values())
        names = {number: name for name, number in self.numbers.items()}
        for name, number in self.numbers.items():
            if names[number] != name:
                raise HostError(f"{name} and {names[number]} have one number, {number}")

    def extended(self, more: Mapping[str, int]) -> "ErratumNumbers":
        """These and more. Raises HostError where a number that has been given out would change."""
        for name, number in more.items():
            if self.numbers.get(name, number) != number:
                raise HostError(f"{name} has the number {self.numbers[name]}, which never changes")
        return ErratumNumbers({**self.numbers, **more})

    def registers(self, errata: Iterable[str]) -> Registers:
        """R0 to R3 that name these errata. Raises HostError for one that has no number, and so cannot be named."""
        wanted = sorted(errata)
        nameless = [name for name in wanted if name not in self.numbers]
        if nameless:
            raise HostError(f"{nameless[0]} has no number")
        return bitmap(self.numbers[name] for name in wanted)

    def errata(self, registers: Registers) -> frozenset[str]:
        """The errata that R0 to R3 name; a guest knows nothing of numbers that were given out after it was made.

        Raises HostError as `numbers_in` does: the hypervisor has no such call.
        """
        told = numbers_in(registers)
        return frozenset(name for name, number in self.numbers.items() if number in told)
