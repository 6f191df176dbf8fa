"""Which PE a recorded CPU reset means.

Newer QEMUs name the reset CPU by its number, others by a pointer. The same pointer always means the same CPU, and
threads tell which: where every vCPU has a thread of its own, the reset happens in the thread whose system register
accesses name the PE; where one thread serves several, the PE is the one that writes ICC_PMR next, which is how
every kernel begins. A reset that cannot be placed yet is held until it can: the first reset of a PE finds its CPU
interface in reset anyway, and from then on its pointer is known.
"""

from typing import Final

from mypy_extensions import i64

__all__ = ["ResetAttribution"]

_NO_THREAD: Final = 0


class ResetAttribution:
    """Learns which token and which thread belong to which vCPU; thread 0 is one that was not recorded."""

    def __init__(self) -> None:
        self._cpu_of_token: dict[str, int] = {}
        self._cpus_of_thread: dict[int, set[int]] = {}
        self._held: list[tuple[str, int]] = []
        self._last_thread: i64 = -1
        self._last_cpu: i64 = -1
        """Whose access was the last that there was nothing to learn from."""

    @property
    def held(self) -> int:
        """Resets that could not be placed so far."""
        return len(self._held)

    def reset(self, token: str, thread: int) -> int | None:
        """The vCPU that is reset, or None to wait for `resolved`; one that is numbered may not be there."""
        if token.isdecimal():
            return int(token)
        cpu = self._cpu_of_token.get(token)
        if cpu is None:
            cpu = self._by_thread(thread)
        if cpu is None:
            self._held.append((token, thread))
        else:
            self._cpu_of_token[token] = cpu
        return cpu

    def resolved(self, thread: i64, cpu: i64, begins: bool) -> bool:
        """Learn from a system register access; True where its vCPU is one whose held reset comes before it.

        `begins`: the access writes ICC_PMR.
        """
        if thread == self._last_thread and cpu == self._last_cpu and not self._held:
            return False
        return self._learned(thread, cpu, begins)

    def _learned(self, thread: int, cpu: int, begins: bool) -> bool:
        known = self._cpus_of_thread.get(thread)
        if known is None:
            known = self._cpus_of_thread[thread] = set()
        if not self._held:
            known.add(cpu)
            self._last_thread = thread
            self._last_cpu = cpu
            return False
        own_thread = thread != _NO_THREAD and not known - {cpu} and self._many_threads(thread)
        known.add(cpu)
        for token, held_thread in self._held:
            if held_thread == thread and (own_thread or begins):
                self._held = [held for held in self._held if held[0] != token]
                self._cpu_of_token[token] = cpu
                return True
        return False

    def _by_thread(self, thread: int) -> int | None:
        cpus = self._cpus_of_thread.get(thread, set())
        return next(iter(cpus)) if thread != _NO_THREAD and len(cpus) == 1 and self._many_threads(thread) else None

    def _many_threads(self, thread: int) -> bool:
        """True where another thread than this one is known to serve a vCPU: each then has its own."""
        return any(other != thread for other in self._cpus_of_thread)
