"""The C yardstick: a small GICv3 in C (yardstick/), compiled when it is needed and called through ctypes."""

import ctypes
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import vgic
from mmio import AccessKind
from vgic.layouts import gicd, gicr
from vgic_tools.bench.operations import Operation, pack
from vgic_tools.bench.timing import NotMeasuredError

__all__ = ["CMachine", "Records", "c_library"]

_SOURCE: Final = Path(__file__).with_name("yardstick") / "replay.c"
_WORD: Final = 32
_OPTIONS: Final = ("-O3", "-shared", "-fPIC")


def c_library() -> ctypes.CDLL:
    """The yardstick, compiled by Python's own C compiler or else `cc`; NotMeasuredError where there is none."""
    named = shlex.split(sysconfig.get_config_var("CC") or "cc")
    compiler = named if shutil.which(named[0]) else ["cc"]
    if shutil.which(compiler[0]) is None:
        raise NotMeasuredError(f"no C compiler: neither {named[0]} nor cc is there")
    with tempfile.TemporaryDirectory() as folder:
        # Once it is loaded, nobody needs the file any more.
        library = Path(folder, "yardstick.so")
        command = [*compiler, *_OPTIONS, str(_SOURCE), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotMeasuredError(f"{shlex.join(command)} failed: {done.stderr.strip()}")
        loaded = ctypes.CDLL(str(library))
    u32, u64, machine = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p
    for name, result, arguments in (
        ("new", machine, [u32, u32, u32, u64, ctypes.c_void_p]),
        ("free", None, [machine]),
        ("region", None, [machine, u64, u32, u32]),
        ("identify", None, [machine, u32, u32, u32]),
        ("type", None, [machine, u32, u64]),
        ("outputs", u32, [machine, u32]),
        ("replay", u64, [machine, ctypes.c_char_p, u64, ctypes.c_void_p]),
    ):
        function = getattr(loaded, f"yardstick_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded


class CMachine:
    """A machine of the C yardstick with this configuration, whose choices are those of the profile qemu."""

    def __init__(self, library: ctypes.CDLL, config: vgic.Config) -> None:
        self._library = library
        topology = config.topology
        affinities = array("I", topology.affinities)
        shape = (len(topology), config.spis, config.priority_bits, config.gicd_base)
        self._machine = library.yardstick_new(*shape, affinities.buffer_info()[0])
        if not self._machine:
            raise MemoryError(f"a C machine of {len(topology)} vCPUs")
        first = 0
        for region in config.redistributor_regions:
            count = min(region.count, len(topology) - first)
            library.yardstick_region(self._machine, region.base, first, count)
            first += count
        self._identify(vgic.Gic(config))

    def _identify(self, gic: vgic.Gic) -> None:
        for redistributor, base, layouts in (
            (0, gic.config.gicd_base, gicd.GICD),
            (1, gic.redistributor_bases[0], gicr.RD_BASE),
        ):
            for layout in layouts:
                if layout.access is AccessKind.RO and layout.width == _WORD:
                    value = gic.read(base + layout.offset, _WORD // 8)
                    self._library.yardstick_identify(self._machine, redistributor, layout.offset, value)
        for cpu, base in enumerate(gic.redistributor_bases):
            self._library.yardstick_type(self._machine, cpu, gic.read(base + gicr.TYPER.offset, 8))

    def __del__(self) -> None:
        self._library.yardstick_free(self._machine)

    def outputs(self, cpu: int) -> tuple[bool, bool]:
        """The IRQ and FIQ outputs of a vCPU."""
        both = self._library.yardstick_outputs(self._machine, cpu)
        return both & 1 != 0, both & 2 != 0

    def perform(self, records: "Records") -> int:
        """Perform operations; all that they read, ORed together."""
        return int(self._library.yardstick_replay(self._machine, records.packed, records.count, None))

    def results(self, records: "Records") -> list[int]:
        """Perform operations; what each one reads, 0 for those that read nothing."""
        found = array("Q", bytes(8 * records.count))
        self._library.yardstick_replay(self._machine, records.packed, records.count, found.buffer_info()[0])
        return list(found)


class Records:
    """Operations as the yardstick takes them."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.packed = pack(operations)
        self.count = len(operations)
