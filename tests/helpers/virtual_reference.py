"""A second virtual CPU interface, written from Arm's pages: lists, loops and whole registers, nothing derived.

Only of what Arm does not leave UNPREDICTABLE, and the freedoms as the profile `arch` takes them.
"""

SPURIOUS = 1023
NMI_WAITS = 1022
FIRST_LPI = 8192
_PENDING, _ACTIVE, _HW, _GROUP1, _EOI = 1 << 62, 1 << 63, 1 << 61, 1 << 60, 1 << 41

_NMI_RUNS = 1 << 63


def _is_nmi(lr: int) -> bool:
    """A list register whose interrupt has superpriority: in Group 1, with its bit."""
    return lr >> 59 & 3 == 3


class ReferenceVirtualInterface:
    """The registers of one PE with five bits of priority; `deactivated` lists physical INTIDs, oldest first."""

    def __init__(self, list_registers: int, nmi: bool = False) -> None:
        self.has_nmis = nmi
        self.sctlr_nmi = False
        self.nmi_active = False
        self.lr = [0] * list_registers
        self.hcr = 0
        self.enable = [False, False]
        self.bpr = [2, 3]
        self.cbpr = self.split = False
        self.pmr = 0
        self.ap = [0, 0]
        self.deactivated: list[int] = []

    # What the hypervisor does.

    def write_lr(self, number: int, value: int) -> None:
        value &= 0xF8F8_1FFF_0000_FFFF if self.has_nmis else 0xF0F8_1FFF_0000_FFFF
        if _is_nmi(value):
            value &= ~(0xFF << 48)
        self.lr[number] = value

    def write_hcr(self, value: int) -> None:
        self.hcr = value & 0xF800_5CFF

    def write_vmcr(self, value: int) -> None:
        self.enable = [bool(value & 1), bool(value & 2)]
        self.cbpr, self.split = bool(value & 16), bool(value & 512)
        self.bpr = [max(2, value >> 21 & 7), max(3, value >> 18 & 7)]
        self.pmr = value >> 24 & 0xF8

    def vmcr(self) -> int:
        bits = self.enable[0] | self.enable[1] << 1 | 8 | self.cbpr << 4 | self.split << 9
        return bits | self.bpr[1] << 18 | self.bpr[0] << 21 | self.pmr << 24

    def eisr(self) -> int:
        return sum(1 << n for n, lr in enumerate(self.lr) if not lr >> 62 and not lr & _HW and lr & _EOI)

    def elrsr(self) -> int:
        return sum(1 << n for n, lr in enumerate(self.lr) if not lr >> 62 and (lr & _HW or not lr & _EOI))

    def misr(self) -> int:
        states = [lr >> 62 for lr in self.lr]
        met = [
            self.eisr() != 0,
            bool(self.hcr & 2) and sum(state != 0 for state in states) <= 1,
            bool(self.hcr & 4) and self.hcr >> 27 != 0,
            bool(self.hcr & 8) and 1 not in states,
            bool(self.hcr & 16) and self.enable[0],
            bool(self.hcr & 32) and not self.enable[0],
            bool(self.hcr & 64) and self.enable[1],
            bool(self.hcr & 128) and not self.enable[1],
        ]
        return sum(1 << bit for bit, is_met in enumerate(met) if is_met)

    def maintenance(self) -> bool:
        return bool(self.hcr & 1) and self.misr() != 0

    # What the guest does.

    def read_bpr(self, group: int) -> int:
        return min(self.bpr[0] + 1, 7) if group and self.cbpr else self.bpr[group]

    def write_bpr(self, group: int, value: int) -> None:
        if not (group and self.cbpr):
            self.bpr[group] = max(2 + group, value & 7)

    def rpr(self) -> int:
        return _NMI_RUNS if self.nmi_active else self.running()

    def running(self) -> int:
        """The priority of what runs, of which superpriority is not one."""
        priorities = [8 * bit for bit in range(32) if (self.ap[0] | self.ap[1]) >> bit & 1]
        return min(priorities, default=0xFF)

    def best(self) -> int | None:
        """The number of the list register that holds the highest priority pending virtual interrupt."""
        found = [
            (not _is_nmi(lr), lr >> 48 & 0xFF, number)
            for number, lr in enumerate(self.lr)
            if lr >> 62 == 1 and self.enable[lr >> 60 & 1]
        ]
        return min(found)[2] if found else None

    def signalled(self) -> int | None:
        """The same, where it is signalled."""
        number = self.best()
        if number is None or not self.hcr & 1 or self.nmi_active:
            return None
        if _is_nmi(self.lr[number]):
            return number
        priority, group = self.lr[number] >> 48 & 0xFF, self.lr[number] >> 60 & 1
        mask = self.mask(group)
        running = self.running()
        preempts = running == 0xFF or priority & mask < running & mask
        return number if priority < self.pmr and preempts else None

    def mask(self, group: int) -> int:
        """The bits of a priority that are its group priority."""
        lowest = self.bpr[1] if group and not self.cbpr else self.bpr[0] + 1
        return 0xFF << lowest & 0xFF

    def outputs(self) -> tuple[bool, bool]:
        number = self.signalled()
        group = None if number is None else self.lr[number] >> 60 & 1
        return group == 1, group == 0

    def nmi(self) -> bool:
        """What is signalled has superpriority."""
        number = self.signalled()
        return number is not None and _is_nmi(self.lr[number])

    def hppir(self, group: int) -> int:
        number = self.best()
        return SPURIOUS if number is None or self.lr[number] >> 60 & 1 != group else self.lr[number] & 0xFFFF_FFFF

    def iar(self, group: int) -> int:
        return NMI_WAITS if group and self.nmi() and self.sctlr_nmi else self.take(group)

    def nmiar(self) -> int:
        return self.take(1) if self.nmi() else SPURIOUS

    def take(self, group: int) -> int:
        number = self.signalled()
        if number is None or self.lr[number] >> 60 & 1 != group:
            return SPURIOUS
        if _is_nmi(self.lr[number]):
            self.nmi_active = True
        else:
            self.activate(number, group)
        self.lr[number] ^= _PENDING | _ACTIVE
        return self.lr[number] & 0xFFFF_FFFF

    def activate(self, number: int, group: int) -> None:
        self.ap[group] |= 1 << ((self.lr[number] >> 48 & 0xFF & self.mask(group)) >> 3)

    def eoir(self, group: int, intid: int) -> None:
        dropped = self.rpr()
        if 1020 <= intid <= 1023 or dropped == 0xFF:
            return
        if self.nmi_active:
            self.nmi_active = False
        else:
            bit = 1 << (dropped >> 3)
            self.ap[0 if self.ap[0] & bit else 1] ^= bit
        number = self._active(intid)
        if number is None:
            self._count(not self.split and intid < FIRST_LPI)
            return
        lr = self.lr[number]
        of_priority = _is_nmi(lr) if dropped == _NMI_RUNS else lr >> 48 & 0xFF & self.mask(group) == dropped
        matches = lr >> 60 & 1 == group and of_priority
        if matches and (not self.split or intid >= FIRST_LPI):
            self._deactivate(number)

    def dir(self, intid: int) -> None:
        if 1020 <= intid <= 1023 or not self.split:
            return
        number = self._active(intid)
        if number is None:
            self._count(intid < FIRST_LPI)
        else:
            self._deactivate(number)

    def _active(self, intid: int) -> int | None:
        return next((n for n, lr in enumerate(self.lr) if lr & _ACTIVE and lr & 0xFFFF_FFFF == intid), None)

    def _deactivate(self, number: int) -> None:
        self.lr[number] &= ~_ACTIVE
        if self.lr[number] & _HW:
            self.deactivated.append(self.lr[number] >> 32 & 0x1FFF)

    def _count(self, counts: bool) -> None:
        if counts:
            self.hcr = self.hcr & 0x7FF_FFFF | ((self.hcr >> 27) + 1 & 31) << 27
