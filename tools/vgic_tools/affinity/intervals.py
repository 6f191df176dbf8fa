"""What runs with several seeds tell of the mean that they estimate."""

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Final, NamedTuple

__all__ = ["Interval", "confidence"]

# Student's t, 97.5 %, for 1 to 30 degrees of freedom; beyond, that of the normal distribution is close enough.
_STUDENT: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_NORMAL: Final = 1.960


class Interval(NamedTuple):
    """A mean, and how far from it the true one is to be looked for."""

    mean: float
    half: float
    """Half the width of the 95 % confidence interval; 0 where one run tells nothing of it."""

    def __str__(self) -> str:
        return f"{self.mean:.3f}" + (f" ± {self.half:.3f}" if self.half else "")


def confidence(values: Sequence[float]) -> Interval:
    """The mean of independent runs with its 95 % confidence interval (Student's t).

    >>> print(confidence([1.0, 2.0, 3.0]))
    2.000 ± 2.484
    """
    if len(values) < 2:
        return Interval(fmean(values), 0.0)
    freedom = len(values) - 1
    factor = _STUDENT[freedom - 1] if freedom <= len(_STUDENT) else _NORMAL
    return Interval(fmean(values), factor * stdev(values) / sqrt(len(values)))
