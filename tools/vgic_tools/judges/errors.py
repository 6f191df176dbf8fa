"""Why a judge gives no judgement."""

from vgic_tools.errors import UsageError

__all__ = ["JudgeError", "MissingJudgeError"]


class MissingJudgeError(UsageError):
    """What a judge needs is not there; the message names it and says where it is to be had."""


class JudgeError(Exception):
    """A judge hangs, ends, or answers nonsense, which is no divergence; the message has what it said last."""
