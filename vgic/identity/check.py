"""Whether a VM can run on a host: both engines side by side, cluster by cluster. Rule IDENT-28."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from vgic.identity.architecture import contract_findings
from vgic.identity.chapters import contract_chapters, kvm_chapters
from vgic.identity.contract import Contract
from vgic.identity.finding import Finding, Outcome, worst
from vgic.identity.gic_findings import gic_findings
from vgic.identity.host import Cluster, Host, View
from vgic.identity.kvm_restore import kvm_findings
from vgic.identity.kvm_versions import KvmIdVersion
from vgic.identity.places import together
from vgic.identity.shown import hidden_of, kernels_of, shown_by

__all__ = ["ClusterVerdict", "Contrast", "HostVerdict", "Side", "check"]


class Side(Enum):
    """In what the two engines differ."""

    KVM_ALONE = "KVM does not keep what the architecture would allow"
    TAKEN_ALL_THE_SAME = "KVM takes what nothing can keep"


@dataclass(frozen=True)
class Contrast:
    """A place of which the two engines say different things."""

    side: Side
    kvm: Finding
    contract: Finding


@dataclass(frozen=True)
class ClusterVerdict:
    """Of a VM whose VMM starts it on this cluster."""

    cluster: str
    kvm: tuple[Finding, ...]
    contract: tuple[Finding, ...]

    @property
    def outcome(self) -> Outcome:
        """The worse of the two engines' verdicts."""
        return max(worst(self.kvm), worst(self.contract))

    @property
    def contrasts(self) -> tuple[Contrast, ...]:
        """Where the engines differ: what KVM refuses without need first."""
        found = [contrast for finding in self.kvm if (contrast := self._contrast(finding))]
        return tuple(sorted(found, key=lambda contrast: list(Side).index(contrast.side)))

    @property
    def sides(self) -> dict[Side, list[str]]:
        """The places in which the engines differ, by how."""
        places: dict[Side, list[str]] = {}
        for contrast in self.contrasts:
            places.setdefault(contrast.side, []).append(contrast.kvm.place)
        return places

    def _contrast(self, kvm: Finding) -> Contrast | None:
        contract = _at(self.contract, kvm)
        if contract is None or Outcome.UNKNOWN in (kvm.outcome, contract.outcome):
            return None
        if kvm.outcome in (Outcome.REFUSED, Outcome.CHANGED) and contract.outcome <= Outcome.LEAK:
            return Contrast(Side.KVM_ALONE, kvm, contract)
        if kvm.errno is None and kvm.outcome is not Outcome.CHANGED and contract.outcome is Outcome.REFUSED:
            return Contrast(Side.TAKEN_ALL_THE_SAME, kvm, contract)
        return None


def _at(findings: Iterable[Finding], like: Finding) -> Finding | None:
    """The finding about the same place."""
    return next((finding for finding in findings if finding.place == like.place), None)


@dataclass(frozen=True)
class HostVerdict:
    """Of a VM on one host."""

    contract: Contract
    host: Host
    kernels: tuple[KvmIdVersion, ...]
    """Those that were asked: the host's, or those that it lies between."""
    clusters: tuple[ClusterVerdict, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst of the clusters: a VMM that nobody binds to one starts on any."""
        return max(cluster.outcome for cluster in self.clusters)

    @property
    def depends(self) -> bool:
        """The cluster on which the VMM starts decides."""
        return len({max(cluster.outcome, Outcome.TRAP) for cluster in self.clusters}) > 1


def check(contract: Contract, host: Host, kernel: str | None = None, *, has_run: bool = False) -> HostVerdict:
    """Whether `host` can keep `contract`.

    `kernel` is the version of its Linux where its file does not tell; where that is None too, what all the measured
    kernels agree on. `has_run`: the VMM writes registers after a vCPU of the new VM has run. Raises nothing.
    """
    kernels = kernels_of(host, kernel)
    return HostVerdict(
        contract,
        host,
        kernels,
        tuple(_on_cluster(contract, host, cluster, kernels, has_run) for cluster in host.clusters),
    )


def _on_cluster(
    contract: Contract, host: Host, cluster: Cluster, kernels: tuple[KvmIdVersion, ...], has_run: bool
) -> ClusterVerdict:
    alike = len(kernels) == 1 or all(kernel.generated_caches for kernel in kernels)
    shown = shown_by(host, cluster, kernels[0] if alike else None)
    system = [one.cpu for one in host.clusters]
    kvm = kvm_findings(
        contract.promised,
        shown,
        kernels,
        hardware=cluster.cpu if host.view is View.HARDWARE else None,
        hidden=hidden_of(host),
        implementation_ids=contract.writable_implementation_ids,
        has_run=has_run,
        # What is settled is refused whatever a chapter says of it.
        chapters=None if has_run else lambda kernel: kvm_chapters(contract, cluster.cpu, kernel, host.view, system),
    )
    has = shown if host.view is View.GUEST else cluster.cpu
    # Of one CPU alone, what KVM makes of its caches is as good as told.
    kinds = system if len(system) > 1 else [has]
    architecture = together(
        contract_findings(contract, has, host.view), contract_chapters(contract, has, host.view, kinds)
    )
    if contract.gic is not None:
        kvm += gic_findings(contract.gic, cluster.cpu, host.gic, kvm=True)
        architecture += gic_findings(contract.gic, cluster.cpu, host.gic, kvm=False)
    if not _features_compared(contract.promised.registers, cluster.cpu.registers):
        why = "no ID register is known both of the VM and of the host, so that none was compared"
        unknown = Finding("", "features", None, None, Outcome.UNKNOWN, "IDENT-28", why)
        kvm.append(unknown)
        architecture.append(unknown)
    return ClusterVerdict(cluster.name, tuple(kvm), tuple(architecture))


def _features_compared(promised: Mapping[str, int], has: Mapping[str, int]) -> bool:
    return any(name.startswith("ID_AA64") for name in promised.keys() & has.keys())
