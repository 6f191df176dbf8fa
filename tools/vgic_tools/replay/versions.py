"""Which version of QEMU made a trace: the one whose GICD_TYPER is what the guest read."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from typing import Final

import vgic
from mmio.trace import Access, Event, TraceReader
from vgic.layouts import gicd
from vgic.profiles import QEMU_VERSIONS
from vgic_tools.machines.machine import Machine, machine_from_document
from vgic_tools.machines.options import machine_from_options

__all__ = ["as_recorded", "recorded_machine"]

_SEARCHED: Final = 100_000
"""Events; every guest reads GICD_TYPER before it knows which interrupts there are."""

_VISIBLE: Final = "ITLinesNumber"
"""The field in which versions differ."""


def recorded_machine(reader: TraceReader, options: dict[str, object]) -> Machine:
    """The machine of the options, or where there are none the one that the trace names.

    Where the options do not name a profile, the trace tells which version of QEMU it was. Raises UsageError, and
    TraceError as the trace does.
    """
    if "machine" in reader.metadata and not any(options.values()):
        return machine_from_document(reader.metadata["machine"], reader.path)
    usual = vgic.QEMU if reader.format == "qemu" else vgic.ARCH
    machine = machine_from_options(options, default_profile=usual)
    return machine if options["profile"] else as_recorded(machine, reader)


def as_recorded(machine: Machine, trace: Iterable[Event]) -> Machine:
    """A machine of QEMU with the profile of the version that made the trace; unchanged where no version fits.

    Raises TraceError as the trace does.
    """
    if machine.config.profile not in QEMU_VERSIONS:
        return machine
    for event in islice(trace, _SEARCHED):
        if (
            isinstance(event, Access)
            and (event.device, event.offset, event.size, event.write) == ("gicd", gicd.TYPER.offset, 4, False)
            and event.value is not None
        ):
            told = gicd.TYPER.decode(event.value)
            for profile in (machine.config.profile, *QEMU_VERSIONS):
                if _lines(profile, machine.config.spis) == told[_VISIBLE]:
                    # Whether there are NMIs is up to the CPU model, which -cpu max has and few others.
                    nmi = bool(told["NMI"]) and profile.nmis and not machine.config.two_states
                    # Only a command line says that the GIC is a GICv4.
                    vlpi_frames = bool(told["DVIS"]) and machine.config.features.lpis
                    config = replace(
                        machine.config,
                        profile=profile,
                        nmi=nmi or machine.config.nmi,
                        vlpi_frames=vlpi_frames or machine.config.vlpi_frames,
                    )
                    return Machine(config, machine.origin, "inferred from GICD_TYPER")
            break
    return machine


def _lines(profile: vgic.Profile, spis: int) -> int:
    """What a machine with this profile says."""
    config = vgic.Config(vgic.Topology.qemu(1), spis, profile)
    typer = vgic.Gic(config).read(config.gicd_base + gicd.TYPER.offset, 4)
    return gicd.TYPER.decode(typer)[_VISIBLE]
