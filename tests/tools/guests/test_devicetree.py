"""The machine's device tree, read back by the reader of device trees that `vgic map` has."""

import pytest

import vgic
from vgic_tools.errors import UsageError
from vgic_tools.guests.devicetree import Devices, Pcie, device_tree
from vgic_tools.machines.flat_tree import Node, read_tree

DEVICES = Devices(
    range(0x4000_0000, 0x4800_0000), 0x0900_0000, 33, range(0x4200_0000, 0x4200_1234), "console=ttyAMA0"
)
SPARSE = vgic.Topology.from_text(["0.0.0.0", "1.1.2.3", "128.0.7.15", "255.255.255.15"])


def tree(config: vgic.Config, devices: Devices = DEVICES) -> dict[str, Node]:
    return {node.name: node for node in read_tree(device_tree(config, devices)).walk()}


def test_every_cpu_is_there_by_its_affinity_aff3_in_a_cell_of_its_own() -> None:
    nodes = tree(vgic.Config(SPARSE))
    assert [node.cells("reg") for name, node in nodes.items() if name.startswith("cpu@")] == [
        [0, 0], [1, 0x01_02_03], [128, 0x00_07_0F], [255, 0xFF_FF_0F],
    ]  # fmt: skip
    assert "cpu@ff00ffff0f" in nodes
    assert all(node.texts("enable-method") == ["psci"] for name, node in nodes.items() if name.startswith("cpu@"))


def test_the_gic_is_the_one_of_the_configuration() -> None:
    regions = (vgic.RedistributorRegion(0x080A_0000, 2), vgic.RedistributorRegion(0x40_0000_0000, 2))
    config = vgic.Config(SPARSE, redistributor_regions=regions, its=(0x0808_0000, 0x0900_0000 + 0x10_0000))
    nodes = tree(config)
    gic = nodes["interrupt-controller@8000000"]
    assert gic.texts("compatible") == ["arm,gic-v3"]
    assert gic.cells("#redistributor-regions") == [2]
    assert gic.cells("reg") == [0, 0x0800_0000, 0, 0x1_0000, 0, 0x080A_0000, 0, 0x4_0000, 0x40, 0, 0, 0x4_0000]
    its = [node for node in gic.children if node.texts("compatible") == ["arm,gic-v3-its"]]
    assert [node.cells("reg")[1] for node in its] == [0x0808_0000, 0x0910_0000]
    assert len({tuple(node.cells("phandle")) for node in nodes.values() if node.cells("phandle")}) == 4


def test_the_kernel_is_told_its_memory_its_initrd_and_its_command_line() -> None:
    nodes = tree(vgic.Config(vgic.Topology.kvm(1)))
    assert nodes["memory@40000000"].cells("reg") == [0, 0x4000_0000, 0, 0x800_0000]
    assert nodes["chosen"].cells("linux,initrd-start") == [0, 0x4200_0000]
    assert nodes["chosen"].cells("linux,initrd-end") == [0, 0x4200_1234]
    assert nodes["chosen"].texts("bootargs") == ["console=ttyAMA0"]
    assert nodes["psci"].texts("method") == ["hvc"]
    uart = nodes["pl011@9000000"]
    assert uart.cells("interrupts") == [0, 1, 4]
    assert nodes["chosen"].texts("stdout-path") == ["/pl011@9000000"]
    assert "linux,initrd-start" not in tree(vgic.Config(SPARSE), DEVICES._replace(initrd=None))["chosen"].properties


def test_every_pci_device_has_the_first_its_send_its_messages_on() -> None:
    config = vgic.Config(SPARSE, its=(0x0808_0000, 0x0910_0000))
    host = Pcie(0x3F00_0000, 16, range(0x1000_0000, 0x3EFF_0000))
    nodes = tree(config, DEVICES._replace(pcie=host))
    pcie = nodes["pcie@10000000"]
    assert pcie.texts("compatible") == ["pci-host-ecam-generic"]
    assert pcie.cells("reg") == [0, 0x3F00_0000, 0, 0x100_0000]
    assert pcie.cells("bus-range") == [0, 15]
    assert pcie.cells("ranges") == [0x0200_0000, 0, 0x1000_0000, 0, 0x1000_0000, 0, 0x2EFF_0000]
    assert pcie.cells("msi-map") == [0, *nodes["msi-controller@8080000"].cells("phandle"), 0, 0x1_0000]
    assert "pcie@10000000" not in tree(config)


@pytest.mark.parametrize("arguments", ["", " "])
def test_a_command_line_may_be_empty(arguments: str) -> None:
    chosen = tree(vgic.Config(SPARSE), DEVICES._replace(arguments=arguments))["chosen"]
    assert ("bootargs" in chosen.properties) == bool(arguments)


def test_a_command_line_with_control_characters_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'quiet\\n'"):
        device_tree(vgic.Config(SPARSE), DEVICES._replace(arguments="quiet\n"))
    quoted = tree(vgic.Config(SPARSE), DEVICES._replace(arguments='init="/bin/sh -x"'))
    assert quoted["chosen"].texts("bootargs") == ['init="/bin/sh -x"']
