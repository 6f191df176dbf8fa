"""A broken GIC is noticed: each fault makes a guest fail, or come to no end, and that is told in bounded time."""

from collections.abc import Callable

import pytest

pytest.importorskip("unicorn")

import vgic
from vgic.layouts import gicd, gicr
from vgic_tools.guests.board import Board, Load
from vgic_tools.guests.console_script import Script
from vgic_tools.guests.debian import fetch_kernel
from vgic_tools.guests.gic_port import GicPort
from vgic_tools.guests.programs import kept
from vgic_tools.guests.progress_report import where
from vgic_tools.guests.session import End, Session
from vgic_tools.inputs import read_bytes
from vgic_tools.judges.errors import MissingJudgeError
from vgic_tools.machines.qemu_cmdline import GITS_BASE

RAM = 0x100_0000
LIMIT = 30.0
PATIENCE = 6.0

TOPOLOGY = vgic.Topology.from_text(["0.0.0.0", "1.1.2.3", "128.0.7.15", "255.255.255.15"])
AFF3_OF_SGI = 0xFF << 48
AFF3_OF_ROUTER = 0xFF << 32
AFF3_OF_TYPER = 0xFF << 56
LAST = 1 << 4
ISPENDR0 = 0x200


class Faulty(GicPort):
    """A GIC with a fault."""

    def router(self, address: int) -> bool:
        offset = address - self.gic.config.gicd_base
        return gicd.IROUTER.offset <= offset < gicd.IROUTER.offset + 8 * 1020

    def typer(self, address: int) -> int:
        """The offset in GICR_TYPER, -1 elsewhere."""
        for base in self.gic.redistributor_bases:
            if base + gicr.TYPER.offset <= address < base + gicr.TYPER.offset + 8:
                return address - base - gicr.TYPER.offset
        return -1


class SgiWithoutAff3(Faulty):
    def msr(self, cpu: int, register: int, value: int) -> bool:
        return super().msr(cpu, register, value & ~AFF3_OF_SGI if register == vgic.ICC_SGI1R_EL1 else value)


class RouterWithoutAff3(Faulty):
    def write(self, address: int, size: int, value: int, cpu: int, secure: bool = False) -> None:
        if self.router(address):
            value &= ~(AFF3_OF_ROUTER >> 8 * (address % 8))
        super().write(address, size, value, cpu, secure)


class TyperWithoutAff3(Faulty):
    def read(self, address: int, size: int, cpu: int) -> int:
        value, offset = super().read(address, size, cpu), self.typer(address)
        return value if offset < 0 else value & ~(AFF3_OF_TYPER >> 8 * offset)


class WrongLast(Faulty):
    def read(self, address: int, size: int, cpu: int) -> int:
        value, offset = super().read(address, size, cpu), self.typer(address)
        return value | LAST if offset == 0 else value


class EoirWithoutEffect(Faulty):
    def msr(self, cpu: int, register: int, value: int) -> bool:
        return register == vgic.ICC_EOIR1_EL1 or super().msr(cpu, register, value)


class LatchStays(Faulty):
    def mrs(self, cpu: int, register: int) -> int | None:
        value = super().mrs(cpu, register)
        if register == vgic.ICC_IAR1_EL1 and value is not None and value < 16:
            base = self.gic.redistributor_bases[cpu] + 0x1_0000
            self.gic.write(base + ISPENDR0, 4, 1 << value)
        return value


class LpiLost(Faulty):
    def write(self, address: int, size: int, value: int, cpu: int, secure: bool = False) -> None:
        super().write(address, size, value, cpu, secure)
        if GITS_BASE <= address < GITS_BASE + 0x2_0000:
            for number in range(len(self.gic.config.topology)):
                for intid in range(8192, 8192 + 64):
                    self.gic.lpi(number, intid).clear_pending()


class PmrIgnored(Faulty):
    def msr(self, cpu: int, register: int, value: int) -> bool:
        return super().msr(cpu, register, 0xFF if register == vgic.ICC_PMR_EL1 else value)


class LevelAsEdge(Faulty):
    def _drive(self, cpu: int | None, interrupt: vgic.Interrupt, level: bool) -> None:
        if level and not interrupt.active:
            interrupt.pulse()


class ToAnOfflineCpu(Faulty):
    """1-of-N goes to the last CPU, which is made to sleep whenever somebody routes so."""

    def write(self, address: int, size: int, value: int, cpu: int, secure: bool = False) -> None:
        if self.router(address) and value & 1 << 31:
            value = vgic.affinity.to_irouter(self.gic.affinity(len(self.gic.config.topology) - 1))
            super().write(self.gic.redistributor_bases[-1] + gicr.WAKER.offset, 4, 0b10, cpu)
        super().write(address, size, value, cpu, secure)


FAULTS: dict[str, tuple[type[Faulty], tuple[str, ...]]] = {
    "SGI1R without Aff3": (SgiWithoutAff3, ("sgis",)),
    "IROUTER without Aff3": (RouterWithoutAff3, ("spis",)),
    "GICR_TYPER without Aff3": (TyperWithoutAff3, ("sgis",)),
    "Last at every Redistributor": (WrongLast, ("sgis",)),
    "EOIR without effect": (EoirWithoutEffect, ("sgis",)),
    "the latch stays at IAR": (LatchStays, ("sgis",)),
    "an LPI is lost": (LpiLost, ("lpis",)),
    "PMR ignored": (PmrIgnored, ("priorities",)),
    "level as edge": (LevelAsEdge, ("timers",)),
    "1-of-N to a CPU that is off": (ToAnOfflineCpu, ("spis",)),
}


# Those that Linux meets while it starts its CPUs, and how that ends. Others it does not use, or only later.
LINUX: dict[str, tuple[type[GicPort], End, str]] = {
    "none": (GicPort, End.HEARD, "Brought up 1 node, 4 CPUs"),
    "SGI1R without Aff3": (SgiWithoutAff3, End.SILENT, "Brought up 1 node, 4 CPUs"),
    "Last at every Redistributor": (WrongLast, End.OFF, "Bringing up secondary CPUs"),
    "EOIR without effect": (EoirWithoutEffect, End.STUCK, "Linux version"),
}
LINUX_HAS_STARTED = "devtmpfs: initialized"
"""What it says soon after it has stopped all CPUs for a moment, which takes SGIs."""


def run(
    name: str, spoil: Callable[[vgic.Gic], GicPort] | None, monkeypatch: pytest.MonkeyPatch
) -> tuple[End, Board, str]:
    if spoil is not None:
        monkeypatch.setattr("vgic_tools.guests.machine.GicPort", spoil)
    said = bytearray()
    config = vgic.Config(TOPOLOGY, its=(GITS_BASE,))
    board = Board.loaded(config, RAM, Load(kept(name), name), said.append)
    end = Session(board.machine, patience=PATIENCE, limit=LIMIT).run()
    return end, board, said.decode()


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_noticed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, programs = FAULTS[fault]
    for name in programs:
        end, board, said = run(name, kind, monkeypatch)
        # A guest that finds one Redistributor only passes, with fewer CPUs.
        fewer = not said.startswith(f"{name}: {len(TOPOLOGY)} CPUs")
        assert fewer or f"PASS {name}" not in said, said
        assert fewer or end in (End.STUCK, End.SILENT, End.LATE) or f"FAIL {name}" in said
        assert len(where(board.machine)) == len(TOPOLOGY)


@pytest.mark.slow
@pytest.mark.parametrize("fault", LINUX)
def test_linux_does_not_start_with_a_fault(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, expected, words = LINUX[fault]
    try:
        kernel = read_bytes(fetch_kernel("6.1"))
    except MissingJudgeError as error:
        pytest.skip(str(error))
    monkeypatch.setattr("vgic_tools.guests.machine.GicPort", kind)
    said = bytearray()

    def sent(byte: int) -> None:
        said.append(byte)
        session.hear(byte)

    load = Load(kernel, "vmlinuz", arguments="console=ttyAMA0 earlycon=pl011,0x9000000 cryptomgr.notests panic=-1")
    board = Board.loaded(vgic.Config(TOPOLOGY, its=(GITS_BASE,)), 8 * RAM, load, sent)
    script = Script([LINUX_HAS_STARTED], (), board.uart.receive)
    session = Session(board.machine, script, patience=2.0, limit=LIMIT)
    end = session.run()
    text = said.decode(errors="replace")
    assert end is expected, text
    assert words in text
    assert board.machine.clock.seconds < 10
    assert len(where(board.machine)) == len(TOPOLOGY)
