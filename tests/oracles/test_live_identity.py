"""What a live KVM answers to writes of identification registers, beside `vgic.identity.kvm`.

The errno of each write and the value read back afterwards are compared.

As tests/oracles/test_live_kvm.py, which says what it needs.
"""

import errno
from collections.abc import Iterator, Sequence
from random import Random

import pytest

from live_hosts import kernel_at_hand
from live_identity import STATES, VERSIONS, Seen, State, answers_of, modelled, seen_of, states_of, vcpu_in
from mmio import Field
from vgic.identity.caches import generated_ccsidr, generated_clidr
from vgic.identity.kvm import KvmIdRegisters
from vgic.identity.kvm_versions import KvmIdVersion
from vgic.identity.registers import REGISTERS, SELECTORS, cache_register, name_of, selector_of
from vgic.kvm import KvmError
from vgic_tools.judges import kvm_abi as abi
from vgic_tools.judges.kvm_host import KvmHost

CPUS = ("cortex-a76", "max", "a64fx")
FIRST = ("6.12", "cortex-a76")
HOSTS = [
    pytest.param((kernel, cpu), marks=[] if (kernel, cpu) == FIRST else pytest.mark.slow, id=f"{kernel}-{cpu}")
    for kernel in VERSIONS
    for cpu in CPUS
]

IDS = {name: abi.system_register(register.encoding) for name, register in REGISTERS.items()}
IDS |= {cache_register(selector): abi.cache_register(selector) for selector in SELECTORS}
IDS |= {name: abi.system_register(encoding) for encoding in range(0xC008, 0xC040) if (name := name_of(encoding))}

FEW = (
    "MIDR_EL1",
    "CTR_EL0",
    "CLIDR_EL1",
    "ID_AA64PFR0_EL1",
    "ID_AA64DFR0_EL1",
    "ID_AA64MMFR0_EL1",
    "CCSIDR_EL1[0]",
)
"""Registers that have rules of their own, and one that has not."""


@pytest.fixture(scope="module", params=HOSTS)
def live(request: pytest.FixtureRequest) -> Iterator[tuple[KvmHost, KvmIdVersion]]:
    name, cpu = request.param
    with KvmHost(kernel_at_hand(name), cpu=cpu) as host:
        yield host, VERSIONS[name]


def boundaries(field: Field, value: int) -> set[int]:
    """Of a field: its ends, the sign's, and what is next to the value that it has."""
    most = (1 << field.width) - 1
    near = {0, 1, most >> 1, (most >> 1) + 1, most - 1, most}
    return {number & most for number in near | {field.extract(value) + step for step in (-1, 0, 1)}}


def writes(shown: dict[str, int]) -> list[tuple[str, int]]:
    """Every field of every register at its boundaries, and every reserved bit."""
    asked: list[tuple[str, int]] = []
    for name, value in shown.items():
        if name in REGISTERS:
            layout = REGISTERS[name].layout
            for field in layout.fields:
                asked += [(name, value & ~field.mask | number << field.lsb) for number in boundaries(field, value)]
            reserved = layout.reserved_bits_set((1 << 64) - 1) | layout.ones
            asked += [(name, value ^ 1 << bit) for bit in range(64) if reserved >> bit & 1]
        elif selector_of(name) is None:
            asked += [(name, value ^ 1 << bit) for bit in range(64)]
        else:
            asked += [(name, value & ~7 | line) for line in range(8)]
            asked += [(name, value ^ 1 << bit) for bit in range(32)]
            asked += [(name, number) for number in (0x700FE03A, 0x203FE01A, 0x70FFE07B, 0x73FFE07B)]
    return asked


def random_writes(shown: dict[str, int], random: Random) -> list[tuple[str, int]]:
    """Several fields at once, near what the host has."""
    asked: list[tuple[str, int]] = []
    for name in [name for name in shown if name in REGISTERS]:
        for _ in range(40):
            value = shown[name]
            for field in random.choices(REGISTERS[name].layout.fields, k=random.choice((2, 3, 8))):
                number = random.choice(sorted(boundaries(field, shown[name])))
                value = value & ~field.mask | number << field.lsb
            asked.append((name, value))
    return asked


def compare(host: KvmHost, version: KvmIdVersion, asked: Sequence[tuple[str, int]], seen: Seen) -> int:
    compared = 0
    for state in states_of(version):
        told = answers_of(host, vcpu_in(host, state), [(IDS[name], value) for name, value in asked])
        model = KvmIdRegisters(seen.shown, version, implementation_ids=state.capability, hidden=seen.hidden)
        if state.has_run:
            model.run()
        for (name, value), outcome in zip(asked, told, strict=True):
            assert modelled(model, name, value) == outcome, (state, name, hex(value), hex(seen.shown[name]))
            compared += 1
    return compared


@pytest.mark.rule("IDENT-10", "IDENT-11", "IDENT-12", "IDENT-13", "IDENT-14", "IDENT-15", "IDENT-16", "IDENT-17")
@pytest.mark.rule("IDENT-18")
def test_fields_at_their_boundaries(live: tuple[KvmHost, KvmIdVersion]) -> None:
    host, version = live
    seen = seen_of(host)
    asked = [(name, value) for name, value in writes(seen.shown) if name in FEW]
    assert compare(host, version, asked, seen) > 800


@pytest.mark.slow
@pytest.mark.rule("IDENT-10", "IDENT-11", "IDENT-12", "IDENT-13", "IDENT-14", "IDENT-15", "IDENT-16", "IDENT-17")
@pytest.mark.rule("IDENT-18", "IDENT-70", "IDENT-71")
def test_every_field_at_its_boundaries(live: tuple[KvmHost, KvmIdVersion]) -> None:
    host, version = live
    seen = seen_of(host)
    assert compare(host, version, writes(seen.shown), seen) > 4000


@pytest.mark.slow
def test_several_fields_at_once(live: tuple[KvmHost, KvmIdVersion]) -> None:
    host, version = live
    seen = seen_of(host)
    for seed in range(3):
        compare(host, version, random_writes(seen.shown, Random(seed)), seen)


@pytest.mark.rule("IDENT-4", "IDENT-5")
def test_what_is_shown_of_caches(live: tuple[KvmHost, KvmIdVersion]) -> None:
    host, version = live
    shown = seen_of(host).shown
    if not version.generated_caches:
        assert shown["CCSIDR_EL1[0]"] >> 13  # More than one set: the hardware's.
        return
    assert shown["CLIDR_EL1"] == generated_clidr(shown["CTR_EL0"])
    for selector in SELECTORS:
        assert shown[cache_register(selector)] == generated_ccsidr(shown["CTR_EL0"], selector)


@pytest.mark.rule("IDENT-14", "IDENT-18")
def test_what_kvm_does_not_have(live: tuple[KvmHost, KvmIdVersion]) -> None:
    host, version = live
    vcpu = vcpu_in(host, STATES[0])
    for name in ("DCZID_EL0", "CNTFRQ_EL0", "ICH_VTR_EL2"):
        with pytest.raises(KvmError) as refused:
            vcpu.get_reg(IDS[name])
        assert refused.value.errno == errno.ENOENT
    if not version.implementation_ids:
        with pytest.raises(KvmError, match="EINVAL"):
            vcpu_in(host, State(capability=True, has_run=False))
