"""Damaged traces of every format: read as far as they can be, or refused with a TraceError, and nothing else."""

import bz2
import gzip
import lzma
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import recorded_guests
from damage import damaged
from mmio.trace import NativeWriter, PackedWriter, TraceError, open_trace
from mmio.trace.packed import MAGIC
from mmio.trace.records import RecordSink

LOG = recorded_guests.TRACES / "linux_smp1_its" / "trace.core.log.gz"
LINES = 8


class Nowhere(RecordSink):
    """Takes every record."""

    def take(self, data: bytes, at: int, index: int, thread: int) -> bool:
        return False


@cache
def log() -> bytes:
    lines = gzip.decompress(LOG.read_bytes()).splitlines(keepends=True)
    # Some of the boot, where commands and messages of the ITS are.
    its = [line for line in lines if b"gicv3_its" in line][:LINES]
    return b"".join([*lines[:LINES], *its])


def qemu(path: Path) -> bytes:
    return log()


def written(writer: type[NativeWriter] | type[PackedWriter]) -> Callable[[Path], bytes]:
    def make(path: Path) -> bytes:
        path.write_bytes(qemu(path))
        with writer(path.with_name("written"), {"source": "a log"}) as file:
            for event in open_trace(path):
                file.write(event)
        return path.with_name("written").read_bytes()

    return make


def newer_qemu(path: Path) -> bytes:
    """As QEMU writes it since 10.1."""
    return re.sub(rb"(?m)^\d+@\d+\.(\d+):", rb"2026-11-21T18:43:28.\1Z ", log())


FORMATS: dict[str, Callable[[Path], bytes]] = {
    "qemu": qemu,
    "newer qemu": newer_qemu,
    "native": written(NativeWriter),
    "packed": written(PackedWriter),
    "gzip": lambda path: gzip.compress(qemu(path)),
    "bzip2": lambda path: bz2.compress(qemu(path)),
    "xz": lambda path: lzma.compress(qemu(path)),
}


def survive(path: Path, sample: bytes, count: int, seed: int) -> int:
    """How many damaged copies are refused, read in whichever way there is."""
    refused = 0
    for contents in damaged(sample, count, seed):
        path.write_bytes(contents)
        outcomes = []
        for read in (_as_events, _as_records):
            try:
                read(path)
            except TraceError:
                outcomes.append("refused")
            else:
                outcomes.append("read")
        # The records of a packed trace are looked at by whoever takes them.
        assert outcomes in (["read", "read"], ["refused", "refused"]) or contents.startswith(MAGIC[:4])
        refused += outcomes[0] == "refused"
    return refused


def _as_events(path: Path) -> None:
    for _ in open_trace(path):
        pass


def _as_records(path: Path) -> None:
    open_trace(path).feed(Nowhere())


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_traces(tmp_path: Path, name: str) -> None:
    path = tmp_path / "trace"
    assert survive(path, FORMATS[name](path), 60, 1) > 5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qemu", "newer qemu", "native", "packed"])
def test_ten_thousand_damaged_traces(tmp_path: Path, name: str) -> None:
    path = tmp_path / "trace"
    assert survive(path, FORMATS[name](path), 10_000, 2) > 1000
