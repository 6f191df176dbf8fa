"""The replay of short traces written by hand: what drives the model, what is compared, what cannot be."""

import pytest

import vgic
from mmio.trace import Access, Event, Line, Sgi
from qemu_log import (
    NAME,
    awake,
    delivery,
    dist,
    evaluation,
    icc,
    on,
    ppi,
    redist,
    replayed,
    reset,
    sgi,
    spi,
    virt,
)
from vgic_tools.replay import ReplayError, Result, replay


def of_events(*events: Event) -> Result:
    """The replay of what a QEMU log cannot hold."""
    return replay(events, NAME, virt(1))


def test_an_spi_is_taken_and_ended() -> None:
    result = replayed(
        [
            *awake(),
            spi(42, 1),
            *evaluation(0, 42, 0, irq=1),
            *evaluation(0, 42, 255, irq=0),
            icc("read", "IAR1", 0, 42),
            spi(42, 0),
            icc("write", "EOIR1", 0, 42),
            icc("read", "IAR1", 0, 1023),
        ]
    )
    assert result.first is None
    assert not result.accepted
    assert result.compared == {
        "access taken or refused": 6,
        "highest pending interrupts": 2,
        "IRQ and FIQ outputs": 2,
        "ICC_IAR1": 2,
    }
    assert result.inputs == {"GICD writes": 3, "GICR writes": 3, "ICC writes": 3, "ICC reads": 2, "line changes": 2}
    assert result.acknowledged == {("0.0.0.0", "SPI"): 1}


def test_interrupts_taken_are_counted_by_type() -> None:
    lines = [*awake(2), sgi(0, 3, 0b10), delivery(1, 3), icc("read", "IAR1", 1, 3), ppi(1, 27, 1)]
    lines += [icc("write", "EOIR1", 1, 3), icc("read", "IAR1", 1, 27)]
    result = replayed(lines, cpus=2)
    assert result.first is None
    assert result.acknowledged == {("0.0.0.1", "SGI"): 1, ("0.0.0.1", "PPI"): 1}


def test_stops_after_the_first_divergence_unless_told() -> None:
    lines = [dist("read", 0xFFE8, 0x3A), dist("read", 0xFFE8, 0x3B), dist("read", 0xFFE8, 0x39)]
    stopped, counted = replayed(lines), replayed(lines, keep_going=True)
    assert (stopped.stopped, stopped.events, stopped.divergences) == (True, 1, {"GICD_PIDR2": 1})
    assert (counted.stopped, counted.events, counted.divergences) == (False, 3, {"GICD_PIDR2": 2})
    assert stopped.first == counted.first
    assert counted.first is not None
    assert counted.first.event.line == 1


@pytest.mark.parametrize(
    ("line", "expected", "got"),
    [
        (dist("read", 0xC, 0, bad=True), None, None),
        (dist("read", 0xC, 0), "taken", "refused"),
        (dist("read", 0x4, 0, bad=True), "0x0", "0x37a0007"),
        (dist("write", 0xC, 1, bad=True), None, None),
        (dist("write", 0x100, 1, bad=True), "refused", "taken"),
        (redist("write", 0, 0x10200, 1, size=2), "taken", "refused"),
    ],
)
def test_accesses_are_taken_or_refused_as_recorded(line: str, expected: str | None, got: str | None) -> None:
    first = replayed([line]).first
    if expected is None:
        assert first is None
    else:
        assert first is not None
        assert (first.expected, first.got) == (expected, got)


def test_evaluations_of_lpis_and_their_acknowledgements_are_accepted() -> None:
    result = replayed(
        [
            *awake(),
            "gicv3_its_read GICv3 ITS read: offset 0xffe8 data 0x3b size 4",
            "gicv3_its_cmd_sync GICv3 ITS: command SYNC",
            "gicv3_its_translation_write GICv3 ITS TRANSLATER write: offset 0x40 data 0x3 size 4 requester_id 0x8",
            *evaluation(0, 8195, 0xA0, irq=1),
            *evaluation(0, 8195, 255, irq=0),
            icc("read", "IAR1", 0, 8195),
            # The LPI is active, so another interrupt of its priority has to wait until it ends.
            redist("write", 0, 0x1041B, 0xA0, size=1),
            ppi(0, 27, 1),
            *evaluation(0, 27, 0xA0, irq=0),
            icc("write", "EOIR1", 0, 8195),
            *evaluation(0, 27, 0xA0, irq=1),
            icc("read", "IAR1", 0, 27),
            "warning: something else",
        ]
    )
    assert result.first is None
    assert result.accepted == {
        "accesses to GITS frames": 1,
        "events of an ITS, which the machine does not have": 2,
        "evaluations that offer an LPI": 1,
        "LPI acknowledgements": 1,
        "lines that are no trace event": 1,
    }
    assert result.acknowledged == {("0.0.0.0", "LPI"): 1, ("0.0.0.0", "PPI"): 1}


def test_unknown_system_registers_are_accepted() -> None:
    result = replayed([dist("read", 0xFFE8, 0x3B), icc("read", "IGRPEN1_EL3", 0, 3), icc("write", "IAR1", 0, 3)])
    assert result.accepted == {
        "accesses to ICC_IGRPEN1_EL3": 1,
        "accesses to system registers that the machine lacks": 1,
    }


def test_a_read_without_a_value_is_not_compared() -> None:
    result = of_events(Access(1, None, None, "gicd", None, 0xFFE8, 4, None, False, False, False))
    assert result.compared == {"access taken or refused": 1}
    assert result.accepted == {"reads of GICD_PIDR2 whose value is not recorded": 1}


def test_events_that_share_a_thread_or_have_none() -> None:
    lines = [*awake(2), reset("0xa"), icc("write", "PMR", 1, 0xF0), icc("read", "PMR", 1, 0xF0)]
    for traced in (lines, [on(7, line) for line in lines]):
        result = replayed(traced, cpus=2)
        assert (result.first, result.inputs["CPU resets"], result.notes) == (None, 1, [])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (redist("read", 4, 0, 0), "no vCPU has affinity 0.0.0.4; the machine has 1: 0.0.0.0 to 0.0.0.0"),
        (icc("read", "PMR", 0x100, 0), "no vCPU has affinity 0.0.1.0; the machine has 1: 0.0.0.0 to 0.0.0.0"),
        (sgi(2, 0, 1), "no vCPU has affinity 0.0.0.2; the machine has 1: 0.0.0.0 to 0.0.0.0"),
        (ppi(3, 27, 1), "no vCPU has affinity 0.0.0.3; the machine has 1: 0.0.0.0 to 0.0.0.0"),
        (evaluation(1, 0, 255, 0)[0], "no vCPU has affinity 0.0.0.1; the machine has 1: 0.0.0.0 to 0.0.0.0"),
        (delivery(0, 1), "an SGI is delivered that nobody generated"),
        (sgi(0, 16, 1), "no register can generate this SGI: its INTID, cluster or target list is too large"),
        (spi(288, 1), "no SPI 288: this VM's SPIs are INTIDs 32 to 287"),
        (spi(31, 1), "no SPI 31: this VM's SPIs are INTIDs 32 to 287"),
        (ppi(0, 15, 1), "no PPI 15: PPIs are INTIDs 16 to 31"),
        (
            redist("read", 0, 0x20000, 0),
            "offset 0x20000 is beyond a GICv3 redistributor; --vlpi-frames makes it one of a GICv4",
        ),
        (redist("read", 0, 0x40000, 0), "offset 0x40000 is beyond a redistributor"),
        (dist("read", 0x10000, 0), "offset 0x10000 is beyond the distributor"),
    ],
)
def test_events_that_the_machine_cannot_have_produced(line: str, message: str) -> None:
    with pytest.raises(ReplayError) as caught:
        replayed(["a line before", line])
    assert str(caught.value) == f"{NAME}:2: {message}"


@pytest.mark.parametrize(
    "event",
    [
        Sgi(7, None, None, 0, 0, False, 1 << 24, 1),
        Sgi(7, None, None, 0, 0, False, 0, 1 << 16),
        Access(7, None, None, "gicr", None, 0, 4, 0, False, False, False),
        Access(7, None, None, "gicd", None, 0xA0000, 4, 0, False, False, False),
        Line(7, None, None, None, 1 << 40, True),
    ],
)
def test_what_only_a_native_trace_can_get_wrong(event: Event) -> None:
    with pytest.raises(ReplayError, match=rf"^{NAME}:7: "):
        of_events(event)


def test_progress_is_called_now_and_then() -> None:
    calls = []
    events = [Access(1, None, None, "gicd", None, 0xFFE8, 4, 0x3B, False, False, False)] * 10_000
    replay(events, NAME, virt(1), progress=lambda: calls.append(1))
    assert len(calls) == 2


def of_nmis(*lines: str) -> Result:
    """The replay on a machine with NMIs, SPI 42 being one."""
    makes = [*awake(), dist("write", 0xF84, 1 << 10), spi(42, 1)]
    return replayed([*makes, *lines], profile=vgic.QEMU_10_0, nmi=True)


@pytest.mark.rule("NMI-9")
def test_a_trace_with_nmis_replays() -> None:
    result = of_nmis(
        dist("read", 0xF84, 1 << 10),
        icc("read", "HPPIR1", 0, 42),
        icc("read", "IAR1", 0, 1022),
        icc("read", "NMIAR1", 0, 42),
        icc("read", "RPR", 0, 1 << 62),
        icc("read", "AP1R0", 0, 1 << 63),
        spi(42, 0),
        icc("write", "EOIR1", 0, 42),
        icc("read", "NMIAR1", 0, 1023),
        icc("read", "RPR", 0, 0xFF),
    )
    assert result.first is None
    assert result.acknowledged == {("0.0.0.0", "SPI"): 1}
    # Nothing else in the trace tells of SCTLR_EL1.NMI.
    assert result.accepted == {"SCTLR_ELx.NMI, which only acknowledgements of NMIs tell": 1}


@pytest.mark.rule("NMI-9")
def test_what_a_pe_acknowledges_tells_how_it_takes_nmis() -> None:
    result = of_nmis(icc("read", "IAR1", 0, 42))
    assert (result.first, result.accepted) == (None, {})
    told = of_nmis(icc("read", "IAR1", 0, 1022), icc("read", "IAR1", 0, 42))
    assert (told.first, sum(told.accepted.values())) == (None, 2)
    # One without superpriority tells nothing.
    other = replayed([*awake(), spi(42, 1), icc("read", "IAR1", 0, 1022)], profile=vgic.QEMU_10_0, nmi=True)
    assert other.first is not None
    assert (other.first.expected, other.first.got, other.accepted) == ("0x3fe", "0x2a", {})
