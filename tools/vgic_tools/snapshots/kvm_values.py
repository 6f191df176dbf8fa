"""What a VMM has read out of KVM's GIC, as a state of the model: what KVM would make of it when it is given back.

VMMs keep the values of KVM's device attributes. So the model's own KVM is created, given those values in the order
that KVM documents, and looked at.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import vgic
from vgic import affinity
from vgic.config import REDISTRIBUTOR_SIZE
from vgic.host.capabilities import HostCapabilities
from vgic.kvm import (
    Address,
    Control,
    Group,
    ItsAddress,
    ItsControl,
    KvmError,
    RegionAttr,
    VgicV3Device,
    register_attr,
)
from vgic.kvm.settings import SYSREG_ORDER, settings
from vgic.layouts import gicd, gicr, gits, icc
from vgic_tools.snapshots.errors import SnapshotError
from vgic_tools.snapshots.snapshot import Snapshot

__all__ = ["ITS_REGISTERS", "KvmValues", "Words", "snapshot_of_values", "sysreg_words"]

Place: TypeAlias = tuple[Group, int, int]
"""A group of attributes, a vCPU, and the offset or encoding of a register."""

_SGI_BASE: Final = 0x1_0000
_MOST_VCPUS: Final = 512
_MOST_REFUSALS: Final = 8

ITS_REGISTERS: Final = (
    gits.CBASER.offset,
    gits.IIDR.offset,
    gits.CREADR.offset,
    gits.CWRITER.offset,
    *(gits.BASER.offset + index * gits.BASER.stride for index in range(gits.BASERS)),
    gits.CTLR.offset,
)
"""In the order in which to write them."""


@dataclass
class KvmValues:
    """What a VMM's snapshot says of a GIC."""

    kind: str
    """In words: "a snapshot of Cloud Hypervisor"."""
    affinities: Sequence[int]
    """Packed, in vCPU order."""
    spis: int
    gicd_base: int
    its_base: int | None = None
    values: dict[Place, int] = field(default_factory=dict)
    its: Mapping[int, int] = field(default_factory=dict)
    """Registers of the ITS by offset; empty where there is none."""
    notes: tuple[str, ...] = ()

    @property
    def redistributors(self) -> int:
        """Where the first Redistributor is: all of them lie right below the distributor."""
        return self.gicd_base - len(self.affinities) * REDISTRIBUTOR_SIZE

    def of(self, group: Group, cpu: int, offset: int) -> int:
        """A value; 0 for one that the snapshot lacks."""
        return self.values.get((group, cpu, offset), 0)


class Words:
    """Numbers of 32 bits that a VMM has put one behind the other. Raises SnapshotError where they end too early."""

    def __init__(self, what: str, words: Sequence[int]) -> None:
        self._what = what
        self._words = words
        self._at = 0

    def take(self, count: int) -> Sequence[int]:
        """The next `count` of them."""
        taken = self._words[self._at : self._at + count]
        if len(taken) < count:
            raise SnapshotError(f"{self._what} has {len(self._words):,} numbers, which are too few")
        self._at += count
        return taken

    def distributor(self, values: KvmValues) -> None:
        """Take the registers of the Distributor's SPIs."""
        bits = (
            "ICENABLER",
            "ISENABLER",
            "IGROUPR",
            "IROUTER",
            "ICFGR",
            "ICPENDR",
            "ISPENDR",
            "ICACTIVER",
            "ISACTIVER",
        )
        per_intid = {"IROUTER": 64, "ICFGR": 2, "IPRIORITYR": 8}
        for name in (*bits, "IPRIORITYR"):
            width = per_intid.get(name, 1)
            layout = _DISTRIBUTOR[f"GICD_{name}"]
            # The array of GICD_IROUTER begins with that of INTID 0, which is not there.
            first = (layout.offset if name != "IROUTER" else 0x6000) + 32 * width // 8
            for index, word in enumerate(self.take(values.spis * width // 32)):
                values.values[Group.DIST_REGS, 0, first + 4 * index] = word

    def rd_base(self, values: KvmValues, cpu: int) -> None:
        """Take the registers of a Redistributor's first frame."""
        offsets = (0x10, 0x14, 0x70, 0x74, 0x78, 0x7C, 0x0)
        self._redistributor(values, cpu, offsets)

    def sgi_base(self, values: KvmValues, cpu: int) -> None:
        """Take the registers of a Redistributor's second frame."""
        bits = (0x080, 0x180, 0x100, 0xC00, 0xC04, 0x280, 0x200, 0x380, 0x300)
        self._redistributor(values, cpu, (_SGI_BASE + at for at in (*bits, *range(0x400, 0x420, 4))))

    def _redistributor(self, values: KvmValues, cpu: int, offsets: Iterable[int]) -> None:
        for offset in offsets:
            (values.values[Group.REDIST_REGS, cpu, offset],) = self.take(1)


_DISTRIBUTOR: Final = {layout.name.removesuffix("<n>"): layout for layout in gicd.GICD}
_PLAIN: Final = (
    icc.ICC_SRE_EL1,
    icc.ICC_CTLR_EL1,
    icc.ICC_IGRPEN0_EL1,
    icc.ICC_IGRPEN1_EL1,
    icc.ICC_PMR_EL1,
    icc.ICC_BPR0_EL1,
    icc.ICC_BPR1_EL1,
)
_ACTIVE: Final = (icc.ICC_AP0R0_EL1, icc.ICC_AP1R0_EL1)
_SIX_BITS: Final = 6
_SEVEN_BITS: Final = 7


def sysreg_words(words: Words, values: KvmValues, cpu: int) -> None:
    """Take the registers of a CPU interface: as many active priorities as its bits of priority need."""
    group = Group.CPU_SYSREGS
    for encoding, word in zip(_PLAIN, words.take(len(_PLAIN)), strict=True):
        values.values[group, cpu, encoding] = word
    bits = icc.CTLR.field("PRIbits").extract(values.of(group, cpu, icc.ICC_CTLR_EL1)) + 1
    count = 4 if bits >= _SEVEN_BITS else 2 if bits >= _SIX_BITS else 1
    for first in _ACTIVE:
        for index, word in enumerate(words.take(count)):
            values.values[group, cpu, first + index] = word


def snapshot_of_values(values: KvmValues, memory: vgic.GuestMemory | None = None) -> Snapshot:
    """The VM as KVM would have it. Raises SnapshotError for one that KVM cannot have at all."""
    if not 0 < len(values.affinities) <= _MOST_VCPUS:
        raise SnapshotError(f"{len(values.affinities):,} vCPUs: a VM of KVM has 1 to {_MOST_VCPUS}")
    told = icc.CTLR.decode(values.of(Group.CPU_SYSREGS, 0, icc.ICC_CTLR_EL1))
    try:
        bits = told["PRIbits"] + 1
        host = HostCapabilities(
            a3v=bool(told["A3V"]),
            priority_bits=max(bits, 5),
            preemption_bits=min(max(bits, 5), 7),
            id_bits=24 if told["IDbits"] else 16,
            seis=bool(told["SEIS"]),
        )
        device = VgicV3Device(
            host, memory=memory, a3v=True if any(map(affinity.has_aff3, values.affinities)) else None
        )
        refusals = list(_restored(device, values))
        state = vgic.State.of(device.gic)
        state.build(memory=memory)
    except (KvmError, vgic.VgicError) as error:
        raise SnapshotError(f"KVM cannot have this VM: {error}") from error
    notes = (*values.notes, *refusals[:_MOST_REFUSALS])
    if len(refusals) > _MOST_REFUSALS:
        notes = (*notes, f"and {len(refusals) - _MOST_REFUSALS:,} more values that KVM refuses")
    return Snapshot(values.kind, state, memory, notes, tuple(_findings(values)))


def _restored(device: VgicV3Device, values: KvmValues) -> Iterator[str]:
    """Give a device the values; what it refuses."""
    for packed in values.affinities:
        device.create_vcpu(affinity.to_mpidr(packed))
    its = device.create_its() if values.its else None
    device.set_attr(Group.NR_IRQS, 0, 32 + values.spis)
    device.set_attr(Group.ADDR, Address.DIST, values.gicd_base)
    region = RegionAttr(values.redistributors, len(values.affinities), 0)
    device.set_attr(Group.ADDR, Address.REDIST_REGION, region.pack())
    device.set_attr(Group.CTRL, Control.INIT)
    revision = values.of(Group.DIST_REGS, 0, gicd.IIDR.offset)
    if revision:
        yield from _set(device, Group.DIST_REGS, gicd.IIDR.offset, revision)
    present = {offset for group, _, offset in values.values if group is Group.CPU_SYSREGS}
    sysregs = [encoding for encoding in SYSREG_ORDER if encoding in present]
    for group, cpu, offset, value in settings(
        values.of, len(values.affinities), values.spis, its is not None, sysregs
    ):
        packed = 0 if group is Group.DIST_REGS else values.affinities[cpu]
        yield from _set(device, group, register_attr(packed, offset), value)
    if its is not None:
        its.set_attr(Group.ADDR, ItsAddress.ITS, values.its_base or 0)
        its.set_attr(Group.CTRL, ItsControl.INIT)
        for offset in ITS_REGISTERS:
            if offset in values.its:
                try:
                    its.set_attr(Group.ITS_REGS, offset, values.its[offset])
                except KvmError as error:
                    yield f"KVM refuses the ITS's {values.its[offset]:#x}: {error}"


def _set(device: VgicV3Device, group: Group, attr: int, value: int) -> Iterator[str]:
    try:
        device.set_attr(group, attr, value)
    except KvmError as error:
        yield f"KVM refuses {value:#x}: {error}"


def _findings(values: KvmValues) -> Iterator[str]:
    """What goes wrong when the snapshot is restored."""
    yield from _shared_tables(values)
    if not values.of(Group.DIST_REGS, 0, gicd.IIDR.offset):
        yield (
            "GICD_IIDR is not in it: a host takes its own newest revision, and what that changed (GICD_IGROUPR,"
            " from revision 2 on) may not be what the guest has seen"
        )
    if not any(group is Group.LEVEL_INFO for group, _, _ in values.values):
        yield (
            "LEVEL_INFO, the levels of the lines, is not in it: a level-triggered interrupt whose line is high is"
            " lost until its device raises the line anew"
        )


def _shared_tables(values: KvmValues) -> Iterator[str]:
    address = gicr.PENDBASER.mask("Physical_Address")
    users: dict[int, list[int]] = {}
    for cpu in range(len(values.affinities)):
        low, high, control = (values.of(Group.REDIST_REGS, cpu, offset) for offset in (0x78, 0x7C, 0))
        if control & gicr.CTLR.mask("EnableLPIs"):
            users.setdefault((low | high << 32) & address, []).append(cpu)
    for table, cpus in users.items():
        if len(cpus) > 1:
            named = f"vCPUs {cpus[0]} and {cpus[1]}" if len(cpus) == 2 else f"{len(cpus)} vCPUs, {cpus[0]} first,"
            yield f"{named} have the same LPI pending table, at {table:#x}: LPIs get lost"
            if len(cpus) == len(values.affinities):
                yield "each vCPU has the Redistributor of vCPU 0: the VMM named that one for all when it saved"
