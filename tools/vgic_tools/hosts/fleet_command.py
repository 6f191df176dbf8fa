"""`vgic host fleet`: which host's VMs can run on which host."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from vgic.identity import Contract, Host, HostVerdict, Outcome, check
from vgic_tools.console import Table, stdout, styled, table
from vgic_tools.errors import UsageError
from vgic_tools.hosts.check_command import kernel_option
from vgic_tools.hosts.fleet_page import fleet_page
from vgic_tools.hosts.reading import labelled
from vgic_tools.hosts.verdict_words import STYLES, can_run
from vgic_tools.inputs import is_given_once
from vgic_tools.terminal import DIFFERENT, fail, print_json

__all__ = ["fleet_command"]

Fleet = Mapping[str, Mapping[str, HostVerdict]]
"""Verdicts by what the VM's host and cluster, and the host, are called."""


@click.command("fleet", short_help="Show which host's VMs can run on which host.")
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
@kernel_option
@click.option("--capability", is_flag=True, help="The VMMs enable KVM_CAP_ARM_WRITABLE_IMP_ID_REGS.")
@click.option("--html", type=click.Path(path_type=Path), help="Write the matrix to a file, as a web page.")
@click.option("--json", "as_json", is_flag=True, help="Write the matrix as JSON.")
def fleet_command(
    hosts: tuple[str, ...], kernel: str | None, capability: bool, html: Path | None, as_json: bool
) -> None:
    """Show which host's VMs can run on which host: what each has shown a VM, checked on all of them.

    `vgic host check` says why. Exits as that does.

    \b
    vgic host fleet graviton2 graviton3 graviton4 --html fleet.html
    """
    try:
        is_given_once(*hosts)
        read = labelled(hosts)
        fleet = _fleet(read, kernel, capability=capability)
        if html is not None:
            _write(html, fleet_page(fleet))
    except UsageError as error:
        fail(error)
    if as_json:
        print_json(_document(fleet))
    elif html is None:
        stdout().print(_matrix(fleet))
    if any(verdict.outcome > Outcome.TRAP for row in fleet.values() for verdict in row.values()):
        sys.exit(DIFFERENT)


def _fleet(hosts: Mapping[str, Host], kernel: str | None, *, capability: bool) -> Fleet:
    fleet: dict[str, dict[str, HostVerdict]] = {}
    for label, host in hosts.items():
        for cluster in host.clusters:
            vm = f"{label}, {cluster.name}" if len(host.clusters) > 1 else label
            told = Contract.of_host(host, cluster, kernel)
            contract = replace(told, name=vm, writable_implementation_ids=capability)
            fleet[vm] = {name: check(contract, one, kernel) for name, one in hosts.items()}
    return fleet


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


def _matrix(fleet: Fleet) -> Table:
    hosts = list(next(iter(fleet.values())))
    shown = table("a VM of", *(f"on {host}" for host in hosts))
    for vm, row in fleet.items():
        shown.add_row(vm, *(styled(can_run(one), STYLES[one.outcome]) for one in row.values()))
    return shown


def _document(fleet: Fleet) -> dict[str, Any]:
    return {
        "vms": [
            {
                "vm": vm,
                "hosts": [
                    {
                        "host": host,
                        "outcome": one.outcome.name.lower(),
                        "clusters": {cluster.cluster: cluster.outcome.name.lower() for cluster in one.clusters},
                    }
                    for host, one in row.items()
                ],
            }
            for vm, row in fleet.items()
        ]
    }
