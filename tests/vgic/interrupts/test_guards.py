"""Each view of each register of interrupts, against Arm's access tables (tests/helpers/access_table.py)."""

import random
from itertools import product
from typing import Final

import pytest

import vgic
from access_table import EXTENDED_OFFSETS, ROWS, Group, Row, Subject, expected_field, expected_read
from offsets import BANK, GICD, GICR

GROUPS: Final = tuple(Group)
ROUNDS: Final = 2

# Every group with every GICD_NSACR, twice: the sixteen SPIs of one register of GICD_ICFGR, and the next sixteen.
FIRST_SPI: Final = 64
SGIS: Final = 16
EDGE: Final = 0b10
"""What SGIs always are."""
SPIS: Final = tuple(product(GROUPS, range(4))) * 2


FIRST: Final = {"GICD": FIRST_SPI, "GICR": 0, "GICD, extended": 32, "GICR, extended": 32}
"""Of the 32 interrupts that are looked at, how many the registers at a row's offset have before the first."""


class Machine:
    """A VM with two Security states, by addresses; private interrupts are those of vCPU 0."""

    def __init__(self, bank: str, nmi: bool) -> None:
        config = vgic.Config(
            vgic.Topology.kvm(2), spis=96, security="two", extended_spis=96, extended_ppis=32, nmi=nmi
        )
        self.gic = vgic.Gic(config)
        self.gicd = config.gicd_base
        self.bank = bank
        self.private = bank.startswith("GICR")
        self.base = self.gic.redistributor_bases[0] + GICR.SGI_BASE if self.private else self.gicd
        self.first = FIRST[bank]
        self.two_states = True

    def address(self, row: Row, place: int) -> int:
        """Of the register with the field of the interrupt that is `place`-th."""
        number = (self.first + place) * row.bits // 8
        offset = row.offset
        if self.bank == "GICD, extended":
            offset = EXTENDED_OFFSETS[next(name for name, known in ROWS.items() if known is row)]
        return self.base + offset + number // _size(row) * _size(row)

    def read(self, row: Row, place: int, secure: bool) -> int:
        """The register with that field."""
        return self.gic.read(self.address(row, place), _size(row), secure=secure)

    def write(self, row: Row, place: int, value: int, secure: bool) -> None:
        self.gic.write(self.address(row, place), _size(row), value, secure=secure)

    def join_states(self) -> None:
        """Set GICD_CTLR.DS."""
        self.gic.write(self.gicd + GICD.CTLR, 4, 1 << 6, secure=True)
        self.two_states = False

    def stored(self, row: Row, place: int) -> int:
        """The field as whoever sees all of it does."""
        return self.read(row, place, secure=True) >> _lsb(row, place) & (1 << row.bits) - 1


def _size(row: Row) -> int:
    return max(4, row.bits // 8)


def _lsb(row: Row, place: int) -> int:
    return 0 if row.bits == 64 else place * row.bits % 32


def _fields_in(row: Row) -> int:
    return max(1, 32 // row.bits)


def configured(bank: str, joined: bool, rng: random.Random, nmi: bool) -> tuple[Machine, list[Subject]]:
    """A VM, the 32 interrupts of one word in every group with every NSACR, and random values in the rest."""
    machine = Machine(bank, nmi)
    groups = [group for group, _ in SPIS]
    rng.shuffle(groups)
    subjects = [Subject(group, nsacr, {}) for group, (_, nsacr) in zip(groups, SPIS, strict=True)]
    names = [name for _, name in accesses(bank) if nmi or name != "INMIR"]
    for name in names:
        row = ROWS[name]
        for place in range(0, 32, _fields_in(row)):
            value = 0
            for other in range(place, place + _fields_in(row)):
                field = rng.getrandbits(row.bits)
                subject = subjects[other]
                field = {"IGROUPR": subject.group.bit, "IGRPMODR": subject.group.modifier}.get(name, field)
                if name == "NSACR":
                    field = subject.nsacr
                value |= field << _lsb(row, other)
            machine.write(row, place, value, secure=True)
    if machine.private:
        machine.gic.write(machine.base + BANK.NSACR, 4, rng.getrandbits(32), secure=True)
        for subject in subjects:
            subject.nsacr = 0
    if joined:
        machine.join_states()
    for name in names:
        row = ROWS[name]
        for place, subject in enumerate(subjects):
            subject.fields[row.what] = machine.stored(row, place)
    return machine, subjects


def accesses(bank: str) -> list[tuple[str, str]]:
    return [(bank, name) for name in ROWS if not (bank.startswith("GICR") and name in ("NSACR", "IROUTER"))]


CELLS: Final = [(bank, name) for bank in FIRST for _, name in accesses(bank)]


@pytest.mark.rule("SEC-2", "SEC-3", "SEC-4", "SEC-5", "SEC-6")
@pytest.mark.parametrize("joined", [False, True], ids=["two-states", "DS"])
@pytest.mark.parametrize("secure", [False, True], ids=["Non-secure", "Secure"])
@pytest.mark.parametrize(("bank", "name"), [cell for cell in CELLS if cell[1] != "INMIR"])
def test_each_view_of_each_register(bank: str, name: str, secure: bool, joined: bool) -> None:
    _look(bank, name, secure, joined, nmi=False)


@pytest.mark.rule("NMI-10", "NMI-11")
@pytest.mark.parametrize("joined", [False, True], ids=["two-states", "DS"])
@pytest.mark.parametrize("secure", [False, True], ids=["Non-secure", "Secure"])
@pytest.mark.parametrize(("bank", "name"), [cell for cell in CELLS if cell[1] in ("INMIR", "IPRIORITYR")])
def test_each_view_of_superpriority(bank: str, name: str, secure: bool, joined: bool) -> None:
    _look(bank, name, secure, joined, nmi=True)


def _look(bank: str, name: str, secure: bool, joined: bool, nmi: bool) -> None:
    rng = random.Random(f"{bank} {name} {secure} {joined}")
    row, two_states = ROWS[name], not joined
    for _ in range(ROUNDS):
        machine, subjects = configured(bank, joined, rng, nmi)
        for place in range(0, 32, _fields_in(row)):
            there = range(place, place + _fields_in(row))
            shown = machine.read(row, place, secure)
            for other in there:
                field = shown >> _lsb(row, other) & (1 << row.bits) - 1
                assert field == expected_read(row, subjects[other], secure, two_states), subjects[other]
            written = rng.getrandbits(max(32, row.bits))
            machine.write(row, place, written, secure)
            for other in there:
                field = written >> _lsb(row, other) & (1 << row.bits) - 1
                expected = expected_field(row, subjects[other], secure, two_states, field)
                if (bank, name) == ("GICR", "ICFGR") and other < SGIS:
                    expected = EDGE
                assert machine.stored(row, other) == expected, subjects[other]
                subjects[other].fields[row.what] = expected
        machine.gic.check()
        _nothing_else_changed(machine, subjects, row)


def _nothing_else_changed(machine: Machine, subjects: list[Subject], written: Row) -> None:
    for row in ROWS.values():
        if row.what == written.what or row.what not in subjects[0].fields:
            continue
        if (written.what, row.what) == ("nmi", "priority"):
            # Whoever has superpriority has no field there.
            continue
        for place, subject in enumerate(subjects):
            assert machine.stored(row, place) == subject.fields[row.what], (row, subject)
