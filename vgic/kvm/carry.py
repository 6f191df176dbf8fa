"""What a GIC takes over from the one that it replaces, where writing registers anew would do more than that.

Both are GICs of one VM with the same guest RAM.
"""

from vgic.distributor.spis import SharedInterrupts
from vgic.gic import Gic
from vgic.interrupts.words import ALL_BITS
from vgic.intids import FIRST_SPI

__all__ = ["carry_itses", "carry_lines", "carry_lpis", "carry_routes"]


def carry_lpis(old: Gic, new: Gic) -> None:
    """LPIs: where their tables are, whether they are enabled, what is cached and pending. `old` may have none."""
    if not old.config.features.lpis:
        return
    rescans = old.config.profile.lpi.rescans
    for cpu in range(len(old.config.topology)):
        before, bank = old.lpis(cpu), new.lpis(cpu)
        before.finish()
        # As they are: what no guest has written yet need not be a value that could be written.
        bank.propbaser, bank.pendbaser = before.propbaser, before.pendbaser
        if rescans:
            # What is pending is in the guest's tables, which are read when GICR_CTLR is written.
            continue
        bank.configuration.cached = before.configuration.cached
        bank.enabled = before.enabled
        for intid, byte in before.pending.items():
            bank.restore(intid, byte)
        bank.forward_all()


def carry_lines(old: Gic, new: Gic) -> None:
    """The levels of lines, also those that mean nothing while their interrupts are edge-triggered (STATE-9)."""
    banks = [(0, FIRST_SPI)] if old.config.spis else []
    for cpu, intid in [*banks, *((cpu, 0) for cpu in range(len(old.config.topology)))]:
        before, bank = old.bank(cpu, intid), new.bank(cpu, intid)
        for number, word in enumerate(bank.words):
            word.line = before.words[number].line
            bank.update(number, ALL_BITS)


def carry_routes(old: Gic, new: Gic) -> None:
    """Which SPIs have not been routed yet (ROUTE-11)."""
    before, shared = old.bank(0, FIRST_SPI), new.bank(0, FIRST_SPI)
    assert isinstance(before, SharedInterrupts)
    assert isinstance(shared, SharedInterrupts)
    for index in before.unrouted:
        shared.unroute(index)


def carry_itses(old: Gic, new: Gic) -> None:
    """ITSes: their tables, queues, and the collections that they keep. `old` may have fewer."""
    for number in range(len(old.config.its)):
        before, its = old.its(number), new.its(number)
        for index, value in enumerate(before.basers):
            its.set_baser(index, value)
        its.tables.kept.update(before.tables.kept)
        its.tables.named.update(before.tables.named)
        queue, queue_before = its.queue, before.queue
        queue.cbaser, queue.cwriter, queue.creadr = queue_before.cbaser, queue_before.cwriter, queue_before.creadr
        queue.waits, queue.enabled = queue_before.waits, queue_before.enabled
        queue.unfinished = queue_before.unfinished
        its.last_error = before.last_error
        if its.kept is not None and before.kept is not None:
            its.kept.replace(before.kept)
