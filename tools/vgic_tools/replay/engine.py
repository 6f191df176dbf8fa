"""The replay itself: every recorded input drives the model, every recorded outcome is compared.

The events come as records (see `mmio.trace.records`), so that the common case makes no objects. Where something is
to be said about an event, it is fetched from the replay's history by its index.

Here is the walk along the events. What becomes of the larger ones is beside it: `frame_accesses`,
`register_accesses`, `virtual_outcomes`, `its`; and `operations` knows when each takes place.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from mypy_extensions import i64

import vgic
from mmio import IllegalAccess
from mmio.trace import Event, Message, TraceError, TraceReader
from mmio.trace.records import (
    ACCESS,
    CANDIDATE,
    CPU_RESET,
    DELIVERY,
    IRM,
    LEVEL,
    LINE,
    MAINTENANCE,
    OTHER,
    OUTPUTS,
    PRIVATE,
    SGI,
    SYSREG,
    TEXT,
    VIRTUAL_CANDIDATE,
    VIRTUAL_OUTPUTS,
    WRITE,
    WRITTEN,
    Packer,
    RecordError,
    RecordSink,
    Tables,
    half_of,
    number_of,
    pe_of,
    value_of,
)
from vgic.host.trap_plan import TrapPlan
from vgic.intids import FIRST_LPI
from vgic.layouts.its_commands import CommandError
from vgic_tools.machines.machine import Machine
from vgic_tools.replay import pe_states
from vgic_tools.replay.counts import Counts
from vgic_tools.replay.describe import describe
from vgic_tools.replay.evaluations import Evaluations
from vgic_tools.replay.evidence import nothing_compared
from vgic_tools.replay.findings import Findings
from vgic_tools.replay.frame_accesses import FrameAccesses
from vgic_tools.replay.history import EventHistory, History, TraceHistory
from vgic_tools.replay.its import ITS_EVENTS, RebuiltIts
from vgic_tools.replay.lpi_bytes import LpiBytes
from vgic_tools.replay.operations import Operations
from vgic_tools.replay.outcomes import LEGALITY
from vgic_tools.replay.places import Places, ReplayError
from vgic_tools.replay.register_accesses import RegisterAccesses
from vgic_tools.replay.resets import ResetAttribution
from vgic_tools.replay.result import Result
from vgic_tools.replay.unknown_lpis import UnknownLpis
from vgic_tools.replay.virtual_outcomes import VirtualOutcomes
from vgic_tools.replay.watcher import Watcher

__all__ = ["ReplayError", "replay"]

_NOTHING_PENDING: Final = 255
_LEFT_OUT_OF_GICV4: Final = (
    "left out of a GICv4: virtual LPIs, the ITS commands and tables of vPEs (VMAPP, VMAPTI, ...), and what a"
    " resident vPE (GICR_VPENDBASER.Valid) has pending"
)


def replay(
    trace: Iterable[Event],
    path: str,
    machine: Machine,
    keep_going: bool = False,
    progress: Callable[[], None] | None = None,
    traps: TrapPlan | None = None,
    migrate: Callable[[vgic.Gic], vgic.State | None] | None = None,
    watcher: Watcher | None = None,
    at_end: Callable[[Result, vgic.Gic], None] | None = None,
) -> Result:
    """Replay a trace on a machine. With an ITS, it is gone through twice.

    Stops after the first operation that diverges, unless `keep_going`. `progress` is called now and then. With
    `traps`, counts the accesses that a host would trap by that plan. `migrate` is asked before every event; where
    it returns a state, the rest is replayed on a new GIC in that state. A `watcher` sees every event, which makes
    objects of all of them: that replay is slower. `at_end` is given the result and the GIC. Raises ReplayError for
    an event of a PE or interrupt that the machine lacks, TraceError as the trace does.
    """
    lpis = None
    if len(machine.config.its) > 1:
        raise ReplayError(f"{path}: a trace does not tell the {len(machine.config.its)} ITSes of the machine apart")
    if machine.config.its:
        if iter(trace) is trace:
            trace = list(trace)
        lpis = LpiBytes(trace, machine.config.two_states)
    if isinstance(trace, TraceReader) and migrate is None and watcher is None:
        run = _Replay(path, machine, trace.tables, TraceHistory(trace), keep_going, traps, lpis)
        trace.feed(run, progress)
    else:
        packer, history = Packer(), EventHistory()
        run = _Replay(path, machine, packer.tables, history, keep_going, traps, lpis, watcher)
        for index, event in enumerate(trace):
            if migrate is not None:
                run.migrate(migrate)
            history.saw(event)
            try:
                record = packer.pack(event)
            except RecordError as error:
                raise TraceError(path, 0, str(error)) from error
            if watcher is not None:
                watcher.comes(event)
            ends = run.take(record, 0, index, packer.thread(event.thread))
            if watcher is not None:
                watcher.taken()
            if ends:
                break
            history.needs(run.needs)
            if progress is not None and index & 0xFFF == 0xFFF:
                progress()
    run.finish()
    if at_end is not None:
        run.show(at_end)
    return run.result


class _Replay(RecordSink):
    """A replay under way; it is the model's line sink and observer too."""

    def __init__(
        self,
        path: str,
        machine: Machine,
        tables: Tables,
        history: History,
        keep_going: bool,
        traps: TrapPlan | None,
        lpis: LpiBytes | None,
        watcher: Watcher | None = None,
    ) -> None:
        config = machine.config
        self.result = Result(trace=path, machine=str(machine))
        self._watcher = watcher
        self._traps = traps
        self.result.exits = None if traps is None else Counter()
        self._tables = tables
        self._counts = Counts()
        self._keep_going = keep_going
        self._its: RebuiltIts | None = None
        if lpis is not None:
            self._its = RebuiltIts(self.result, lpis, self._diverge_its, self._present)
        self._gic = vgic.Gic(config, self, self, self._memory())
        if watcher is not None:
            watcher.follow(self._gic)
        if self._its is not None:
            self._its.follow(self._gic)
        pe_states.begin(self._gic)
        self._two_states = config.two_states
        self._topology = config.topology
        self._places = Places(path, tables, self._gic, history)
        self._resets = ResetAttribution()
        self._findings = Findings(self.result, self._gic, history)
        self._evaluations = Evaluations(self._gic)
        self._virtual = VirtualOutcomes(self._gic, self._findings, self.result)
        self._unknown_lpis = UnknownLpis()
        judged = self._counts, self._findings, self.result
        self._operations = Operations(self._gic, self._evaluations, *judged, self._its, watcher)
        self._frames = FrameAccesses(self._gic, self._places, self._operations, *judged, self._its)
        self._registers = RegisterAccesses(
            self._gic, self._operations, self._evaluations, self._unknown_lpis, *judged
        )
        self._started = False

    # The model's callbacks.

    def set_lines(self, cpu: i64, irq: bool, fiq: bool) -> None:
        self._evaluations.passed_through(cpu)
        if self._watcher is not None:
            self._watcher.set_lines(cpu, irq, fiq)

    def illegal_access(self, access: IllegalAccess) -> None:
        self._frames.refusal = access.refusal

    def illegal_sysreg(self, access: vgic.IllegalSysReg) -> None:
        self.result.accepted["accesses to system registers that the machine lacks"] += 1

    def _memory(self) -> vgic.GuestMemory | None:
        return None if self._its is None else self._its.memory

    # Events.

    @property
    def needs(self) -> int:
        """The first event that may still be asked for."""
        return self._operations.needs

    def migrate(self, migration: Callable[[vgic.Gic], vgic.State | None]) -> None:
        """Go on with a new GIC where `migration` gives a state."""
        state = migration(self._gic)
        if state is not None:
            old = self._gic
            self._gic = state.build(self, self, memory=self._memory())
            pe_states.carry(old, self._gic)
            if self._watcher is not None:
                self._watcher.follow(self._gic)
            if self._its is not None:
                self._its.follow(self._gic)
            self._evaluations.follow(self._gic)
            self._virtual.follow(self._gic)
            self._findings.follow(self._gic)
            self._operations.follow(self._gic)
            self._frames.follow(self._gic)
            self._registers.follow(self._gic)

    def show(self, to: Callable[[Result, vgic.Gic], None]) -> None:
        """Show the result and the GIC."""
        to(self.result, self._gic)

    def take(self, data: bytes, at: i64, index: i64, thread: i64) -> bool:
        """Take the next event; True where it diverged and that is the end."""
        self._counts.events += 1
        kind: i64 = data[at]
        if kind == OUTPUTS:
            self._evaluations.add_outputs(self._places.cpu(data, at, index), data[at + 1], index)
        elif kind == CANDIDATE:
            self._candidate(data, at, index)
        elif kind == OTHER:
            # An event that means nothing to the model.
            self._counts.other(self._places.name(data, at, index))
        elif kind == LINE:
            self._line(data, at, index)
        elif kind == SYSREG:
            self._sysreg(data, at, index, thread)
        elif kind == ACCESS:
            self._started = True
            self._frames.take(data, at, index)
        elif kind == SGI:
            self._generated(data, at, index)
        elif kind == DELIVERY:
            self._delivery(data, at, index)
        elif kind == CPU_RESET:
            self._cpu_reset(data, at, index, thread)
        elif kind == VIRTUAL_CANDIDATE:
            self._virtual.offered(self._places.cpu(data, at, index), number_of(data, at), index)
        elif kind == VIRTUAL_OUTPUTS:
            self._virtual.put_out(self._places.cpu(data, at, index), data[at + 1], index)
        elif kind == MAINTENANCE:
            self._virtual.maintained(self._places.cpu(data, at, index), data[at + 1] & LEVEL != 0, index)
        elif kind == TEXT:
            self.result.accepted["lines that are no trace event"] += 1
        elif kind == WRITTEN:
            self._written(self._places.written(data, at, index), index)
        else:
            raise RecordError(f"record {index} is of unknown kind {kind}")
        return self._findings.diverged and not self._keep_going

    def finish(self) -> None:
        """The trace is over: compare what is still open, as far as an end amid an operation allows."""
        result = self.result
        result.stopped = self._findings.diverged and not self._keep_going
        if not result.stopped:
            self._operations.finish()
            if self._its is not None:
                self._its.finish()
            if self._gic.config.vlpi_frames:
                result.notes.append(_LEFT_OUT_OF_GICV4)
            if not self._gic.config.list_registers:
                self._note_what_is_virtual()
            if self._resets.held:
                result.notes.append(f"CPU resets whose vCPU the trace does not tell, left out: {self._resets.held}")
            if self._evaluations.lpis:
                result.accepted["evaluations that offer an LPI"] += self._evaluations.lpis
        for address, count in self._counts.compared_reads():
            result.compared[self._places.name_at(address)] += count
        self._counts.sum_up(
            result,
            self._tables,
            self._topology,
            self._places.registers,
            self._evaluations,
            self._virtual,
            self._traps,
        )
        if not result.diverged and result.compared.total() == result.compared[LEGALITY]:
            result.undecided = nothing_compared(result.events, self._tables.names)

    def _note_what_is_virtual(self) -> None:
        """Say what is left aside because the machine has no virtual CPU interface."""
        virtual = ("accesses to ICH_", "accesses to ICV_")
        left = [count for what, count in self.result.accepted.items() if what.startswith(virtual)]
        if left:
            self.result.notes.append(
                f"accesses to ICV and ICH registers, left out: {sum(left):,}; the machine has no list registers"
                " (--list-registers)"
            )

    def _candidate(self, data: bytes, at: i64, index: i64) -> None:
        """What a PE was offered: half an evaluation."""
        cpu = self._places.cpu(data, at, index)
        intid = number_of(data, at)
        priority = half_of(data, at + 8)
        self._evaluations.add_offer(cpu, intid, data[at + 1], priority, index)
        if intid >= FIRST_LPI and priority != _NOTHING_PENDING:
            self._unknown_lpis.offered(cpu, priority)

    def _generated(self, data: bytes, at: i64, index: i64) -> None:
        """Keep an SGI until its deliveries are known."""
        cpu = self._places.cpu(data, at, index)
        intid, value = number_of(data, at), value_of(data, at)
        if intid > 15 or value >> 40:
            raise self._places.error(
                index, "no register can generate this SGI: its INTID, cluster or target list is too large"
            )
        pe, irm = self._tables.pes[pe_of(data, at)], data[at + 1] & IRM != 0
        self._operations.begin_sgi(cpu, pe, intid, irm, value, index)

    def _delivery(self, data: bytes, at: i64, index: i64) -> None:
        """Keep a delivery until its SGI is complete."""
        cpu = self._places.cpu(data, at, index)
        pe = self._tables.pes[pe_of(data, at)]
        if not self._operations.deliver_sgi(cpu, pe, number_of(data, at), index):
            raise self._places.error(index, "an SGI is delivered that nobody generated")

    def _line(self, data: bytes, at: i64, index: i64) -> None:
        """Drive an input line."""
        self._operations.logged_first(index)
        flags: i64 = data[at + 1]
        intid = number_of(data, at)
        if flags & PRIVATE and intid == self._virtual.maintenance_intid:
            self._virtual.maintained(self._places.cpu(data, at, index), flags & LEVEL != 0, index)
            return
        try:
            if flags & PRIVATE:
                interrupt: vgic.Interrupt = self._gic.ppi(self._places.cpu(data, at, index), intid)
            else:
                interrupt = self._gic.spi(intid)
        except vgic.ConfigError as error:
            raise self._places.error(index, str(error)) from error
        interrupt.set_level(flags & LEVEL != 0)
        self._counts.line_changes += 1

    def _sysreg(self, data: bytes, at: i64, index: i64, thread: i64) -> None:
        """A system register access; it may tell whose a CPU reset was."""
        self._started = True
        cpu = self._places.cpu(data, at, index)
        register = self._places.register(data, at, index)
        if register.layout is None or (register.of_higher_level and not self._two_states):
            self.result.accepted[f"accesses to {register.name}"] += 1
            return
        if self._resets.resolved(thread, cpu, register.begins and data[at + 1] & WRITE != 0):
            self._reset(cpu)
        self._registers.take(register, cpu, data, at, index)

    def _cpu_reset(self, data: bytes, at: i64, index: i64, thread: i64) -> None:
        """Reset a PE's CPU interface, now or when it is known which one it is."""
        if not self._started:
            return  # The machine's own start.
        self._operations.logged_first(index)
        cpu = self._resets.reset(self._places.token(data, at, index), thread)
        if cpu is not None:
            if cpu >= len(self._topology):
                raise self._places.error(index, f"vCPU {cpu} is reset; the machine has {len(self._topology)}")
            self._reset(cpu)
        self.result.inputs["CPU resets"] += 1

    def _reset(self, cpu: i64) -> None:
        self._gic.reset_cpu(cpu)
        if self._watcher is not None:
            self._watcher.reset(cpu)

    def _written(self, event: Event, index: i64) -> None:
        """An event that no record can hold; it comes without line, time and thread."""
        if not isinstance(event, ITS_EVENTS):
            raise self._places.error(index, f"no machine does this: {describe(event)}")
        if self._its is None:
            self.result.accepted["events of an ITS, which the machine does not have"] += 1
            return
        if isinstance(event, Message):
            self._operations.logged_first(index)
        try:
            self._its.feed(event, index)
        except CommandError as error:
            raise self._places.error(index, str(error)) from error

    def _diverge_its(self, what: str, index: i64, expected: str, got: str) -> None:
        self._findings.outcome(index, what, None, expected, got)

    def _present(self) -> None:
        self._operations.present()
