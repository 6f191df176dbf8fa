"""Machines from device trees: the vCPUs' MPIDRs, the GIC's frames, redistributor regions and ITSes."""

from collections.abc import Iterator
from pathlib import Path

import fdt

import vgic
from vgic import affinity
from vgic.config import REDISTRIBUTOR_SIZE
from vgic_tools.errors import UsageError

__all__ = ["config_from_device_tree"]


def config_from_device_tree(path: Path, spis: int) -> vgic.Config:
    """The GIC of the device tree blob in the file; a tree does not tell the number of SPIs.

    Raises UsageError where the file is no device tree, or has no GICv3 or no CPUs, or ones that cannot be.
    """
    try:
        nodes = list(_walk(fdt.parse_dtb(path.read_bytes()).root))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except Exception as error:  # The library lets through whatever its parser stumbles over.
        raise UsageError(f"{path}: not a device tree blob") from error
    cpus = [node for node in nodes if "cpu" in _texts(node, "device_type")]
    if not cpus:
        raise UsageError(f'{path}: no node has device_type = "cpu"')
    gics = [node for node in nodes if "arm,gic-v3" in _texts(node, "compatible")]
    if len(gics) != 1:
        raise UsageError(f"{path}: {len(gics)} nodes are compatible with arm,gic-v3, not one")
    stride = _cells(gics[0], "redistributor-stride")
    if stride and _number(stride) != REDISTRIBUTOR_SIZE:
        raise UsageError(
            f"{path}: redistributor-stride {_number(stride):#x}: only {REDISTRIBUTOR_SIZE:#x} is modelled"
        )
    services = [node for node in nodes if "arm,gic-v3-its" in _texts(node, "compatible")]
    for node in services:
        if not _registers(node):
            raise UsageError(f"{path}: {node.name} has no reg")
    frames = _registers(gics[0])
    regions = _number(_cells(gics[0], "#redistributor-regions") or [1])
    if len(frames) < 1 + regions:
        raise UsageError(f"{path}: {gics[0].name} has {len(frames)} reg entries, too few for {regions} regions")
    try:
        return vgic.Config(
            topology=vgic.Topology(affinity.from_mpidr(_number(_cells(cpu, "reg"))) for cpu in cpus),
            spis=spis,
            profile=vgic.QEMU,
            gicd_base=frames[0][0],
            redistributor_regions=tuple(
                vgic.RedistributorRegion(base, size // REDISTRIBUTOR_SIZE) for base, size in frames[1 : 1 + regions]
            ),
            its=tuple(_registers(node)[0][0] for node in services),
        )
    except vgic.VgicError as error:
        raise UsageError(f"{path}: {error}") from error


def _walk(node: fdt.Node) -> Iterator[fdt.Node]:
    yield node
    for child in node.nodes:
        yield from _walk(child)


def _texts(node: fdt.Node, name: str) -> list[str]:
    data = getattr(node.get_property(name), "data", None) or []
    return [item for item in data if isinstance(item, str)]


def _cells(node: fdt.Node, name: str) -> list[int]:
    data = getattr(node.get_property(name), "data", None) or []
    return [item for item in data if isinstance(item, int)]


def _number(cells: list[int]) -> int:
    """The number in some 32-bit cells, most significant first."""
    number = 0
    for cell in cells:
        number = number << 32 | cell
    return number


def _registers(node: fdt.Node) -> list[tuple[int, int]]:
    """The (address, size) pairs of `reg`; how many cells each takes is said by the parent."""
    cells = _cells(node, "reg")
    address_cells = _number(_cells(node.parent or node, "#address-cells") or [2])
    size_cells = _number(_cells(node.parent or node, "#size-cells") or [1])
    entry = max(address_cells + size_cells, 1)
    return [
        (_number(cells[at : at + address_cells]), _number(cells[at + address_cells : at + entry]))
        for at in range(0, len(cells) - entry + 1, entry)
    ]
