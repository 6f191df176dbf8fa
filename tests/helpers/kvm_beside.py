"""Whole lives on a live KVM and on `vgic.kvm` alike, and every result compared."""

from collections.abc import Iterable
from random import Random

import kvm_its_lives
import kvm_lives
from kvm_its_lives import ItsLife
from kvm_life import Life
from kvm_subjects import DEFAULT_RAM, Facade, Live
from vgic_tools.judges.kvm import HOST, kvm_version
from vgic_tools.judges.kvm_host import KvmHost

__all__ = ["compare_its_life", "compare_life", "facade"]


def facade(host: KvmHost, ram: Iterable[tuple[int, int]] = DEFAULT_RAM) -> Facade:
    """The model of that KVM, and of the host that it runs on."""
    return Facade(ram=ram, host=HOST, a3v_must_match=True, version=kvm_version(host.release))


def compare_life(host: KvmHost, seed: int) -> int:
    """A VM and what is called; how many calls. AssertionError where an answer is another."""
    told, answered = Life(Live(host)), Life(facade(host))
    for life in (told, answered):
        kvm_lives.live(life, Random(seed))
    assert answered.log == told.log, f"seed {seed}"
    return len(told.log)


def compare_its_life(host: KvmHost, seed: int) -> int:
    """What KVM saves the model restores, and the other way round; RAM is the same, byte by byte, at every save.

    How many answers were compared.
    """
    told, answered = Life(Live(host, ram=kvm_its_lives.RAM)), Life(facade(host, kvm_its_lives.RAM))
    life, same = ItsLife(seed), ItsLife(seed)
    life.live(told)
    same.live(answered)
    assert answered.log == told.log, f"seed {seed}"
    before = len(told.log)
    of_kvm, of_model = _ram(told, life), _ram(answered, life)
    told, answered = Life(Live(host, ram=kvm_its_lives.RAM)), Life(facade(host, kvm_its_lives.RAM))
    life.restored(told, of_model)
    same.restored(answered, of_kvm)
    assert answered.log == told.log, f"seed {seed}, restored"
    return before + len(told.log)


def _ram(life: Life, its: ItsLife) -> dict[int, bytes]:
    return {base: life.subject.read(base, size) for base, size in its.stretches()}
