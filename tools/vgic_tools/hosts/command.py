"""`vgic host`: what identifies a host's CPUs, and what differs inside a host and between two."""

import sys
from collections.abc import Iterable
from typing import Any, Final

import click

from vgic.identity import REGISTERS, Cluster, Comparison, Difference, Host, Pair, compare_hosts, inside
from vgic.identity.implementation import cache_name
from vgic.identity.parts import cpu_name
from vgic.identity.registers import SELECTORS, cache_register, selector_of
from vgic_tools.console import Output, stdout, styled, table
from vgic_tools.errors import UsageError
from vgic_tools.fields import field_table
from vgic_tools.hosts.capture_command import capture_command
from vgic_tools.hosts.check_command import check_command
from vgic_tools.hosts.common_command import common_command
from vgic_tools.hosts.explain_command import explain_command
from vgic_tools.hosts.fleet_command import fleet_command
from vgic_tools.hosts.reading import examples, read_host
from vgic_tools.inputs import is_given_once
from vgic_tools.terminal import BAD_INPUT, DIFFERENT, complain, fail, print_json

__all__ = ["host_group"]

_UNKNOWN: Final = "?"

_VIEWS: Final = {
    "hardware": "what the CPUs have",
    "guest": "what the hypervisor shows a new VM",
    "user": "what the operating system shows its programs",
}


@click.group("host", short_help="What a guest sees of its host's CPUs, and what differs between hosts.")
def host_group() -> None:
    """Look at what identifies the CPUs of hosts, and compare them.

    HOST is a file, - for standard input, a folder like /sys/devices/system/cpu, or a shipped host of `vgic host
    list`. A file is JSON as `vgic host show --json` writes it, a fingerprint of Firecracker's, KVM's idregs (of a
    folder in /sys/kernel/debug/kvm), /proc/cpuinfo, or what
    `grep . /sys/devices/system/cpu/cpu*/regs/identification/*` prints.
    """


for _command in (capture_command, check_command, common_command, explain_command, fleet_command):
    host_group.add_command(_command)


@host_group.command("list")
def list_command() -> None:
    """List the hosts that are shipped, and where their values are from."""
    shown = table("host", "", "source")
    for name, text in examples().items():
        host = Host.from_json(text)
        shown.add_row(name, host.name, host.source)
    stdout().print(shown)


@host_group.command("show")
@click.argument("host", metavar="HOST")
@click.option("--fields", "wanted", metavar="REGISTER", help="Show the fields of this register.")
@click.option("--json", "as_json", is_flag=True, help="Write the host and what differs inside it as JSON.")
def show_command(host: str, wanted: str | None, as_json: bool) -> None:
    """Show a host's CPUs, their caches and registers, and what differs inside the host.

    A register that is not listed is unknown.

    \b
    vgic host show apple-m2-max
    vgic host show fingerprint.json --fields ID_AA64PFR0_EL1
    """
    try:
        shown = read_host(host)
        if wanted is not None:
            _show_fields(stdout(), shown, wanted)
            return
    except UsageError as error:
        fail(error)
    differences = inside(shown)
    if as_json:
        print_json({"host": shown.document(), "inside": _comparison_document(differences)})
        return
    console = stdout()
    _print_head(console, shown)
    _print_caches(console, shown)
    _print_registers(console, shown)
    if len(shown.clusters) > 1:
        console.print()
        names = [cluster.name for cluster in shown.clusters]
        _print_differences(console, "differs inside the host", names, differences, with_safe=True)


@host_group.command("diff")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Write the differences as JSON.")
def diff_command(a: str, b: str, as_json: bool) -> None:
    """Show in what two hosts differ, cluster by cluster.

    Exits with 0 where they differ in nothing that both files tell, 1 where in something, 2 where an input cannot be
    used or the two tell nothing in common.

    \b
    vgic host diff graviton2 graviton3
    """
    try:
        is_given_once(a, b)
        one, other = read_host(a), read_host(b)
    except UsageError as error:
        fail(error)
    pairs = compare_hosts(one, other)
    if as_json:
        print_json(
            {
                "a": one.name,
                "b": other.name,
                "pairs": [
                    {"a": pair.a.name, "b": pair.b.name, **_comparison_document(pair.comparison)} for pair in pairs
                ],
            }
        )
    else:
        _print_pairs(stdout(), one, other, pairs)
    if any(pair.comparison.differences for pair in pairs):
        sys.exit(DIFFERENT)
    if not any(pair.comparison.compared for pair in pairs):
        complain(f"{a} and {b}: no register is known of both")
        sys.exit(BAD_INPUT)


def _print_pairs(console: Output, one: Host, other: Host, pairs: Iterable[Pair]) -> None:
    if one.view is not other.view:
        console.print(f"A has {_VIEWS[one.view.value]}, B {_VIEWS[other.view.value]}")
        console.print()
    for number, pair in enumerate(pairs):
        if number:
            console.print()
        title = f"A: {one.name}, {pair.a.name}; B: {other.name}, {pair.b.name}"
        _print_differences(console, title, ["A", "B"], pair.comparison, with_safe=False)


def _print_head(console: Output, host: Host) -> None:
    listed = table("host", host.name)
    if host.source:
        listed.add_row("source", host.source)
    listed.add_row("registers", _VIEWS[host.view.value])
    if host.hypervisor:
        listed.add_row("hypervisor", f"{host.hypervisor.name} {host.hypervisor.version or '(version unknown)'}")
    if host.gic is not None:
        listed.add_row("GIC", f"version {host.gic}")
    for note in host.notes:
        listed.add_row("note", note)
    console.print(listed)
    console.print()
    cpus = table("cluster", "CPUs", "CPU", "REVIDR_EL1", "AIDR_EL1", "counter", right=("CPUs",))
    for cluster in host.clusters:
        registers = cluster.cpu.registers
        midr, counter = registers.get("MIDR_EL1"), registers.get("CNTFRQ_EL0")
        cpus.add_row(
            cluster.name,
            _UNKNOWN if cluster.count is None else str(cluster.count),
            _UNKNOWN if midr is None else cpu_name(midr),
            _hex(registers.get("REVIDR_EL1")),
            _hex(registers.get("AIDR_EL1")),
            _UNKNOWN if counter is None else f"{counter / 1e6:,g} MHz",
        )
    console.print(cpus)


def _print_caches(console: Output, host: Host) -> None:
    headings = ("cluster", "cache", "size", "sets", "ways", "line", "CCSIDR_EL1")
    shown = table(*headings, right=headings[2:])
    for cluster in host.clusters:
        for selector in SELECTORS:
            value = cluster.cpu.registers.get(cache_register(selector))
            if value is None:
                continue
            cache = cluster.cpu.cache(selector)
            shape = (_UNKNOWN,) * 4
            if cache is not None:
                shape = (_size(cache.size), f"{cache.sets:,}", str(cache.ways), str(cache.line))
            shown.add_row(cluster.name, cache_name(selector), *shape, f"{value:#x}")
    if shown.row_count:
        console.print()
        console.print(shown)


def _size(size: int) -> str:
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} bytes"


def _print_registers(console: Output, host: Host) -> None:
    names = [cluster.name for cluster in host.clusters]
    shown = table("register", *names, right=tuple(names))
    for name in _known(host):
        if selector_of(name) is None:
            shown.add_row(name, *(_hex(cluster.cpu.registers.get(name)) for cluster in host.clusters))
    if shown.row_count:
        console.print()
        console.print(shown)


def _known(host: Host) -> list[str]:
    told = dict.fromkeys(name for cluster in host.clusters for name in cluster.cpu.registers)
    declared = [name for name in REGISTERS if name in told]
    return declared + [name for name in told if name not in REGISTERS]


def _hex(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{value:#x}"


def _show_fields(console: Output, host: Host, wanted: str) -> None:
    """The fields of one register in every cluster. Raises UsageError where nobody knows it."""
    told = [cluster for cluster in host.clusters if wanted in cluster.cpu.registers]
    if not told:
        raise UsageError(f"{host.name}: {wanted} is unknown; known are {', '.join(_known(host))}")
    for number, cluster in enumerate(told):
        if number:
            console.print()
        value = cluster.cpu.registers[wanted]
        console.print(styled(f"{cluster.name} {wanted}", "bold"), f" = {value:#x}", sep="")
        if wanted in REGISTERS:
            console.print(field_table(REGISTERS[wanted].layout, value))
        elif selector_of(wanted) is not None:
            console.print(_cache_words(cluster, wanted))
        else:
            console.print("its fields are not declared")


def _cache_words(cluster: Cluster, register: str) -> str:
    selector = selector_of(register)
    cache = None if selector is None else cluster.cpu.cache(selector)
    if cache is None:
        return "its format is unknown: ID_AA64MMFR2_EL1 would tell"
    return f"{_size(cache.size)}: {cache.sets} sets of {cache.ways} ways of {cache.line} bytes"


def _print_differences(
    console: Output, title: str, columns: list[str], comparison: Comparison, *, with_safe: bool
) -> None:
    console.print(styled(title, "bold"))
    if comparison.differences:
        safe = ("safe for all",) if with_safe else ()
        shown = table("register", "field", *columns, *safe, "meaning", right=(*columns, *safe))
        for item in comparison.differences:
            values = [_number(item, value) for value in item.values]
            last = [_UNKNOWN if item.safe is None else _number(item, item.safe)] if with_safe else []
            shown.add_row(item.register, item.field, *values, *last, item.meaning)
        console.print(shown)
    elif comparison.compared:
        console.print(f"no difference in {len(comparison.compared)} registers")
    else:
        console.print("no register is known of all")
    if comparison.unknown:
        console.print(f"unknown of some, and not compared: {', '.join(comparison.unknown)}")


def _number(item: Difference, value: int) -> str:
    plain = selector_of(item.register) is not None and item.field
    return f"{value:,}" if plain or item.register == "CNTFRQ_EL0" else f"{value:#x}"


def _comparison_document(comparison: Comparison) -> dict[str, Any]:
    return {
        "compared": list(comparison.compared),
        "unknown": list(comparison.unknown),
        "differences": [
            {
                "register": item.register,
                "field": item.field,
                "values": list(item.values),
                "safe": item.safe,
                "meaning": item.meaning,
            }
            for item in comparison.differences
        ],
    }
