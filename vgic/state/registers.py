"""The registers that make up a VM's state: their names, and the raw state behind each.

Names are Arm's, with the device in front where every vCPU has one: "GICD_IROUTER42", "GICR[1].GICR_IPRIORITYR3",
"ICC[0].ICC_PMR_EL1", "vCPU[0].MPIDR_EL1". What no register shows has a name in lower case behind its device, such
as "GICD.line_level1". Their numbers count words of 32 INTIDs as those of GICD_ISPENDR<n> do, unless said otherwise:

| name | what it is |
|---|---|
| pending_latch<n> | made pending by an edge, a message, an SGI or ISPENDR; ISPENDR itself shows levels too |
| line_level<n> | the levels of the input lines |
| message_level<n> | levels raised by GICD_SETSPI_NSR and not yet lowered by GICD_CLRSPI_NSR |
| unrouted<n> | the SPIs that go to vCPU 0, where the profile has it so, since GICD_IROUTER<n> was never written |
| chosen_mpidr<n> | MPIDR_EL1 of the vCPU at which a 1-of-N SPI waits, by INTID |
| next_choice | the number of the vCPU at which the next search for one begins |
| pending_lpi<n> | the configuration byte by which LPI n is pending at a Redistributor |
| last_best_lpi | the LPI that was offered last, where the profile remembers it |
| cached_configuration<n> | the cached configuration bytes of LPIs n to n + 7, 0 where there is none |
| unevaluated<n> | the n-th word, n from 0, whose change of trigger is yet to take effect; words count from 1 |
| forwarded<n> | what of such a word is forwarded meanwhile |

Those of an ITS are in `vgic.its.state`.

Reading and writing here goes past the rules for guests. A write changes that state and nothing else: what the model
derives from it is stale until `vgic.state.saving` has it derived again.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from mmio import RegisterLayout
from vgic import affinity
from vgic.config import Config
from vgic.cpu_interface.group import ActivePriorities
from vgic.cpu_interface.interface import GROUP0, GROUP1, CpuInterface
from vgic.cpu_interface.sysregs import CBPR, EOI_MODE, SystemRegisters
from vgic.distributor.frame import Distributor
from vgic.distributor.one_of_n import OneOfN
from vgic.distributor.spis import SharedInterrupts
from vgic.features import writable_bits
from vgic.interrupts.banks import InterruptBank
from vgic.interrupts.registers import gather, spread
from vgic.intids import FIRST_LPI
from vgic.its.device import Its
from vgic.its.state import its_registers
from vgic.layouts import gicd, gicr, icc
from vgic.lpis.bank import LpiBank, LpiConfiguration
from vgic.lpis.rescanning import RescanningLpiBank
from vgic.lpis.tables import ALWAYS_ONE
from vgic.redistributor.frame import Redistributor
from vgic.state.saved_register import SavedRegister, attribute, flag
from vgic.topology import MAX_VCPUS, NO_VCPU, AffinityIndex

__all__ = ["Parts", "mpidr_name", "saved_registers"]

# No state file is as long as a number that matches could be.
_LPI_NAME: Final = re.compile(
    r"(?:GICR\[(?P<cpu>0|[1-9][0-9]{0,4})\]\.pending_lpi|LPI\.cached_configuration)(?P<intid>[1-9][0-9]{3,7})",
    re.ASCII,
)
_CACHED: Final = re.compile(rb"[^\0]")

_ALL_64: Final = (1 << 64) - 1
_BINARY_POINT: Final = 7


class Parts(NamedTuple):
    """The devices of a VM whose state is saved."""

    config: Config
    affinities: AffinityIndex
    distributor: Distributor
    redistributors: Sequence[Redistributor]
    sysregs: SystemRegisters
    itses: Sequence[Its]


def mpidr_name(cpu: int) -> str:
    """The name of a vCPU's MPIDR_EL1."""
    return f"vCPU[{cpu}].MPIDR_EL1"


def saved_registers(parts: Parts, named: Iterable[str] = ()) -> Iterator[SavedRegister]:
    """Every register of the VM, device by device, in an order in which they can be written.

    Of LPIs and collections there are those that have a state, and those in `named` that could.
    """
    yield from _distributor(parts)
    for cpu, redistributor in enumerate(parts.redistributors):
        yield SavedRegister(mpidr_name(cpu), affinity.IROUTER_AFFINITY, partial(_mpidr, parts, cpu), _elsewhere)
        yield from _redistributor(f"GICR[{cpu}].", redistributor, parts.config)
        yield from _cpu_interface(f"ICC[{cpu}].", redistributor.interface, parts.sysregs)
    if parts.config.features.lpis:
        yield from _lpis(parts, named)
    for its in parts.itses:
        yield from its_registers(f"GITS[{its.number}].", its, parts.config, named)


def _mpidr(parts: Parts, cpu: int) -> int:
    return affinity.to_mpidr(parts.affinities.affinities[cpu])


def _elsewhere(value: int) -> None:
    """MPIDRs are written before all else and all at once, since vCPUs may have exchanged theirs."""


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
        yield attribute(f"{arm}IGROUPR{number}", word.implemented, word, "group1")
        yield attribute(f"{arm}ISENABLER{number}", word.implemented, word, "enabled")
        yield attribute(f"{arm}ISACTIVER{number}", word.implemented, word, "active")
        yield attribute(f"{own}pending_latch{number}", word.implemented, word, "latch")
        yield attribute(f"{own}line_level{number}", word.implemented, word, "line")
    for start in range(0, bank.count, 4):
        yield _priorities(f"{arm}IPRIORITYR{8 * first + start // 4}", bank, start)


def _priorities(name: str, bank: InterruptBank, start: int) -> SavedRegister:
    def get() -> int:
        return int.from_bytes(bank.priorities[start : start + 4], "little")

    def put(value: int) -> None:
        bank.store_priorities(start, value.to_bytes(4, "little"))

    return SavedRegister(name, bank.priority_mask * 0x0101_0101, get, put)


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
    yield attribute("GICD_CTLR", control, distributor, "control", gicd.CTLR.ones)
    yield from _bank("GICD_", "GICD.", bank, first=1)
    for half in range(2 * len(bank.words)):
        yield _triggers(f"GICD_ICFGR{2 + half}", bank, half)
    if "GICD_SETSPI_NSR" not in config.profile.absent:
        for number, word in enumerate(bank.words, 1):
            yield attribute(f"GICD.message_level{number}", word.implemented, word, "message")
    routes = _guest_writable(gicd.IROUTER, config)
    for index in range(bank.count):
        name = f"GICD_IROUTER{bank.first + index}"
        yield SavedRegister(name, routes, partial(bank.route_value, index), partial(bank.store_route, index))
    if config.profile.first_vcpu_at_reset:
        for number, word in enumerate(bank.words, 1):
            yield _unrouted(f"GICD.unrouted{number}", bank, word.implemented, 32 * (number - 1))
    if config.features.one_of_n:
        for index in range(bank.count):
            yield _placement(f"GICD.chosen_mpidr{bank.first + index}", bank, index, parts.affinities)
    if config.one_of_n_choice == "rotate":
        yield _next_choice("GICD.next_choice", bank.placement.one_of_n, len(config.topology))
    if not config.profile.config_takes_effect_at_once:
        for number in range(len(bank.words)):
            yield _unevaluated(f"GICD.unevaluated{number}", bank, number)
            yield _forwarded(f"GICD.forwarded{1 + number}", bank, number)


def _unrouted(name: str, bank: SharedInterrupts, implemented: int, first: int) -> SavedRegister:
    """Which of 32 SPIs were never routed; written after GICD_IROUTER<n>, which routes them."""

    def get() -> int:
        return sum(1 << index - first for index in bank.unrouted if 0 <= index - first < 32)

    def put(value: int) -> None:
        for bit in range(32):
            if value >> bit & 1:
                bank.unrouted.add(first + bit)
            else:
                bank.unrouted.discard(first + bit)

    return SavedRegister(name, implemented, get, put)


def _placement(name: str, bank: SharedInterrupts, index: int, affinities: AffinityIndex) -> SavedRegister:
    """Where a 1-of-N SPI waits; an MPIDR_EL1, because its bit 31 tells vCPU 0 from none."""

    def get() -> int:
        chosen = bank.placement.holder(index)
        return 0 if chosen == NO_VCPU else affinity.to_mpidr(affinities.affinities[chosen])

    def put(value: int) -> None:
        bank.placement.forget(index)
        if value:
            bank.placement.place(index, affinities.find(affinity.from_mpidr(value)))

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
    yield attribute(f"{device}GICR_CTLR", control, redistributor, "ctlr", redistributor.ctlr_constant)
    # ChildrenAsleep follows ProcessorSleep.
    sleep = 0b110 if _guest_writable(gicr.WAKER, config) else 0
    yield flag(f"{device}GICR_WAKER", sleep, redistributor, "processor_sleep")
    if redistributor.lpis is not None:
        for layout, held in ((gicr.PROPBASER, "propbaser"), (gicr.PENDBASER, "pendbaser")):
            yield attribute(f"{device}{layout.name}", _guest_writable(layout, config), redistributor.lpis, held)
    yield from _bank(f"{device}GICR_", device, bank, first=0)
    yield _triggers(f"{device}GICR_ICFGR1", bank, 1, fixed="GICR_ICFGR1" in config.profile.fixed)


# LPIs: there may be millions, of which few have a state.


def _lpis(parts: Parts, named: Iterable[str]) -> Iterator[SavedRegister]:
    banks = [redistributor.lpis for redistributor in parts.redistributors if redistributor.lpis is not None]
    end = 1 << parts.config.lpi_id_bits
    pending = {(bank.cpu, intid) for bank in banks for intid in bank.pending}
    groups = {
        (number << 12) + place.start() // 8 * 8
        for number, piece in banks[0].configuration.cached.items()
        for place in _CACHED.finditer(piece)
    }
    for name in named:
        match = _LPI_NAME.fullmatch(name)
        if match is not None and FIRST_LPI <= int(match["intid"]) < end:
            if match["cpu"] is None:
                groups.add(int(match["intid"]))
            elif int(match["cpu"]) < len(banks):
                pending.add((int(match["cpu"]), int(match["intid"])))
    for bank in banks:
        if isinstance(bank, RescanningLpiBank):
            yield attribute(f"GICR[{bank.cpu}].last_best_lpi", end - 1, bank, "last_best")
    for cpu, intid in sorted(pending):
        yield _pending_lpi(f"GICR[{cpu}].pending_lpi{intid}", banks[cpu], intid)
    if not parts.config.profile.lpi.rescans:
        for intid in sorted(groups):
            if intid % 8 == 0:
                yield _cached(f"LPI.cached_configuration{intid}", banks[0].configuration, intid)


def _pending_lpi(name: str, bank: LpiBank, intid: int) -> SavedRegister:
    def put(value: int) -> None:
        if value:
            bank.pending[intid] = value | ALWAYS_ONE
        else:
            bank.pending.pop(intid, None)

    return SavedRegister(name, 0xFF, lambda: bank.pending.get(intid, 0), put)


def _cached(name: str, configuration: LpiConfiguration, intid: int) -> SavedRegister:
    def get() -> int:
        return int.from_bytes([configuration.held(intid + place) for place in range(8)], "little")

    def put(value: int) -> None:
        for place, byte in enumerate(value.to_bytes(8, "little")):
            if byte:
                configuration.keep(intid + place, byte | ALWAYS_ONE)

    return SavedRegister(name, _ALL_64, get, put)


def _cpu_interface(device: str, interface: CpuInterface, sysregs: SystemRegisters) -> Iterator[SavedRegister]:
    yield attribute(f"{device}ICC_PMR_EL1", interface.priority_mask, interface, "pmr")
    yield _binary_point(f"{device}ICC_BPR0_EL1", interface, "bpr0", interface.min_bpr0)
    # The stored value, which a read does not show while CBPR is 1.
    yield _binary_point(f"{device}ICC_BPR1_EL1", interface, "bpr1", interface.min_bpr1)
    yield _control(f"{device}ICC_CTLR_EL1", interface, sysregs)
    for group in GROUP0, GROUP1:
        yield _group_enable(f"{device}ICC_IGRPEN{group}_EL1", interface, group)
    for group in GROUP0, GROUP1:
        active = interface.groups[group]
        for number in range(max(1, active.levels // 32)):
            yield _active_priorities(f"{device}ICC_AP{group}R{number}_EL1", active, number)


def _binary_point(name: str, interface: CpuInterface, attribute: str, least: int) -> SavedRegister:
    def put(value: int) -> None:
        setattr(interface, attribute, max(value, least))

    return SavedRegister(name, _BINARY_POINT, lambda: int(getattr(interface, attribute)), put)


def _control(name: str, interface: CpuInterface, sysregs: SystemRegisters) -> SavedRegister:
    def put(value: int) -> None:
        interface.cbpr = value & CBPR != 0
        interface.eoi_mode = value & EOI_MODE != 0

    get = partial(sysregs.read, interface, icc.CTLR.offset)
    return SavedRegister(name, icc.CTLR.writable, get, put)


def _group_enable(name: str, interface: CpuInterface, group: int) -> SavedRegister:
    state = interface.groups[group]

    def put(value: int) -> None:
        state.enabled = value != 0

    return SavedRegister(name, 1, lambda: int(state.enabled), put)


def _active_priorities(name: str, active: ActivePriorities, number: int) -> SavedRegister:
    implemented = (1 << active.levels) - 1 >> 32 * number & 0xFFFF_FFFF
    return SavedRegister(name, implemented, partial(active.word, number), partial(active.set_word, number))
