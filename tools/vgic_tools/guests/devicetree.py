"""The device tree of the machine: what a guest is told of its CPUs, GIC, timer, UART and firmware.

Devicetree Specification v0.4; the bindings are Linux's: arm,gic-v3, arm,armv8-timer, arm,pl011, arm,psci-1.0.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import vgic
from vgic.config import REDISTRIBUTOR_SIZE
from vgic.its.device import ITS_SIZE
from vgic_tools.errors import UsageError

__all__ = ["Devices", "Pcie", "Rtc", "device_tree"]


class Pcie(NamedTuple):
    """A PCI Express host, whose devices send their messages to the first ITS."""

    ecam: int
    """Address of the configuration space of bus 0."""
    buses: int
    memory: range
    """Addresses for what devices have."""


class Rtc(NamedTuple):
    """A PL031."""

    address: int
    spi: int
    """Its INTID."""


class Devices(NamedTuple):
    """What the machine has beside its CPUs and its GIC."""

    ram: range
    """Physical addresses."""
    uart: int
    """Address of the PL011."""
    uart_spi: int
    """Its INTID."""
    initrd: range | None = None
    """Where the initial RAM file system is."""
    arguments: str = ""
    """The kernel's command line."""
    pcie: Pcie | None = None
    rtc: Rtc | None = None
    flash: range | None = None
    """Flash memory that the guest writes."""
    conduit: str = "hvc"
    """How firmware is called: hvc or smc."""


_GICD_SIZE: Final = 0x1_0000
_FIRST_SPI: Final = 32

_SPI, _PPI = 0, 1
_HIGH: Final = 4

_TIMERS: Final = (13, 14, 11, 10)
"""PPIs of the Secure, the Non-secure, the virtual and the hypervisor's timer; bindings count from INTID 16."""

_GIC, _CLOCK, _FIRST_ITS = 1, 2, 3
"""Phandles."""


def device_tree(config: vgic.Config, devices: Devices) -> bytes:
    """The blob (version 17) for a GIC of this configuration, whose topology says which CPUs there are.

    Raises UsageError for arguments that no property can hold.
    """
    # Here, so that whoever has no use for it needs no fdt.
    from fdt import FDT

    if not (devices.arguments.isprintable() and devices.arguments.isascii()):
        raise UsageError(f"a kernel's command line is of printable ASCII characters: {devices.arguments!r}")
    tree = FDT()
    _describe(tree.root, _machine(config, devices))
    blob: bytes = tree.to_dtb(version=17)
    return blob


Value: TypeAlias = "str | tuple[str, ...] | Cells | dict[str, Value] | None"
"""What is under a name in a node: a text, texts, cells, a node, or nothing but the name."""


class Cells(tuple[int, ...]):
    """Numbers of 32 bits."""


def _describe(node: Any, content: Mapping[str, Value]) -> None:
    """Put properties and nodes into a node of fdt's."""
    from fdt import Node, Property, PropStrings, PropWords

    for name, value in content.items():
        match value:
            case dict():
                below = Node(name)
                _describe(below, value)
                node.append(below)
            case None:
                node.append(Property(name))
            case str():
                node.append(PropStrings(name, value))
            case Cells():
                node.append(PropWords(name, *value))
            case _:
                node.append(PropStrings(name, *value))


def _machine(config: vgic.Config, devices: Devices) -> dict[str, Value]:
    timers = Cells(cell for number in _TIMERS for cell in (_PPI, number, _HIGH))
    return {
        "compatible": "vgic,virt",
        "model": "vgic,virt",
        "#address-cells": Cells((2,)),
        "#size-cells": Cells((2,)),
        "interrupt-parent": Cells((_GIC,)),
        "chosen": _chosen(devices),
        f"memory@{devices.ram.start:x}": {
            "device_type": "memory",
            "reg": _range(devices.ram.start, len(devices.ram)),
        },
        "psci": {"compatible": ("arm,psci-1.0", "arm,psci-0.2"), "method": devices.conduit},
        "timer": {"compatible": "arm,armv8-timer", "interrupts": timers, "always-on": None},
        "apb-pclk": {
            "compatible": "fixed-clock",
            "#clock-cells": Cells((0,)),
            "clock-frequency": Cells((24_000_000,)),
            "phandle": Cells((_CLOCK,)),
        },
        f"pl011@{devices.uart:x}": {
            "compatible": ("arm,pl011", "arm,primecell"),
            "reg": _range(devices.uart, 0x1000),
            "interrupts": Cells((_SPI, devices.uart_spi - _FIRST_SPI, _HIGH)),
            "clocks": Cells((_CLOCK, _CLOCK)),
            "clock-names": ("uartclk", "apb_pclk"),
        },
        f"interrupt-controller@{config.gicd_base:x}": _gic(config),
        **({} if devices.pcie is None else dict((_pcie(devices.pcie),))),
        **({} if devices.rtc is None else dict((_rtc(devices.rtc),))),
        **({} if devices.flash is None else dict((_flash(devices.flash),))),
        "cpus": {
            "#address-cells": Cells((2,)),
            "#size-cells": Cells((0,)),
            **dict(_cpu(config.topology.mpidr(cpu)) for cpu in range(len(config.topology))),
        },
    }


def _chosen(devices: Devices) -> dict[str, Value]:
    chosen: dict[str, Value] = {"stdout-path": f"/pl011@{devices.uart:x}"}
    if devices.arguments:
        chosen["bootargs"] = devices.arguments
    if devices.initrd is not None:
        chosen["linux,initrd-start"] = _number(devices.initrd.start)
        chosen["linux,initrd-end"] = _number(devices.initrd.stop)
    return chosen


def _gic(config: vgic.Config) -> dict[str, Value]:
    regions = config.redistributor_regions
    frames = [_range(config.gicd_base, _GICD_SIZE)]
    frames += [_range(region.base, region.count * REDISTRIBUTOR_SIZE) for region in regions]
    return {
        "compatible": "arm,gic-v3",
        "#interrupt-cells": Cells((3,)),
        "interrupt-controller": None,
        "#address-cells": Cells((2,)),
        "#size-cells": Cells((2,)),
        "ranges": None,
        "#redistributor-regions": Cells((len(regions),)),
        "reg": Cells(cell for frame in frames for cell in frame),
        "phandle": Cells((_GIC,)),
        **{
            f"msi-controller@{base:x}": {
                "compatible": "arm,gic-v3-its",
                "msi-controller": None,
                "#msi-cells": Cells((1,)),
                "reg": _range(base, ITS_SIZE),
                "phandle": Cells((_FIRST_ITS + number,)),
            }
            for number, base in enumerate(config.its)
        },
    }


def _pcie(host: Pcie) -> tuple[str, dict[str, Value]]:
    # Addresses of PCI have three cells, of which the first says what kind they are: here memory of 32 bits.
    window = (0x0200_0000, *_number(host.memory.start), *_number(host.memory.start), *_number(len(host.memory)))
    about: dict[str, Value] = {
        "compatible": "pci-host-ecam-generic",
        "device_type": "pci",
        "#address-cells": Cells((3,)),
        "#size-cells": Cells((2,)),
        "bus-range": Cells((0, host.buses - 1)),
        "linux,pci-domain": Cells((0,)),
        "reg": _range(host.ecam, host.buses << 20),
        "ranges": Cells(window),
        # Every Requester ID is a DeviceID of the first ITS.
        "msi-map": Cells((0, _FIRST_ITS, 0, 0x1_0000)),
        "dma-coherent": None,
    }
    return f"pcie@{host.memory.start:x}", about


def _rtc(rtc: Rtc) -> tuple[str, dict[str, Value]]:
    about: dict[str, Value] = {
        "compatible": ("arm,pl031", "arm,primecell"),
        "reg": _range(rtc.address, 0x1000),
        "interrupts": Cells((_SPI, rtc.spi - _FIRST_SPI, _HIGH)),
        "clocks": Cells((_CLOCK,)),
        "clock-names": "apb_pclk",
    }
    return f"pl031@{rtc.address:x}", about


def _flash(flash: range) -> tuple[str, dict[str, Value]]:
    about: dict[str, Value] = {
        "compatible": "cfi-flash",
        "reg": _range(flash.start, len(flash)),
        "bank-width": Cells((4,)),
    }
    return f"flash@{flash.start:x}", about


def _cpu(mpidr: int) -> tuple[str, dict[str, Value]]:
    # Aff3 is in the upper of two cells, as in bits [39:32] of MPIDR_EL1.
    affinity = mpidr & 0xFF_00FF_FFFF
    about: dict[str, Value] = {
        "device_type": "cpu",
        "compatible": "arm,armv8",
        "enable-method": "psci",
        "reg": _number(affinity),
    }
    return f"cpu@{affinity:x}", about


def _range(start: int, size: int) -> Cells:
    return Cells((*_number(start), *_number(size)))


def _number(value: int) -> Cells:
    """64 bits in two cells."""
    return Cells((value >> 32, value & 0xFFFF_FFFF))
