"""The registers that make up a VM's state: their names, and the raw state behind each.

Names are Arm's, with the device in front where every vCPU has one: "GICD_IROUTER42", "GICR[1].GICR_IPRIORITYR3",
"ICC[0].ICC_PMR_EL1", "vCPU[0].MPIDR_EL1". What no register shows has a name in lower case behind its device, such
as "GICD.line_level1". Their numbers count words of 32 INTIDs as those of GICD_ISPENDR<n> do, unless said otherwise:

| name | what it is |
|---|---|
| pending_latch<n> | made pending by an edge, a message, an SGI or ISPENDR; ISPENDR itself shows levels too |
| line_level<n> | the levels of the input lines |
| message_level<n> | levels raised by GICD_SETSPI_NSR and not yet lowered by GICD_CLRSPI_NSR |
| chosen_mpidr<n> | MPIDR_EL1 of the vCPU at which a 1-of-N SPI waits, by INTID |
| next_choice | the number of the vCPU at which the next search for one begins |
| unevaluated<n> | the n-th word, n from 0, whose change of trigger is yet to take effect; words count from 1 |
| forwarded<n> | what of such a word is forwarded meanwhile |

Reading and writing here goes past the rules for guests. A write changes that state and nothing else: what the model
derives from it is stale until `vgic.state` has it derived again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from mmio import RegisterLayout
from vgic import affinity
from vgic.bank_registers import gather, spread
from vgic.config import Config
from vgic.cpu_interface import GROUP0, GROUP1, CpuInterface
from vgic.distributor import Distributor, SharedInterrupts
from vgic.features import writable_bits
from vgic.interrupts import InterruptBank
from vgic.layouts import gicd, gicr, icc
from vgic.one_of_n import OneOfN
from vgic.redistributor import Redistributor
from vgic.sysregs import CBPR, EOI_MODE, SystemRegisters
from vgic.topology import MAX_VCPUS, NO_VCPU, AffinityIndex

__all__ = ["Parts", "SavedRegister", "mpidr_name", "saved_registers"]

_ALL_64: Final = (1 << 64) - 1
_AP_BITS: Final = 0xFFFF_FFFF
_BINARY_POINT: Final = 7


class Parts(NamedTuple):
    """The devices of a VM whose state is saved."""

    config: Config
    affinities: AffinityIndex
    distributor: Distributor
    redistributors: Sequence[Redistributor]
    sysregs: SystemRegisters


@dataclass(frozen=True, slots=True)
class SavedRegister:
    """One register of a VM, with its device."""

    name: str
    writable: int
    """The bits that are state; the others are the same whatever the state."""
    get: Callable[[], int]
    put: Callable[[int], None]


def mpidr_name(cpu: int) -> str:
    """The name of a vCPU's MPIDR_EL1."""
    return f"vCPU[{cpu}].MPIDR_EL1"


def saved_registers(parts: Parts) -> Iterator[SavedRegister]:
    """Every register of the VM, device by device, in an order in which they can be written."""
    yield from _distributor(parts)
    for cpu, redistributor in enumerate(parts.redistributors):
        yield SavedRegister(mpidr_name(cpu), affinity.IROUTER_AFFINITY, partial(_mpidr, parts, cpu), _elsewhere)
        yield from _redistributor(f"GICR[{cpu}].", redistributor, parts.config)
        yield from _cpu_interface(f"ICC[{cpu}].", redistributor.interface, parts.sysregs)


def _mpidr(parts: Parts, cpu: int) -> int:
    return affinity.to_mpidr(parts.affinities.affinities[cpu])


def _elsewhere(value: int) -> None:
    """MPIDRs are written before all else and all at once, since vCPUs may have exchanged theirs."""


def _attribute(name: str, writable: int, device: object, attribute: str, constant: int = 0) -> SavedRegister:
    """A register whose state is an attribute of a device; the bits of `constant` are ones beside it."""
    return SavedRegister(
        name,
        writable,
        lambda: int(getattr(device, attribute)) | constant,
        lambda value: setattr(device, attribute, value & ~constant),
    )


def _flag(name: str, writable: int, device: object, attribute: str) -> SavedRegister:
    """A register of which all that can be written follows one flag."""
    return SavedRegister(
        name,
        writable,
        lambda: writable if getattr(device, attribute) else 0,
        lambda value: setattr(device, attribute, value != 0),
    )


def _guest_writable(layout: RegisterLayout, config: Config) -> int:
    """The bits of a register that a guest of this VM can change."""
    profile = config.profile
    if layout.name in profile.fixed:
        return 0
    return writable_bits(config.features, profile.writable).get(layout.name, layout.writable)


# The state of interrupts, shared or private.


def _bank(arm: str, own: str, bank: InterruptBank, first: int) -> Iterator[SavedRegister]:
    """`arm` begins the names that are Arm's, `own` the others; `first` is the number of the bank's first word."""
    for number, word in enumerate(bank.words, first):
        yield _attribute(f"{arm}IGROUPR{number}", word.implemented, word, "group1")
        yield _attribute(f"{arm}ISENABLER{number}", word.implemented, word, "enabled")
        yield _attribute(f"{arm}ISACTIVER{number}", word.implemented, word, "active")
        yield _attribute(f"{own}pending_latch{number}", word.implemented, word, "latch")
        yield _attribute(f"{own}line_level{number}", word.implemented, word, "line")
    for start in range(0, bank.count, 4):
        yield _priorities(f"{arm}IPRIORITYR{8 * first + start // 4}", bank, start)


def _priorities(name: str, bank: InterruptBank, start: int) -> SavedRegister:
    lanes = slice(start, start + 4)

    def put(value: int) -> None:
        bank.priority[lanes] = value.to_bytes(4, "little")

    return SavedRegister(
        name, bank.priority_mask * 0x0101_0101, lambda: int.from_bytes(bank.priority[lanes], "little"), put
    )


def _triggers(name: str, bank: InterruptBank, half: int, fixed: bool = False) -> SavedRegister:
    """ICFGR of 16 interrupts: `half` counts half words of the bank."""
    word, shift = bank.words[half // 2], half % 2 * 16

    def get() -> int:
        return spread(word.edge >> shift & 0xFFFF) << 1

    def put(value: int) -> None:
        word.edge = word.edge & ~(0xFFFF << shift) | gather(value >> 1) << shift

    return SavedRegister(name, 0 if fixed else spread(word.implemented >> shift & 0xFFFF) << 1, get, put)


# Devices.


def _distributor(parts: Parts) -> Iterator[SavedRegister]:
    config, distributor = parts.config, parts.distributor
    bank = distributor.spis
    control = _guest_writable(gicd.CTLR, config)
    yield _attribute("GICD_CTLR", control, distributor, "control", gicd.CTLR.ones)
    yield from _bank("GICD_", "GICD.", bank, first=1)
    for half in range(2 * len(bank.words)):
        yield _triggers(f"GICD_ICFGR{2 + half}", bank, half)
    if "GICD_SETSPI_NSR" not in config.profile.absent:
        for number, word in enumerate(bank.words, 1):
            yield _attribute(f"GICD.message_level{number}", word.implemented, word, "message")
    routes = _guest_writable(gicd.IROUTER, config)
    for index in range(bank.count):
        name = f"GICD_IROUTER{bank.first + index}"
        yield SavedRegister(name, routes, partial(bank.route_value, index), partial(bank.store_route, index))
    if config.features.one_of_n:
        for index in range(bank.count):
            yield _placement(f"GICD.chosen_mpidr{bank.first + index}", bank, index, parts.affinities)
    if config.one_of_n_choice == "rotate":
        yield _next_choice("GICD.next_choice", bank.one_of_n, len(config.topology))
    if not config.profile.config_takes_effect_at_once:
        for number in range(len(bank.words)):
            yield _unevaluated(f"GICD.unevaluated{number}", bank, number)
            yield _forwarded(f"GICD.forwarded{1 + number}", bank, number)


def _placement(name: str, bank: SharedInterrupts, index: int, affinities: AffinityIndex) -> SavedRegister:
    """Where a 1-of-N SPI waits; an MPIDR_EL1, because its bit 31 tells vCPU 0 from none."""

    def get() -> int:
        chosen = bank.placement()[0].get(index, NO_VCPU)
        return 0 if chosen == NO_VCPU else affinity.to_mpidr(affinities.affinities[chosen])

    def put(value: int) -> None:
        bank.forget_place(index)
        if value:
            bank.place(index, affinities.find(affinity.from_mpidr(value)))

    return SavedRegister(name, _ALL_64, get, put)


def _next_choice(name: str, chooser: OneOfN, vcpus: int) -> SavedRegister:
    def put(value: int) -> None:
        chooser.start = value % vcpus

    return SavedRegister(name, MAX_VCPUS - 1, lambda: chooser.start, put)


def _unevaluated(name: str, bank: SharedInterrupts, place: int) -> SavedRegister:
    """The word that is `place`-th to be evaluated; numbered from 1, so that 0 is none."""

    def get() -> int:
        deferred = bank.forwarder.deferred
        return 1 + deferred[place][1] if place < len(deferred) else 0

    def put(value: int) -> None:
        if 0 < value <= len(bank.words):
            bank.forwarder.defer(bank, value - 1)

    return SavedRegister(name, 0xFFFF_FFFF, get, put)


def _forwarded(name: str, bank: SharedInterrupts, number: int) -> SavedRegister:
    """What is forwarded of a word; said only where it does not follow from the rest."""
    word = bank.words[number]

    def get() -> int:
        return word.queued if bank.forwarder.is_deferred(bank, number) else 0

    def put(value: int) -> None:
        word.queued = value

    return SavedRegister(name, word.implemented, get, put)


def _redistributor(device: str, redistributor: Redistributor, config: Config) -> Iterator[SavedRegister]:
    bank = redistributor.interrupts
    control = _guest_writable(gicr.CTLR, config)
    yield _attribute(f"{device}GICR_CTLR", control, redistributor, "ctlr", redistributor.ctlr_constant)
    # ChildrenAsleep follows ProcessorSleep.
    sleep = 0b110 if _guest_writable(gicr.WAKER, config) else 0
    yield _flag(f"{device}GICR_WAKER", sleep, redistributor, "processor_sleep")
    for layout, attribute in ((gicr.PROPBASER, "propbaser"), (gicr.PENDBASER, "pendbaser")):
        yield _attribute(f"{device}{layout.name}", _guest_writable(layout, config), redistributor, attribute)
    yield from _bank(f"{device}GICR_", device, bank, first=0)
    yield _triggers(f"{device}GICR_ICFGR1", bank, 1, fixed="GICR_ICFGR1" in config.profile.fixed)


def _cpu_interface(device: str, interface: CpuInterface, sysregs: SystemRegisters) -> Iterator[SavedRegister]:
    yield _attribute(f"{device}ICC_PMR_EL1", interface.priority_mask, interface, "pmr")
    yield _binary_point(f"{device}ICC_BPR0_EL1", interface, "bpr0", interface.min_bpr0)
    # The stored value, which a read does not show while CBPR is 1.
    yield _binary_point(f"{device}ICC_BPR1_EL1", interface, "bpr1", interface.min_bpr1)
    yield _control(f"{device}ICC_CTLR_EL1", interface, sysregs)
    for group in GROUP0, GROUP1:
        yield _group_enable(f"{device}ICC_IGRPEN{group}_EL1", interface, group)
    for group in GROUP0, GROUP1:
        for number in range(max(1, interface.levels // 32)):
            yield _active_priorities(f"{device}ICC_AP{group}R{number}_EL1", interface, group, number)


def _binary_point(name: str, interface: CpuInterface, attribute: str, least: int) -> SavedRegister:
    def put(value: int) -> None:
        setattr(interface, attribute, max(value, least))

    return SavedRegister(name, _BINARY_POINT, lambda: int(getattr(interface, attribute)), put)


def _control(name: str, interface: CpuInterface, sysregs: SystemRegisters) -> SavedRegister:
    def put(value: int) -> None:
        interface.cbpr = value & CBPR != 0
        interface.eoi_mode = value & EOI_MODE != 0

    get = partial(sysregs.read, interface, icc.CTLR.offset, secure=False)
    return SavedRegister(name, icc.CTLR.writable, get, put)


def _group_enable(name: str, interface: CpuInterface, group: int) -> SavedRegister:
    state = interface.group(group)

    def put(value: int) -> None:
        state.enabled = value != 0

    return SavedRegister(name, 1, lambda: int(state.enabled), put)


def _active_priorities(name: str, interface: CpuInterface, group: int, number: int) -> SavedRegister:
    state, shift = interface.group(group), 32 * number

    def get() -> int:
        return state.active_priorities >> shift & _AP_BITS

    def put(value: int) -> None:
        others = state.active_priorities & ~(_AP_BITS << shift)
        state.active_priorities = others | value << shift

    return SavedRegister(name, (1 << interface.levels) - 1 >> shift & _AP_BITS, get, put)
