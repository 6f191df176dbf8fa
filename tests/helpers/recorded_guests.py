"""The recordings in tests/traces, and the machines that they were made on."""

import gzip
from functools import cache
from pathlib import Path

from mmio.trace import Event, open_trace, read_qemu
from vgic_tools.machines.machine import Machine
from vgic_tools.machines.qemu_cmdline import config_from_qemu_cmdline
from vgic_tools.replay.versions import as_recorded

TRACES = Path(__file__).parent.parent / "traces"


def log(recording: str, kind: str) -> Path:
    """The file of a recording; `kind` is "full" or "core"."""
    return TRACES / recording / f"trace.{kind}.log.gz"


def cmdline(recording: str) -> Path:
    """The file with the command line that made a recording."""
    return TRACES / recording / "cmd.txt"


@cache
def machine(recording: str) -> Machine:
    """The machine that a recording was made on."""
    described = Machine(config_from_qemu_cmdline(cmdline(recording)), "its command line")
    return as_recorded(described, open_trace(log(recording, "core")))


@cache
def lines(recording: str, kind: str) -> list[str]:
    """The lines of a recording."""
    return gzip.decompress(log(recording, kind).read_bytes()).decode().splitlines()


@cache
def events(recording: str, kind: str) -> list[Event]:
    """The events of a recording, one for each line."""
    return list(read_qemu(enumerate(lines(recording, kind), 1), recording))
