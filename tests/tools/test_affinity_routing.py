"""The timing of operations: that what is timed does what it says, not how long it takes."""

import pytest

import vgic
from vgic_tools.affinity.layouts import LAYOUTS
from vgic_tools.affinity.routing_study import OPERATIONS, RoutingPoint, _awake, measure_routing, routing_study


def machine(name: str, vcpus: int) -> vgic.Gic:
    return _awake(vgic.Config(LAYOUTS[name].topology(vcpus), a3v=name == "sparse-aff3"))


class Spied:
    """A GIC that remembers what its system registers read as."""

    def __init__(self, gic: vgic.Gic) -> None:
        self.gic = gic
        self.taken: list[tuple[int, int]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self.gic, name)

    def sysreg_read(self, cpu: int, register: int, secure: bool = False) -> int:
        value = self.gic.sysreg_read(cpu, register, secure)
        self.taken.append((cpu, value))
        return value


@pytest.mark.parametrize("layout", ["kvm", "sparse-aff3"])
@pytest.mark.parametrize(("operation", "targets"), [("SGI to one vCPU", 1), ("SGI to 16 vCPUs, per target", 16),
                                                    ("SGI to all (IRM), per target", 49)])  # fmt: skip
def test_every_target_takes_and_ends_its_sgi(layout, operation, targets):
    gic = Spied(machine(layout, 50))
    taken = gic.taken
    unit = OPERATIONS[operation].unit(50)
    OPERATIONS[operation].prepare(gic)(2 * max(unit, targets) // (2 if targets == 1 else 1))
    assert {intid for _, intid in taken} == {0}
    assert len(taken) == 2 * targets
    assert len({cpu for cpu, _ in taken}) == targets
    gic.check()


def test_an_spi_and_its_route_end_where_they_began():
    gic = machine("sparse-aff3", 32)
    OPERATIONS["SPI line change"].prepare(gic)(4)
    assert not gic.spi(40).pending
    assert gic.spi(40).target == 31
    OPERATIONS["GICD_IROUTER write"].prepare(gic)(4)
    assert gic.spi(32).target == 31


def test_calls_are_whole_operations():
    points = {(point.operation, point.vcpus): point.calls for point in routing_study([1, 16, 4096], 1, 100).points}
    assert points["SGI to 16 vCPUs, per target", 16] == 112
    assert points["SGI to all (IRM), per target", 16] == 105
    assert points["SGI to all (IRM), per target", 4096] == 4095
    assert ("SGI to all (IRM), per target", 1) not in points


def test_a_row():
    row = measure_routing(RoutingPoint("GICR_TYPER read", 4, 3, 50))
    assert row.empty_ns > 0
    assert row.without_aff3 > 1
    assert row.with_aff3 > 1
