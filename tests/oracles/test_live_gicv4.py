"""The registers by which a GICv4 differs, as QEMU has them with gic-version=4, and as the model has them."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import vgic
from vgic import QEMU, QEMU_10_0
from vgic_tools.judges.qemus import cached_qemu
from vgic_tools.judges.qtest import Qtest, read, write
from vgic_tools.machines.qemu_cmdline import GITS_BASE, virt_config

MACHINE = ["-machine", "virt,gic-version=4,virtualization=on", "-cpu", "cortex-a76", "-smp", "3", "-m", "128"]
CPUS = 3
STEPS = 20_000
VALID = 1 << 31
"""In the upper half of GICR_VPENDBASER."""
IDBITS = 15
TABLES = 0x4400_0000
"""RAM that is zero: QEMU reads the tables of a vPE that becomes resident, and they show no virtual LPI."""
ADDRESS = 0xF_FFFF
"""The bits of an address that are in the upper half of a register."""


def command(newer: bool) -> list[str]:
    if not newer:
        qemu = shutil.which("qemu-system-aarch64")
        return pytest.skip("needs qemu-system-aarch64") if qemu is None else [qemu, *MACHINE]
    cached = cached_qemu()
    if cached is None:
        pytest.skip("needs a newer QEMU: vgic compare qemu --qemu newer")
    return [str(cached), "-L", str(Path(cached).parents[1] / "share" / "qemu"), *MACHINE]


def operations(bases: list[int], rng: random.Random) -> Iterator[tuple[int, int, int | None]]:
    """Address, size, and what is written; None: it is read."""
    tables = [(GITS_BASE + 0x100 + 8 * index, 8) for index in range(4)]
    for frame in (0x0800_0000, GITS_BASE, *bases):
        yield frame + 0xFFE8, 4, None
    yield 0x0800_0004, 4, None
    yield GITS_BASE + 8, 8, None
    for _ in range(STEPS):
        base = rng.choice(bases)
        if rng.random() < 0.1:
            address, size = rng.choice([*tables, (base + 8, 8), (base + rng.randrange(0x20000, 0x40000, 4), 4)])
        else:
            address = base + rng.choice((0x20070, 0x20078))
            size = rng.choice((8, 8, 8, 4, 4, 1, 2))
            address += rng.choice((0, 4)) if size == 4 else 0
        if rng.random() < 0.5:
            yield address, size, None
            continue
        upper, lower = rng.getrandbits(32) & ~ADDRESS, rng.getrandbits(26) & ~0x1F
        value = rng.choice((0, VALID, upper)) << 32 | TABLES | lower | IDBITS
        yield address, size, value >> (32 if size == 4 and address & 4 else 0) & (1 << 8 * size) - 1
        if size < 8:
            yield address & ~7, 8, None


@pytest.mark.rule("VLPI-1", "VLPI-2", "VLPI-3", "VLPI-4")
@pytest.mark.parametrize("newer", [False, True], ids=["7.2", "newer"])
def test_the_frames_of_a_gicv4(newer: bool, tmp_path: Path) -> None:
    profile = QEMU_10_0 if newer else QEMU
    gic = vgic.Gic(virt_config(CPUS, profile, its=True, list_registers=4, vlpi_frames=True))
    steps = list(operations(gic.redistributor_bases, random.Random(4)))
    with Qtest(command(newer), tmp_path) as qtest:
        asked = [read(at, size) if value is None else write(at, size, value) for at, size, value in steps]
        answers = qtest.ask(asked)
    compared = 0
    for step, ((address, size, value), expected) in enumerate(zip(steps, answers, strict=True)):
        if value is not None:
            gic.write(address, size, value)
        else:
            got = gic.read(address, size)
            assert (step, f"{address:#x}", f"{got:#x}") == (step, f"{address:#x}", f"{expected:#x}")
            compared += 1
    assert compared > STEPS // 2
