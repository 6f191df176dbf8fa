"""Who looks on while a replay goes on, and sees what the model does at each event."""

from typing import Protocol

from mmio.trace import Event
from vgic import Gic

__all__ = ["Watcher"]


class Watcher(Protocol):
    """Is told of every event, before and after the model has taken it, and of what happens in between.

    It only looks: what it does to the model would be no replay any more.
    """

    def follow(self, gic: Gic) -> None:
        """This is the model from now on: told before the first event, and where the replay goes on with another."""

    def comes(self, event: Event) -> None:
        """The next event of the trace."""

    def taken(self) -> None:
        """The model has taken it."""

    def generates(self, sgi: int) -> None:
        """The model generates an SGI now, which was event `sgi`, from 0: its deliveries had to come first."""

    def generated(self) -> None:
        """The SGI is pending where it goes to. The event that came last is still to be taken."""

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """The model's outputs to a vCPU change."""

    def reset(self, cpu: int) -> None:
        """The CPU interface of a vCPU is reset."""
