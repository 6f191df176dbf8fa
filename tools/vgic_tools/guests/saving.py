"""The state of a whole machine in a file, from which another process goes on.

The file is a ZIP archive: `machine.json` (the clock, what each CPU waits for, timers, devices), `gic.state` (a
state file of `vgic.State`), `ram`, and for each CPU `cpu<n>`, as Unicorn keeps it. The last is Unicorn's own
affair: a file goes on with the Unicorn that wrote it, on the same kind of host.
"""

import ctypes
import json
import platform
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

from unicorn import Uc, uc_version
from unicorn.unicorn_py3.unicorn import uclib

import vgic
from mmio.replacing import replacing_file
from vgic.host import HostCapabilities
from vgic.kvm import KvmError, VgicV3Device, restore, save_sequence
from vgic_tools.errors import UsageError
from vgic_tools.guests.counters import TimerSites
from vgic_tools.guests.cpu import GuestCpu
from vgic_tools.guests.machine import GuestMachine
from vgic_tools.inputs import shown_name

__all__ = ["SavedMachine", "save_machine", "through_kvm"]

VERSION: Final = 3
"""Of the format."""

_QUICKLY: Final = 1


def save_machine(machine: GuestMachine, path: Path) -> None:
    """Write the state of a machine between two rounds. Raises UsageError where it cannot be written.

    It goes on with empty TLBs, as one does that is restored.
    """
    gic = machine.gic.gic
    for cpu in machine.cpus:
        cpu.flush_translations()
        cpu.flush_code()
    document = {
        "version": VERSION,
        "engine": _engine(),
        "ram": len(machine.ram),
        "clock": machine.clock.now,
        "turns": machine.scheduler.turns,
        "instructions": machine.scheduler.instructions,
        "gic": machine.gic.counts(),
        "cpus": [_about(cpu) for cpu in machine.cpus],
        "devices": {name: device.save() for name, device in machine.devices.items()},
        "sites": machine.sites and machine.sites.save(),
    }
    try:
        with replacing_file(str(path)) as place, zipfile.ZipFile(place, "w") as file:
            _put(file, "machine.json", json.dumps(document, indent=1).encode())
            _put(file, "gic.state", vgic.State.of(gic).to_bytes())
            for cpu in machine.cpus:
                _put(file, f"cpu{cpu.number}", _context(cpu.uc))
            _put(file, "ram", bytes(machine.ram))
    except OSError as error:
        raise UsageError(f"{shown_name(path)}: cannot be written: {error.strerror}") from error


class SavedMachine:
    """A file of `save_machine`. Raises UsageError where it is none, damaged, or of another Unicorn."""

    def __init__(self, path: Path) -> None:
        self.name = shown_name(path)
        try:
            with zipfile.ZipFile(path) as file:
                self._document: dict[str, Any] = json.loads(file.read("machine.json"))
                if self._document["version"] != VERSION:
                    raise UsageError(f"{self.name}: version {self._document['version']} is not known; {VERSION} is")
                if self._document["engine"] != _engine():
                    other = self._document["engine"]
                    raise UsageError(f"{self.name}: written with {other}; {_engine()} cannot go on with it")
                self.gic = vgic.State.from_bytes(file.read("gic.state"))
                self._contexts = [file.read(f"cpu{number}") for number in range(len(self._document["cpus"]))]
                self._ram = file.read("ram")
        except OSError as error:
            raise UsageError(f"{self.name}: cannot be read: {error.strerror}") from error
        except (
            zipfile.BadZipFile,
            zlib.error,
            KeyError,
            TypeError,
            EOFError,
            ValueError,
            vgic.StateError,
        ) as error:
            raise UsageError(f"{self.name}: no saved machine, or damaged: {error}") from error
        if len(self._ram) != self._document["ram"]:
            raise UsageError(f"{self.name}: damaged: RAM has {len(self._ram):,} bytes of {self._document['ram']:,}")

    @property
    def ram(self) -> int:
        """Bytes of RAM."""
        return len(self._ram)

    @property
    def sites(self) -> TimerSites | None:
        """Where the kernel accesses its timers."""
        sites = self._document["sites"]
        return None if sites is None else TimerSites.restored(sites)

    def restore(self, machine: GuestMachine) -> None:
        """Put a machine of the same configuration, with the same devices, into the state."""
        document = self._document
        try:
            machine.ram[:] = self._ram
            machine.clock.now = int(document["clock"])
            machine.scheduler.turns = int(document["turns"])
            machine.scheduler.instructions = [int(count) for count in document["instructions"]]
            machine.gic.go_on_counting(document["gic"])
            for cpu, about, context in zip(machine.cpus, document["cpus"], self._contexts, strict=True):
                _go_on(cpu, about, context)
            for name, device in machine.devices.items():
                device.restore(document["devices"][name])
            for cpu, about in zip(machine.cpus, document["cpus"], strict=True):
                cpu.timers.restore(about["timers"])
                cpu.irq, cpu.fiq = machine.gic.gic.outputs(cpu.number)
                cpu.waiting = bool(about["waiting"])
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{self.name}: damaged: {error}") from error


def through_kvm(gic: vgic.Gic, lines: vgic.LineSink, observer: vgic.Observer, memory: vgic.GuestMemory) -> vgic.Gic:
    """Another GIC in this one's state, carried by KVM's device attributes. Raises UsageError where KVM refuses."""
    try:
        old = VgicV3Device.over(gic)
        steps = save_sequence(old)
        config = gic.config
        features = config.features
        new = VgicV3Device(
            HostCapabilities(a3v=features.a3v, priority_bits=max(5, config.priority_bits)),
            profile=config.profile,
            a3v=features.a3v,
            rss=features.rss,
            one_of_n=features.one_of_n,
            lpis=features.lpis,
            lpi_id_bits=config.lpi_id_bits,
            lines=lines,
            observer=observer,
            memory=memory,
        )
        restore(new, steps)
    except KvmError as error:
        raise UsageError(f"KVM's device attributes do not carry this GIC: {error}") from error
    return new.gic


def _put(file: zipfile.ZipFile, name: str, data: bytes) -> None:
    # Without a time of the day: the same state gives the same file.
    file.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, _QUICKLY)


def _engine() -> str:
    """What has to be the same to go on: the layout of Unicorn's CPU state depends on it."""
    major, minor, _ = uc_version()
    return f"Unicorn {major}.{minor} on {platform.system()} {platform.machine()}"


def _about(cpu: GuestCpu) -> dict[str, object]:
    return {
        "on": cpu.on,
        "waiting": cpu.waiting,
        "behind_wfi": cpu.behind_wfi,
        "unmasking": cpu.unmasking.save(),
        "located": cpu.counters.located,
        "maintenance": cpu.maintenance.save(),
        "timers": cpu.timers.save(),
    }


def _go_on(cpu: GuestCpu, about: dict[str, Any], context: bytes) -> None:
    # What its firmware set up is in the context, too.
    whole = cpu.uc.context_save()
    if len(context) != uclib.uc_context_size(cpu.uc._uch):
        raise ValueError(f"the state of CPU {cpu.number} has {len(context)} bytes")
    ctypes.memmove(whole.context, context, len(context))
    cpu.uc.context_restore(whole)
    cpu.flush_translations()
    cpu.flush_code()
    cpu.on = bool(about["on"])
    cpu.behind_wfi = bool(about["behind_wfi"])
    cpu.unmasking.restore(about["unmasking"])
    if about["located"] is not None:
        cpu.counters.narrow_to(int(about["located"]))
    cpu.maintenance.restore(about["maintenance"])


def _context(uc: Uc) -> bytes:
    context = uc.context_save()
    return ctypes.string_at(context.context, uclib.uc_context_size(uc._uch))
