"""Queueing theory: what is expected of vCPUs that serve interrupts arriving at random, each for a random time.

Arrivals are a Poisson process and service times exponential, of mean 1. The load is the fraction of the time that
the vCPUs are busy, more than 0 and less than 1.
"""

from math import exp, lgamma, log
from random import Random

__all__ = ["common_queue_length", "common_queue_wait", "own_queue_length", "own_queue_wait"]


def common_queue_wait(servers: int, load: float) -> float:
    """Mean wait in an M/M/n queue, in mean service times (Erlang's C formula).

    >>> round(common_queue_wait(1, 0.5), 6), round(common_queue_wait(2, 0.5), 6)
    (1.0, 0.333333)
    """
    blocked = 1.0  # Erlang's B formula, one server after the other.
    for n in range(1, servers + 1):
        blocked = load * servers * blocked / (n + load * servers * blocked)
    queued = blocked / (1 - load * (1 - blocked))
    return queued / (servers * (1 - load))


def own_queue_wait(load: float) -> float:
    """Mean wait in an M/M/1 queue, in mean service times: what each server has where each has a queue of its own.

    >>> own_queue_wait(0.75)
    3.0
    """
    return load / (1 - load)


def common_queue_length(servers: int, load: float, random: Random) -> int:
    """How many are waiting or being served in an M/M/n queue at a moment chosen at random."""
    # The chance of k, but for a factor that all have: a**k / k! up to n; beyond, `load` times that of k - 1.
    logarithms = [k * log(load * servers) - lgamma(k + 1) for k in range(servers + 1)]
    logarithms[servers] -= log(1 - load)
    most = max(logarithms)
    weights = [exp(logarithm - most) for logarithm in logarithms]
    length = random.choices(range(servers + 1), weights)[0]
    return length if length < servers else servers + own_queue_length(load, random)


def own_queue_length(load: float, random: Random) -> int:
    """The same for an M/M/1 queue."""
    return int(log(1 - random.random()) / log(load))
