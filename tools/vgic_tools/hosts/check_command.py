"""`vgic host check`: whether a VM can run on hosts."""

import re
import sys
from dataclasses import replace

import click

from vgic import VgicError
from vgic.host.capabilities import CpuInterfaceView
from vgic.identity import Contract, Host, HostVerdict, Outcome, check
from vgic_tools.console import stdout, styled
from vgic_tools.errors import UsageError
from vgic_tools.hosts.check_report import print_verdicts, verdict_document
from vgic_tools.hosts.reading import labelled, read_vm
from vgic_tools.inputs import is_given_once
from vgic_tools.snapshots.files import read_snapshot
from vgic_tools.terminal import DIFFERENT, fail, print_json

__all__ = ["check_command", "kernel_option", "promised", "state_option"]

_CTLR = "ICC[0].ICC_CTLR_EL1"
_KERNEL = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}(\.[0-9]{1,5})?")


def _kernel(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _KERNEL.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no version of Linux, such as 6.12")
    return value


kernel_option = click.option(
    "--kernel",
    metavar="VERSION",
    callback=_kernel,
    help="The Linux of hosts whose file does not tell: 6.1, 6.12 and 7.2 are known, others by what these agree on.",
)
state_option = click.option(
    "--state",
    metavar="FILE",
    help="The saved GIC of the VM, as `vgic state` reads it: its CPU interface is promised.",
)


@click.command("check", short_help="Say whether a VM can run on hosts, and what it would notice.")
@click.argument("vm", metavar="VM")
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
@click.option(
    "--cluster", metavar="NAME", help="The cluster of VM that the VM started on; else each is asked about."
)
@kernel_option
@state_option
@click.option("--capability", is_flag=True, help="The VMM enables KVM_CAP_ARM_WRITABLE_IMP_ID_REGS.")
@click.option("--ran", is_flag=True, help="The VMM writes registers after a vCPU of the new VM has run.")
@click.option("--json", "as_json", is_flag=True, help="Write every finding as JSON.")
def check_command(
    vm: str,
    hosts: tuple[str, ...],
    cluster: str | None,
    kernel: str | None,
    state: str | None,
    capability: bool,
    ran: bool,
    as_json: bool,
) -> None:
    """Say whether a VM can run on hosts: what KVM answers to its VMM, and what the architecture would allow.

    VM is a contract (JSON, see `vgic.identity.Contract`), or a host, for what that has shown a VM.
    Two engines answer. KVM: what a VMM gets that writes what the VM was promised, errno included, and what the
    guest reads then. Architecture: what could be kept by trapping, if a hypervisor virtualised all it could.

    Exits with 0 where every host keeps all that was promised, by traps if need be; 1 where one does not, where the
    guest could notice, or where a file does not tell enough to know; 2 where an input cannot be used.

    \b
    vgic host check graviton2 graviton3 graviton4
    vgic host check raspberry-pi-4 raspberry-pi-5 --kernel 6.12
    """
    try:
        is_given_once(vm, *hosts, *([state] if state else []))
        contracts = promised(vm, cluster, state, kernel, capability=capability)
        read = labelled(hosts)
    except UsageError as error:
        fail(error)
    verdicts = [
        {label: check(contract, host, kernel, has_run=ran) for label, host in read.items()}
        for contract in contracts
    ]
    if as_json:
        documents = [verdict_document(label, one) for of_vm in verdicts for label, one in of_vm.items()]
        print_json({"verdicts": documents})
    else:
        _print(contracts, verdicts)
    if any(verdict.outcome > Outcome.TRAP for of_vm in verdicts for verdict in of_vm.values()):
        sys.exit(DIFFERENT)


def _print(contracts: list[Contract], verdicts: list[dict[str, HostVerdict]]) -> None:
    console = stdout()
    for number, (contract, of_vm) in enumerate(zip(contracts, verdicts, strict=True)):
        if number:
            console.print()
        console.print(styled(f"VM: {contract.name}", "bold"))
        console.print()
        print_verdicts(console, of_vm)


def promised(
    vm: str, cluster: str | None, state: str | None, kernel: str | None, *, capability: bool
) -> list[Contract]:
    """What a VM was promised; by cluster where it is told by a host with several. Raises UsageError."""
    read = read_vm(vm)
    contracts = [read] if isinstance(read, Contract) else _of_host(read, cluster, kernel)
    if cluster is not None and isinstance(read, Contract):
        raise UsageError(f"{vm}: is a contract, which has no clusters")
    if capability:
        contracts = [replace(contract, writable_implementation_ids=True) for contract in contracts]
    if state is None:
        return contracts
    try:
        # A state that no VM can have is not worth asking about.
        registers = read_snapshot(state).state.build().save()["registers"]
        view = CpuInterfaceView.from_ctlr(registers[_CTLR])
    except VgicError as error:
        raise UsageError(f"{state}: {error}") from error
    return [replace(contract, gic=view) for contract in contracts]


def _of_host(host: Host, cluster: str | None, kernel: str | None) -> list[Contract]:
    names = [one.name for one in host.clusters]
    if cluster is not None and cluster not in names:
        raise UsageError(f"{host.name}: has no cluster {cluster!r}, but {', '.join(names)}")
    return [Contract.of_host(host, one, kernel) for one in host.clusters if cluster in (None, one.name)]
