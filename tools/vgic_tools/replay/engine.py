"""The replay itself: every recorded input drives the model, every recorded outcome is compared."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import vgic
from mmio import FRAME_SIZE, IllegalAccess, Location, Refusal
from mmio.trace import (
    Access,
    Candidate,
    CollectionEntry,
    Command,
    CommandStart,
    CpuReset,
    Delivery,
    DeviceEntry,
    Event,
    EventEntry,
    Line,
    Message,
    Other,
    Outputs,
    Sgi,
    SysReg,
    Text,
)
from vgic import affinity
from vgic.config import REDISTRIBUTOR_SIZE
from vgic.intids import FIRST_LPI
from vgic.its.device import ITS_SIZE
from vgic.layouts.icc import ICC
from vgic.layouts.its_commands import CommandError
from vgic.trap_plan import TrapPlan
from vgic_tools.machine import Machine
from vgic_tools.replay.evaluations import Evaluations
from vgic_tools.replay.its import RebuiltIts
from vgic_tools.replay.lpi_bytes import LpiBytes
from vgic_tools.replay.resets import ResetAttribution
from vgic_tools.replay.result import Divergence, Result
from vgic_tools.replay.sgis import generation, misdelivered
from vgic_tools.replay.witness import Witness

__all__ = ["ReplayError", "replay"]

_NOTHING_PENDING: Final = 255
_SPECIAL: Final = range(1020, 1024)

# Recorders name system registers without the exception level.
_SYSREGS: Final = {
    layout.title(index).removesuffix("_EL1"): (layout, layout.offset + index)
    for layout in ICC
    for index in range(layout.count)
}
_ACKNOWLEDGES: Final = ("ICC_IAR0", "ICC_IAR1")
_ENDS: Final = ("ICC_EOIR0", "ICC_EOIR1")

# QEMU calls some writes of read-only registers errors and others not: nothing to compare there.
_UNRECORDED: Final = (Refusal.READ_ONLY, Refusal.WRITE_ONLY)

_Handler: TypeAlias = Callable[["_Replay", Event], None]


class ReplayError(Exception):
    """An event that this machine cannot have produced; the message starts with file and line."""


def replay(
    trace: Iterable[Event],
    path: str,
    machine: Machine,
    keep_going: bool = False,
    progress: Callable[[], None] | None = None,
    traps: TrapPlan | None = None,
    migrate: Callable[[vgic.Gic], vgic.State | None] | None = None,
) -> Result:
    """Replay a trace on a machine. With an ITS, it is gone through twice.

    Stops after the first operation that diverges, unless `keep_going`. `progress` is called now and then. With
    `traps`, counts the accesses that a host would trap by that plan. `migrate` is asked before every event; where
    it returns a state, the rest is replayed on a new GIC in that state. Raises
    ReplayError for an event of a PE or interrupt that the machine lacks, TraceError as the trace does.
    """
    if len(machine.config.its) > 1:
        raise ReplayError(f"{path}: a trace does not tell the {len(machine.config.its)} ITSes of the machine apart")
    if machine.config.its and iter(trace) is trace:
        trace = list(trace)
    run = _Replay(path, machine, traps, trace)
    for event in trace:
        if migrate is not None:
            run.migrate(migrate)
        run.feed(event)
        if run.result.diverged and not keep_going:
            run.result.stopped = True
            break
        if progress is not None and not run.result.events & 0xFFF:
            progress()
    if not run.result.stopped:
        run.finish()
    return run.result


class _Replay:
    """A replay under way; it is the model's line sink and observer too."""

    def __init__(self, path: str, machine: Machine, traps: TrapPlan | None, trace: Iterable[Event]) -> None:
        self.result = Result(trace=path, machine=str(machine))
        self._traps = traps
        self.result.exits = None if traps is None else Counter()
        self._path = path
        self._evaluations = Evaluations(lpis=bool(machine.config.its))
        self._its: RebuiltIts | None = None
        if machine.config.its:
            self._its = RebuiltIts(self.result, LpiBytes(trace), self._diverge_its, self._present)
        self._gic = vgic.Gic(machine.config, self, self, None if self._its is None else self._its.memory)
        if self._its is not None:
            self._its.follow(self._gic)
        self._topology = machine.config.topology
        self._resets = ResetAttribution()
        self._witness = Witness(self._gic)
        self._locations: dict[int, Location | None] = {}
        self._refusal: Refusal | None = None
        self._sgi: Sgi | None = None
        self._deliveries: list[Delivery] = []
        self._started = False
        self._lpi_priority: dict[int, int] = {}

    # The model's callbacks.

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        self._evaluations.passed_through(self._gic, cpu)

    def illegal_access(self, access: IllegalAccess) -> None:
        self._refusal = access.refusal

    def illegal_sysreg(self, access: vgic.IllegalSysReg) -> None:
        self.result.accepted["accesses to system registers that the machine lacks"] += 1

    # Events.

    def migrate(self, migration: Callable[[vgic.Gic], vgic.State | None]) -> None:
        """Go on with a new GIC where `migration` gives a state."""
        state = migration(self._gic)
        if state is not None:
            self._gic = state.build(self, self, memory=None if self._its is None else self._its.memory)
            self._witness.follow(self._gic)
            if self._its is not None:
                self._its.follow(self._gic)

    def feed(self, event: Event) -> None:
        """Take the next event."""
        self.result.events += 1
        _HANDLERS[type(event)](self, event)
        self._witness.saw(event)

    def finish(self) -> None:
        """The trace is over: compare what is still open, as far as an end amid an operation allows."""
        self._before_operation(cut=True)
        self._evaluations.present(self._gic)
        self._compare_evaluations(cut=True)
        if self._its is not None:
            self._its.finish()
        if self._resets.held:
            self.result.notes.append(
                f"CPU resets whose vCPU the trace does not tell, left out: {self._resets.held}"
            )
        if self._evaluations.lpis:
            self.result.accepted["evaluations that offer an LPI"] += self._evaluations.lpis

    def evaluation(self, event: Event) -> None:
        """Keep an evaluation until the next operation."""
        assert isinstance(event, Candidate | Outputs)
        cpu = self._cpu(event, event.cpu)
        self._evaluations.add(event, cpu)
        if isinstance(event, Candidate) and event.intid >= FIRST_LPI and event.priority != _NOTHING_PENDING:
            self._lpi_priority[cpu] = event.priority

    def delivery(self, event: Event) -> None:
        """Keep a delivery until its SGI is complete."""
        assert isinstance(event, Delivery)
        self._cpu(event, event.cpu)
        if self._sgi is None:
            raise self._error(event, "an SGI is delivered that nobody generated")
        self._deliveries.append(event)

    def sgi(self, event: Event) -> None:
        """Keep an SGI until its deliveries are known: they tell which register generated it."""
        assert isinstance(event, Sgi)
        self._cpu(event, event.cpu)
        if event.intid > 15 or event.cluster >> 24 or event.target_list >> 16:
            raise self._error(
                event, "no register can generate this SGI: its INTID, cluster or target list is too large"
            )
        self._logged_first()
        self._sgi = event
        self._deliveries = []

    def line(self, event: Event) -> None:
        """Drive an input line."""
        assert isinstance(event, Line)
        self._logged_first()
        try:
            if event.owner is None:
                interrupt: vgic.Interrupt = self._gic.spi(event.intid)
            else:
                interrupt = self._gic.ppi(self._cpu(event, event.owner), event.intid)
        except vgic.ConfigError as error:
            raise self._error(event, str(error)) from error
        interrupt.set_level(event.level)
        self.result.inputs["line changes"] += 1

    def cpu_reset(self, event: Event) -> None:
        """Reset a PE's CPU interface, now or when it is known which one it is."""
        assert isinstance(event, CpuReset)
        if not self._started:
            return  # The machine's own start.
        self._logged_first()
        pe = self._resets.reset(event)
        if pe is not None:
            self._gic.reset_cpu(self._cpu(event, pe))
        self.result.inputs["CPU resets"] += 1

    def access(self, event: Event) -> None:
        """A load or store."""
        assert isinstance(event, Access)
        self._started = True
        address = self._address(event)
        if address is None:
            self.result.accepted[f"accesses to {event.device.upper()} frames"] += 1
            return
        self._logged_last()
        self._refusal = None
        kind = "writes" if event.write else "reads"
        self.result.inputs[f"{event.device.upper()} {kind}"] += 1
        if event.write:
            self._gic.write(address, event.size, event.value or 0, secure=event.secure)
        else:
            got = self._gic.read(address, event.size, secure=event.secure)
            self._compare_read(event, address, got)
        if self._refusal not in _UNRECORDED:
            self._compare(
                "access taken or refused", event, _legality(event.illegal), _legality(self._refusal is not None)
            )
        if self._its is not None:
            self._its.accessed(event)
        self._after_logged_last()

    def sysreg(self, event: Event) -> None:
        """A system register access."""
        assert isinstance(event, SysReg)
        self._started = True
        cpu = self._cpu(event, event.cpu)
        if event.register not in _SYSREGS:
            self.result.accepted[f"accesses to {event.register}"] += 1
            return
        if self._resets.resolved(event):
            self._gic.reset_cpu(cpu)
        _, encoding = _SYSREGS[event.register]
        self.result.inputs[f"ICC {'writes' if event.write else 'reads'}"] += 1
        self._count_exit(event)
        if event.write:
            self._logged_first()
            if event.register in _ENDS:
                # The recorder evaluates between priority drop and deactivation: the offer is still the old one.
                self._evaluations.passed_through(self._gic, cpu)
            self._gic.sysreg_write(cpu, encoding, event.value)
        elif event.register in _ACKNOWLEDGES:
            self._logged_last()
            self._acknowledge(event, cpu, encoding)
            self._after_logged_last()
        else:
            # Reads of other registers change nothing, so it does not matter on which side they are logged.
            self._logged_first()
            self._compare_register(event, cpu, self._gic.sysreg_read(cpu, encoding))

    def _count_exit(self, event: SysReg) -> None:
        exits, traps = self.result.exits, self._traps
        if exits is not None and traps is not None and traps.traps(event.register, event.write):
            exits[f"{'write' if event.write else 'read'} of {event.register}"] += 1

    def its(self, event: Event) -> None:
        """A message, a command or a table entry of an ITS."""
        if self._its is None:
            self.result.accepted["events of an ITS, which the machine does not have"] += 1
        elif isinstance(event, Message):
            self._logged_first()
            self._its.message(event)
        elif isinstance(event, CommandStart | Command):
            try:
                self._its.command(event, self.result.events)
            except CommandError as error:
                raise self._error(event, str(error)) from error
        elif isinstance(event, DeviceEntry | EventEntry | CollectionEntry):
            self._its.entry(event)

    def other(self, event: Event) -> None:
        """An event or text that means nothing to the model."""
        if isinstance(event, Other):
            self.result.accepted[f"{event.name} events"] += 1
        else:
            self.result.accepted["lines that are no trace event"] += 1

    # Operations and the evaluations around them.

    def _before_operation(self, cut: bool = False) -> None:
        """Carry out the SGI whose deliveries are complete now that another operation begins or the trace ends."""
        sgi, self._sgi = self._sgi, None
        if sgi is not None:
            self._generate(sgi, cut)

    def _logged_first(self) -> None:
        """Before an operation that is logged before its evaluations."""
        self._before_operation()
        if self._evaluations.waiting():
            self._evaluations.present(self._gic)
            self._compare_evaluations()
        self._settled()

    def _logged_last(self) -> None:
        """Before an operation that is logged after its evaluations."""
        self._before_operation()
        if self._evaluations.waiting():
            self._evaluations.present(self._gic)
        else:
            self._evaluations.forget()

    def _after_logged_last(self) -> None:
        if self._evaluations.waiting():
            self._evaluations.present(self._gic)
            self._compare_evaluations()
        self._settled()

    def _settled(self) -> None:
        """No event waits to be compared."""
        self._evaluations.forget()
        self._witness.settled()
        if self._its is not None:
            self._its.settled()

    def _compare_evaluations(self, cut: bool = False) -> None:
        for event, expected, got in self._evaluations.compare():
            what = _EVALUATION_NAMES[type(event)]
            if cut and expected != got:
                # Perhaps the outcome of an operation whose own line would have been the next one.
                self.result.accepted[f"{what} after the last operation"] += 1
                continue
            self.result.compared[what] += 1
            if expected != got:
                self._diverge(what, event, event.cpu, expected, got)

    def _generate(self, event: Sgi, cut: bool) -> None:
        """Generate an SGI, and compare who it was delivered to; `cut`: more deliveries may have followed."""
        sender = self._cpu(event, event.cpu)
        register, encoding, value, reach = generation(self._gic, sender, event, self._deliveries, cut)
        self.result.inputs[f"SGIs by {register}"] += 1
        self.result.compared["SGI deliveries"] += len(self._deliveries)
        wrong = misdelivered(event, self._deliveries, reach, cut)
        if wrong is not None:
            recorded = _listed((item.intid, item.cpu) for item in self._deliveries)
            self._diverge("SGI deliveries", wrong, event.cpu, recorded, _listed((event.intid, pe) for pe in reach))
        self._gic.sysreg_write(sender, encoding, value)

    def _acknowledge(self, event: SysReg, cpu: int, encoding: int) -> None:
        if event.value >= FIRST_LPI and self._its is None:
            self.result.accepted["LPI acknowledgements"] += 1
            self._count_acknowledged(event, "LPI")
            self._activate_lpi(cpu)
            return
        self._compare_register(event, cpu, self._gic.sysreg_read(cpu, encoding))
        if event.value not in _SPECIAL:
            self._count_acknowledged(event, _kind(event.value))

    def _activate_lpi(self, cpu: int) -> None:
        """Show the model that an LPI is active, where the trace told its priority."""
        if cpu in self._lpi_priority:
            bit = 1 << (self._lpi_priority[cpu] >> 3)
            active = self._gic.sysreg_read(cpu, vgic.ICC_AP1R0_EL1)
            self._gic.sysreg_write(cpu, vgic.ICC_AP1R0_EL1, active | bit)

    def _count_acknowledged(self, event: SysReg, kind: str) -> None:
        self.result.acknowledged[affinity.text(event.cpu), kind] += 1

    # Comparing.

    def _compare(self, what: str, event: Event, expected: str, got: str) -> None:
        self.result.compared[what] += 1
        if expected != got:
            self._diverge(what, event, None, expected, got)

    def _compare_read(self, event: Access, address: int, got: int) -> None:
        location = self._locate(address)
        layout = None if location is None else location.register
        name = f"{event.device.upper()}+{event.offset:#x}" if layout is None else layout.name
        if event.value is None:
            self.result.accepted[f"reads of {name} whose value is not recorded"] += 1
            return
        self.result.compared[name] += 1
        if got != event.value:
            self._record(name, self._witness.of_access(event, event.value, got, location))

    def _compare_register(self, event: SysReg, cpu: int, got: int) -> None:
        self.result.compared[event.register] += 1
        if got != event.value:
            layout, _ = _SYSREGS[event.register]
            self._record(event.register, self._witness.of_register(event, cpu, got, layout))

    def _diverge(self, what: str, event: Event, pe: int | None, expected: str, got: str) -> None:
        cpu = None if pe is None else self._topology.find(pe)
        self._record(what, self._witness.of_outcome(event, what, cpu, expected, got))

    def _diverge_its(self, what: str, event: Event, expected: str, got: str) -> None:
        self._diverge(what, event, None, expected, got)

    def _present(self) -> None:
        """The model is in a state that waiting evaluations may show."""
        if self._evaluations.waiting():
            self._evaluations.present(self._gic)

    def _record(self, what: str, divergence: Divergence) -> None:
        self.result.divergences[what] += 1
        if self.result.first is None:
            self.result.first = divergence

    # Names and places.

    def _cpu(self, event: Event, pe: int) -> int:
        cpu = self._topology.find(pe)
        if cpu < 0:
            first, last = self._topology.affinities[0], self._topology.affinities[-1]
            raise self._error(
                event,
                f"no vCPU has affinity {affinity.text(pe)}; the machine has {len(self._topology)}:"
                f" {affinity.text(first)} to {affinity.text(last)}",
            )
        return cpu

    def _address(self, event: Access) -> int | None:
        if event.device == "gicd":
            if event.offset >= FRAME_SIZE:
                raise self._error(event, f"offset {event.offset:#x} is beyond the distributor")
            return self._gic.config.gicd_base + event.offset
        if event.device == "gits" and self._its is not None:
            if event.offset >= ITS_SIZE:
                raise self._error(event, f"offset {event.offset:#x} is beyond the ITS")
            return self._gic.config.its[0] + event.offset
        if event.device != "gicr":
            return None
        if event.owner is None or event.offset >= REDISTRIBUTOR_SIZE:
            raise self._error(event, f"offset {event.offset:#x} is beyond a GICv3 redistributor")
        return self._gic.redistributor_bases[self._cpu(event, event.owner)] + event.offset

    def _locate(self, address: int) -> Location | None:
        if address not in self._locations:
            self._locations[address] = self._gic.map.locate(address)
        return self._locations[address]

    def _error(self, event: Event, message: str) -> ReplayError:
        return ReplayError(f"{self._path}:{event.line}: {message}")


def _listed(deliveries: Iterable[tuple[int, int]]) -> str:
    return ", ".join(f"SGI {intid} at {affinity.text(pe)}" for intid, pe in deliveries) or "nowhere"


def _kind(intid: int) -> str:
    if intid >= FIRST_LPI:
        return "LPI"
    return "SGI" if intid < 16 else "PPI" if intid < 32 else "SPI"


def _legality(illegal: bool) -> str:
    return "refused" if illegal else "taken"


_EVALUATION_NAMES: Final[dict[type, str]] = {
    Candidate: "highest pending interrupts",
    Outputs: "IRQ and FIQ outputs",
}

_HANDLERS: Final[dict[type, _Handler]] = {
    Access: _Replay.access,
    SysReg: _Replay.sysreg,
    Sgi: _Replay.sgi,
    Delivery: _Replay.delivery,
    Line: _Replay.line,
    CpuReset: _Replay.cpu_reset,
    Candidate: _Replay.evaluation,
    Outputs: _Replay.evaluation,
    Message: _Replay.its,
    CommandStart: _Replay.its,
    Command: _Replay.its,
    DeviceEntry: _Replay.its,
    EventEntry: _Replay.its,
    CollectionEntry: _Replay.its,
    Other: _Replay.other,
    Text: _Replay.other,
}
