"""Machines from device trees: the vCPUs' MPIDRs, the GIC's frames, redistributor regions and ITSes.

A node is read in its place (Devicetree Specification v0.4): its `reg` is as wide as its parent says and an address
on the bus that it is on, which the `ranges` of each bus above translate, and it is there where neither it nor what
it is on is disabled.
"""

from pathlib import Path
from typing import Final

import vgic
from mmio import FRAME_SIZE
from vgic import affinity
from vgic.config import REDISTRIBUTOR_SIZE
from vgic_tools.errors import UsageError
from vgic_tools.inputs import read_bytes, shown_name
from vgic_tools.machines.errors import MachineFileError
from vgic_tools.machines.flat_tree import Node, TreeError, read_tree
from vgic_tools.machines.frames import regions_of_stride

__all__ = ["config_from_device_tree", "config_of_blob"]

_LARGEST: Final = 1 << 26
"""Bytes of a blob: a hundred times those of large boards."""

_MOST_CELLS: Final = 4
"""Cells that a number in a `reg` or `ranges` has at most."""


def config_from_device_tree(path: Path, spis: int) -> vgic.Config:
    """The GIC of the device tree blob in the file; a tree does not tell the number of SPIs.

    Raises UsageError where the file is no device tree, or has no GICv3 or no CPUs, or ones that cannot be.
    """
    try:
        return config_of_blob(read_bytes(path, _LARGEST), spis)
    except (MachineFileError, vgic.VgicError) as error:
        raise UsageError(f"{shown_name(path)}: {error}") from error


def config_of_blob(blob: bytes, spis: int) -> vgic.Config:
    """The GIC of a device tree blob. Raises MachineFileError, and ConfigError as `Config` does."""
    try:
        nodes = list(read_tree(blob).walk())
    except TreeError as error:
        raise MachineFileError("not a device tree blob") from error
    return _config(nodes, spis)


def _config(nodes: list[Node], spis: int) -> vgic.Config:
    # A CPU that is "disabled" waits for its enable-method: it is there, unlike one that failed.
    all_cpus = [node for node in nodes if "cpu" in node.texts("device_type")]
    cpus = [cpu for cpu in all_cpus if not _status(cpu).startswith("fail")]
    if not cpus:
        raise MachineFileError(
            f"all {len(all_cpus)} CPUs have failed" if all_cpus else 'no node has device_type = "cpu"'
        )
    gic = _gic(nodes)
    stride = _number(gic.cells("redistributor-stride")) or REDISTRIBUTOR_SIZE
    if stride % FRAME_SIZE or stride < REDISTRIBUTOR_SIZE:
        raise MachineFileError(
            f"redistributor-stride {stride:#x} is no multiple of {FRAME_SIZE:#x} that has room for a redistributor"
        )
    services = [node for node in nodes if "arm,gic-v3-its" in node.texts("compatible") and _is_there(node)]
    for node in services:
        if not _entries(node):
            raise MachineFileError(f"{node.name} has no reg")
    regions = _number(gic.cells("#redistributor-regions") or [1])
    frames = _entries(gic)
    if len(frames) < 1 + regions:
        raise MachineFileError(f"{gic.name} has {len(frames)} reg entries, too few for {regions} regions")
    return vgic.Config(
        topology=vgic.Topology(affinity.from_mpidr(_mpidr(cpu)) for cpu in cpus),
        spis=spis,
        profile=vgic.QEMU,
        gicd_base=_translated(gic, *frames[0]),
        redistributor_regions=tuple(
            region
            for base, size in frames[1 : 1 + regions]
            for region in regions_of_stride(_translated(gic, base, size), size, stride, len(cpus))
        ),
        its=tuple(_translated(node, *_entries(node)[0]) for node in services),
    )


def _gic(nodes: list[Node]) -> Node:
    named = [node for node in nodes if "arm,gic-v3" in node.texts("compatible")]
    there = [node for node in named if _is_there(node)]
    if len(there) != 1:
        disabled = f" ({len(named)} with those that are disabled)" if len(named) > len(there) else ""
        raise MachineFileError(f"{len(there)} nodes are compatible with arm,gic-v3, not one{disabled}")
    return there[0]


def _status(node: Node) -> str:
    return (node.texts("status") or ["okay"])[0]


def _is_there(node: Node) -> bool:
    """True where neither the node nor what it is on is disabled, reserved or broken."""
    return all(_status(item) in ("okay", "ok") for item in node.path())


def _mpidr(cpu: Node) -> int:
    cells = cpu.cells("reg")
    if not cells:
        raise MachineFileError(f"{cpu.name} has no reg, which says its affinity")
    # A list, where a CPU has threads, starts with the first. Who leaves the width out has one CPU a node.
    width = None if cpu.parent is None else _width(cpu.parent, "#address-cells", 0)
    return _number(cells[: width or len(cells)])


def _number(cells: list[int]) -> int:
    """The number in some 32-bit cells, most significant first."""
    number = 0
    for cell in cells:
        number = number << 32 | cell
    return number


def _width(bus: Node, name: str, default: int) -> int:
    """How many cells a number takes on a bus; a bus that does not say has the default of the specification."""
    cells = bus.cells(name)
    width = _number(cells[:1]) if cells else default
    if width > _MOST_CELLS:
        raise MachineFileError(f"{bus.name} has {name} {width}, more than {_MOST_CELLS}")
    return width


def _address_cells(bus: Node) -> int:
    return _width(bus, "#address-cells", 2)


def _size_cells(bus: Node) -> int:
    return _width(bus, "#size-cells", 1)


def _entries(node: Node) -> list[tuple[int, int]]:
    """The (address, size) pairs of `reg`, on the bus that the node is on."""
    bus = node.parent or node
    return [(address, size) for address, size in _split(node.cells("reg"), _address_cells(bus), _size_cells(bus))]


def _split(cells: list[int], *widths: int) -> list[tuple[int, ...]]:
    """The whole entries in some cells, each of numbers that take so many cells."""
    entry = max(sum(widths), 1)
    found = []
    for start in range(0, len(cells) - entry + 1, entry):
        numbers, at = [], start
        for width in widths:
            numbers.append(_number(cells[at : at + width]))
            at += width
        found.append(tuple(numbers))
    return found


def _translated(node: Node, address: int, size: int) -> int:
    """The address that a CPU uses for one on the node's bus. Raises MachineFileError where there is none."""
    for bus in reversed(node.path()[1:-1]):
        address = _one_up(bus, node, address, size)
    return address


def _one_up(bus: Node, node: Node, address: int, size: int) -> int:
    """The address on the bus above."""
    assert bus.parent is not None
    if "ranges" not in bus.properties:
        raise MachineFileError(f"{bus.name} has no ranges, so {node.name} on it has no address that a CPU can use")
    if not bus.properties["ranges"]:
        return address
    widths = _address_cells(bus), _address_cells(bus.parent), _size_cells(bus)
    for here, above, length in _split(bus.cells("ranges"), *widths):
        if here <= address and address + size <= here + length:
            return above + address - here
    raise MachineFileError(f"no ranges of {bus.name} hold {node.name} at {address:#x}, {size:#x} bytes")
