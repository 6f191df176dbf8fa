"""The replay itself: every recorded input drives the model, every recorded outcome is compared.

The events come as records (see `mmio.trace.records`), so that the common case makes no objects. Where something is
to be said about an event, it is fetched from the replay's history by its index.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from mypy_extensions import i64

import vgic
from mmio import FRAME_SIZE, IllegalAccess, Refusal
from mmio.trace import Event, Message, TraceError, TraceReader
from mmio.trace.records import (
    ACCESS,
    CANDIDATE,
    CPU_RESET,
    DELIVERY,
    DEVICE_SHIFT,
    DEVICES,
    GICD,
    GICR,
    GITS,
    HAS_VALUE,
    ILLEGAL,
    IRM,
    LEVEL,
    LINE,
    MAINTENANCE,
    OTHER,
    OUTPUTS,
    PRIVATE,
    SECURE,
    SGI,
    SIZE_MASK,
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
from vgic import affinity
from vgic.bits import bit
from vgic.config import REDISTRIBUTOR_SIZE
from vgic.host.trap_plan import TrapPlan
from vgic.intids import FIRST_LPI, NMI_WAITS, is_private
from vgic.its.device import ITS_SIZE
from vgic.layouts.its_commands import CommandError
from vgic_tools.machines.machine import Machine
from vgic_tools.replay import pe_states, virtual_outcomes
from vgic_tools.replay.counts import LEGALITY, LPI, PPI, SPI, Counts
from vgic_tools.replay.counts import SGI as TAKEN_SGI
from vgic_tools.replay.describe import describe
from vgic_tools.replay.evaluations import Evaluations, levels_text
from vgic_tools.replay.evidence import nothing_compared
from vgic_tools.replay.findings import Findings
from vgic_tools.replay.history import EventHistory, History, TraceHistory
from vgic_tools.replay.its import ITS_EVENTS, RebuiltIts
from vgic_tools.replay.lpi_bytes import LpiBytes
from vgic_tools.replay.pending_sgi import PendingSgi
from vgic_tools.replay.places import Places, ReplayError
from vgic_tools.replay.resets import ResetAttribution
from vgic_tools.replay.result import Result
from vgic_tools.replay.sgis import generation, misdelivered
from vgic_tools.replay.system_registers import SystemRegister
from vgic_tools.replay.virtual_outcomes import VIRTUAL_OFFERS, VirtualOutcomes
from vgic_tools.replay.watcher import Watcher
from vgic_tools.replay.witness import HISTORY

__all__ = ["ReplayError", "replay"]

_ICC_SGI1R_EL1: Final = vgic.ICC_SGI1R_EL1
_NOTHING_PENDING: Final = 255
_NO_INTID: Final = -1
_MOST_LIST_REGISTERS: Final = 16
_SPECIAL_FIRST: Final = 1020
_SPECIAL_LAST: Final = 1023

# QEMU calls some writes of read-only registers errors and others not: nothing to compare there.
_UNRECORDED: Final = (Refusal.READ_ONLY, Refusal.WRITE_ONLY)


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
        self._gic = vgic.Gic(machine.config, self, self, self._memory())
        if watcher is not None:
            watcher.follow(self._gic)
        if self._its is not None:
            self._its.follow(self._gic)
        self._two_states = machine.config.two_states
        self._has_nmis = machine.config.nmi
        self._places = Places(path, tables, self._gic, history)
        self._evaluations = Evaluations(self._gic)
        self._virtual = VirtualOutcomes(self._gic)
        self._maintenance: i64 = machine.config.maintenance_intid if machine.config.list_registers else _NO_INTID
        """The PPI that the model drives itself."""
        pe_states.begin(self._gic)
        self._topology = machine.config.topology
        self._gicd_base = machine.config.gicd_base
        self._redistributor_bases = self._gic.redistributor_bases
        self._resets = ResetAttribution()
        self._findings = Findings(self.result, self._gic, history)
        self._refusal: Refusal | None = None
        self._started = False
        self._diverged = False
        """The result has a divergence: a flag, since every event asks."""
        self._lpi_priority: dict[int, int] = {}
        self.needs: i64 = 0
        """The first event that may still be asked for."""

        self._sgi = PendingSgi()

    # The model's callbacks.

    def set_lines(self, cpu: i64, irq: bool, fiq: bool) -> None:
        self._evaluations.passed_through(cpu)
        if self._watcher is not None:
            self._watcher.set_lines(cpu, irq, fiq)

    def illegal_access(self, access: IllegalAccess) -> None:
        self._refusal = access.refusal

    def illegal_sysreg(self, access: vgic.IllegalSysReg) -> None:
        self.result.accepted["accesses to system registers that the machine lacks"] += 1

    def _memory(self) -> vgic.GuestMemory | None:
        return None if self._its is None else self._its.memory

    # Events.

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
            self._access(data, at, index)
        elif kind == SGI:
            self._generated(data, at, index)
        elif kind == DELIVERY:
            self._delivery(data, at, index)
        elif kind == CPU_RESET:
            self._cpu_reset(data, at, index, thread)
        elif kind in (VIRTUAL_CANDIDATE, VIRTUAL_OUTPUTS, MAINTENANCE):
            self._virtual_outcome(kind, self._places.cpu(data, at, index), data, at, index)
        elif kind == TEXT:
            self.result.accepted["lines that are no trace event"] += 1
        elif kind == WRITTEN:
            self._written(self._places.written(data, at, index), index)
        else:
            raise RecordError(f"record {index} is of unknown kind {kind}")
        return self._diverged and not self._keep_going

    def finish(self) -> None:
        """The trace is over: compare what is still open, as far as an end amid an operation allows."""
        result = self.result
        result.stopped = self._diverged and not self._keep_going
        if not result.stopped:
            self._before_operation(cut=True)
            if self._evaluations.waiting():
                self._evaluations.present()
                self._compare_evaluations(cut=True)
            if self._its is not None:
                self._its.finish()
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

    def _candidate(self, data: bytes, at: i64, index: i64) -> None:
        """What a PE was offered: half an evaluation."""
        cpu = self._places.cpu(data, at, index)
        intid = number_of(data, at)
        priority = half_of(data, at + 8)
        self._evaluations.add_offer(cpu, intid, data[at + 1], priority, index)
        if intid >= FIRST_LPI and priority != _NOTHING_PENDING:
            self._lpi_priority[cpu] = priority

    def _delivery(self, data: bytes, at: i64, index: i64) -> None:
        """Keep a delivery until its SGI is complete."""
        cpu = self._places.cpu(data, at, index)
        if not self._sgi.waits:
            raise self._places.error(index, "an SGI is delivered that nobody generated")
        self._sgi.deliver(cpu, self._tables.pes[pe_of(data, at)], number_of(data, at), index)

    def _generated(self, data: bytes, at: i64, index: i64) -> None:
        """Keep an SGI until its deliveries are known."""
        cpu = self._places.cpu(data, at, index)
        intid, value = number_of(data, at), value_of(data, at)
        if intid > 15 or value >> 40:
            raise self._places.error(
                index, "no register can generate this SGI: its INTID, cluster or target list is too large"
            )
        self._logged_first(index)
        self._evaluations.unsettled = True
        pe, irm = self._tables.pes[pe_of(data, at)], data[at + 1] & IRM != 0
        self._sgi.begin(cpu, pe, intid, irm, value, index)

    def _line(self, data: bytes, at: i64, index: i64) -> None:
        """Drive an input line."""
        self._logged_first(index)
        flags: i64 = data[at + 1]
        intid = number_of(data, at)
        if flags & PRIVATE and intid == self._maintenance:
            self._maintained(self._places.cpu(data, at, index), flags & LEVEL != 0, index)
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

    def _virtual_outcome(self, kind: i64, cpu: i64, data: bytes, at: i64, index: i64) -> None:
        """What the virtual CPU interface of a PE shows."""
        flags: i64 = data[at + 1]
        if kind == MAINTENANCE:
            self._maintained(cpu, flags & LEVEL != 0, index)
        elif kind == VIRTUAL_OUTPUTS:
            outputs = self._virtual.outputs(cpu)
            if flags == outputs:
                self._virtual.same_outputs += 1
            else:
                self._differs(
                    virtual_outcomes.VIRTUAL_OUTPUTS, cpu, levels_text(flags), levels_text(outputs), index
                )
        else:
            # One more than the number of the list register.
            recorded, shown = number_of(data, at), self._virtual.candidate(cpu) + 1
            if recorded > _MOST_LIST_REGISTERS:
                self.result.accepted["evaluations that offer a virtual LPI"] += 1
            elif recorded == shown:
                self._virtual.same_offers += 1
            else:
                expected, got = _list_register_text(recorded), _list_register_text(shown)
                self._differs(VIRTUAL_OFFERS, cpu, expected, got, index)

    def _maintained(self, cpu: i64, level: bool, index: i64) -> None:
        """Compare the level of a PE's maintenance interrupt."""
        got = self._virtual.maintenance(cpu)
        if got == level:
            self._virtual.same_maintenance += 1
        else:
            self._differs(virtual_outcomes.MAINTENANCE, cpu, _level_text(level), _level_text(got), index)

    def _differs(self, what: str, cpu: i64, expected: str, got: str, index: i64) -> None:
        self.result.compared[what] += 1
        self._findings.outcome(index, what, cpu, expected, got)
        self._diverged = self.result.diverged

    def _cpu_reset(self, data: bytes, at: i64, index: i64, thread: i64) -> None:
        """Reset a PE's CPU interface, now or when it is known which one it is."""
        if not self._started:
            return  # The machine's own start.
        self._logged_first(index)
        cpu = self._resets.reset(self._places.token(data, at, index), thread)
        if cpu is not None:
            self._reset(cpu)
        self.result.inputs["CPU resets"] += 1

    def _reset(self, cpu: i64) -> None:
        self._gic.reset_cpu(cpu)
        if self._watcher is not None:
            self._watcher.reset(cpu)

    def _access(self, data: bytes, at: i64, index: i64) -> None:
        """A load or store."""
        self._started = True
        flags: i64 = data[at + 1]
        offset: int = number_of(data, at)
        device = flags >> DEVICE_SHIFT
        if device == GICD:
            if offset >= FRAME_SIZE:
                raise self._places.error(index, f"offset {offset:#x} is beyond the distributor")
            address = self._gicd_base + offset
        elif device == GICR:
            if offset >= REDISTRIBUTOR_SIZE:
                raise self._places.error(
                    index, f"offset {offset:#x} is beyond a GICv3 redistributor; GICv4 is not modelled"
                )
            address = self._redistributor_bases[self._places.cpu(data, at, index)] + offset
        elif device == GITS and self._its is not None:
            if offset >= ITS_SIZE:
                raise self._places.error(index, f"offset {offset:#x} is beyond the ITS")
            address = self._gic.config.its[0] + offset
        else:
            self.result.accepted[f"accesses to {DEVICES[device].upper()} frames"] += 1
            return
        self._logged_last()
        self._refusal = None
        size, secure = bit(flags & SIZE_MASK), flags & SECURE != 0
        if flags & WRITE:
            self._counts.access(device, True)
            self._gic.write(address, size, value_of(data, at), secure=secure)
        else:
            self._counts.access(device, False)
            got = self._gic.read(address, size, secure=secure)
            if flags & HAS_VALUE:
                self._counts.compared_read(device, offset, address)
                if got != value_of(data, at):
                    self._findings.read(
                        index, self._places.name_at(address), value_of(data, at), got, self._places.locate(address)
                    )
                    self._diverged = self.result.diverged
            else:
                self.result.accepted[f"reads of {self._places.name_at(address)} whose value is not recorded"] += 1
        self._compare_legality(index, flags & ILLEGAL != 0)
        if self._its is not None:
            self._its.accessed(device, offset, flags & WRITE != 0)
        self._after_logged_last(index)

    def _sysreg(self, data: bytes, at: i64, index: i64, thread: i64) -> None:
        """A system register access."""
        self._started = True
        cpu = self._places.cpu(data, at, index)
        register = self._places.register(data, at, index)
        if register.layout is None or (register.of_higher_level and not self._two_states):
            self.result.accepted[f"accesses to {register.name}"] += 1
        elif register.of_higher_level:
            before = pe_states.rise(self._gic, cpu)
            self._register(register, cpu, data, at, index, thread)
            self._gic.set_pe_state(cpu, before)
        else:
            self._register(register, cpu, data, at, index, thread)

    def _register(self, register: SystemRegister, cpu: i64, data: bytes, at: i64, index: i64, thread: i64) -> None:
        write = data[at + 1] & WRITE != 0
        if self._resets.resolved(thread, cpu, write and register.begins):
            self._reset(cpu)
        value = value_of(data, at)
        if write:
            register.writes += 1
            self._logged_first(index)
            if register.ends:
                # The recorder evaluates between priority drop and deactivation: the offer is still the old one.
                self._evaluations.passed_through(cpu)
            if register.virtual:
                self._gic.icv_write(cpu, register.encoding, value)
            else:
                self._gic.sysreg_write(cpu, register.encoding, value)
            return
        register.reads += 1
        if register.acknowledges:
            self._logged_last()
            self._acknowledge(register, cpu, value, index)
            self._after_logged_last(index)
        else:
            # Reads of other registers change nothing, so it does not matter on which side they are logged.
            self._logged_first(index)
            self._compare_register(register, cpu, value, index)

    def _written(self, event: Event, index: i64) -> None:
        """An event that no record can hold; it comes without line, time and thread."""
        if not isinstance(event, ITS_EVENTS):
            raise self._places.error(index, f"no machine does this: {describe(event)}")
        if self._its is None:
            self.result.accepted["events of an ITS, which the machine does not have"] += 1
            return
        if isinstance(event, Message):
            self._logged_first(index)
        try:
            self._its.feed(event, index)
        except CommandError as error:
            raise self._places.error(index, str(error)) from error

    # Operations and the evaluations around them.

    def _before_operation(self, cut: bool = False) -> None:
        """Carry out the SGI whose deliveries are complete now that another operation begins or the trace ends."""
        if self._sgi.waits:
            if self._watcher is not None:
                self._watcher.generates(self._sgi.index)
            self._generate(cut)
            if self._watcher is not None:
                self._watcher.generated()
            self._evaluations.unsettled = False

    def _logged_first(self, index: i64) -> None:
        """Before an operation that is logged before its evaluations."""
        self._before_operation()
        if self._evaluations.waiting():
            self._evaluations.present()
            self._compare_evaluations()
        self._settled(index)

    def _logged_last(self) -> None:
        """Before an operation that is logged after its evaluations."""
        self._before_operation()
        if self._evaluations.waiting():
            self._evaluations.present()
        else:
            self._evaluations.forget()

    def _after_logged_last(self, index: i64) -> None:
        if self._evaluations.waiting():
            self._evaluations.present()
            self._compare_evaluations()
        self._settled(index)

    def _settled(self, index: i64) -> None:
        """No event before this one waits to be compared."""
        self._evaluations.forget()
        self.needs = index - HISTORY
        if self._its is not None:
            self._its.settled()

    def _compare_evaluations(self, cut: bool = False) -> None:
        for index, what, cpu, expected, got in self._evaluations.compare():
            if cut:
                # Perhaps the outcome of an operation whose own line would have been the next one.
                self.result.accepted[f"{what} after the last operation"] += 1
                continue
            self.result.compared[what] += 1
            self._findings.outcome(index, what, cpu, expected, got)
            self._diverged = self.result.diverged

    def _generate(self, cut: bool) -> None:
        """Generate an SGI, and compare who it was delivered to; `cut`: more deliveries may have followed."""
        sgi = self._sgi
        sgi.waits = False
        self._counts.deliveries += sgi.deliveries()
        if sgi.fits_sgi1r(self._gic):
            self._counts.sgis += 1
            self._gic.sysreg_write(sgi.sender, _ICC_SGI1R_EL1, sgi.value)
            return
        event, deliveries = sgi.as_event(), sgi.deliveries_as_events()
        register, encoding, value, reach = generation(self._gic, sgi.sender, sgi.value, deliveries, cut)
        self.result.inputs[f"SGIs by {register}"] += 1
        wrong = misdelivered(event, deliveries, reach, cut)
        if wrong is not None:
            recorded = _listed([(item.intid, item.cpu) for item in deliveries])
            got = _listed([(event.intid, pe) for pe in reach])
            # The line of these events is their index.
            self._findings.outcome(wrong.line, "SGI deliveries", sgi.sender, recorded, got)
            self._diverged = self.result.diverged
        self._gic.sysreg_write(sgi.sender, encoding, value)

    def _acknowledge(self, register: SystemRegister, cpu: i64, value: int, index: i64) -> None:
        if value >= FIRST_LPI and self._its is None:
            self.result.accepted["LPI acknowledgements"] += 1
            self._counts.taken(cpu, LPI)
            self._activate_lpi(cpu)
            return
        if self._has_nmis and register.encoding == vgic.ICC_IAR1_EL1 and self._gic.nmi(cpu):
            self._learn_sctlr(cpu, value == NMI_WAITS)
        self._compare_register(register, cpu, value, index)
        if not _SPECIAL_FIRST <= value <= _SPECIAL_LAST:
            self._counts.taken(cpu, _kind(value))

    def _learn_sctlr(self, cpu: i64, nmi: bool) -> None:
        """Tell the model SCTLR_ELx.NMI, which no event does but what ICC_IAR1_EL1 returns of an NMI (NMI-5)."""
        state = self._gic.pe_state(cpu)
        if state.sctlr_nmi != nmi:
            self._gic.set_pe_state(cpu, replace(state, sctlr_nmi=nmi))
            self.result.accepted["SCTLR_ELx.NMI, which only acknowledgements of NMIs tell"] += 1

    def _activate_lpi(self, cpu: i64) -> None:
        """Show the model that an LPI is active, where the trace told its priority."""
        if cpu in self._lpi_priority:
            bit = 1 << (self._lpi_priority[cpu] >> 3)
            active = self._gic.sysreg_read(cpu, vgic.ICC_AP1R0_EL1)
            self._gic.sysreg_write(cpu, vgic.ICC_AP1R0_EL1, active | bit)

    # Comparing.

    def _compare_register(self, register: SystemRegister, cpu: i64, value: int, index: i64) -> None:
        if register.virtual:
            got = self._gic.icv_read(cpu, register.encoding)
        else:
            got = self._gic.sysreg_read(cpu, register.encoding)
        register.compared += 1
        if got != value:
            assert register.layout is not None
            self._findings.register(index, cpu, got, register.name, register.layout)
            self._diverged = self.result.diverged

    def _compare_legality(self, index: i64, expected: bool) -> None:
        got = self._refusal is not None
        if not got or self._refusal not in _UNRECORDED:
            self._counts.legality += 1
            if got != expected:
                self._findings.outcome(index, LEGALITY, None, _legality(expected), _legality(got))
                self._diverged = self.result.diverged

    def _diverge_its(self, what: str, index: i64, expected: str, got: str) -> None:
        self._findings.outcome(index, what, None, expected, got)
        self._diverged = self.result.diverged

    def _present(self) -> None:
        """The model is in a state that waiting evaluations may show."""
        if self._evaluations.waiting():
            self._evaluations.present()


def _listed(deliveries: list[tuple[int, int]]) -> str:
    return ", ".join([f"SGI {intid} at {affinity.text(pe)}" for intid, pe in deliveries]) or "nowhere"


def _kind(intid: int) -> i64:
    """The type of an interrupt that was taken."""
    if intid >= FIRST_LPI:
        return LPI
    return TAKEN_SGI if intid < 16 else PPI if is_private(intid) else SPI


def _list_register_text(place: i64) -> str:
    return f"list register {place - 1}" if place else "no list register"


def _level_text(level: bool) -> str:
    return "high" if level else "low"


def _legality(illegal: bool) -> str:
    return "refused" if illegal else "taken"
