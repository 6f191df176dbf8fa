"""Short lives of a VM's GIC, for a live KVM and for `vgic.kvm` alike: what is asked, call by call.

Each is a function that is given a `Life`, which performs calls on its subject and remembers what they came to.
"""

import errno
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kvm_subjects import DEFAULT_RAM, GIC, Call, Subject
from vgic.kvm import Address, Control, Group, ItsAddress, ItsControl
from vgic_tools.judges.kvm_host import Outcome

__all__ = ["SCENARIOS", "Life", "Scenario", "key", "scenario"]

GICD, GICR, ITS, FRAME = 0x0800_0000, 0x080A_0000, 0x0808_0000, 0x2_0000
TRANSLATER = ITS + 0x1_0040
VALID: Final = 1 << 63

# Stretches of RAM, each for a table of its own, so that it can be taken away.
QUEUE, DEVICES, EVENTS, COLLECTIONS, CONFIGURATION, PENDING = (0x4000_0000 + n * 0x100_0000 for n in range(6))
STRETCH: Final = 0x2_0000
RAM: Final = tuple((base, STRETCH) for base in (QUEUE, DEVICES, EVENTS, COLLECTIONS, CONFIGURATION, PENDING))
NO_RAM: Final = 0x6000_0000


@dataclass
class Life:
    """What was asked of a subject, and what came of it. Attributes are asked together, before anything else."""

    _subject: Subject
    _log: list[tuple[str, str]] = field(default_factory=list)
    _waiting: list[Call] = field(default_factory=list)

    @property
    def subject(self) -> Subject:
        """The subject, of which all has been asked so far."""
        calls, self._waiting = self._waiting, []
        for (kind, its, group, attr, value), outcome in zip(calls, self._subject.ask(calls), strict=True):
            name = f"{kind} group {group} attribute {attr:#x}" + (f" = {value:#x}" if kind == "set" else "")
            self._note(name if its is GIC else f"ITS {its}: {name}", outcome)
        return self._subject

    @property
    def log(self) -> list[tuple[str, str]]:
        """What was asked, and what it came to: KVM's number by name, or the value."""
        assert self.subject
        return self._log

    def _note(self, what: str, outcome: Outcome) -> None:
        told = errno.errorcode.get(outcome.errno, "?") if outcome.errno else f"{outcome.value:#x}"
        self._log.append((what, told))

    def has(self, group: int, attr: int, its: int | None = GIC) -> None:
        self._waiting.append(("has", its, group, attr, 0))

    def get(self, group: int, attr: int, value: int = 0, its: int | None = GIC) -> None:
        self._waiting.append(("get", its, group, attr, value))

    def set(self, group: int, attr: int, value: int = 0, its: int | None = GIC) -> None:
        self._waiting.append(("set", its, group, attr, value))

    def vcpu(self, vcpu_id: int | None = None) -> None:
        self._note(f"creation of a vCPU, id {vcpu_id}", self.subject.create_vcpu(vcpu_id))

    def mpidr(self, cpu: int, mpidr: int) -> None:
        self._note(f"MPIDR_EL1 of vCPU {cpu}", self.subject.set_mpidr(cpu, mpidr))

    def its(self) -> None:
        self._note("creation of an ITS", self.subject.create_its()._replace(value=0))

    def run(self, cpu: int = 0) -> None:
        self._note(f"run of vCPU {cpu}", self.subject.run(cpu))

    def msi(self, event: int, device: int = 3) -> None:
        self._note(f"MSI {event} of device {device}", self.subject.signal_msi(TRANSLATER, event, device))

    def look(self, address: int, size: int) -> None:
        self._log.append((f"RAM at {address:#x}", self.subject.read(address, size).hex()))

    def words(self, address: int, *words: int) -> None:
        self.subject.write(address, struct.pack(f"<{len(words)}Q", *words))

    def init(self) -> None:
        self.set(Group.CTRL, Control.INIT)

    def place(self) -> None:
        self.set(Group.ADDR, Address.DIST, GICD)
        self.set(Group.ADDR, Address.REDIST, GICR)

    def ready(self, vcpus: int = 1, itses: int = 0) -> None:
        """A VM that could run."""
        for _ in range(vcpus):
            self.vcpu()
        for _ in range(itses):
            self.its()
        self.place()
        self.init()
        for number in range(itses):
            self.set(Group.ADDR, ItsAddress.ITS, ITS if not number else 0x0900_0000 + number * FRAME, number)
            self.set(Group.CTRL, ItsControl.INIT, its=number)


def key(packed: int) -> int:
    return packed << 32


class Scenario(NamedTuple):
    """A life, and the RAM of its VM."""

    live: Callable[[Life], None]
    ram: tuple[tuple[int, int], ...] = DEFAULT_RAM


SCENARIOS: Final[dict[str, Scenario]] = {}


def scenario(life: Callable[[Life], None]) -> Callable[[Life], None]:
    SCENARIOS[life.__name__] = Scenario(life)
    return life
