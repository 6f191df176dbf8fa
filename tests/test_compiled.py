"""Which core the tests run on, and that all of it is of one kind."""

import importlib
import os
import sys
import sysconfig
import tomllib
from collections import Counter
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import FrameType

import pytest

import recorded_guests
import vgic
from mmio.trace import PackedWriter, open_trace
from vgic_tools.replay import replay

ROOT = Path(__file__).parents[1]
MODULES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["vgic"]["compiled"]


@pytest.mark.skipif("VGIC_COMPILE" not in os.environ, reason="VGIC_COMPILE does not say which core to expect")
def test_the_core_is_the_one_that_was_asked_for() -> None:
    assert vgic.COMPILED is {"1": True, "0": False}[os.environ["VGIC_COMPILE"]]


@pytest.mark.parametrize("name", MODULES)
def test_the_core_is_compiled_as_a_whole_or_not_at_all(name: str) -> None:
    file = importlib.import_module(name).__file__ or ""
    assert file.endswith(tuple(EXTENSION_SUFFIXES)) is vgic.COMPILED


@pytest.mark.parametrize("name", ["mmio", "vgic", "vgic_tools"])
def test_a_compiled_core_is_not_mixed_with_the_source_tree(name: str) -> None:
    file = Path(importlib.import_module(name).__file__ or "")
    installed = file.is_relative_to(sysconfig.get_path("platlib"))
    assert installed if vgic.COMPILED else installed or file.is_relative_to(ROOT)


@pytest.mark.skipif(not vgic.COMPILED, reason="all that an interpreted core does is interpreted")
def test_a_replay_interprets_nothing_event_by_event(tmp_path: Path) -> None:
    recording, packed = recorded_guests.events("linux_smp4_noits", "core"), tmp_path / "trace.vgpk"
    with PackedWriter(packed) as writer:
        for event in recording:
            writer.write(event)
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            calls[f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"] += 1

    reader, machine = open_trace(packed), recorded_guests.machine("linux_smp4_noits")
    sys.setprofile(count)
    try:
        result = replay(reader, reader.path, machine)
    finally:
        sys.setprofile(None)
    assert not result.diverged
    assert not {name: times for name, times in calls.items() if times > len(recording) // 100}
