"""Records the history of a replay while it goes on."""

from typing import Final

from mmio import RegisterLayout
from mmio.trace import Access, Candidate, Delivery, Event, Line, Other, Outputs, Sgi, SysReg, Text
from vgic import Config, Gic, affinity
from vgic.intids import FIRST_LPI, is_private
from vgic.layouts import extended, gicd
from vgic.layouts.intids import intids_in
from vgic_tools.report.timeline import ANY, FIQ, IRQ, LINE_TIME, Changes, Handled, Interrupt, Sent, Timeline

__all__ = ["Recorder"]

_ACKNOWLEDGE: Final = ("ICC_IAR0", "ICC_IAR1")
_END: Final = ("ICC_EOIR0", "ICC_EOIR1")
_DEACTIVATE: Final = "ICC_DIR"
_GENERATE: Final = "ICC_SGI*R"
"""Which of the three registers it was is not recorded."""

_SPECIAL: Final = range(1020, 1024)
_ROUTES: Final = (gicd.IROUTER, extended.IROUTER)
_SEEN: Final = (Candidate, Outputs, Other, Text, Delivery, Sgi)
"""What changes nothing in the model, when it comes."""


class Recorder:
    """A `Watcher` of a replay that writes its `timeline`."""

    def __init__(self, config: Config) -> None:
        self._topology = config.topology
        self.timeline = Timeline([affinity.text(packed) for packed in config.topology.affinities])
        self._one_of_n = gicd.IROUTER.mask("Interrupt_Routing_Mode")
        self._now = 0
        self._index = -1
        self._started = False
        self._handled: list[list[Handled]] = [[] for _ in self.timeline.cpus]
        """What each vCPU has in hand, by depth."""
        self._active: dict[Interrupt, Handled] = {}
        """What waits for a deactivation."""
        self._arrived: dict[Interrupt, list[int]] = {}
        """SGIs that are yet to be taken."""
        self._sgi_times: dict[int, int] = {}
        """When the SGIs came that the model has yet to generate, by the event's index."""
        self._outputs: dict[int, int] = {}
        """The outputs that changed since the last event."""
        self._virtual_outputs = [0] * len(self.timeline.cpus)
        self._waiting = [0] * len(self.timeline.cpus)
        self._names: dict[tuple[str, int], str] = {}

    # What a replay tells.

    def follow(self, gic: Gic) -> None:
        """Look at this model."""
        self._gic = gic
        self._spis = frozenset(gic.intids(private=False))
        cpus = range(len(self.timeline.cpus))
        self._interfaces = [gic.interface(cpu) for cpu in cpus]
        self._virtual = [gic.virtual_control(cpu).interface for cpu in cpus] if gic.config.list_registers else []

    def comes(self, event: Event) -> None:
        """Record what the guest or a device does."""
        self._index += 1
        self._now = self._time(event)
        if isinstance(event, SysReg):
            self._sysreg(event)
        elif isinstance(event, Line):
            cpu = None if event.owner is None else self._topology.find(event.owner)
            line = self.timeline.lines.setdefault(Interrupt(cpu, event.intid), [])
            _change(line, self._now, int(event.level))
        elif isinstance(event, Sgi):
            self._generates(event)
        elif isinstance(event, Delivery):
            self._delivered(event)
        elif isinstance(event, Access):
            self.timeline.accesses[self._name(event), event.write] += 1
        self._event = event

    def taken(self) -> None:
        """Record what came of it."""
        event = self._event
        if isinstance(event, _SEEN):
            return
        self._sample(self._now)
        if isinstance(event, Access) and event.write and event.device == "gicd":
            for routes in _ROUTES:
                if routes.offset <= event.offset < routes.offset + routes.count * routes.stride:
                    self._routed(routes, (event.offset - routes.offset) // routes.stride)

    def generates(self, sgi: int) -> None:
        """Nothing to see yet."""
        self._generating = self._sgi_times.pop(sgi, self._now)

    def generated(self) -> None:
        """Record what came of an SGI, at its own time."""
        self._sample(self._generating)

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """Record an output, when its operation is over."""
        self._outputs[cpu] = (IRQ if irq else 0) | (FIQ if fiq else 0)

    def reset(self, cpu: int) -> None:
        """A PE that is reset has nothing in hand."""
        for handled in self._handled[cpu]:
            handled.end = self._now
        self._handled[cpu].clear()

    # What that means.

    def _time(self, event: Event) -> int:
        timeline = self.timeline
        if not self._started:
            if isinstance(event, Text):
                return 0  # Whatever a recorder says before it records.
            self._started = True
            timeline.timed = event.time is not None
            timeline.origin = event.line * LINE_TIME if event.time is None else event.time
        timeline.duration = max(timeline.duration, timeline.time_of(event))
        return timeline.duration

    def _sample(self, time: int) -> None:
        for cpu, levels in self._outputs.items():
            _change(self.timeline.outputs[cpu], time, levels)
        self._outputs.clear()
        for cpu, interface in enumerate(self._virtual):
            levels = (IRQ if interface.irq else 0) | (FIQ if interface.fiq else 0)
            if levels != self._virtual_outputs[cpu]:
                self._virtual_outputs[cpu] = levels
                _change(self.timeline.virtual_outputs[cpu], time, levels)
        waiting = [interface.candidates for interface in self._interfaces]
        if waiting != self._waiting:
            for cpu, (was, count) in enumerate(zip(self._waiting, waiting, strict=True)):
                if was != count:
                    _change(self.timeline.waiting[cpu], time, count)
            self._waiting = waiting

    def _sysreg(self, event: SysReg) -> None:
        self.timeline.accesses[event.register, event.write] += 1
        cpu = self._topology.find(event.cpu)
        if cpu is None:
            return  # The replay says so.
        if event.register in _ACKNOWLEDGE:
            if not event.write and event.value not in _SPECIAL:
                self._acknowledged(cpu, event)
        elif event.write and event.register in _END:
            self._ended(cpu, event.value & 0xFF_FFFF)
        elif event.write and event.register == _DEACTIVATE:
            found = self._active.pop(_interrupt(cpu, event.value & 0xFF_FFFF), None)
            if found is not None:
                found.deactivated = self._now

    def _acknowledged(self, cpu: int, event: SysReg) -> None:
        stack = self._handled[cpu]
        arrived = tuple(self._arrived.pop(Interrupt(cpu, event.value), ()))
        handled = Handled(event.value, self._now, event.line, len(stack), arrived)
        stack.append(handled)
        self.timeline.handled[cpu].append(handled)

    def _ended(self, cpu: int, intid: int) -> None:
        """The priority of an interrupt drops; of those that preempted it, too: they can end no more."""
        stack = self._handled[cpu]
        if all(handled.intid != intid for handled in stack):
            return
        while stack:
            handled = stack.pop()
            handled.end = self._now
            if handled.intid == intid:
                break
        if self._interfaces[cpu].eoi_mode and intid < FIRST_LPI:
            handled.waits_for_dir = True
            self._active[_interrupt(cpu, intid)] = handled

    def _generates(self, event: Sgi) -> None:
        self.timeline.accesses[_GENERATE, True] += 1
        self._sgi_times[self._index] = self._now
        sender = self._topology.find(event.cpu)
        if sender is not None:
            self.timeline.sgis.append(Sent(self._now, event.line, sender, event.intid))

    def _delivered(self, event: Delivery) -> None:
        cpu = self._topology.find(event.cpu)
        if cpu is not None and self.timeline.sgis:
            number = len(self.timeline.sgis) - 1
            self.timeline.sgis[number].receivers.append(cpu)
            self._arrived.setdefault(Interrupt(cpu, event.intid), []).append(number)

    def _routed(self, routes: RegisterLayout, index: int) -> None:
        """The guest wrote the route of an SPI: it may be what it was."""
        [intid] = intids_in(routes, index, routes.mask("Aff0"))
        if intid not in self._spis:
            return
        value = self._gic.read(self._gic.config.gicd_base + routes.offset + index * routes.stride, 8)
        to = ANY if value & self._one_of_n else self._gic.spi(intid).affinity
        _change(self.timeline.routes[intid], self._now, to)

    def _name(self, event: Access) -> str:
        """The register that is accessed, or the device where none is."""
        name = self._names.get((event.device, event.offset))
        if name is None:
            name = self._names[event.device, event.offset] = self._found(event)
        return name

    def _found(self, event: Access) -> str:
        config = self._gic.config
        bases = {"gicd": config.gicd_base, "gicr": self._gic.redistributor_bases[0]}
        if config.its:
            bases["gits"] = config.its[0]
        base = bases.get(event.device)
        location = None if base is None else self._gic.map.locate(base + event.offset)
        if location is None or location.register is None:
            return f"{event.device.upper()}+{event.offset:#x}"
        return location.register.name


def _interrupt(cpu: int, intid: int) -> Interrupt:
    return Interrupt(cpu if is_private(intid) else None, intid)


def _change(signal: Changes, time: int, value: int, before: int = 0) -> None:
    """The signal has this value from now on, and had the value `before` when it began."""
    if value != (signal[-1][1] if signal else before):
        signal.append((time, value))
