"""SAVE_PENDING_TABLES: which bits of the guest's pending tables are written.

The bit of each LPI that an ITS maps and that goes to a vCPU is set or cleared, with LPIs enabled there or not;
others are set where an LPI is pending that none maps, and else left as they are. In a VM without an ITS, and in
profiles that keep nothing of LPIs, all bits of every vCPU whose LPIs are enabled are written. Rule KVM-34.
"""

import errno
from collections.abc import Sequence

from vgic.gic import Gic
from vgic.kvm.errors import KvmError

__all__ = ["save_pending_tables"]


def save_pending_tables(what: str, gic: Gic, ids: Sequence[int]) -> None:
    """Write them; `ids` are what the vCPUs are called. Raises KvmError (EFAULT), and writes nothing."""
    banks = [gic.lpis(cpu) for cpu in range(len(ids))]
    kept = gic.its(0).kept if gic.config.its else None
    bits = {(bank.cpu, intid): True for bank in banks for intid in bank.pending}
    for lpi in kept.mapped() if kept is not None else ():
        goes_nowhere = lpi.collection not in gic.its(lpi.its).tables.kept and not lpi.is_cut_off
        if not goes_nowhere:
            bits.setdefault((lpi.cpu, lpi.intid), False)
    for cpu, intid in bits:
        if not banks[cpu].pending_table.holds(intid):
            where = f"the pending table of vCPU {ids[cpu]}"
            raise KvmError(errno.EFAULT, f"{what}: the bit of INTID {intid} in {where} is not in RAM")
    if kept is None:
        for bank in banks:
            bank.flush()
    else:
        for (cpu, intid), pending in bits.items():
            banks[cpu].pending_table.set(intid, pending)
