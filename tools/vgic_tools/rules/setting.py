"""What most scenarios begin with: vCPUs that take interrupts, and interrupts that are set up."""

from typing import Final

from vgic_tools.rules.scenario import Step, Steps, get, given, put, shows, steps

__all__ = [
    "FIVE_BITS",
    "MESSAGES",
    "NONE",
    "NO_LPIS",
    "acknowledged",
    "active",
    "awake",
    "finish",
    "pend",
    "pending",
    "priority",
    "private",
    "ready",
    "spi",
]

NONE: Final = 1023
"""There is no interrupt to take."""
MESSAGES: Final = given(shows("GICD_TYPER", MBIS=1), "it has no message-based SPIs: GICD_TYPER.MBIS is 0")
NO_LPIS: Final = given(shows("GICD_TYPER", LPIS=0), "it has LPIs: GICD_TYPER.LPIS is 1")
FIVE_BITS: Final = given(
    shows("ICC_CTLR_EL1", PRIbits=4), "its CPU interface has other than five bits of priority: ICC_CTLR_EL1.PRIbits"
)
_ALL: Final = 0xFFFF_FFFF
_EDGE: Final = 0xAAAA_AAAA


def awake(*cpus: int) -> Steps:
    """The vCPUs are awake."""
    return tuple(put("GICR_WAKER", 0, cpu=cpu) for cpu in cpus)


def ready(*cpus: int, groups: tuple[int, ...] = (1, 0), pmr: int = 0xFF) -> Steps:
    """The Distributor forwards both groups, and these vCPUs are awake and take those of `groups`.

    Group 1 comes first: a guest of KVM 7.2 hangs when it enables Group 0 alone.
    """
    return steps(
        awake(*cpus),
        (
            step
            for cpu in cpus
            for step in (
                put("ICC_PMR_EL1", pmr, cpu=cpu),
                *(put(f"ICC_IGRPEN{group}_EL1", 1, cpu=cpu) for group in groups),
            )
        ),
        put("GICD_CTLR", 3),
    )


def priority(intid: int, value: int, cpu: int = 0) -> Step:
    """The priority of an interrupt, by a byte."""
    frame = "GICD" if intid >= 32 else "GICR"
    return put(f"{frame}_IPRIORITYR{intid // 4}", value, cpu=cpu, size=1, byte=intid % 4)


def spi(
    intid: int, *, at: int = 0x80, group: int = 1, edge: bool = True, to: int = 0, enabled: bool = True
) -> Steps:
    """An SPI with the priority `at`, routed to the vCPU `to`; group and trigger are those of the whole register."""
    return steps(
        put(f"GICD_IGROUPR{intid // 32}", _ALL if group else 0),
        put(f"GICD_ICFGR{intid // 16}", _EDGE if edge else 0),
        priority(intid, at),
        put(f"GICD_IROUTER{intid}", to),
        put(f"GICD_I{'S' if enabled else 'C'}ENABLER{intid // 32}", 1 << intid % 32),
    )


def private(intid: int, *, cpu: int = 0, at: int = 0x80, group: int = 1, enabled: bool = True) -> Steps:
    """An SGI or PPI of a vCPU; the group is that of all."""
    return steps(
        put("GICR_IGROUPR0", _ALL if group else 0, cpu=cpu),
        priority(intid, at, cpu),
        put("GICR_ISENABLER0" if enabled else "GICR_ICENABLER0", 1 << intid, cpu=cpu),
    )


def pend(intid: int, cpu: int = 0) -> Step:
    """Software makes an interrupt pending."""
    frame = "GICD" if intid >= 32 else "GICR"
    return put(f"{frame}_ISPENDR{intid // 32}", 1 << intid % 32, cpu=cpu)


def pending(intid: int, wanted: bool, cpu: int = 0) -> Step:
    """Whether an interrupt is pending."""
    frame = "GICD" if intid >= 32 else "GICR"
    bit = 1 << intid % 32
    return get(f"{frame}_ISPENDR{intid // 32}", bit if wanted else 0, bit, cpu=cpu)


def active(intid: int, wanted: bool, cpu: int = 0) -> Step:
    """Whether an interrupt is active."""
    frame = "GICD" if intid >= 32 else "GICR"
    bit = 1 << intid % 32
    return get(f"{frame}_ISACTIVER{intid // 32}", bit if wanted else 0, bit, cpu=cpu)


def acknowledged(intid: int, cpu: int = 0, group: int = 1) -> Step:
    """A vCPU takes this interrupt, or NONE."""
    return get(f"ICC_IAR{group}_EL1", intid, cpu=cpu)


def finish(intid: int, cpu: int = 0, group: int = 1) -> Step:
    """A vCPU writes EOIR."""
    return put(f"ICC_EOIR{group}_EL1", intid, cpu=cpu)
