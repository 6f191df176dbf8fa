"""The life of a VM: vCPUs, addresses, initialisation."""

from collections.abc import Callable

from kvm_life import (
    FRAME,
    GICD,
    GICR,
    SCENARIOS,
    Life,
    Scenario,
    key,
    scenario,
)
from vgic.kvm import Address, Control, Group


@scenario
def init_without_vcpus(life: Life) -> None:
    life.get(Group.NR_IRQS, 0)
    life.init()
    life.vcpu()
    for group in (Group.DIST_REGS, Group.REDIST_REGS, Group.LEVEL_INFO):
        life.has(group, 0)
        life.get(group, 0)
    life.get(Group.DIST_REGS, 8)
    life.get(Group.NR_IRQS, 0)
    life.set(Group.NR_IRQS, 0, 64)
    life.set(Group.ADDR, Address.DIST, GICD)
    life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
    life.init()


@scenario
def ids_in_any_order(life: Life) -> None:
    order = (0, 3, 5, 4, 1, 2)
    for number in order:
        life.vcpu(number)
    life.place()
    life.init()
    for number in order:
        life.get(Group.REDIST_REGS, key(number) | 8)
        life.get(Group.REDIST_REGS, key(number) | 12)
    life.run(2)


@scenario
def ids_and_regions(life: Life) -> None:
    for number in (0, 3, 5):
        life.vcpu(number)
    life.set(Group.ADDR, Address.REDIST_REGION, 2 << 52 | GICR)
    life.set(Group.ADDR, Address.REDIST_REGION, 8 << 52 | 0x0820_0000 | 1)
    for number in (4, 1, 2):
        life.vcpu(number)
    life.set(Group.ADDR, Address.DIST, GICD)
    life.init()
    for number in range(6):
        life.get(Group.REDIST_REGS, key(number) | 8)
    life.run(5)


@scenario
def ids_that_cannot_be(life: Life) -> None:
    for number in (17, 511, 512, 600, 0x7FFF_FFFF, 17):
        life.vcpu(number)
    life.place()
    life.init()
    for packed in (0x101, 0x1F0F):
        life.get(Group.REDIST_REGS, key(packed) | 8)
        life.get(Group.REDIST_REGS, key(packed) | 12)
    life.get(Group.REDIST_REGS, key(17) | 8)
    life.run()


def growth(vcpus: int, end: int) -> Callable[[Life], None]:
    def life(life: Life) -> None:
        life.vcpu()
        life.set(Group.ADDR, Address.DIST, GICD)
        life.set(Group.ADDR, Address.REDIST, end - 3 * FRAME)
        for _ in range(vcpus - 1):
            life.vcpu()
        life.init()
        for cpu in range(vcpus):
            life.get(Group.REDIST_REGS, key(cpu) | 8)
        life.run()
        life.get(Group.DIST_REGS, 0)

    return life


for count in (3, 4, 5):
    SCENARIOS[f"growth_beyond_the_end_{count}"] = Scenario(growth(count, 1 << 40))
    SCENARIOS[f"growth_into_the_distributor_{count}"] = Scenario(growth(count, GICD))


@scenario
def addresses(life: Life) -> None:
    for attr in range(7):
        life.has(Group.ADDR, attr)
        life.get(Group.ADDR, attr)
        for value in (0x1234, 1 << 40, (1 << 64) - 0x1_0000, 0x0800_0000, 0x0800_0000):
            life.set(Group.ADDR, attr, value)
        life.get(Group.ADDR, attr)
    for value in (0, 32, 63, 64, 65, 96, 992, 1023, 1024):
        life.set(Group.NR_IRQS, 0, value)
        life.get(Group.NR_IRQS, 0)
    life.vcpu()
    life.init()
    life.set(Group.NR_IRQS, 0, 96)


@scenario
def regions(life: Life) -> None:
    top = 1 << 40
    life.vcpu()
    for value in (
        2 << 52 | GICR,
        2 << 52 | GICR | 1,
        2 << 52 | 0x080E_0000 | 1,
        1 << 52 | top - FRAME | 2,
        1 << 52 | top - FRAME // 2 | 3,
        1 << 52 | top | 3,
        3 << 52 | top - 2 * FRAME | 3,
    ):
        life.set(Group.ADDR, Address.REDIST_REGION, value)
    for _ in range(4):
        life.vcpu()
    life.set(Group.ADDR, Address.DIST, 0x080E_0000)
    life.vcpu()
    for index in (0, 1, 7):
        life.get(Group.ADDR, Address.REDIST_REGION, index)
    life.set(Group.ADDR, Address.REDIST, 0x0900_0000)
    life.init()
    for cpu in range(5):
        life.get(Group.REDIST_REGS, key(cpu) | 8)
    life.run()
    life.run(1)


@scenario
def groups(life: Life) -> None:
    life.ready()
    for group in range(14):
        for attr in range(6):
            life.has(group, attr)
    for group in (2, 8, 9, 10):
        life.get(group, 0)
        life.set(group, 0, 27)
    for control in (1, 2, 4):
        life.set(Group.CTRL, control)


@scenario
def maintenance_irq(life: Life) -> None:
    for value in (27, 15, 16, 31, 32, 0, 1000):
        life.set(Group.MAINT_IRQ, 0, value)
        life.get(Group.MAINT_IRQ, 1)
    life.init()
    life.set(Group.MAINT_IRQ, 0, 28)
    life.get(Group.MAINT_IRQ, 0)
