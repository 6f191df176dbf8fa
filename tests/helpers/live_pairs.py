"""Every ordered pair of live KVM hosts: a vCPU's registers, read on one, restored on the other, beside the model.

`make host-pairs` asks all hosts that are at hand, and says how many verdicts it compared.
"""

import itertools
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from live_identity import VERSIONS, Seen, State, modelled, seen_of, states_of, vcpu_in
from vgic.identity.kvm import KvmIdRegisters
from vgic.identity.kvm_versions import KvmIdVersion
from vgic.kvm import KvmError
from vgic_tools.hosts.kvm_files import register_name
from vgic_tools.judges.agent import missing_tool
from vgic_tools.judges.kernels import cached_kernel
from vgic_tools.judges.kvm_abi import FEATURES
from vgic_tools.judges.kvm_host import KvmHost, Outcome
from vgic_tools.judges.qemus import cached_qemu

__all__ = ["ALL", "Place", "Verdict", "restored", "seen_at", "verdicts"]


class Place(NamedTuple):
    """A live host that can be started."""

    kernel: str
    """In `VERSIONS`."""
    cpu: str
    newer: bool = False
    """Of the newer QEMU, which has more models."""

    def __str__(self) -> str:
        return f"{self.cpu}{'*' if self.newer else ''} {self.kernel}"

    def start(self) -> KvmHost:
        """Start it."""
        kernel = cached_kernel(self.kernel)
        assert kernel is not None
        return KvmHost(kernel, self.cpu, qemu=cached_qemu() if self.newer else None)


_CPUS = ("cortex-a35", "cortex-a53", "cortex-a57", "cortex-a72", "cortex-a76", "neoverse-n1", "a64fx", "max")
_NEWER_CPUS = ("cortex-a55", "cortex-a710", "neoverse-v1", "neoverse-n2", "max")
ALL = [
    Place(kernel, cpu, newer)
    for kernel in VERSIONS
    for cpu, newer in [(cpu, False) for cpu in _CPUS] + [(cpu, True) for cpu in _NEWER_CPUS]
]

FEATURE_SETS: tuple[tuple[str, ...], ...] = ((), tuple(FEATURES))
"""What vCPUs are made with: nothing, as Firecracker does, or everything, as QEMU does."""

View = dict[tuple[str, ...], Seen]
"""What a host shows a new vCPU, by its features; without those that it does not have."""


class Verdict(NamedTuple):
    """What became of a register that was restored."""

    register: str
    value: int
    kvm: Outcome
    """The errno of the write, and the value at the end."""
    model: Outcome


def seen_at(host: KvmHost) -> View:
    """Ask a host for its view, once."""
    had = {name for name in FEATURES if host.has(name)}
    return {features: seen_of(host, features) for features in FEATURE_SETS if had.issuperset(features)}


def restored(
    host: KvmHost, here: Seen, there: Seen, version: KvmIdVersion, state: State, features: Sequence[str] = ()
) -> Iterator[Verdict]:
    """Restore on `host`, which shows `here`, everything that another host showed a vCPU."""
    vcpu = vcpu_in(host, state, features)
    names = [register_name(number) for number, _ in there.everything]
    wrote = host.ask([vcpu.set(number, value) for number, value in there.everything])
    read = iter(
        host.ask([vcpu.get(number) for (number, _), name in zip(there.everything, names, strict=True) if name])
    )
    model = KvmIdRegisters(here.shown, version, implementation_ids=state.capability, hidden=here.hidden)
    if state.has_run:
        model.run()
    told: list[tuple[str, int, Outcome, int]] = []
    for name, (_, value), write in zip(names, there.everything, wrote, strict=True):
        if name is not None:
            kvm = Outcome(write.errno, next(read).value)
            told.append((name, value, kvm, modelled(model, name, value).errno))
    # What a register holds at the end, when all have been written.
    for name, value, kvm, errno in told:
        yield Verdict(name, value, kvm, Outcome(errno, modelled_value(model, name)))


def modelled_value(model: KvmIdRegisters, name: str) -> int:
    """What the model says that a register holds; 0 where KVM has none."""
    try:
        return model.get(name)
    except KvmError:
        return 0


def verdicts(places: Sequence[Place], views: dict[Place, View]) -> Iterator[tuple[str, list[Verdict]]]:
    """Those of every ordered pair, in every state; each host is started once, to restore what all others showed.

    The views that `views` lacks are asked for first.
    """
    for place in places:
        if place not in views:
            with place.start() as host:
                views[place] = seen_at(host)
    for target in places:
        version = VERSIONS[target.kernel]
        with target.start() as host:
            for source, state in itertools.product(places, states_of(version)):
                for features in views[target].keys() & views[source].keys():
                    here, there = views[target][features], views[source][features]
                    what = f"{source} -> {target}, {state}, {features}"
                    yield what, list(restored(host, here, there, version, state, features))
        print(f"restored on {target}", file=sys.stderr, flush=True)


def at_hand() -> list[Place]:
    """The hosts that can be started here."""
    if missing_tool() is not None:
        return []
    return [place for place in ALL if cached_kernel(place.kernel) and (not place.newer or cached_qemu())]


class Tally(NamedTuple):
    """How many verdicts there are, and of which kinds."""

    restores: int
    compared: int
    refused: int
    changed: int
    """Accepted, and another value is there at the end."""
    wrong: list[str]
    """A line each."""


def tally(told: Iterable[tuple[str, list[Verdict]]]) -> Tally:
    """Count verdicts."""
    restores = compared = refused = changed = 0
    wrong: list[str] = []
    for what, some in told:
        restores += 1
        compared += len(some)
        refused += sum(verdict.kvm.errno != 0 for verdict in some)
        changed += sum(not verdict.kvm.errno and verdict.kvm.value != verdict.value for verdict in some)
        wrong += [f"{what}: {verdict}" for verdict in some if verdict.kvm != verdict.model]
    return Tally(restores, compared, refused, changed, wrong)


def main() -> None:
    """Ask all hosts that are at hand; fails where a verdict is wrong or none was compared."""
    places = at_hand()
    print(f"{len(places)} of {len(ALL)} hosts are at hand; `make kernels` fetches what is missing", flush=True)
    begin = time.monotonic()
    found = tally(verdicts(places, {}))
    for line in found.wrong:
        print(line)
    print(f"{len(places) ** 2} ordered pairs, {found.restores} restores, in {time.monotonic() - begin:.0f} s")
    print(f"{found.compared} verdicts compared: {found.refused} refused, {found.changed} accepted but changed")
    print(f"{len(found.wrong)} wrong")
    sys.exit(bool(found.wrong) or not found.compared)


if __name__ == "__main__":
    main()
