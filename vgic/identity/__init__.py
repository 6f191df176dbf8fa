"""What a guest sees of its CPU: the identification registers, hosts as data, and what differs between them.

>>> from vgic.identity import Cpu, Cluster, Host, inside
>>> small, big = Cpu({"CCSIDR_EL1[1]": 0x203FE01A}), Cpu({"CCSIDR_EL1[1]": 0x203FE02A})
>>> [difference] = inside(Host("M2", (Cluster("E", small), Cluster("P", big)))).differences
>>> difference.field, difference.values
('ways', (4, 6))

The rules are in specs/identity.md.
"""

from vgic.identity.caches import Cache
from vgic.identity.check import ClusterVerdict, HostVerdict, check
from vgic.identity.compare import Comparison, Difference, Pair, compare, compare_hosts, inside
from vgic.identity.contract import Contract
from vgic.identity.declaring import IdRegister
from vgic.identity.erratum import Implementation
from vgic.identity.finding import Cost, Finding, Outcome
from vgic.identity.host import Cluster, Cpu, Host, HostError, Hypervisor, View
from vgic.identity.registers import REGISTERS
from vgic.identity.safe_values import Order, SafeValue

__all__ = [
    "REGISTERS",
    "Cache",
    "Cluster",
    "ClusterVerdict",
    "Comparison",
    "Contract",
    "Cost",
    "Cpu",
    "Difference",
    "Finding",
    "Host",
    "HostError",
    "HostVerdict",
    "Hypervisor",
    "IdRegister",
    "Implementation",
    "Order",
    "Outcome",
    "Pair",
    "SafeValue",
    "View",
    "check",
    "compare",
    "compare_hosts",
    "inside",
]
