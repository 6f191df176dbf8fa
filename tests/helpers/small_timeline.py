"""A timeline of two vCPUs that is written by hand: everything that one can hold is in it once."""

from vgic_tools.report.timeline import FIQ, IRQ, Handled, Interrupt, Sent, Timeline

__all__ = ["small_timeline"]


def small_timeline() -> Timeline:
    """vCPU 0 sends SGI 3 to vCPU 1, which takes it while it handles a PPI, and waits for a deactivation."""
    timeline = Timeline(["0.0.0.0", "1.0.0.0"], duration=100_000)
    timeline.outputs[1] = [(10_000, IRQ), (20_000, 0), (30_000, IRQ | FIQ), (40_000, FIQ), (90_000, 0)]
    timeline.waiting[1] = [(10_000, 2), (20_000, 1), (40_000, 0)]
    timeline.handled[1] = [
        Handled(27, 20_000, 7, 0, end=60_000),
        Handled(3, 40_000, 9, 1, (0,), end=50_000, waits_for_dir=True, deactivated=70_000),
        Handled(8195, 80_000, 15, 0),
    ]
    timeline.lines = {
        Interrupt(None, 42): [(5_000, 1)],
        Interrupt(1, 27): [(10_000, 1), (20_000, 0), (75_000, 1), (76_000, 0)],
    }
    timeline.sgis = [Sent(30_000, 8, 0, 3, [1])]
    timeline.routes[42] = [(1_000, 0x0100_0000)]
    timeline.accesses.update({("GICD_IROUTER", True): 1, ("ICC_IAR1", False): 3, ("ICC_EOIR1", True): 2})
    return timeline
