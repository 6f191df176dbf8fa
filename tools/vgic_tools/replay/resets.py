"""Which PE a recorded CPU reset means.

QEMU names the reset CPU by a pointer. The same pointer always means the same CPU, and threads tell which: where
every vCPU has a thread of its own, the reset happens in the thread whose system register accesses name the PE;
where one thread serves several, the PE is the one that writes ICC_PMR next, which is how every kernel begins.
A reset that cannot be placed yet is held until it can: the first reset of a PE finds its CPU interface in reset
anyway, and from then on its pointer is known.
"""

from mmio.trace import CpuReset, SysReg

__all__ = ["ResetAttribution"]


class ResetAttribution:
    """Learns which token and which thread belong to which PE (packed affinity)."""

    def __init__(self) -> None:
        self._pe_of_token: dict[str, int] = {}
        self._pes_of_thread: dict[int | None, set[int]] = {}
        self._held: list[CpuReset] = []

    @property
    def held(self) -> int:
        """Resets that could not be placed so far."""
        return len(self._held)

    def reset(self, event: CpuReset) -> int | None:
        """The PE that is reset, or None to wait for `resolved`."""
        pe = self._pe_of_token.get(event.token)
        if pe is None:
            pe = self._by_thread(event.thread)
        if pe is None:
            self._held.append(event)
        else:
            self._pe_of_token[event.token] = pe
        return pe

    def resolved(self, access: SysReg) -> bool:
        """Learn from a system register access; True where its PE is one whose held reset comes before it."""
        known = self._pes_of_thread.setdefault(access.thread, set())
        own_thread = access.thread is not None and not known - {access.cpu} and self._many_threads(access.thread)
        known.add(access.cpu)
        begins = access.write and access.register == "ICC_PMR"
        for held in self._held:
            if held.thread == access.thread and (own_thread or begins):
                self._held = [other for other in self._held if other.token != held.token]
                self._pe_of_token[held.token] = access.cpu
                return True
        return False

    def _by_thread(self, thread: int | None) -> int | None:
        pes = self._pes_of_thread.get(thread, set())
        return next(iter(pes)) if thread is not None and len(pes) == 1 and self._many_threads(thread) else None

    def _many_threads(self, thread: int) -> bool:
        """True where another thread than this one is known to serve a PE: each vCPU then has its own."""
        return any(other != thread for other in self._pes_of_thread)
