"""Lines of a QEMU trace log, written by hand, and their replay."""

import re
from collections.abc import Iterable

import vgic
from mmio.trace import read_qemu
from vgic_tools.machines.machine import Machine
from vgic_tools.replay import Result, replay

NAME = "boot.log"


def dist(direction: str, offset: int, data: int, size: int = 4, bad: bool = False) -> str:
    """An access to the distributor, "read" or "write"."""
    return _access("dist", "distributor", direction, offset, data, size, bad)


def redist(direction: str, cpu: int, offset: int, data: int, size: int = 4, bad: bool = False) -> str:
    """An access to the redistributor of the PE with the affinity `cpu`."""
    return _access("redist", f"redistributor {cpu:#x}", direction, offset, data, size, bad)


def _access(device: str, frame: str, direction: str, offset: int, data: int, size: int, bad: bool) -> str:
    value = "" if bad and direction == "read" else f" data {data:#x}"
    kind, error = ("bad", ": error") if bad else ("", "")
    name = f"gicv3_{device}_{kind}{direction}"
    return f"{name} GICv3 {frame} {direction}: offset {offset:#x}{value} size {size} secure 0{error}"


def gits(direction: str, offset: int, data: int, size: int = 4, bad: bool = False) -> str:
    """An access to the ITS."""
    return _access("its", "ITS", direction, offset, data, size, bad).replace(" secure 0", "")


def msi(device: int, event: int) -> str:
    """A device's write of an MSI."""
    return (
        f"gicv3_its_translation_write GICv3 ITS TRANSLATER write: offset 0x40 data {event:#x} size 4"
        f" requester_id {device:#x}"
    )


def command(slot: int, opcode: int, name: str, **operands: int) -> list[str]:
    """The ITS takes a command from its queue; operands by QEMU's names, V in decimal."""
    text = "".join(f" {key} {value if key == 'V' else hex(value)}" for key, value in operands.items())
    return [
        f"gicv3_its_process_command GICv3 ITS: processing command at offset {slot:#x}: {opcode:#x}",
        f"gicv3_its_cmd_{name.lower()} GICv3 ITS: command {name}{text}",
    ]


def dte(direction: str, device: int, valid: int, size: int, address: int) -> str:
    """An entry of the device table; `address` as QEMU logs it: a write lacks the low 8 bits."""
    return (
        f"gicv3_its_dte_{direction} GICv3 ITS: Device Table {direction} for DeviceID {device:#x}:"
        f" valid {valid} size {size:#x} ITTaddr {address:#x}"
    )


def ite(direction: str, address: int, event: int, valid: int, intid: int, collection: int) -> str:
    """An entry of an interrupt translation table."""
    return (
        f"gicv3_its_ite_{direction} GICv3 ITS: Interrupt Table {direction} for ITTaddr {address:#x}"
        f" EventID {event:#x}: valid {valid} inttype {valid} intid {intid:#x} ICID {collection:#x}"
        f" vPEID 0x0 doorbell 0x3ff"
    )


def cte(direction: str, collection: int, valid: int, target: int) -> str:
    """An entry of the collection table."""
    return (
        f"gicv3_its_cte_{direction} GICv3 ITS: Collection Table {direction} for ICID {collection:#x}:"
        f" valid {valid} RDBase {target:#x}"
    )


def icc(direction: str, register: str, cpu: int, value: int) -> str:
    """An access to a system register, which is named without its prefix: "PMR"."""
    return (
        f"gicv3_icc_{register.lower()}_{direction} GICv3 ICC_{register} {direction} cpu {cpu:#x} value {value:#x}"
    )


def sgi(cpu: int, intid: int, targets: int, cluster: int = 0, irm: int = 0) -> str:
    """An SGI that is generated."""
    return (
        f"gicv3_icc_generate_sgi GICv3 CPU i/f {cpu:#x} generating SGI {intid} IRM {irm}"
        f" target affinity {cluster:#x}xx targetlist {targets:#x}"
    )


def delivery(cpu: int, intid: int) -> str:
    """An SGI that is made pending at a PE."""
    return f"gicv3_redist_send_sgi GICv3 redistributor {cpu:#x} pending SGI {intid}"


def spi(intid: int, level: int) -> str:
    """A change of an SPI's line."""
    return f"gicv3_dist_set_irq GICv3 distributor interrupt {intid} level changed to {level}"


def ppi(cpu: int, intid: int, level: int) -> str:
    """A change of a PPI's line."""
    return f"gicv3_redist_set_irq GICv3 redistributor {cpu:#x} interrupt {intid} level changed to {level}"


def reset(token: str) -> str:
    """A CPU reset."""
    return f"guest_cpu_reset cpu={token} "


def evaluation(cpu: int, intid: int, priority: int, irq: int, fiq: int = 0, group: int = 2) -> list[str]:
    """What a PE is offered (priority 255: nothing), and its outputs."""
    place = f"GICv3 CPU i/f {cpu:#x} HPPI update:"
    return [
        f"gicv3_cpuif_update {place} irq {intid} group {group} prio {priority}",
        f"gicv3_cpuif_set_irqs {place} setting FIQ {fiq} IRQ {irq}",
    ]


def on(thread: int, line: str) -> str:
    """A line with the prefix that tells the thread."""
    return f"{thread}@1795205157.855973:{line}"


def awake(cpus: int = 1) -> list[str]:
    """What a guest does so that SGIs, PPIs and SPI 42 reach its PEs, whose affinities are 0 and up, as Group 1."""
    lines = [dist("write", 0, 0b11), dist("write", 0x84, 1 << 10), dist("write", 0x104, 1 << 10)]
    for cpu in range(cpus):
        lines += [
            redist("write", cpu, 0x14, 0),
            redist("write", cpu, 0x10080, 0xFFFF_FFFF),
            redist("write", cpu, 0x10100, 0xFFFF_FFFF),
            icc("write", "PMR", cpu, 0xF8),
            icc("write", "IGRPEN1", cpu, 1),
        ]
    return lines


QUEUE = 0x4200_0000
"""Physical address of the command queue, and then of the device and the collection table."""


def with_its(cpus: int = 1) -> list[str]:
    """What a guest does, beside `awake`, so that LPIs reach its PEs and its ITS takes commands and messages."""
    lines = []
    for cpu in range(cpus):
        lines += [
            redist("write", cpu, 0x70, 0x4300_000F, size=8),
            redist("write", cpu, 0x78, 0x4310_0000 + 0x1_0000 * cpu, size=8),
            redist("write", cpu, 0, 1),
        ]
    return [
        *lines,
        gits("write", 0x80, 1 << 63 | QUEUE, size=8),
        gits("write", 0x100, 1 << 63 | QUEUE + 0x1_0000 | 0x200, size=8),
        gits("write", 0x108, 1 << 63 | QUEUE + 0x2_0000 | 0x200, size=8),
        gits("write", 0, 1),
    ]


def virt(cpus: int, **config: object) -> Machine:
    """QEMU's virt machine."""
    described = vgic.Config(vgic.Topology.qemu(cpus), 256, **{"profile": vgic.QEMU, **config})  # type: ignore[arg-type]
    return Machine(described, "a test")


def ich(direction: str, register: str, cpu: int, value: int) -> str:
    """An access to a system register of the virtual CPU interface, ICH or ICV."""
    kind = register.partition("_")[0].lower()
    name = re.sub(r"\d.*", "", register.partition("_")[2]).lower()
    return f"gicv3_{kind}_{name}_{direction} GICv3 {register} {direction} cpu {cpu:#x} value {value:#x}"


def virtual(cpu: int, candidate: int, irq: int, fiq: int = 0, maintenance: int | None = None) -> list[str]:
    """What QEMU says of a virtual CPU interface after a change."""
    about = f"GICv3 CPU i/f {cpu:#x} virt HPPI update"
    lines = [
        f"gicv3_cpuif_virt_update {about} LR index {candidate} HPPVLPI 0 grp 0 prio 255",
        f"gicv3_cpuif_virt_set_irqs {about}: setting FIQ {fiq} IRQ {irq}",
    ]
    if maintenance is not None:
        lines.append(f"gicv3_cpuif_virt_set_maint_irq {about}: setting maintenance-irq {maintenance}")
    return lines


def replayed(lines: Iterable[str], cpus: int = 1, keep_going: bool = False, **config: object) -> Result:
    """The result of replaying a log on QEMU's virt machine."""
    return replay(read_qemu(enumerate(lines, 1), NAME), NAME, virt(cpus, **config), keep_going)
