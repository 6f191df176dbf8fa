"""The GIC of a VM in a migration stream of QEMU, as a state of the model.

QEMU, hw/intc/arm_gicv3_common.c: what each field holds was read there, and measured in streams and in the traces of
the same runs. Bitmaps have a bit for each INTID, 32 to a word; the first word is empty, since each CPU keeps its
private interrupts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

import vgic
from vgic.intids import FIRST_LPI
from vgic.layouts import gicd, gicr, gits, ich
from vgic_tools.machines.errors import MachineFileError
from vgic_tools.machines.madt import SIGNATURE, config_from_madt
from vgic_tools.machines.qemu_cmdline import GITS_BASE, LIST_REGISTERS, QEMU_SPIS, RAM_BASE
from vgic_tools.snapshots.errors import SnapshotError
from vgic_tools.snapshots.qemu_ram import StreamRam
from vgic_tools.snapshots.qemu_stream import Fields, Stream
from vgic_tools.snapshots.reader import Buffer
from vgic_tools.snapshots.snapshot import Snapshot

__all__ = ["snapshot_of_stream"]

_RAM: Final = "mach-virt.ram"
_TABLES: Final = "/rom@etc/acpi/tables"

_MOST_TABLE_BYTES: Final = 1 << 22

_DS: Final = gicd.CTLR_OF_TWO_STATES.mask("DS")
_ARE: Final = gicd.CTLR_OF_TWO_STATES.mask("ARE_S") | gicd.CTLR_OF_TWO_STATES.mask("ARE_NS")

_GROUP0, _SECURE_GROUP1, _GROUP1 = range(3)
"""QEMU's numbers; the last is Non-secure Group 1, and the Group 1 of one Security state."""
_SECURE, _NONSECURE = range(2)
"""QEMU's numbers of the banks of a register."""
_AP_REGISTERS: Final = 4

_GICV4: Final = "arm_gicv3_cpu/gicv4"
"""The subsection of each CPU of a GICv4."""
_VIRTUAL: Final = "arm_gicv3_cpu/virt"
"""The virtual CPU interface of a CPU that has EL2."""
_NMIS: Final = "arm_gicv3/gicd_nmi"
_NMIS_OF_CPU: Final = "arm_gicv3_cpu/nmi"
"""What is there where the machine has NMIs, in QEMU 9.1 and newer."""


def snapshot_of_stream(data: Buffer, advance: Callable[[int], None] = lambda at: None) -> Snapshot:
    """The VM in a migration stream. Raises SnapshotError where it is damaged, or its GIC cannot be modelled.

    `advance` is told now and then how many bytes have been read.
    """
    stream = Stream(data, advance)
    found = stream.device("arm_gicv3")
    if found is None:
        raise SnapshotError("a migration stream without a GICv3 (no section arm_gicv3)")
    its = stream.device("arm_gicv3_its")
    cpus = [cpu for cpu in _list(found, "cpu") if isinstance(cpu, dict)]
    notes: list[str] = []
    config = _config(stream, len(cpus), its is not None, notes)
    if not _number(found, "gicd_ctlr") & _DS:
        config = replace(config, security="two")
    if _GICV4 in (cpus[0] if cpus else {}):
        config = replace(config, vlpi_frames=True)
        notes.append("the VM's GIC is a GICv4: its virtual LPIs, and the tables of vPEs, are left out")
    if _NMIS in found:
        config = replace(config, profile=vgic.QEMU_10_0, nmi=True)
    if any(_VIRTUAL in cpu for cpu in cpus):
        config = replace(config, list_registers=LIST_REGISTERS)
    block = stream.blocks.get(_RAM)
    memory = None if block is None else StreamRam(data, block, RAM_BASE)
    if memory is None:
        notes.append(f"the stream has no block {_RAM}: what the ITS and LPIs keep in RAM is not known")
    registers = dict(_distributor(found, config))
    if config.two_states:
        registers.update(_security(found, config))
    if config.nmi:
        words = _numbers(_part(found, _NMIS), "nmi")
        registers.update((f"GICD_INMIR{word}", words[word]) for word in range(1, 1 + config.spis // 32))
    for number, cpu in enumerate(cpus):
        registers.update(_redistributor(number, cpu))
        registers.update(_banks(number, cpu) if config.two_states else _interface(number, cpu))
        if config.vlpi_frames:
            registers.update(_vlpi_frame(number, cpu))
        if config.nmi:
            registers[f"GICR[{number}].GICR_INMIR0"] = _number(_part(cpu, _NMIS_OF_CPU), "gicr_inmir0")
        if config.list_registers:
            registers.update(_virtual_interface(number, _part(cpu, _VIRTUAL)))
        registers[f"vCPU[{number}].MPIDR_EL1"] = config.topology.mpidr(number)
    if its is not None and config.its:
        registers.update(_its(its))
    if memory is not None and config.features.lpis:
        for number, cpu in enumerate(cpus):
            registers.update(_pending_lpis(number, cpu, memory))
    return _checked(stream, config, registers, memory, notes)


def _checked(
    stream: Stream, config: vgic.Config, registers: dict[str, int], memory: StreamRam | None, notes: list[str]
) -> Snapshot:
    """The snapshot, which a VM can have."""
    gic = vgic.Gic(config, memory=memory)
    known = gic.save()["vm"]
    try:
        gic.restore({"vm": known, "registers": {name: value for name, value in registers.items() if value}})
    except vgic.StateError as error:
        raise SnapshotError(f"the VM's state is none that the model can have: {error}") from error
    machine = f", machine {stream.machine}" if stream.machine else ""
    return Snapshot(f"a migration stream of QEMU{machine}", vgic.State.of(gic), memory, tuple(notes))


def _config(stream: Stream, cpus: int, has_its: bool, notes: list[str]) -> vgic.Config:
    """The machine: from the MADT that QEMU has put into the VM's memory, or as virt has it."""
    block = stream.blocks.get(_TABLES)
    if block is not None:
        tables = StreamRam(stream.data, block, 0).read(0, min(block.size, _MOST_TABLE_BYTES))
        try:
            config = config_from_madt(tables[tables.index(SIGNATURE) :], vgic.QEMU, QEMU_SPIS)
        except (ValueError, MachineFileError, vgic.VgicError) as error:
            notes.append(f"the MADT in the stream cannot be used ({error}): addresses and affinities are virt's")
        else:
            if len(config.topology) == cpus:
                return config
            notes.append(
                f"the MADT in the stream has {len(config.topology)} CPUs, its GIC {cpus}: it is left aside"
            )
    else:
        notes.append("the stream has no ACPI tables: addresses and affinities are virt's")
    try:
        its = (GITS_BASE,) if has_its else ()
        return vgic.Config(vgic.Topology.qemu(cpus), spis=QEMU_SPIS, profile=vgic.QEMU, its=its)
    except vgic.VgicError as error:
        raise SnapshotError(f"the VM's GIC cannot be: {error}") from error


def _distributor(gic: Fields, config: vgic.Config) -> Iterator[tuple[str, int]]:
    yield "GICD_CTLR", _number(gic, "gicd_ctlr")
    names = {
        "group": "GICD_IGROUPR",
        "enabled": "GICD_ISENABLER",
        "active": "GICD_ISACTIVER",
        "pending": "GICD.pending_latch",
        "level": "GICD.line_level",
    }
    words = range(1, 1 + config.spis // 32)
    for field, register in names.items():
        values = _numbers(gic, field)
        yield from ((f"{register}{word}", values[word]) for word in words)
    edges = _numbers(gic, "edge_trigger")
    for word in words:
        yield f"GICD_ICFGR{2 * word}", _configuration(edges[word] & 0xFFFF)
        yield f"GICD_ICFGR{2 * word + 1}", _configuration(edges[word] >> 16)
    priorities, routes = _numbers(gic, "gicd_ipriority"), _numbers(gic, "gicd_irouter")
    for index in range(8, 8 + config.spis // 4):
        yield f"GICD_IPRIORITYR{index}", _word(priorities[4 * index : 4 * index + 4])
    for intid in range(32, 32 + config.spis):
        yield f"GICD_IROUTER{intid}", routes[intid]


def _security(gic: Fields, config: vgic.Config) -> Iterator[tuple[str, int]]:
    """What only a Distributor with two Security states has."""
    yield "GICD_CTLR", _number(gic, "gicd_ctlr") & ~_ARE
    modifiers, access = _numbers(gic, "grpmod"), _numbers(gic, "gicd_nsacr")
    for word in range(1, 1 + config.spis // 32):
        yield f"GICD_IGRPMODR{word}", modifiers[word]
        for number in (2 * word, 2 * word + 1):
            yield f"GICD_NSACR{number}", access[number]


def _redistributor(number: int, cpu: Fields) -> Iterator[tuple[str, int]]:
    redistributor = {
        "gicr_ctlr": "GICR_CTLR",
        "gicr_waker": "GICR_WAKER",
        "gicr_propbaser": "GICR_PROPBASER",
        "gicr_pendbaser": "GICR_PENDBASER",
        "gicr_igroupr0": "GICR_IGROUPR0",
        "gicr_ienabler0": "GICR_ISENABLER0",
        "gicr_iactiver0": "GICR_ISACTIVER0",
        "gicr_ipendr0": "pending_latch0",
        "level": "line_level0",
    }
    for field, register in redistributor.items():
        yield f"GICR[{number}].{register}", _number(cpu, field)
    yield f"GICR[{number}].GICR_ICFGR1", _configuration(_number(cpu, "edge_trigger") >> 16)
    priorities = _numbers(cpu, "gicr_ipriorityr")
    for index in range(8):
        yield f"GICR[{number}].GICR_IPRIORITYR{index}", _word(priorities[4 * index : 4 * index + 4])


def _vlpi_frame(number: int, cpu: Fields) -> Iterator[tuple[str, int]]:
    fields = cpu.get(_GICV4)
    if not isinstance(fields, dict):
        raise SnapshotError(f"the GIC in the stream is a GICv4, but CPU {number} has no {_GICV4}")
    for register in ("vpropbaser", "vpendbaser"):
        yield f"GICR[{number}].GICR_{register.upper()}", _number(fields, f"gicr_{register}")


def _interface(number: int, cpu: Fields) -> Iterator[tuple[str, int]]:
    yield f"ICC[{number}].ICC_PMR_EL1", _number(cpu, "icc_pmr_el1")
    yield from _of_group(number, cpu, _GROUP0, "0")
    yield from _of_group(number, cpu, _GROUP1, "1")
    yield f"ICC[{number}].ICC_CTLR_EL1", _numbers(cpu, "icc_ctlr_el1")[_NONSECURE]


def _banks(number: int, cpu: Fields) -> Iterator[tuple[str, int]]:
    """A CPU interface with two Security states, and what only its Redistributor has."""
    yield f"ICC[{number}].ICC_PMR_EL1", _number(cpu, "icc_pmr_el1")
    yield from _of_group(number, cpu, _GROUP0, "0")
    controls = _numbers(cpu, "icc_ctlr_el1")
    for bank, group, control in (("NS", _GROUP1, _NONSECURE), ("S", _SECURE_GROUP1, _SECURE)):
        yield from _of_group(number, cpu, group, "1", f"_{bank}")
        yield f"ICC[{number}].ICC_CTLR_EL1_{bank}", controls[control]
    yield f"ICC[{number}].ICC_CTLR_EL3", _number(cpu, "icc_ctlr_el3")
    yield f"GICR[{number}].GICR_IGRPMODR0", _number(cpu, "gicr_igrpmodr0")
    yield f"GICR[{number}].GICR_NSACR", _number(cpu, "gicr_nsacr")


def _of_group(number: int, cpu: Fields, group: int, shown: str, bank: str = "") -> Iterator[tuple[str, int]]:
    prefix = f"ICC[{number}].ICC_"
    points, enables, active = (_numbers(cpu, name) for name in ("icc_bpr", "icc_igrpen", "icc_apr"))
    yield f"{prefix}BPR{shown}_EL1{bank}", points[group]
    yield f"{prefix}IGRPEN{shown}_EL1{bank}", enables[group]
    for index in range(_AP_REGISTERS):
        yield f"{prefix}AP{shown}R{index}_EL1{bank}", active[_AP_REGISTERS * group + index]


def _virtual_interface(number: int, virtual: Fields) -> Iterator[tuple[str, int]]:
    """The ICH registers of a CPU; those of list registers that it does not have are zero."""
    prefix = f"ICH[{number}].ICH_"
    yield f"{prefix}HCR_EL2", _number(virtual, "ich_hcr_el2")
    yield f"{prefix}VMCR_EL2", _number(virtual, "ich_vmcr_el2")
    active = _numbers(virtual, "ich_apr")
    for shown, group in enumerate((_GROUP0, _GROUP1)):
        for index in range(_AP_REGISTERS):
            yield f"{prefix}AP{shown}R{index}_EL2", active[_AP_REGISTERS * group + index]
    for index, value in enumerate(_numbers(virtual, "ich_lr_el2")):
        yield f"{prefix}LR{index}_EL2", value


def _its(its: Fields) -> Iterator[tuple[str, int]]:
    # Quiescent is what a read finds, not what is stored.
    yield "GITS[0].GITS_CTLR", _number(its, "ctlr") & ~gits.CTLR.mask("Quiescent")
    for register in ("cbaser", "cwriter", "creadr"):
        yield f"GITS[0].GITS_{register.upper()}", _number(its, register)
    for index, value in enumerate(_numbers(its, "baser")):
        yield f"GITS[0].GITS_BASER{index}", value


def _pending_lpis(number: int, cpu: Fields, memory: StreamRam) -> Iterator[tuple[str, int]]:
    """What the pending table of a Redistributor says, with the configuration of each LPI."""
    if not _number(cpu, "gicr_ctlr") & gicr.CTLR.mask("EnableLPIs"):
        return
    properties, pending = _number(cpu, "gicr_propbaser"), _number(cpu, "gicr_pendbaser")
    bits = min(gicr.PROPBASER.field("IDbits").extract(properties) + 1, 16)
    table = pending & gicr.PENDBASER.mask("Physical_Address")
    configuration = properties & gicr.PROPBASER.mask("Physical_Address")
    size = max(0, (1 << bits) - FIRST_LPI)
    if not size or not memory.is_ram(table, (1 << bits) >> 3) or not memory.is_ram(configuration, size):
        return
    bitmap = memory.read(table + FIRST_LPI // 8, size // 8)
    for place in (place for place, byte in enumerate(bitmap) if byte):
        for bit in range(8):
            if bitmap[place] >> bit & 1:
                index = 8 * place + bit
                byte = memory.read(configuration + index, 1)[0]
                yield f"GICR[{number}].pending_lpi{FIRST_LPI + index}", byte


def _configuration(edges: int) -> int:
    """ICFGR of 16 INTIDs: the upper of two bits each."""
    return sum(0b10 << 2 * bit for bit in range(16) if edges >> bit & 1)


def _word(priorities: Sequence[int]) -> int:
    return sum(priority << 8 * at for at, priority in enumerate(priorities))


def _number(fields: Fields, name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int):
        raise SnapshotError(f"the GIC in the stream has no number {name}")
    return value


def _part(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise SnapshotError(f"the GIC in the stream has no part {name}, though another of its parts needs it")
    return value


def _list(fields: Fields, name: str) -> list[object]:
    value = fields.get(name)
    if isinstance(value, dict):
        # An array of one structure is described as that structure.
        return [value]
    if not isinstance(value, list):
        raise SnapshotError(f"the GIC in the stream has no array {name}")
    return list(value)


_AT_LEAST: Final = {
    "gicd_ipriority": 1020,
    "gicd_irouter": 1020,
    "gicd_nsacr": 64,
    "gicr_ipriorityr": 32,
    "icc_bpr": 3,
    "icc_igrpen": 3,
    "icc_apr": 12,
    "icc_ctlr_el1": 2,
    "ich_apr": 12,
    "ich_lr_el2": ich.MAX_LIST_REGISTERS,
    "baser": 8,
}
"""Elements of arrays; the others are bitmaps of 32 words."""


def _numbers(fields: Fields, name: str) -> list[int]:
    value = fields.get(name)
    if isinstance(value, bytes):
        value = list(value)
    numbers = [item for item in value if isinstance(item, int)] if isinstance(value, list) else []
    if len(numbers) < _AT_LEAST.get(name, 32):
        raise SnapshotError(f"the GIC in the stream has {len(numbers)} numbers in {name}, too few")
    return numbers
