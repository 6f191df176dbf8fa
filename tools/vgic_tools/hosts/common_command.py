"""`vgic host common`: the strongest contract that several hosts keep."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from vgic.identity import HostError
from vgic.identity.common import Common, Forced, Impossible, common
from vgic.identity.places import value_words
from vgic_tools.console import Output, stdout, styled, table
from vgic_tools.errors import UsageError
from vgic_tools.hosts.check_command import kernel_option
from vgic_tools.hosts.reading import labelled
from vgic_tools.hosts.verdict_words import listed
from vgic_tools.inputs import is_given_once
from vgic_tools.terminal import DIFFERENT, fail, print_json

__all__ = ["common_command"]


@click.command("common", short_help="Find the strongest contract that several hosts keep.")
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
@kernel_option
@click.option("--capability", is_flag=True, help="The VMM enables KVM_CAP_ARM_WRITABLE_IMP_ID_REGS.")
@click.option("-o", "--output", metavar="FILE", help="Write the contract there, for `vgic host check`.")
@click.option("--json", "as_json", is_flag=True, help="Write the contract and what forces it as JSON.")
def common_command(
    hosts: tuple[str, ...], kernel: str | None, capability: bool, output: str | None, as_json: bool
) -> None:
    """Find the strongest contract that all hosts keep, so that a VM that has it can run on any of them.

    Shows each field in which the hosts differ, what a VM can be promised, and which hosts force that. A host
    counts with every cluster that it has. What a host takes, KVM says where its file tells enough, and the
    architecture otherwise.

    Exits with 0 where there is such a contract; 1 where there is none, or the files do not tell enough to know; 2
    where an input cannot be used.

    \b
    vgic host common graviton3 graviton4
    vgic host common graviton2 graviton3 --capability -o vm.json
    """
    try:
        is_given_once(*hosts)
        named = [replace(host, name=label) for label, host in labelled(hosts).items()]
        found = common(named, kernel, implementation_ids=capability)
        if output is not None:
            _write(output, found)
    except (UsageError, HostError) as error:
        fail(error)
    if as_json:
        print_json(_document(found))
    else:
        _print(stdout(), found)
    if found.impossible or found.unknown:
        sys.exit(DIFFERENT)


def _write(name: str, found: Common) -> None:
    try:
        Path(name).write_text(found.contract.to_json(), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{name}: cannot be written: {error.strerror}") from error


def _print(console: Output, found: Common) -> None:
    registers = found.contract.promised.registers
    console.print(styled(f"{found.contract.name}", "bold"))
    kept = f"{len(registers)} registers that all can keep"
    if found.impossible:
        console.print(
            styled("no contract", "bold red"), f": {listed(one.place for one in found.impossible)}", sep=""
        )
        kept += ", without these"
    console.print(kept)
    if found.forced:
        console.print()
        console.print(styled("what a VM can be promised, where the hosts differ", "bold"))
        shown = table("field", "promise", "forced by", "the others have", right=("promise",))
        shown.least["field"] = max(len(one.place) for one in found.forced)
        for one in found.forced:
            shown.add_row(one.place, value_words(one.register, one.field, one.value), *_sides(one))
        console.print(shown)
    if found.impossible:
        console.print()
        console.print(styled("what no VM can be promised", "bold"))
        shown = table("field", "value", "hosts")
        shown.least["field"] = max(len(one.place) for one in found.impossible)
        for lost in found.impossible:
            for number, (value, names) in enumerate(_by_value(lost.values).items()):
                shown.add_row("" if number else lost.place, value_words(lost.register, lost.field, value), names)
        console.print(shown)
        for why in dict.fromkeys(lost.why for lost in found.impossible):
            console.print(f"{listed(lost.place for lost in found.impossible if lost.why == why)}: {why}")
    if found.contract.targets:
        console.print()
        console.print(f"the guest has to be told of {len(found.contract.targets)} CPUs that it may run on")
    if found.unknown:
        console.print()
        console.print(f"unknown of some of the hosts, and left out: {listed(found.unknown)}")


def _sides(one: Forced) -> tuple[str, str]:
    others = tuple((name, value) for name, value in one.values if value != one.value)
    values = _by_value(others)
    words = "; ".join(f"{value_words(one.register, one.field, value)}: {names}" for value, names in values.items())
    return ", ".join(dict.fromkeys(one.by)), words


def _by_value(values: Sequence[tuple[str, int]]) -> dict[int, str]:
    names: dict[int, list[str]] = {}
    for name, value in values:
        names.setdefault(value, []).append(name)
    return {value: ", ".join(dict.fromkeys(of_value)) for value, of_value in names.items()}


def _document(found: Common) -> dict[str, Any]:
    return {
        "contract": found.contract.document(),
        "forced": [_place(one) | {"promise": one.value, "by": list(one.by)} for one in found.forced],
        "impossible": [_place(one) | {"why": one.why} for one in found.impossible],
        "unknown": list(found.unknown),
    }


def _place(one: Forced | Impossible) -> dict[str, Any]:
    return {
        "register": one.register,
        "field": one.field,
        "values": [{"host": name, "value": value} for name, value in one.values],
    }
