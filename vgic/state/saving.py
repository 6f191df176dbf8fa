"""The state of a VM as plain data: what the VM is, and every register by name.

    {"vm": {"profile": "arch", "affinities": ["0.0.0.0"], "spis": 32, ...},
     "registers": {"GICD_CTLR": 0x53, "GICR[0].GICR_ISENABLER0": 0xFFFF, "GICD.line_level1": 1, ...}}

The registers are flat, so that a person can read and compare them; `vgic.state.registers` has their names. One that
is left out is zero: a rule that, unlike leaving out reset values, means the same in every version and profile.
Nothing here depends on the host that the VM runs on.

What follows from the registers, such as the pending queues and the outputs, is not saved but derived again. Rules
SAVE-1 to SAVE-8 in specs/state.md.
"""

from collections.abc import Mapping
from typing import Final, NotRequired, TypedDict

from vgic import affinity
from vgic.assembly import Machine
from vgic.config import Config, OneOfNChoice, SecurityStates
from vgic.errors import AffinityError, InvariantError, StateError
from vgic.interrupts.banks import InterruptBank
from vgic.interrupts.words import ALL_BITS
from vgic.state.invariants import check
from vgic.state.registers import mpidr_name, saved_registers
from vgic.state.saved_register import SavedRegister

__all__ = ["RegionDescription", "SavedState", "VmDescription", "describe", "load", "rehearse", "save"]


class RegionDescription(TypedDict):
    """A `RedistributorRegion`."""

    base: int
    count: int


class VmDescription(TypedDict):
    """What a VM's GIC is: a `Config`, its features decided."""

    profile: str
    affinities: list[str]
    """Dotted, in vCPU order, as the VM was built; what they are now is in the MPIDR_EL1 of the registers."""
    aarch32: list[int]
    spis: int
    priority_bits: int
    a3v: bool
    rss: bool
    one_of_n: bool
    one_of_n_choice: OneOfNChoice
    lpis: bool
    lpi_id_bits: int
    its: list[int]
    gicd_base: int
    redistributor_regions: list[RegionDescription]
    processors: NotRequired[list[int]]
    """GICR_TYPER.Processor_Number in vCPU order, where they are not 0, 1, 2..."""
    extended_spis: NotRequired[int]
    """Where there are some."""
    extended_ppis: NotRequired[int]
    """Of each vCPU, where there are some."""
    nmi: NotRequired[bool]
    """There are NMIs."""
    security: NotRequired[SecurityStates]
    """How many Security states there are, where there are two."""
    list_registers: NotRequired[int]
    """Where there are any."""
    maintenance_intid: NotRequired[int]
    """Where there are list registers."""
    vlpi_frames: NotRequired[bool]
    """The Redistributors have the frames of a GICv4."""
    reset_group: NotRequired[int]
    """The group of interrupts at reset, where it is not as the profile has it."""


class SavedState(TypedDict):
    """The state of a VM."""

    vm: VmDescription
    registers: dict[str, int]
    """By name; those that are left out are zero."""


def describe(config: Config) -> VmDescription:
    """What a VM of this configuration is."""
    topology, features = config.topology, config.features
    vm: VmDescription = {
        "profile": config.profile.name,
        "affinities": [affinity.text(packed) for packed in topology.affinities],
        "aarch32": sorted(topology.aarch32),
        "spis": config.spis,
        "priority_bits": config.priority_bits,
        "a3v": features.a3v,
        "rss": features.rss,
        "one_of_n": features.one_of_n,
        "one_of_n_choice": config.one_of_n_choice,
        "lpis": features.lpis,
        "lpi_id_bits": config.lpi_id_bits,
        "its": list(config.its),
        "gicd_base": config.gicd_base,
        "redistributor_regions": [
            {"base": region.base, "count": region.count} for region in config.redistributor_regions
        ],
    }
    if topology.processors != tuple(range(len(topology))):
        vm["processors"] = list(topology.processors)
    if config.extended_spis:
        vm["extended_spis"] = config.extended_spis
    if config.extended_ppis:
        vm["extended_ppis"] = config.extended_ppis
    if config.nmi:
        vm["nmi"] = True
    if config.two_states:
        vm["security"] = config.security
    if config.list_registers:
        vm["list_registers"] = config.list_registers
        vm["maintenance_intid"] = config.maintenance_intid
    if config.vlpi_frames:
        vm["vlpi_frames"] = True
    if config.reset_group is not None:
        vm["reset_group"] = config.reset_group
    return vm


def save(machine: Machine) -> SavedState:
    """The state of a VM. O(vCPUs + SPIs + LPIs that are pending or cached).

    What an access has left of work on LPIs is done before: a state has none.
    """
    for redistributor in machine.redistributors:
        if redistributor.lpis is not None:
            redistributor.lpis.finish()
    registers = {register.name: register.get() for register in saved_registers(machine)}
    return {
        "vm": describe(machine.config),
        "registers": {name: value for name, value in registers.items() if value},
    }


def rehearse(machine: Machine, state: Mapping[str, object]) -> dict[str, int]:
    """The registers of a state, after loading them into a VM that is as after reset.

    Raises StateError, naming the register and value, where such a VM cannot have this state.
    """
    if not isinstance(state, Mapping):
        raise StateError(f"a state is what Gic.save returns, not a {type(state).__name__}")
    vm, registers = (state.get(key) for key in ("vm", "registers"))
    if not isinstance(vm, Mapping) or not isinstance(registers, Mapping) or len(state) != 2:
        raise StateError('a state consists of "vm" and "registers"')
    _check_description(machine.config, vm)
    table = list(saved_registers(machine, registers))
    for name in registers.keys() - {register.name for register in table}:
        raise StateError(f"{name} = {_shown(registers[name])}: this VM has no such register")
    values = {register.name: _fitting(register, registers) for register in table}
    try:
        load(machine, values)
        # What contradicts another register does not come back as it was; better name one that was given.
        for register in sorted(table, key=lambda register: register.name not in registers):
            if register.get() != values[register.name]:
                raise _misfit(register, registers, f"with the other registers it would be {register.get():#x}")
        check(machine)
    except (AffinityError, InvariantError) as error:
        raise StateError(f"the registers contradict each other: {error}") from error
    return values


_LEFT_OUT: Final[Mapping[str, object]] = {
    "security": "one",
    "nmi": False,
    "extended_spis": 0,
    "extended_ppis": 0,
    "list_registers": 0,
    "vlpi_frames": False,
}
"""What a VM is that does not say so. The other properties that may be left out have no value then."""


def _check_description(config: Config, vm: Mapping[str, object]) -> None:
    # Those that most VMs lack, and leave out, come first: others may follow from them.
    own = {**_LEFT_OUT, **describe(config)}
    known = VmDescription.__annotations__
    for key in vm.keys() - known.keys():
        raise StateError(f"vm.{key} is {vm[key]!r}: a VM has no such property")
    for key in dict.fromkeys((*own, *known)):
        if key not in vm and key in VmDescription.__required_keys__:
            raise StateError(f"vm.{key} is missing")
        value, other = own.get(key), vm.get(key, _LEFT_OUT.get(key))
        if other != value:
            saved, present = _brief(other, value), _brief(value, other)
            raise StateError(f"vm.{key} is {saved} in the state, {present} in this VM")


def _brief(value: object, other: object) -> str:
    """A value; of a list only how many there are, or the first that differs."""
    if not isinstance(value, list) or not isinstance(other, list):
        return repr(value)
    if len(value) != len(other):
        return f"a list of {len(value)}"
    return next(f"{a!r} at {n}" for n, (a, b) in enumerate(zip(value, other, strict=True)) if a != b)


def _fitting(register: SavedRegister, registers: Mapping[str, object]) -> int:
    """The value of a register of a VM that is as after reset, if it can have it."""
    value = registers.get(register.name, 0)
    if not isinstance(value, int) or isinstance(value, bool):
        raise StateError(f"{register.name} = {value!r} is no integer")
    present = register.get()
    if (value ^ present) & ~register.writable:
        raise _misfit(register, registers, f"it differs from {present:#x} in bits {register.writable:#x} at most")
    return value


def _misfit(register: SavedRegister, registers: Mapping[str, object], reason: str) -> StateError:
    if register.name not in registers:
        return StateError(f"{register.name} is left out, so zero, and cannot be: {reason}")
    return StateError(f"{register.name} = {_shown(registers[register.name])} cannot be: {reason}")


def _shown(value: object) -> str:
    return f"{value:#x}" if isinstance(value, int) else repr(value)


def load(machine: Machine, registers: Mapping[str, int]) -> None:
    """Give a VM, whatever state it is in, one that passed `rehearse`; its line sink hears which outputs change.

    Raises AffinityError for MPIDRs that the VM cannot have, and then changes nothing.
    """
    affinities = {
        cpu: affinity.from_mpidr(registers.get(mpidr_name(cpu), 0)) for cpu in range(len(machine.redistributors))
    }
    machine.config.check_aff3(affinities.items())
    machine.affinities.move(affinities)
    machine.forwarder.clear()
    for redistributor in machine.redistributors:
        if redistributor.lpis is not None:
            redistributor.lpis.clear()
    for its in machine.itses:
        its.tables.kept.clear()
        its.tables.named.clear()
    for register in saved_registers(machine, registers):
        register.put(registers.get(register.name, 0))
    machine.distributor.tell()
    for redistributor in machine.redistributors:
        redistributor.tell()
        redistributor.interface.find_derived()
    for bank in machine.banks():
        _forward(bank)
    for redistributor in machine.redistributors:
        if redistributor.lpis is not None:
            redistributor.lpis.forward_all()
    for control in machine.controls:
        control.follow()
    machine.forwarder.settle_anew()
    for control in machine.controls:
        control.interface.update_outputs()


def _forward(bank: InterruptBank) -> None:
    for number, word in enumerate(bank.words):
        if bank.forwarder.is_deferred(bank, number):
            bank.forward_queued(number)
        else:
            word.queued = 0
            bank.requeue(number, ALL_BITS)
