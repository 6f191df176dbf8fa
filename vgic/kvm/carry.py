"""What a GIC takes over from the one that it replaces, where writing registers anew would do more than that.

Both are GICs of one VM with the same guest RAM.
"""

from vgic.gic import Gic

__all__ = ["carry_itses", "carry_lpis"]


def carry_lpis(old: Gic, new: Gic) -> None:
    """LPIs: where their tables are, whether they are enabled, what is cached and pending. `old` may have none."""
    if not old.config.features.lpis or old.config.profile.lpi.rescans:
        # The latter are in the guest's pending tables, which are read when GICR_CTLR is written.
        return
    for cpu in range(len(old.config.topology)):
        before, bank = old.lpis(cpu), new.lpis(cpu)
        before.finish()
        bank.configuration.cached = before.configuration.cached
        bank.propbaser, bank.pendbaser = before.propbaser, before.pendbaser
        bank.enabled = before.enabled
        for intid, byte in before.pending.items():
            bank.restore(intid, byte)
        bank.forward_all()


def carry_itses(old: Gic, new: Gic) -> None:
    """ITSes: their tables, queues, and the collections that they keep. `old` may have fewer."""
    for number in range(len(old.config.its)):
        before, its = old.its(number), new.its(number)
        for index, value in enumerate(before.basers):
            its.set_baser(index, value)
        its.tables.kept.update(before.tables.kept)
        queue, queue_before = its.queue, before.queue
        queue.cbaser, queue.cwriter, queue.creadr = queue_before.cbaser, queue_before.cwriter, queue_before.creadr
        queue.waits, queue.enabled = queue_before.waits, queue_before.enabled
        queue.unfinished = queue_before.unfinished
        its.last_error = before.last_error
