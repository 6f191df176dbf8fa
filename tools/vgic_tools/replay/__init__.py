"""Replaying a trace: the recorded inputs drive the model, the recorded outcomes are compared with it."""

from vgic_tools.replay.engine import ReplayError, replay
from vgic_tools.replay.result import Divergence, Result

__all__ = ["Divergence", "ReplayError", "Result", "replay"]
