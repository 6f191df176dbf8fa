"""The strongest contract of live KVM hosts, tried on each: all take it, and nothing stronger.

As tests/oracles/test_live_kvm.py, which says what it needs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from live_hosts import kernel_at_hand
from live_identity import STATES, Seen, State, seen_of, vcpu_in
from live_pairs import Place
from vgic.identity import Host
from vgic.identity.aarch32_features import is_aarch32, without_aarch32
from vgic.identity.common import Common, common
from vgic.identity.registers import REGISTERS, selector_of
from vgic_tools.hosts.capture import capture
from vgic_tools.judges import kvm_abi as abi
from vgic_tools.judges.kvm_host import KvmHost, Outcome

ONES = [
    [Place("6.12", "cortex-a72"), Place("6.12", "a64fx"), Place("newest", "cortex-a76")],
    [Place("newest", "cortex-a76"), Place("newest", "neoverse-n1"), Place("newest", "max")],
    [Place("6.1", "cortex-a57"), Place("6.12", "cortex-a53"), Place("newest", "cortex-a72")],
]

NOT_WRITTEN = ("DCZID_EL0", "CNTFRQ_EL0")


def kvm_id(name: str) -> int:
    selector = selector_of(name)
    return abi.system_register(REGISTERS[name].encoding) if selector is None else abi.cache_register(selector)


@dataclass
class Tried:
    """A live host, and what becomes of writes to a new vCPU of it."""

    host: Host
    shown: Seen
    answers: dict[tuple[str, int], Outcome] = field(default_factory=dict)

    def takes(self, name: str, value: int) -> bool:
        """It was accepted, and is there, unless what is there means nothing."""
        errno, read = self.answers[name, value]
        return not errno and (read == value or (is_aarch32(name) and without_aarch32(self.shown.shown)))


def tries(live: KvmHost, state: State, asked: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Outcome]:
    """What becomes of each write, the one before it taken back."""
    vcpu = vcpu_in(live, state)
    wanted = list(dict.fromkeys(asked))
    before = {name: vcpu.get_reg(kvm_id(name)) for name in {name for name, _ in wanted}}
    calls = [
        call
        for name, value in wanted
        for call in (vcpu.set(kvm_id(name), value), vcpu.get(kvm_id(name)), vcpu.set(kvm_id(name), before[name]))
    ]
    told = live.ask(calls)
    return {which: Outcome(told[3 * at].errno, told[3 * at + 1].value) for at, which in enumerate(wanted)}


def stronger(name: str, value: int) -> list[int]:
    """A register with one field stronger than it is: `value` can stand for it."""
    register = REGISTERS[name]
    found = []
    for part in register.layout.fields:
        now, safe = part.extract(value), register.safe_values[part.name]
        for other in range(1 << min(part.width, 6)):
            if other != now and safe.of(now, other, part.width) == now:
                found.append(value & ~part.mask | other << part.lsb)
    return found


def promised(found: Common) -> dict[str, int]:
    """What a VMM writes of a contract."""
    told = found.contract.promised.registers
    return {name: value for name, value in told.items() if name not in NOT_WRITTEN and not name.startswith("S3_")}


def compared(found: Common) -> dict[str, int]:
    """Registers whose fields have an order."""
    skipped = ("MIDR_EL1", "REVIDR_EL1", "AIDR_EL1", "CLIDR_EL1", "MPIDR_EL1")
    return {name: value for name, value in promised(found).items() if name in REGISTERS and name not in skipped}


def impossible(found: Common, shown: Sequence[Seen]) -> list[tuple[str, list[int]]]:
    """Every value of the fields that the hosts have none of in common, each beside what each host shows."""
    wanted = []
    for item in found.impossible:
        if item.register in REGISTERS and item.field and item.field != "reserved":
            part = REGISTERS[item.register].layout.field(item.field)
            bases = {seen.shown[item.register] & ~part.mask for seen in shown}
            values = [base | number << part.lsb for base in bases for number in range(1 << min(part.width, 6))]
            wanted.append((item.register, values))
    return wanted


@pytest.mark.slow
@pytest.mark.parametrize("places", ONES, ids=lambda places: ",".join(map(str, places)))
@pytest.mark.rule("IDENT-29", "IDENT-76")
def test_what_three_hosts_have_in_common(places: list[Place]) -> None:
    for place in places:
        kernel_at_hand(place.kernel)
    tried: list[Tried] = []
    for place in places:
        with place.start() as live:
            tried.append(Tried(capture(live, str(place), ()), seen_of(live)))
    found = common([one.host for one in tried])
    kept = {
        name: value for name, value in promised(found).items() if name in REGISTERS or selector_of(name) is not None
    }
    more = [(name, value) for name, now in compared(found).items() for value in stronger(name, now)]
    nowhere = impossible(found, [one.shown for one in tried])
    for place, one in zip(places, tried, strict=True):
        asked = [*kept.items(), *more, *((name, value) for name, values in nowhere for value in values)]
        with place.start() as live:
            one.answers = tries(live, STATES[0], asked)
    for name, value in kept.items():
        assert all(one.takes(name, value) for one in tried), (name, hex(value))
    assert len(kept) > 40
    for name, value in more:
        assert not all(one.takes(name, value) for one in tried), (name, hex(value), hex(kept[name]))
    assert len(more) > 2000
    for item, (name, _) in zip(
        (i for i in found.impossible if i.register in REGISTERS and i.field), nowhere, strict=False
    ):
        part = REGISTERS[name].layout.field(item.field)
        for number in range(1 << min(part.width, 6)):
            beside = [(one.shown.shown[name] & ~part.mask) | number << part.lsb for one in tried]
            assert not all(one.takes(name, value) for one, value in zip(tried, beside, strict=True)), item
