"""`vgic host explain`: what becomes of one field, and why."""

import errno
from collections.abc import Sequence
from dataclasses import replace

import click

from vgic.identity import Cpu, Finding, HostVerdict, Outcome, check
from vgic.identity.registers import REGISTERS
from vgic_tools.console import Output, stdout, styled, table
from vgic_tools.errors import UsageError
from vgic_tools.hosts.check_command import kernel_option, promised, state_option
from vgic_tools.hosts.reading import read_host
from vgic_tools.hosts.verdict_words import COSTS, OUTCOMES, STYLES, kernel_words, listed, number
from vgic_tools.inputs import is_given_once
from vgic_tools.rules.book import Rule, read_rules
from vgic_tools.terminal import fail

__all__ = ["explain_command"]


@click.command("explain", short_help="Say what becomes of one field of a VM on a host, and why.")
@click.argument("vm", metavar="VM")
@click.argument("host", metavar="HOST")
@click.argument("field", metavar="FIELD")
@click.option("--cluster", metavar="NAME", help="The cluster of VM that the VM started on.")
@kernel_option
@state_option
@click.option("--capability", is_flag=True, help="The VMM enables KVM_CAP_ARM_WRITABLE_IMP_ID_REGS.")
def explain_command(
    vm: str, host: str, field: str, cluster: str | None, kernel: str | None, state: str | None, capability: bool
) -> None:
    """Say what becomes of one FIELD of a VM on a host, by both engines, with the rule and its source.

    VM and HOST as for `vgic host check`. FIELD is a register, or REGISTER.FIELD, as `check` shows it. Exits with 0;
    2 where an input cannot be used.

    \b
    vgic host explain graviton2 graviton4 ID_AA64MMFR2_EL1.FWB
    vgic host explain raspberry-pi-4 raspberry-pi-5 MIDR_EL1 --kernel 6.12
    """
    try:
        is_given_once(vm, host, *([state] if state else []))
        read = read_host(host)
        console = stdout()
        for position, contract in enumerate(promised(vm, cluster, state, kernel, capability=capability)):
            if position:
                console.print()
            _explain(console, check(contract, read, kernel), field)
    except UsageError as error:
        fail(error)


def _explain(console: Output, verdict: HostVerdict, field: str) -> None:
    """Raises UsageError where neither engine says anything of the field."""
    console.print(styled("VM", "bold"), f"  {verdict.contract.name}")
    register, _, name = field.partition(".")
    rules = read_rules()
    for cluster, judged in zip(verdict.host.clusters, verdict.clusters, strict=True):
        where = f", {cluster.name}" if len(verdict.clusters) > 1 else ""
        console.print(styled("host", "bold"), f"{verdict.host.name}{where}; {kernel_words(verdict)}")
        same = _same(verdict.contract.promised, cluster.cpu, register, name)
        found = [
            (engine, _about(findings, field) or same)
            for engine, findings in (("KVM", judged.kvm), ("architecture", judged.contract))
        ]
        if not any(told for _, told in found):
            known = dict.fromkeys(finding.register or finding.field for finding in (*judged.kvm, *judged.contract))
            raise UsageError(f"{field}: nothing is known of it; known are {listed(known)}")
        if register in REGISTERS and name:
            _print_meaning(console, register, name)
        for engine, told in found:
            for finding in told:
                console.print()
                _print_finding(console, engine, _narrowed(finding, field), rules.get(finding.rule))


def _same(promised: Cpu, host: Cpu, register: str, name: str) -> list[Finding]:
    """That a field is the same, of a register of which others differ."""
    mine, has = promised.registers.get(register), host.registers.get(register)
    fields = {one.name: one for one in REGISTERS[register].layout.fields} if register in REGISTERS else {}
    if mine is None or has is None or name not in fields or (mine ^ has) & fields[name].mask:
        return []
    return [Finding(register, "", mine, has, Outcome.SAME, "IDENT-24", "the host has what was promised")]


def _about(findings: Sequence[Finding], field: str) -> list[Finding]:
    """Those about this place; else those about the register, where all of it, or none of its fields, was judged."""
    register, _, name = field.partition(".")
    exact = [finding for finding in findings if finding.place == field]
    if exact:
        return exact
    return [finding for finding in findings if finding.register == register and (not name or not finding.field)]


def _narrowed(finding: Finding, field: str) -> Finding:
    """A finding about a register, with the values of one of its fields."""
    register, _, name = field.partition(".")
    if not name or finding.field or register not in REGISTERS:
        return finding
    known = {one.name: one for one in REGISTERS[register].layout.fields}
    if name not in known:
        raise UsageError(f"{field}: {register} has no such field, but {', '.join(known)}")
    guest, host = (None if value is None else known[name].extract(value) for value in (finding.guest, finding.host))
    return replace(finding, field=name, guest=guest, host=host)


def _print_meaning(console: Output, register: str, name: str) -> None:
    declared = REGISTERS[register]
    fields = {one.name: one for one in declared.layout.fields}
    if name in fields:
        console.print(f"{register}.{name}, bits {fields[name].span}: {fields[name].doc}")
        console.print(f"of two values, {declared.safe_values[name]}")


def _print_finding(console: Output, engine: str, finding: Finding, rule: Rule | None) -> None:
    shown = table(engine, finding.place)
    shown.add_row("the VM was promised", number(finding, finding.guest))
    shown.add_row("the host has", number(finding, finding.host))
    shown.add_row("can be kept", styled(OUTCOMES[finding.outcome], STYLES[finding.outcome]))
    if finding.errno is not None:
        shown.add_row("the VMM gets", errno.errorcode.get(finding.errno, str(finding.errno)))
    shown.add_row("why", finding.why)
    if finding.traps:
        cost = COSTS[finding.cost]
        shown.add_row("traps", ", ".join(finding.traps) + (f", {cost}" if cost else ""))
    if finding.remedy:
        shown.add_row("what helps" if finding.outcome > Outcome.WEAKER else "besides", finding.remedy)
    shown.add_row("rule", finding.rule if rule is None else f"{rule.id} {rule.title} (specs/{rule.page})")
    if rule is not None and rule.source:
        shown.add_row("source", rule.source)
    console.print(shown)
