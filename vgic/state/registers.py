"""The registers that make up a VM's state: their names, and the raw state behind each.

Names are Arm's, with the device in front where every vCPU has one: "GICD_IROUTER42", "GICR[1].GICR_IPRIORITYR3",
"ICC[0].ICC_PMR_EL1", "ICH[0].ICH_LR0_EL2", "vCPU[0].MPIDR_EL1". What no register shows has a name in lower case
behind its device, such as "GICD.line_level1". Their numbers count words of 32 INTIDs as those of GICD_ISPENDR<n>
and GICD_ISPENDR<n>E do, unless said otherwise:

| name | what it is |
|---|---|
| pending_latch<n> | made pending by an edge, a message, an SGI or ISPENDR; ISPENDR itself shows levels too |
| line_level<n> | the levels of the input lines |
| message_level<n> | levels raised by GICD_SETSPI_NSR and not yet lowered by GICD_CLRSPI_NSR |
| unrouted<n> | the SPIs that go to vCPU 0, where the profile has it so, since GICD_IROUTER<n> was never written |
| chosen_mpidr<n> | MPIDR_EL1 of the vCPU at which a 1-of-N SPI waits, by INTID |
| next_choice | the number of the vCPU at which the next search for one begins |
| pending_lpi<n> | the configuration byte by which LPI n is pending at a Redistributor; not enabled: or overlooked |
| last_best_lpi | the LPI that was offered last, where the profile remembers it |
| cached_configuration<n> | the cached configuration bytes of LPIs n to n + 7, 0 where there is none |
| overlooked<n> | what is not forwarded until something happens to it, where the profile overlooks interrupts |
| active_mpidr<n> | MPIDR_EL1 of the vCPU at which SPI n is active, where it is routed elsewhere since; 1: none |
| unevaluated<n> | the n-th word, n from 0, whose change of trigger is yet to take effect; words count from 1 |
| forwarded<n> | what of such a word is forwarded meanwhile |

Those of an ITS are in `vgic.its.state`.

What a register stores is said once, by the word behind it (`mmio.StoredWord`) or by the system register; here is
what lies behind no register. Reading and writing here goes past the rules for guests. A write changes that state
and nothing else: what the model derives from it is stale until `vgic.state.saving` has it derived again.
"""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from vgic import affinity
from vgic.assembly import Machine
from vgic.bits import signed, unsigned
from vgic.config import Config
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.registers import StoredRegister
from vgic.cpu_interface.sysregs import SystemRegisters
from vgic.distributor.one_of_n import OneOfN
from vgic.distributor.placement import SpiPlacement
from vgic.distributor.spis import SharedInterrupts
from vgic.interrupts.banks import InterruptBank
from vgic.interrupts.words import InterruptWord
from vgic.intids import FIRST_EXTENDED_SPI, FIRST_LPI
from vgic.its.state import its_registers
from vgic.lpis.bank import LpiBank
from vgic.lpis.configuration import LpiConfiguration
from vgic.lpis.rescanning import RescanningLpiBank
from vgic.lpis.tables import ALWAYS_ONE
from vgic.state.saved_register import SavedRegister, attribute, registers_of
from vgic.topology import MAX_VCPUS, NO_VCPU, AffinityIndex

__all__ = ["mpidr_name", "saved_registers"]

# No state file is as long as a number that matches could be.
_LPI_NAME: Final = re.compile(
    r"(?:GICR\[(?P<cpu>0|[1-9][0-9]{0,4})\]\.pending_lpi|LPI\.cached_configuration)(?P<intid>[1-9][0-9]{3,7})",
    re.ASCII,
)
_CACHED: Final = re.compile(rb"[^\0]")

_ALL_64: Final = (1 << 64) - 1

_FIRST_EXTENDED: Final = 1024
"""The INTID from which the numbers of registers of extended PPIs count."""


def mpidr_name(cpu: int) -> str:
    """The name of a vCPU's MPIDR_EL1."""
    return f"vCPU[{cpu}].MPIDR_EL1"


def saved_registers(machine: Machine, named: Iterable[str] = ()) -> Iterator[SavedRegister]:
    """Every register of the VM, device by device, in an order in which they can be written.

    Of LPIs and collections there are those that have a state, and those in `named` that could.
    """
    config = machine.config
    yield from registers_of(machine.distributor_frame, machine.distributor, "", "GICD.")
    yield from _distributor(machine)
    for cpu, redistributor in enumerate(machine.redistributors):
        yield SavedRegister(mpidr_name(cpu), affinity.IROUTER_AFFINITY, partial(_mpidr, machine, cpu), _elsewhere)
        device = f"GICR[{cpu}]."
        for frame in machine.redistributor_frames:
            yield from registers_of(frame, redistributor, device, device)
        yield from _lines(device, redistributor.interrupts, config)
        extended = machine.extended_ppis[cpu]
        if extended is not None:
            yield from _lines(device, extended, config)
        yield from _cpu_interface(f"ICC[{cpu}].", redistributor.interface, machine.sysregs)
    if config.features.lpis:
        yield from _lpis(machine, named)
    if machine.hypervisor_registers is not None:
        for cpu, control in enumerate(machine.controls):
            for register in machine.hypervisor_registers.stored:
                get, put = partial(register.saved, control), partial(register.restore, control)
                yield SavedRegister(f"ICH[{cpu}].{register.name}", register.kept, get, put)
    for its in machine.itses:
        yield from its_registers(f"GITS[{its.number}].", its, machine.its_frames, config, named)


def _mpidr(machine: Machine, cpu: int) -> int:
    return affinity.to_mpidr(machine.affinities.affinities[cpu])


def _elsewhere(value: int) -> None:
    """MPIDRs are written before all else and all at once, since vCPUs may have exchanged theirs."""


def _cpu_interface(device: str, interface: CpuInterface, sysregs: SystemRegisters) -> Iterator[SavedRegister]:
    for stored in sysregs.stored:
        get, put = partial(_stored_value, stored, interface), partial(_store_value, stored, interface)
        yield SavedRegister(device + stored.name, stored.kept, get, put)


def _stored_value(stored: StoredRegister, interface: CpuInterface) -> int:
    return unsigned(stored.saved(interface))


def _store_value(stored: StoredRegister, interface: CpuInterface, value: int) -> None:
    stored.restore(interface, signed(value))


# The state of interrupts, shared or private.


def _lines(device: str, bank: InterruptBank, config: Config) -> Iterator[SavedRegister]:
    for number, word in _words(bank):
        yield attribute(f"{device}line_level{number}", word.implemented, word, "line")
        if config.profile.overlooks:
            yield attribute(f"{device}overlooked{number}", word.implemented, word, "overlooked")


def _words(bank: InterruptBank) -> Iterator[tuple[str, InterruptWord]]:
    """The words of a bank, with their numbers as in the names of registers."""
    for word in bank.words:
        intid = int(bank.first + word.start)
        if intid < _FIRST_EXTENDED:
            yield f"{intid // 32}", word
        else:
            first = FIRST_EXTENDED_SPI if intid >= FIRST_EXTENDED_SPI else _FIRST_EXTENDED
            yield f"{(intid - first) // 32}E", word


def _distributor(machine: Machine) -> Iterator[SavedRegister]:
    config, bank = machine.config, machine.shared
    for spis in machine.spis:
        yield from _spis(spis, config, machine.affinities)
    if config.one_of_n_choice == "rotate":
        yield _next_choice("GICD.next_choice", bank.placement.one_of_n, len(config.topology))
    # No profile that has what follows has extended ranges.
    if config.profile.first_vcpu_at_reset:
        for number, word in enumerate(bank.words, 1):
            yield _unrouted(f"GICD.unrouted{number}", bank, word.implemented, 32 * (number - 1))
    if config.profile.virtual_interface:
        for index in range(bank.count):
            yield _elsewhere_active(f"GICD.active_mpidr{bank.first + index}", bank, index, machine.affinities)
    if not config.profile.config_takes_effect_at_once:
        for number in range(len(bank.words)):
            yield _unevaluated(f"GICD.unevaluated{number}", bank, number)
            yield _forwarded(f"GICD.forwarded{1 + number}", bank, number)


def _spis(bank: SharedInterrupts, config: Config, affinities: AffinityIndex) -> Iterator[SavedRegister]:
    yield from _lines("GICD.", bank, config)
    if "GICD_SETSPI_NSR" not in config.profile.absent:
        for number, word in _words(bank):
            yield attribute(f"GICD.message_level{number}", word.implemented, word, "message")
    if config.features.one_of_n:
        for index in range(bank.count):
            intid = int(bank.first) + index
            yield _chosen(f"GICD.chosen_mpidr{intid}", bank.placement, intid, affinities)


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


def _elsewhere_active(name: str, bank: SharedInterrupts, index: int, affinities: AffinityIndex) -> SavedRegister:
    """Where an SPI is active, if not where it is routed."""

    def get() -> int:
        if index not in bank.elsewhere:
            return 0
        place = bank.elsewhere[index]
        return 1 if place == NO_VCPU else affinity.to_mpidr(affinities.affinities[place])

    def put(value: int) -> None:
        bank.elsewhere.pop(index, None)
        if value:
            bank.elsewhere[index] = NO_VCPU if value == 1 else affinities.find(affinity.from_mpidr(value))

    return SavedRegister(name, _ALL_64, get, put)


def _chosen(name: str, placement: SpiPlacement, intid: int, affinities: AffinityIndex) -> SavedRegister:
    """Where a 1-of-N SPI waits; an MPIDR_EL1, because its bit 31 tells vCPU 0 from none."""

    def get() -> int:
        chosen = placement.holder(intid)
        return 0 if chosen == NO_VCPU else affinity.to_mpidr(affinities.affinities[chosen])

    def put(value: int) -> None:
        placement.forget(intid)
        if value:
            placement.place(intid, affinities.find(affinity.from_mpidr(value)))

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


# LPIs: there may be millions, of which few have a state.


def _lpis(machine: Machine, named: Iterable[str]) -> Iterator[SavedRegister]:
    banks = [bank for bank in machine.lpis if bank is not None]
    end = 1 << machine.config.lpi_id_bits
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
    if not machine.config.profile.lpi.rescans:
        for intid in sorted(groups):
            if intid % 8 == 0:
                yield _cached(f"LPI.cached_configuration{intid}", banks[0].configuration, intid)


def _pending_lpi(name: str, bank: LpiBank, intid: int) -> SavedRegister:
    def put(value: int) -> None:
        if value:
            bank.restore(intid, value | ALWAYS_ONE)

    return SavedRegister(name, 0xFF, partial(bank.held, intid), put)


def _cached(name: str, configuration: LpiConfiguration, intid: int) -> SavedRegister:
    def get() -> int:
        return int.from_bytes([configuration.held(intid + place) for place in range(8)], "little")

    def put(value: int) -> None:
        for place, byte in enumerate(value.to_bytes(8, "little")):
            if byte:
                configuration.keep(intid + place, byte | ALWAYS_ONE)

    return SavedRegister(name, _ALL_64, get, put)
