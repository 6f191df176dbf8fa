"""Snapshots as VMMs write them, of a VM of the model's own KVM: there are no files of theirs to be had."""

import json
from collections.abc import Iterable, Sequence

from vgic import Ram, affinity
from vgic.kvm import Address, Control, Group, RegionAttr, VgicItsDevice, VgicV3Device, register_attr
from vgic.kvm.uapi import SYSREGS, register_at
from vgic.layouts import gicd, gits, icc

SPIS = 96
VCPUS = 3
GICD_BASE = {"cloud-hypervisor": 0x08FF_0000, "firecracker": 0x3FFF_0000, "crosvm": 0x3FFF_0000}

SYSREG_ORDER = (
    icc.ICC_SRE_EL1,
    icc.ICC_CTLR_EL1,
    icc.ICC_IGRPEN0_EL1,
    icc.ICC_IGRPEN1_EL1,
    icc.ICC_PMR_EL1,
    icc.ICC_BPR0_EL1,
    icc.ICC_BPR1_EL1,
)
RD_BASE = (0x10, 0x14, 0x70, 0x74, 0x78, 0x7C, 0x00)
SGI_BASE = tuple(
    0x1_0000 + offset
    for offset in (0x80, 0x180, 0x100, 0xC00, 0xC04, 0x280, 0x200, 0x380, 0x300, *range(0x400, 0x420, 4))
)


def vm(vmm: str, spis: int = SPIS) -> tuple[VgicV3Device, VgicItsDevice | None]:
    """A VM whose registers have been written, each otherwise."""
    device = VgicV3Device(memory=Ram(0x8000_0000, bytearray(1 << 20)))
    for _ in range(VCPUS):
        device.create_vcpu()
    its = None if vmm == "crosvm" else device.create_its()
    base = GICD_BASE[vmm]
    device.set_attr(Group.NR_IRQS, 0, 32 + spis)
    device.set_attr(Group.ADDR, Address.DIST, base)
    device.set_attr(Group.ADDR, Address.REDIST_REGION, RegionAttr(base - VCPUS * 0x2_0000, VCPUS, 0).pack())
    device.set_attr(Group.CTRL, Control.INIT)
    if its is not None:
        its.set_attr(Group.ADDR, 4, base - (VCPUS + 1) * 0x2_0000)
        its.set_attr(Group.CTRL, 0)
        its.set_attr(Group.ITS_REGS, gits.CBASER.offset, 1 << 63 | 0x8001_0000)
        its.set_attr(Group.ITS_REGS, gits.BASER.offset, 1 << 63 | 0x8002_0000)
    # Enabled, pending, priority, route of INTIDs 33 and 40; Group 1.
    for offset, value in (
        (0x0000, 0x12),
        (0x0104, 0x102),
        (0x0204, 0x100),
        (0x0304, 0x002),
        (0x0084, 0x0FF),
        (0x0420, 0x2040_8010),
        (0x0C08, 0x0008),
        (0x6000 + 8 * 33, 1),
        (0x6000 + 8 * 40, 2),
    ):
        device.set_attr(Group.DIST_REGS, offset, value)
    for cpu in range(VCPUS):
        key = register_attr(device.vcpus[cpu], 0)
        for offset, value in ((0x78, 0x8003_0000 + 0x1_0000 * cpu), (0x70, 0x8008_000F), (0x14, 0), (0x00, 1)):
            if vmm != "crosvm":
                device.set_attr(Group.REDIST_REGS, key | offset, value)
        for offset, value in ((0x100, 1 << 27 | 7), (0x200, 1 << 20), (0x400, 0x10 * cpu), (0x80, 0xFFFF << cpu)):
            device.set_attr(Group.REDIST_REGS, key | 0x1_0000 + offset, value)
        for encoding, value in (
            (icc.ICC_PMR_EL1, 0xF0 - 0x10 * cpu),
            (icc.ICC_IGRPEN1_EL1, 1),
            (icc.ICC_AP1R0_EL1, 1 << 4 + cpu),
        ):
            device.set_attr(Group.CPU_SYSREGS, key | encoding, value)
    return device, its


def dist(device: VgicV3Device, spis: int = SPIS) -> list[list[int]]:
    """The registers of SPIs, as Cloud Hypervisor and Firecracker order them."""
    found = [[get(device, Group.DIST_REGS, 0, 0x10)]]
    for base, width in (
        (0x180, 1),
        (0x100, 1),
        (0x80, 1),
        (0x6000, 64),
        (0xC00, 2),
        (0x280, 1),
        (0x200, 1),
        (0x380, 1),
        (0x300, 1),
        (0x400, 8),
    ):
        first = base + 32 * width // 8
        offsets = range(first, first + spis * width // 8, 4)
        found.append([get(device, Group.DIST_REGS, 0, offset) for offset in offsets])
    return found


def get(device: VgicV3Device, group: Group, cpu: int, offset: int) -> int:
    """One value; of the registers that clear, that of those that set."""
    return device.get_attr(group, register_attr(0 if group is Group.DIST_REGS else device.vcpus[cpu], offset))


def registers(device: VgicV3Device, cpu: int, offsets: Iterable[int]) -> list[int]:
    """Those of a Redistributor."""
    return [get(device, Group.REDIST_REGS, cpu, offset) for offset in offsets]


def interface(device: VgicV3Device, cpu: int) -> list[int]:
    """The registers of a CPU interface with 5 bits of priority."""
    order = (*SYSREG_ORDER, icc.ICC_AP0R0_EL1, icc.ICC_AP1R0_EL1)
    return [get(device, Group.CPU_SYSREGS, cpu, encoding) for encoding in order]


def its_registers(its: VgicItsDevice) -> dict[str, object]:
    """By the names that both VMMs have for them."""
    layouts = {
        "ctlr": gits.CTLR,
        "iidr": gits.IIDR,
        "cbaser": gits.CBASER,
        "cwriter": gits.CWRITER,
        "creadr": gits.CREADR,
    }
    found: dict[str, object] = {
        name: its.get_attr(Group.ITS_REGS, layout.offset) for name, layout in layouts.items()
    }
    return found | {"baser": [its.get_attr(Group.ITS_REGS, gits.BASER.offset + 8 * index) for index in range(8)]}


def cloud_hypervisor(
    device: VgicV3Device, its: VgicItsDevice, read_as: Sequence[int] = tuple(range(VCPUS))
) -> bytes:
    """A state.json; of vCPU n it has the registers of vCPU `read_as[n]`."""
    gic = {
        "dist": [word for words in dist(device) for word in words],
        "rdist": [
            word for offsets in (RD_BASE, SGI_BASE) for cpu in read_as for word in registers(device, cpu, offsets)
        ],
        "icc": [word for cpu in read_as for word in interface(device, cpu)],
        "gicd_ctlr": get(device, Group.DIST_REGS, 0, gicd.CTLR.offset),
        **{f"its_{name}": value for name, value in its_registers(its).items()},
    }
    device_state = {"snapshots": {}, "snapshot_data": {"state": json.dumps({"Kvm": gic})}}
    manager = {"snapshots": {"gic-v3-its": device_state, "_disk0": {"snapshots": {}}}}
    return json.dumps({"snapshots": {"cpu-manager": {"snapshots": {}}, "device-manager": manager}}).encode()


def firecracker(device: VgicV3Device, its: VgicItsDevice) -> bytes:
    """What snapshot-editor shows."""

    def state(words: Sequence[int]) -> str:
        return f"GicRegState {{ chunks: {list(words)}, }}"

    distributor = [[get(device, Group.DIST_REGS, 0, 0)], *dist(device)]
    vcpus = []
    for cpu in range(VCPUS):
        rd, sgi = registers(device, cpu, RD_BASE), registers(device, cpu, SGI_BASE)
        groups = [rd[0:1], rd[1:2], rd[2:4], rd[4:6], rd[6:7]]
        groups += [sgi[0:1], sgi[1:2], sgi[2:3], sgi[3:5], *([word] for word in sgi[5:9]), sgi[9:]]
        icc_regs = interface(device, cpu)
        main = ", ".join(state([word]) for word in icc_regs[:7])
        active = f"Some({state(icc_regs[7:8])}), None, None, None, Some({state(icc_regs[8:])}), None, None, None"
        vcpus.append(
            f"GicVcpuState {{ rdist: [{', '.join(map(state, groups))}], icc: VgicSysRegsState {{"
            f" main_icc_regs: [{main}], ap_icc_regs: [{active}], }}, }}"
        )
    fields = ", ".join(f"{name}: {value}" for name, value in its_registers(its).items())
    text = (
        "MicrovmState { vm_info: VmInfo { mem_size_mib: 128, smt: false }, vm_state: VmState { gic: GicState {"
        f" dist: [{', '.join(map(state, distributor))}], gic_vcpu_states: [{', '.join(vcpus)}],"
        f" its_state: Some(ItsRegisterState {{ {fields} }}) }} }} }}"
    )
    # As {:#?} breaks lines.
    return text.replace(", ", ",\n    ").replace("{ ", "{\n    ").encode()


def crosvm(device: VgicV3Device) -> dict[str, object]:
    """What is in the file irqchip."""
    vcpus: dict[int, object] = {}
    for cpu, packed in enumerate(device.vcpus):
        words = [0] * 0x8000
        for offset in range(0, 0x2_0000, 4):
            if register_at(Group.REDIST_REGS, offset) is not None:
                words[offset // 4] = get(device, Group.REDIST_REGS, cpu, offset)
        sysregs = {encoding: get(device, Group.CPU_SYSREGS, cpu, encoding) for encoding in SYSREGS_HERE}
        vcpus[affinity.to_kvm_key(packed)] = {"cpu_sys_regs": sysregs, "redist_regs": words, "mp_state": 0}
    words = [0] * 0x4000
    for offset in range(0, 0x1_0000, 4):
        if register_at(Group.DIST_REGS, offset) is not None:
            words[offset // 4] = get(device, Group.DIST_REGS, 0, offset)
    return {"cpu_specific": vcpus, "dist_regs": words}


SYSREGS_HERE = tuple(
    encoding for encoding, (layout, index, _) in SYSREGS.items() if "_AP" not in layout.name or not index
)
