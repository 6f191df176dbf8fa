"""Twins: a VM that only runs, and one that is saved and restored on the way, with the same random guest on both.

Nobody can tell them apart: not by what they answer, not by their outputs, and not by looking inside.
"""

import random
import re
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

import vgic
from mmio import AddressMap, Frame, Register, Word
from vgic.cpu_interface.sysregs import SystemRegisters

GICD: Final = 0x0800_0000
BANK_WORDS: Final = (0x080, 0x100, 0x100, 0x180, 0x200, 0x200, 0x280, 0x300, 0x380)
IPRIORITYR, ICFGR, IROUTER, SETSPI, CLRSPI = 0x400, 0xC00, 0x6000, 0x040, 0x048
SGI_BASE: Final = 0x1_0000
IRM: Final = 1 << 31

TOPOLOGY: Final = vgic.Topology([0x0100_0000, 0, 0x0001_0203, 0x11])
ARCH: Final = vgic.Config(TOPOLOGY, spis=96)
CONFIGS: Final = {
    "arch": ARCH,
    "arch, rotating, all priorities": replace(ARCH, priority_bits=8, one_of_n_choice="rotate"),
    "arch, nothing": vgic.Config(
        vgic.Topology.kvm(3), spis=96, priority_bits=4, a3v=False, rss=False, one_of_n=False
    ),
    "kvm": replace(ARCH, profile=vgic.KVM, a3v=False),
    "qemu": replace(ARCH, profile=vgic.QEMU, priority_bits=7),
    "qemu, rotating": replace(ARCH, profile=vgic.QEMU, one_of_n=True, one_of_n_choice="rotate"),
}

# What may differ inside: tables without state, memories of the last access, and what depends on history only.
STATELESS: Final = (
    vgic.Config,
    vgic.Profile,
    vgic.profiles.choices.LpiChoices,
    AddressMap,
    Frame,
    Register,
    SystemRegisters,
    Word,
)
IRRELEVANT: Final = (
    "_heap",
    "_last",
    "_last_alone",
    "_last_number",
    "_lines",
    "_memory",
    "_observer",
    "_removed",
    "_typer_moves",
    "memory",
    "moves",
)


def inside(value: object, seen: dict[int, int]) -> object:
    """Everything that an object holds, however deep, as data that can be compared."""
    if value is None or isinstance(value, int | str | bytes):
        return value
    if isinstance(value, STATELESS) or callable(value):
        return type(value).__name__
    if isinstance(value, bytearray | array):
        return bytes(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, dict):
        return {key: inside(value[key], seen) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [inside(item, seen) for item in value]
    if id(value) in seen:
        return f"object {seen[id(value)]}"
    seen[id(value)] = len(seen)
    # A compiled class lists its attributes in a place of its own.
    lists = ("__slots__", "__mypyc_attrs__")
    names = {name for cls in type(value).__mro__ for kind in lists for name in getattr(cls, kind, ())}
    attributes = {
        name: getattr(value, name) for name in {*names, *getattr(value, "__dict__", {})} if name not in IRRELEVANT
    }
    assert attributes, f"{type(value)} hides what it holds"
    if attributes.get("best_key") == vgic.cpu_interface.pending.NO_KEY:
        del attributes["best_in"]
    return type(value).__name__, {name: inside(attributes[name], seen) for name in sorted(attributes)}


class Guest:
    """Chooses operations, and carries out each on every VM that it is given."""

    def __init__(self, config: vgic.Config, rng: random.Random) -> None:
        self.config = config
        self.rng = rng
        self.cpus = len(config.topology)
        self.taken: list[tuple[int, int, int]] = []
        self.did: Counter[str] = Counter()

    def next(self) -> Callable[[vgic.Gic], int]:
        """An operation; what it returns shows the VM's answer."""
        choices = (
            self.bits,
            self.bits,
            self.bits,
            self.priority,
            self.trigger,
            self.route,
            self.message,
            self.line,
        )
        kind = self.rng.choice(
            (*choices, self.line, self.line, self.sgi, self.control, self.gate, self.mpidr, *5 * (self.take,))
        )
        self.did[kind.__name__] += 1
        return kind()

    def write(self, address: int, size: int, value: int) -> Callable[[vgic.Gic], int]:
        def operation(gic: vgic.Gic) -> int:
            gic.write(address, size, value)
            return gic.read(address, size)

        return operation

    def msr(self, cpu: int, register: int, value: int) -> Callable[[vgic.Gic], int]:
        def operation(gic: vgic.Gic) -> int:
            gic.sysreg_write(cpu, register, value)
            return gic.sysreg_read(cpu, vgic.ICC_RPR_EL1)

        return operation

    def frame(self) -> int:
        """Half of the accesses go to the Distributor."""
        redistributors = [0x080A_0000 + 0x2_0000 * cpu + SGI_BASE for cpu in range(self.cpus)]
        return self.rng.choice((*redistributors, *self.cpus * (GICD,)))

    def bits(self) -> Callable[[vgic.Gic], int]:
        frame = self.frame()
        word = 0 if frame != GICD else self.rng.randint(1, 3)
        value = self.rng.choice((0xFFFF_FFFF, self.rng.getrandbits(32), 1 << self.rng.randrange(32)))
        return self.write(frame + self.rng.choice(BANK_WORDS) + 4 * word, 4, value)

    def priority(self) -> Callable[[vgic.Gic], int]:
        return self.write(self.frame() + IPRIORITYR + self.rng.randrange(0, 128, 4), 4, self.rng.getrandbits(32))

    def trigger(self) -> Callable[[vgic.Gic], int]:
        return self.write(self.frame() + ICFGR + 4 * self.rng.randrange(1, 8), 4, self.rng.getrandbits(32))

    def route(self) -> Callable[[vgic.Gic], int]:
        affinity = self.rng.choice(self.config.topology.affinities)
        value = affinity & 0xFF_FFFF | (affinity >> 24) << 32 | self.rng.choice((0, IRM, 1 << 26))
        return self.write(GICD + IROUTER + 8 * self.rng.randrange(32, 128), 8, value)

    def message(self) -> Callable[[vgic.Gic], int]:
        return self.write(GICD + self.rng.choice((SETSPI, CLRSPI)), 4, self.rng.randrange(32, 128))

    def line(self) -> Callable[[vgic.Gic], int]:
        cpu, intid, level = self.rng.randrange(self.cpus), self.rng.randrange(16, 128), self.rng.random() < 0.6

        def operation(gic: vgic.Gic) -> int:
            interrupt = gic.interrupt(cpu, intid)
            interrupt.set_level(level)
            return interrupt.pending

        return operation

    def sgi(self) -> Callable[[vgic.Gic], int]:
        value = self.rng.getrandbits(4) << 24 | self.rng.choice(
            (1 << 40, 0xFFFF, 1 << 48 | 0xFFFF, 1 << 44 | 0xFFFF)
        )
        return self.msr(
            self.rng.randrange(self.cpus), self.rng.choice((vgic.ICC_SGI1R_EL1, vgic.ICC_SGI0R_EL1)), value
        )

    def control(self) -> Callable[[vgic.Gic], int]:
        registers = (vgic.ICC_PMR_EL1, vgic.ICC_BPR0_EL1, vgic.ICC_BPR1_EL1, vgic.ICC_CTLR_EL1, vgic.ICC_AP1R0_EL1)
        value = self.rng.choice((0, 1, 2, 3, 7, 0xFF, 0x80))
        return self.msr(self.rng.randrange(self.cpus), self.rng.choice(registers), value)

    def gate(self) -> Callable[[vgic.Gic], int]:
        cpu = self.rng.randrange(self.cpus)
        base = 0x080A_0000 + 0x2_0000 * cpu
        return self.rng.choice(
            (
                self.write(GICD, 4, self.rng.choice((0b01, 0b10, 0b11, 0b11, 0x83))),
                self.write(base + 0x14, 4, self.rng.choice((0, 0, 2))),
                self.write(base, 4, self.rng.choice((0, 1 << 24, 1 << 25))),
                self.write(base + self.rng.choice((0x70, 0x78)), 8, self.rng.getrandbits(64)),
                self.msr(
                    cpu, self.rng.choice((vgic.ICC_IGRPEN0_EL1, vgic.ICC_IGRPEN1_EL1)), self.rng.choice((0, 1, 1))
                ),
                lambda gic: gic.reset_cpu(cpu) or 0,
            )
        )

    def mpidr(self) -> Callable[[vgic.Gic], int]:
        one, other = self.rng.sample(range(self.cpus), 2)

        def operation(gic: vgic.Gic) -> int:
            gic.write_mpidrs({one: gic.mpidr(other), other: gic.mpidr(one)})
            return gic.mpidr(one)

        return operation

    def take(self) -> Callable[[vgic.Gic], int]:
        """Acknowledge what is signalled, or finish what was acknowledged."""
        if self.taken and self.rng.random() < 0.5:
            cpu, group, intid = self.taken.pop()
            return self.msr(cpu, (vgic.ICC_EOIR0_EL1, vgic.ICC_EOIR1_EL1)[group], intid)
        cpu, group = self.rng.randrange(self.cpus), self.rng.randrange(2)

        def operation(gic: vgic.Gic) -> int:
            return gic.sysreg_read(cpu, (vgic.ICC_IAR0_EL1, vgic.ICC_IAR1_EL1)[group])

        self.taken.append((cpu, group, self.rng.randrange(128)))
        return operation

    def boot(self, gic: vgic.Gic) -> None:
        """What a kernel does first: left to chance, nothing would happen for long."""
        gic.write(GICD, 4, 0b11)
        for word in range(1, 4):
            gic.write(GICD + 0x100 + 4 * word, 4, 0xFFFF_FFFF)
        for cpu, base in enumerate(gic.redistributor_bases):
            gic.write(base + 0x14, 4, 0)
            gic.write(base + SGI_BASE + 0x100, 4, 0xFFFF_FFFF)
            for register in (vgic.ICC_IGRPEN0_EL1, vgic.ICC_IGRPEN1_EL1):
                gic.sysreg_write(cpu, register, 1)
            gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xFF)


def migrated(gic: vgic.Gic, rng: random.Random) -> vgic.Gic:
    """A new VM in the state of `gic`, by way of the bytes of a file, its registers in random order."""
    state = vgic.State.from_bytes(vgic.State.of(gic).to_bytes()).data
    registers = list(state["registers"].items())
    rng.shuffle(registers)
    return vgic.State({"vm": state["vm"], "registers": dict(registers)}).build()


@pytest.mark.rule("SAVE-1", "SAVE-3", "SAVE-4", "SAVE-5")
@pytest.mark.parametrize("name", CONFIGS)
def test_nobody_can_tell_a_restored_vm_from_one_that_only_ran(name: str) -> None:
    seen: Counter[str] = Counter()
    for seed in range(4):
        rng = random.Random(f"{name} {seed}")
        guest = Guest(CONFIGS[name], rng)
        runs, moves = vgic.Gic(guest.config), vgic.Gic(guest.config)
        for gic in (runs, moves):
            guest.boot(gic)
        for step in range(300):
            operation = guest.next()
            assert operation(runs) == operation(moves), f"seed {seed}, step {step}"
            for cpu in range(guest.cpus):
                assert runs.outputs(cpu) == moves.outputs(cpu), f"seed {seed}, step {step}, vCPU {cpu}"
                assert runs.highest_pending(cpu) == moves.highest_pending(cpu), (
                    f"seed {seed}, step {step}, vCPU {cpu}"
                )
            if rng.random() < 0.1:
                moves = migrated(moves, rng)
                moves.check()
                assert inside(runs, {}) == inside(moves, {}), f"seed {seed}, step {step}"
                registers = moves.save()["registers"]
                seen.update({re.sub(r"\d*$", "", key.split(".")[-1]) for key in registers})
                seen["signalled"] += any(any(moves.outputs(cpu)) for cpu in range(guest.cpus))
    expected = {"pending_latch", "line_level", "signalled", "ICC_AP1R0_EL", "GICR_ISACTIVER"}
    if name.startswith("arch"):
        expected |= {"message_level"}
    if guest.config.features.one_of_n:
        expected |= {"chosen_mpidr"}
    if guest.config.one_of_n_choice == "rotate":
        expected |= {"next_choice"}
    if name.startswith("qemu"):
        expected |= {"unevaluated", "forwarded", "GICR_PROPBASER"}
    assert expected <= seen.keys()


@pytest.mark.rule("SAVE-3")
def test_a_vm_that_did_something_else_takes_a_state_as_well() -> None:
    """Whatever a VM was in the middle of, nothing of it is left."""
    for name, config in CONFIGS.items():
        rng = random.Random(name)
        vms = [vgic.Gic(config), vgic.Gic(config)]
        for gic in vms:
            guest = Guest(config, rng)
            guest.boot(gic)
            for _ in range(200):
                guest.next()(gic)
        vms[1].restore(vms[0].save())
        vms[1].check()
        assert inside(vms[1], {}) == inside(vms[0], {}), name
