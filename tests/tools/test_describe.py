"""Events in words."""

import pytest

from mmio.trace import Access, read_qemu
from qemu_log import command, cte, delivery, dist, dte, evaluation, icc, ite, msi, ppi, redist, reset, sgi, spi
from vgic_tools.replay.describe import describe


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (dist("read", 0xFFE8, 0x3B), "read GICD+0xffe8, 4 bytes: 0x3b"),
        (redist("write", 0x70A, 0x8, 1, size=8), "write GICR[0.0.7.10]+0x8, 8 bytes: 0x1"),
        (dist("write", 0xC, 1, bad=True), "write GICD+0xc, 4 bytes: 0x1 (refused)"),
        ("gicv3_its_read GICv3 ITS read: offset 0x8 data 0x1 size 8", "read GITS+0x8, 8 bytes: 0x1"),
        (icc("read", "IAR1", 0x100, 0x1B), "0.0.1.0 reads ICC_IAR1: 0x1b"),
        (icc("write", "PMR", 0, 0xF0), "0.0.0.0 writes ICC_PMR: 0xf0"),
        (sgi(1, 5, 0b11, cluster=0x010203), "0.0.0.1 generates SGI 5 to 1.2.3, list 0x0003"),
        (sgi(1, 5, 0, irm=1), "0.0.0.1 generates SGI 5 to all others"),
        (delivery(2, 5), "SGI 5 is pending at 0.0.0.2"),
        (spi(42, 1), "line of SPI 42 goes high"),
        (ppi(1, 27, 0), "line of 0.0.0.1 PPI 27 goes low"),
        (reset("0x55e3"), "CPU 0x55e3 is reset"),
        (evaluation(0, 27, 160, irq=1)[0], "0.0.0.0 is offered INTID 27, priority 0xa0"),
        (evaluation(0, 27, 255, irq=1)[0], "0.0.0.0 is offered nothing"),
        (evaluation(0, 27, 160, irq=1)[1], "0.0.0.0 drives IRQ 1 FIQ 0"),
        (msi(0x10, 2), "device 0x10 signals event 0x2"),
        (command(0x1C, 5, "SYNC")[0], "the ITS takes command 0x1c of its queue, opcode 0x05"),
        (command(0x1C, 5, "SYNC")[1], "command SYNC"),
        (command(0, 9, "MAPC", ICID=3, RDbase=1, V=1)[1], "command MAPC: collection 0x3, target 0x1, valid true"),
        (dte("read", 8, 1, 2, 0x42EF_7E00), "device table, 0x8 read: table at 0x42ef7e00 for 3 bits of EventID"),
        (
            ite("write", 0x42EF_7E00, 1, 1, 0x2001, 2),
            "translation table at 0x42ef7e00, event 0x1 written: INTID 8193, collection 0x2",
        ),
        (
            ite("read", 0x4000, 1, 1, 27, 0).replace("inttype 1", "inttype 0"),
            "translation table at 0x4000, event 0x1 read: virtual INTID 27, collection 0x0",
        ),
        (cte("read", 3, 1, 2), "collection table, 0x3 read: target 0x2"),
        (cte("read", 3, 0, 2), "collection table, 0x3 read: invalid"),
        ("gicv3_its_cmd_vsync GICv3 ITS: command VSYNC", "gicv3_its_cmd_vsync GICv3 ITS: command VSYNC"),
        ("a warning", "a warning"),
    ],
)
def test_each_kind(line: str, text: str) -> None:
    [event] = read_qemu([(1, line)], "")
    assert describe(event) == text


def test_an_access_without_a_value() -> None:
    event = Access(1, None, None, "gicd", None, 0, 4, None, write=False, secure=False, illegal=False)
    assert describe(event) == "read GICD+0x0, 4 bytes"
