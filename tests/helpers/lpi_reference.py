"""LPIs once more, as slow and plain as possible, for the model to be compared with.

It shares nothing with the model: a PE's pending LPIs are a dictionary that is searched whole for the best one, and
the tables are looked up byte by byte. Only Group 1, and 5 bits of priority that all decide preemption.
"""

FIRST = 8192
SPURIOUS = 1023
IDLE = 0xFF


class Pe:
    """A Redistributor with its CPU interface."""

    def __init__(self) -> None:
        self.lpis_enabled = False
        self.propbaser = 0
        self.pendbaser = 0
        self.ptz = False
        self.pending: dict[int, int] = {}
        """INTID to the configuration byte that it was last seen with."""
        self.last_best = 0
        """The INTID of what was offered last, which only QEMU remembers."""
        self.asleep = False
        self.pmr = IDLE
        self.active: list[int] = []
        """Priorities that were acknowledged and not yet dropped."""


class LpiReference:
    """A VM of the architecture's choices; INTIDs have `id_bits` bits. `ram` is at physical address `base`."""

    priority_mask = 0xF8

    def __init__(self, pes: int, id_bits: int, base: int, size: int) -> None:
        self.pes = [Pe() for _ in range(pes)]
        self.id_bits = id_bits
        self.base = base
        self.ram = bytearray(size)
        self.cache: dict[int, int] = {}
        self.group_enabled = True

    # Memory.

    def load(self, address: int) -> int:
        return self.ram[address - self.base] if self.base <= address < self.base + len(self.ram) else 0

    def store(self, address: int, byte: int) -> None:
        if self.base <= address < self.base + len(self.ram):
            self.ram[address - self.base] = byte

    def table_bit(self, pe: Pe, intid: int) -> bool:
        return self.load(pe.pendbaser + intid // 8) >> intid % 8 & 1 == 1

    def set_table_bit(self, pe: Pe, intid: int, value: bool) -> None:
        address = pe.pendbaser + intid // 8
        self.store(address, self.load(address) & ~(1 << intid % 8) | value << intid % 8)

    def table_bits(self, pe: Pe) -> set[int]:
        """The LPIs whose bits are set."""
        bytes_of_lpis = range(FIRST // 8, self.intids(pe).stop // 8)
        marked = [
            intid
            for byte in bytes_of_lpis
            if self.load(pe.pendbaser + byte)
            for intid in range(8 * byte, 8 * byte + 8)
        ]
        return {intid for intid in marked if self.table_bit(pe, intid)}

    def intids(self, pe: Pe) -> range:
        bits = pe.propbaser % 32 + 1
        return range(FIRST, 1 << min(bits, self.id_bits)) if bits >= 14 else range(0)

    def read_configuration(self, pe: Pe, intid: int) -> int:
        return self.load((pe.propbaser >> 12 << 12) + intid - FIRST) | 0b10

    def configuration(self, pe: Pe, intid: int) -> int:
        if intid not in self.cache:
            self.cache[intid] = self.read_configuration(pe, intid)
        return self.cache[intid]

    # Registers.

    def place_tables(self, pe: Pe, propbaser: int, pendbaser: int, ptz: bool) -> None:
        if not pe.lpis_enabled:
            pe.propbaser, pe.pendbaser, pe.ptz = propbaser, pendbaser, ptz

    def enable(self, pe: Pe, enabled: bool) -> None:
        if enabled == pe.lpis_enabled:
            return
        pe.lpis_enabled = enabled
        if enabled:
            self.cache.clear()
            self.take_table(pe)
        else:
            self.leave_table(pe)
            pe.pending.clear()

    def take_table(self, pe: Pe) -> None:
        if not pe.ptz:
            for intid in self.table_bits(pe):
                pe.pending[intid] = self.configuration(pe, intid)

    def leave_table(self, pe: Pe) -> None:
        for intid in self.table_bits(pe) | pe.pending.keys():
            self.set_table_bit(pe, intid, intid in pe.pending)
        pe.ptz = False

    def enable_group(self, enabled: bool) -> None:
        """Write GICD_CTLR."""
        self.group_enabled = enabled

    # LPIs.

    def arrive(self, pe: Pe, intid: int) -> None:
        if pe.lpis_enabled and intid in self.intids(pe) and intid not in pe.pending:
            pe.pending[intid] = self.configuration(pe, intid)

    def take_back(self, pe: Pe, intid: int) -> None:
        if pe.lpis_enabled and intid in self.intids(pe):
            pe.pending.pop(intid, None)

    def invalidate(self, pe: Pe, intid: int) -> None:
        if pe.lpis_enabled and intid in self.intids(pe):
            self.cache[intid] = self.read_configuration(pe, intid)
            if intid in pe.pending:
                pe.pending[intid] = self.cache[intid]

    def invalidate_all(self, pe: Pe) -> None:
        if pe.lpis_enabled:
            self.cache.clear()
            for intid in pe.pending:
                pe.pending[intid] = self.configuration(pe, intid)

    def move(self, pe: Pe, other: Pe, intid: int) -> None:
        if other.lpis_enabled and intid in self.intids(other) and intid in pe.pending and pe is not other:
            other.pending.setdefault(intid, pe.pending.pop(intid))

    def move_all(self, pe: Pe, other: Pe) -> None:
        for intid in list(pe.pending):
            self.move(pe, other, intid)

    # The CPU interface.

    def best(self, pe: Pe) -> tuple[int, int] | None:
        """Priority and INTID of what the PE would be offered."""
        if pe.asleep or not self.group_enabled:
            return None
        offered = [(byte & self.priority_mask, intid) for intid, byte in pe.pending.items() if byte & 1]
        return min(offered, default=None)

    def signalled(self, pe: Pe) -> bool:
        best = self.best(pe)
        return best is not None and best[0] < pe.pmr and best[0] & 0xF8 < min(pe.active, default=IDLE)

    def acknowledge(self, pe: Pe) -> int:
        best = self.best(pe)
        if best is None or not self.signalled(pe):
            return SPURIOUS
        pe.active.append(best[0] & 0xF8)
        self.taken(pe, best[1])
        return best[1]

    def taken(self, pe: Pe, intid: int) -> None:
        del pe.pending[intid]

    def end(self, pe: Pe) -> None:
        if pe.active:
            pe.active.remove(min(pe.active))


class KvmLpiReference(LpiReference):
    """One GICR_PROPBASER; pending bits are consumed when read and lost when LPIs are disabled.

    What is pending or arrives while the group is disabled is overlooked until something happens to it (STATE-17).
    """

    priority_mask = 0xFC

    def enable_group(self, enabled: bool) -> None:
        super().enable_group(enabled)
        if not enabled:
            self.overlook()

    def overlook(self) -> None:
        for pe in self.pes:
            pe.pending = {intid: byte & 0xFE for intid, byte in pe.pending.items()}

    def arrive(self, pe: Pe, intid: int) -> None:
        if pe.pending.get(intid, 1) & 1 == 0:
            del pe.pending[intid]
        super().arrive(pe, intid)
        if not self.group_enabled:
            self.overlook()

    def invalidate(self, pe: Pe, intid: int) -> None:
        super().invalidate(pe, intid)
        if not self.group_enabled:
            self.overlook()

    def invalidate_all(self, pe: Pe) -> None:
        super().invalidate_all(pe)
        if not self.group_enabled:
            self.overlook()

    def place_tables(self, pe: Pe, propbaser: int, pendbaser: int, ptz: bool) -> None:
        if not pe.lpis_enabled:
            pe.pendbaser, pe.ptz = pendbaser, ptz
            for every in self.pes:
                every.propbaser = propbaser

    def take_table(self, pe: Pe) -> None:
        super().take_table(pe)
        if not pe.ptz:
            for intid in self.table_bits(pe):
                self.set_table_bit(pe, intid, False)
        if not self.group_enabled:
            self.overlook()

    def leave_table(self, pe: Pe) -> None:
        pass


class QemuLpiReference(LpiReference):
    """Pending bits are in RAM. `Pe.pending` is the best LPI alone, which is all that a PE is offered."""

    priority_mask = 0xFC

    def place_tables(self, pe: Pe, propbaser: int, pendbaser: int, ptz: bool) -> None:
        pe.propbaser, pe.pendbaser = propbaser, pendbaser

    def enable(self, pe: Pe, enabled: bool) -> None:
        pe.lpis_enabled = enabled
        if enabled:
            self.rescan(pe)
        else:
            pe.pending.clear()

    def consider(self, pe: Pe, intid: int) -> None:
        byte = self.read_configuration(pe, intid)
        ranks = [(held & self.priority_mask, other) for other, held in pe.pending.items()]
        if byte & 1 and all((byte & self.priority_mask, intid) < rank for rank in ranks):
            pe.pending = {intid: byte}
            pe.last_best = intid

    def rescan(self, pe: Pe) -> None:
        pe.pending.clear()
        for intid in sorted(self.table_bits(pe)):
            self.consider(pe, intid)

    def arrive(self, pe: Pe, intid: int) -> None:
        if pe.lpis_enabled and intid in self.intids(pe):
            self.arrived(pe, intid)

    def arrived(self, pe: Pe, intid: int) -> None:
        if not self.table_bit(pe, intid):
            self.set_table_bit(pe, intid, True)
            self.consider(pe, intid)

    def take_back(self, pe: Pe, intid: int) -> None:
        if pe.lpis_enabled and intid in self.intids(pe) and self.table_bit(pe, intid):
            self.set_table_bit(pe, intid, False)
            if intid == pe.last_best:
                self.rescan(pe)

    def taken(self, pe: Pe, intid: int) -> None:
        self.set_table_bit(pe, intid, False)
        self.rescan(pe)

    def move(self, pe: Pe, other: Pe, intid: int) -> None:
        enabled = pe.lpis_enabled and other.lpis_enabled and pe is not other
        if enabled and intid in self.intids(pe) and self.table_bit(pe, intid):
            self.take_back(pe, intid)
            self.arrived(other, intid)

    def move_all(self, pe: Pe, other: Pe) -> None:
        if pe.lpis_enabled and other.lpis_enabled and pe is not other:
            for intid in self.table_bits(pe):
                if intid in self.intids(other):
                    self.set_table_bit(pe, intid, False)
                    self.set_table_bit(other, intid, True)
            self.rescan(pe)
            self.rescan(other)

    def invalidate(self, pe: Pe, intid: int) -> None:
        self.invalidate_all(pe)

    def invalidate_all(self, pe: Pe) -> None:
        if pe.lpis_enabled:
            self.rescan(pe)
