"""What a divergence is evidence of: a model that does otherwise, or something that is not modelled or not recorded.

A trace may show features that the model lacks, or hold a part of the events only. An outcome that such a thing may
have changed says nothing about the model, and the replay has no verdict then. This is asked once, at the first
divergence.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Final, NamedTuple

from mmio import AccessKind, RegisterLayout
from mmio.trace import Access, Candidate, Command, CpuReset, Event, Line, Message, Sgi, SysReg, TraceError
from vgic import Gic, affinity
from vgic.intids import FIRST_LPI, kind_of
from vgic.layouts import gicd, gicr, gits
from vgic_tools.replay.outcomes import LEGALITY, OFFERS, OUTPUTS, VIRTUAL_OUTCOMES
from vgic_tools.replay.pe_states import states_are_known
from vgic_tools.replay.result import Divergence
from vgic_tools.replay.system_registers import system_register

__all__ = ["fields_not_modelled", "machine_hint", "nothing_compared", "why_undecided"]

_NMIS: Final = "NMIs"
_GICV4: Final = 4
"""ArchRev of a GICv4."""
_VIRTUAL_LPIS: Final = "the virtual LPIs of GICv4"

_FIELDS: Final = {
    ("GICD_TYPER", "NMI"): _NMIS,
    ("GICD_TYPER", "DVIS"): _VIRTUAL_LPIS,
    ("GICR_TYPER", "VLPIS"): _VIRTUAL_LPIS,
    ("GICR_TYPER", "Dirty"): _VIRTUAL_LPIS,
    ("GICR_VPENDBASER", "PendingLast"): _VIRTUAL_LPIS,
    ("GICR_TYPER", "RVPEID"): _VIRTUAL_LPIS,
    ("GICR_TYPER", "VSGI"): _VIRTUAL_LPIS,
    **{(f"{frame}_PIDR2", "ArchRev"): _VIRTUAL_LPIS for frame in ("GICD", "GICR", "GITS")},
    ("GITS_TYPER", "Virtual"): _VIRTUAL_LPIS,
    ("GITS_TYPER", "VMOVP"): _VIRTUAL_LPIS,
}
"""Fields that are not zero where there is a feature that the model lacks."""

_MACHINE: Final = re.compile(r"GIC[DR]_TYPER|GITS_TYPER|GIC[DR]_IIDR|GITS_IIDR|\w+_[PC]IDR\d|ICC_CTLR")
"""Registers that say what the machine is."""

_INTERRUPT_OUTCOMES: Final = {"ICC_IAR0", "ICC_IAR1", "ICC_HPPIR0", "ICC_HPPIR1", OFFERS, OUTPUTS}
_CHANGED_BY_PES: Final = re.compile(r"GIC[DR]_I[SC](?:ACTIVER|PENDR)\w*")
_ACTIVE: Final = re.compile(r"GIC[DR]_I[SC]ACTIVER\d*")

_OTHER_GICS: Final = {"gicv5_": "GICv5", "gic_": "GICv2"}
"""How the events of a GIC begin that is not a GICv3, in QEMU."""

_FRAME_WRITES: Final = "writes to the Distributor and the Redistributors (gicv3_dist_write, gicv3_redist_write)"
_REGISTER_WRITES: Final = "writes to system registers (gicv3_icc_*_write)"

_LIST_REGISTER: Final = re.compile(r"ICH_LR(\d+)(?:_EL2)?")
_VIRTUAL_ENDS: Final = ("ICV_EOIR0", "ICV_EOIR1", "ICV_DIR")
_LR_HW: Final = 1 << 61
_LR_STATE: Final = 0b11 << 62
_LR_PHYSICAL: Final = 32
_INTID: Final = 0x1FFF
_SECURITY_EXTN: Final = gicd.TYPER.mask("SecurityExtn")
_SECURE_GROUP1: Final = 1
_ISPENDR: Final = range(0x200, 0x280)
_SGI_BASE: Final = 0x1_0000
_VPENDBASER: Final = 2 * _SGI_BASE + gicr.VPENDBASER.offset
_INMIR: Final = {"gicd": range(0xF80, 0x1000), "gicr": range(_SGI_BASE + 0xF80, _SGI_BASE + 0x1000)}


def fields_not_modelled(layout: RegisterLayout, expected: int, got: int) -> list[str]:
    """Where a register differs in nothing but features that the model lacks: fields and features, else empty."""
    recorded, model = layout.decode(expected), layout.decode(got)
    different = [name for name, value in recorded.items() if value != model[name]]
    if "ArchRev" in different and recorded["ArchRev"] != _GICV4:
        return []
    if not all((layout.name, name) in _FIELDS and recorded[name] for name in different):
        return []
    return [f"{layout.name}.{name}, of {_FIELDS[layout.name, name]}" for name in different]


def machine_hint(divergence: Divergence, machine: str) -> str:
    """What to look at first where a register differs that says what the machine is, "" elsewhere."""
    if not _MACHINE.fullmatch(divergence.what):
        return ""
    return (
        f"{divergence.what} says what the machine is, or which version: the trace may be of another one than was"
        f" given ({machine})"
    )


def nothing_compared(events: int, names: Iterable[str]) -> str:
    """Why there is no verdict where no value was compared; `names` are those of the events not taken apart."""
    for name in names:
        for beginning, gic in _OTHER_GICS.items():
            if name.startswith(beginning):
                return f"nothing could be compared: {name} is an event of a {gic}, and the model is a GICv3"
    return (
        f"nothing could be compared: none of the {events:,} events shows a value that the model predicts;"
        " -trace 'gicv3_*' records them all"
    )


class _Deactivated(NamedTuple):
    """A physical interrupt that the end of a virtual one deactivated."""

    cpu: int
    """Packed affinity."""
    intid: int
    line: int
    """Line of the trace."""


class _Seen:
    """What the events so far show."""

    def __init__(self) -> None:
        self.secure: int | None = None
        """The first line that tells of two Security states."""
        self.nmi: int | None = None
        """The first line that makes an interrupt an NMI."""
        self.gicv4: int | None = None
        """The first line that tells of a GICv4."""
        self.resident: int | None = None
        """The first line that makes a vPE of a GICv4 resident."""
        self.frame_writes = self.register_writes = self.lines = self.sgis = self.messages = self.resets = False
        self.made_pending = False
        """By a register."""
        self._hardware: dict[tuple[int, str], tuple[int, int]] = {}
        """Virtual and physical INTID of the list registers whose HW is 1."""
        self.deactivated: dict[tuple[int, int], _Deactivated] = {}

    def take(self, event: Event) -> None:
        """The next event."""
        self.input(event)
        match event:
            case Access():
                self._access(event)
            case SysReg():
                self._register(event)
            case Candidate(group=1):
                self._tells_security(event.line)

    def input(self, event: Event) -> None:
        """Of which kinds there are inputs."""
        match event:
            case Access(write=True, illegal=False):
                self.frame_writes = True
                self.made_pending |= event.offset % _SGI_BASE in _ISPENDR
            case SysReg(write=True):
                self.register_writes |= event.register.startswith("ICC_")
            case CpuReset():
                self.resets = True
            case Line():
                self.lines = True
            case Sgi():
                self.sgis = True
            case Message() | Command():
                self.messages = True

    def _access(self, event: Access) -> None:
        value = event.value or 0
        typer = (event.device, event.offset, event.write) == ("gicd", gicd.TYPER.offset, False)
        if event.secure or (typer and value & _SECURITY_EXTN):
            self._tells_security(event.line)
        if event.write and value and self.nmi is None and _is_inmir(event):
            self.nmi = event.line
        if self.gicv4 is None and not event.write and _tells_gicv4(event, value):
            self.gicv4 = event.line
        if self.resident is None and event.write and _makes_resident(event, value):
            self.resident = event.line

    def _register(self, event: SysReg) -> None:
        if event.register.endswith("_EL3"):
            self._tells_security(event.line)
        if not event.write:
            return
        if _LIST_REGISTER.fullmatch(event.register):
            place = event.cpu, event.register
            self._hardware.pop(place, None)
            if event.value & _LR_HW and event.value & _LR_STATE:
                self._hardware[place] = event.value & 0xFFFF_FFFF, event.value >> _LR_PHYSICAL & _INTID
        elif event.register in _VIRTUAL_ENDS:
            for (cpu, _), (virtual, physical) in self._hardware.items():
                if (cpu, virtual) == (event.cpu, event.value & 0xFF_FFFF):
                    self.deactivated[cpu, physical] = _Deactivated(cpu, physical, event.line)

    def _tells_security(self, line: int) -> None:
        if self.secure is None:
            self.secure = line

    def missing(self, divergence: Divergence, as_after_reset: bool) -> list[str]:
        """What the recorded outcome needs, and no event shows; `as_after_reset`: a PE that was reset shows it."""
        intid = _recorded_interrupt(divergence)
        if intid is not None:
            return self._missing_for_interrupt(intid)
        layout = divergence.layout
        if layout is None or layout.access is not AccessKind.RW:
            return []
        if isinstance(divergence.event, Access):
            return [] if self.frame_writes else [_FRAME_WRITES]
        if not self.register_writes:
            return [_REGISTER_WRITES]
        # A PE that is started again finds its registers as after reset.
        return ["CPU resets (guest_cpu_reset, cpu_reset)"] if as_after_reset and not self.resets else []

    def _missing_for_interrupt(self, intid: int) -> list[str]:
        """What it takes that a PE is offered an interrupt, or takes it."""
        missing = []
        if not self.frame_writes:
            missing.append(_FRAME_WRITES)
        if not self.register_writes:
            missing.append(_REGISTER_WRITES)
        if intid >= FIRST_LPI:
            if not self.messages:
                missing.append("messages and commands (gicv3_its_*)")
        elif not self.made_pending:
            if intid < 16 and not self.sgis:
                missing.append("SGIs (gicv3_icc_generate_sgi)")
            if intid >= 16 and not self.lines:
                missing.append("input lines (gicv3_dist_set_irq, gicv3_redist_set_irq)")
        return missing


def why_undecided(events: Iterable[Event], count: int, gic: Gic, divergence: Divergence) -> str:
    """Why the divergence says nothing about the model, "" where it does.

    `events` are those of the whole trace, as far as there is more of it; `count` of them go up to the divergence.
    """
    seen, following = _Seen(), _readable(events)
    for event in islice(following, count):
        seen.take(event)
    if seen.secure is not None and not gic.config.two_states:
        return (
            f"line {seen.secure} shows two Security states, and the machine has one: --security two, or a command"
            " line with secure=on, makes it another"
        )
    # Most of a frame nobody changes but by accesses to frames, of which it is recorded by which state they are.
    of_frames = isinstance(divergence.event, Access) and not _CHANGED_BY_PES.fullmatch(divergence.what)
    if not states_are_known(gic.config) and not of_frames:
        return (
            "the machine has two Security states and begins with firmware: no event tells which state a PE is in"
            " when it accesses a system register"
        )
    if divergence.what in VIRTUAL_OUTCOMES and not gic.config.list_registers:
        return "the trace shows virtual interrupts, and the machine has no list registers (--list-registers)"
    concerns_interrupts = divergence.what in _INTERRUPT_OUTCOMES
    touched = concerns_interrupts or _ACTIVE.fullmatch(divergence.what)
    if touched and not gic.config.list_registers:
        deactivated = _still_active(seen, gic, divergence)
        if deactivated is not None:
            return (
                f"in line {deactivated.line}, the guest of a hypervisor on vCPU {affinity.text(deactivated.cpu)}"
                " ends a virtual interrupt whose list register has HW = 1; that deactivates INTID"
                f" {deactivated.intid}. The machine has no list registers (--list-registers), which touch what is"
                " active, offered and acknowledged"
            )
    event = divergence.event
    refused_inmir = divergence.what == LEGALITY and isinstance(event, Access) and _is_inmir(event)
    if seen.nmi is not None and not gic.config.nmi and (concerns_interrupts or refused_inmir):
        return f"line {seen.nmi} makes interrupts NMIs, and the machine has none: --nmi makes it another"
    if gic.config.vlpi_frames:
        if seen.resident is not None and _of_virtual_lpis(divergence):
            return (
                f"line {seen.resident} makes a vPE resident (GICR_VPENDBASER.Valid), whose virtual LPIs reach a"
                " virtual CPU interface; they are not modelled"
            )
    elif seen.gicv4 is not None and isinstance(event, Access) and _differs_in_gicv4(event):
        return (
            f"line {seen.gicv4} shows a GICv4, and the machine is a GICv3: --vlpi-frames, or a command line with"
            " gic-version=4, makes it another"
        )
    # What is missing so far may come; then it was recorded, and is missing where it should be.
    as_after_reset = _is_as_after_reset(gic, divergence)
    while (missing := seen.missing(divergence, as_after_reset)) and (later := next(following, None)) is not None:
        seen.input(later)
    if missing:
        return (
            f"what {divergence.what} shows has a cause that is not recorded: there are no {', no '.join(missing)}"
        )
    return ""


def _readable(events: Iterable[Event]) -> Iterator[Event]:
    """The events up to where the trace is damaged: what comes before a divergence could be read."""
    with suppress(TraceError):
        yield from events


def _still_active(seen: _Seen, gic: Gic, divergence: Divergence) -> _Deactivated | None:
    """An interrupt that is active in the model only because the end of a virtual one did not deactivate it."""
    recorded = _recorded_interrupt(divergence)
    for deactivated in sorted(seen.deactivated.values(), key=lambda item: item.intid != recorded):
        # One that the model has just acknowledged is active for that reason.
        acknowledged = "IAR" in divergence.what and deactivated.intid == divergence.got_value
        cpu = gic.config.topology.find(deactivated.cpu)
        there = cpu is not None and gic.has(deactivated.intid)
        if there and cpu is not None and not acknowledged and gic.interrupt(cpu, deactivated.intid).active:
            return deactivated
    return None


def _is_as_after_reset(gic: Gic, divergence: Divergence) -> bool:
    """The recorded value of a system register is that after reset."""
    event = divergence.event
    if not isinstance(event, SysReg):
        return False
    register = system_register(event.register, gic.config.list_registers)
    if register.layout is None:
        return False
    fresh = Gic(gic.config)
    read = fresh.icv_read if register.virtual else fresh.sysreg_read
    return read(0, register.encoding) == divergence.expected_value


def _is_inmir(event: Access) -> bool:
    """The access is to a register that says which interrupts are NMIs."""
    return event.offset in _INMIR.get(event.device, ())


def _tells_gicv4(event: Access, value: int) -> bool:
    """A read shows that the GIC has virtual LPIs."""
    match event.device, event.offset:
        case _, gicd.PIDR2.offset:
            return bool(gicd.PIDR2.decode(value)["ArchRev"] == _GICV4)
        case "gicr", gicr.TYPER.offset:
            return bool(value & gicr.TYPER.mask("VLPIS"))
        case "gits", gits.TYPER.offset:
            return bool(value & gits.TYPER.mask("Virtual"))
    return False


def _makes_resident(event: Access, value: int) -> bool:
    """A write sets GICR_VPENDBASER.Valid."""
    upper = value >> 32 if event.size == 8 else value
    whole = event.size == 8 and event.offset == _VPENDBASER
    half = event.size == 4 and event.offset == _VPENDBASER + 4
    return event.device == "gicr" and (whole or half) and upper >> 31 == 1


def _of_virtual_lpis(divergence: Divergence) -> bool:
    """What differs is what a PE shows of its virtual interrupts."""
    return divergence.what in VIRTUAL_OUTCOMES or divergence.what.startswith("ICV_")


def _differs_in_gicv4(event: Access) -> bool:
    """The access is to a register that a GICv4 has otherwise than a GICv3."""
    return event.device == "gits" or (event.device, event.offset) == ("gicr", gicr.TYPER.offset)


def _recorded_interrupt(divergence: Divergence) -> int | None:
    """The interrupt that the trace shows at the divergence."""
    event = divergence.event
    if divergence.what not in _INTERRUPT_OUTCOMES:
        return None
    if isinstance(event, Candidate):
        return event.intid if event.priority != 255 else None
    if isinstance(event, SysReg):
        return event.value if kind_of(event.value) else None
    return None
