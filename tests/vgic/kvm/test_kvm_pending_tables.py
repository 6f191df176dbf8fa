"""SAVE_PENDING_TABLES of a VM with an ITS: the bits of what is mapped, and no others."""

import errno

import pytest

from kvm_its_tables import NO_RAM, Tables
from kvm_vm import refused
from vgic.kvm import Control, Group
from vgic.layouts import gicr

FIRST = 8192 // 8
"""Where the bits of LPIs begin."""


def saved(tables: Tables, cpu: int = 0) -> bytes:
    tables.vm.device.set_attr(Group.CTRL, Control.SAVE_PENDING_TABLES)
    tables.vm.gic.check()
    return tables.ram.read(tables.driver.pending[cpu] + FIRST, 3)


@pytest.mark.rule("KVM-34")
def test_bits_of_what_is_mapped_are_written_and_others_left() -> None:
    tables = Tables()
    tables.two_devices()  # 8192 at vCPU 0; 8193 and 8194 at vCPU 1
    tables.driver.send("MAPTI", DeviceID=5, EventID=0, pINTID=8200, ICID=77)
    for cpu in (0, 1):
        tables.ram.write(tables.driver.pending[cpu] + FIRST, b"\xff" * 3)
    assert (saved(tables), saved(tables, 1)) == (b"\xfe\xff\xff", b"\xf9\xff\xff")
    tables.vm.gic.msi(5, 1)
    assert (saved(tables), saved(tables, 1)) == (b"\xfe\xff\xff", b"\xfd\xff\xff")


@pytest.mark.rule("KVM-34")
def test_what_is_mapped_must_be_in_ram_pending_or_not() -> None:
    tables = Tables()
    driver = tables.driver
    driver.map_device(3, events=2)
    assert saved(tables) == bytes(3)
    driver.map_event(3, 0, cpu=0)
    driver.enable_lpis(0, False)
    driver.gic.write(driver.redistributor(0, gicr.PENDBASER), 8, NO_RAM)
    assert "INTID 8192 in the pending table of vCPU 0" in refused(errno.EFAULT, lambda: saved(tables))
