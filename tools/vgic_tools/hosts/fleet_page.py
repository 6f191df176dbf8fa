"""The matrix of a fleet as a web page: which host's VMs can run on which host, and what stands in the way."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

from vgic.identity import ClusterVerdict, Finding, HostVerdict, Outcome
from vgic_tools.hosts.verdict_words import (
    answer_words,
    by_place,
    can_run,
    kernel_words,
    listed,
    number,
    sentence,
    unknown,
)

__all__ = ["fleet_page"]

_TITLE: Final = "Which VM can run where"
_INTRODUCTION: Final = (
    "A row is a VM that has started on a host, a column a host that it would move to. Two engines judge each field"
    " that the VM was promised: what Linux's KVM answers to a VMM that writes it, and what the architecture would"
    " let a hypervisor keep by trapping."
)
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; --doubt: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #ff7b72; --doubt: #d29922; } }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 80em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { text-align: left; vertical-align: top; padding: .25em .6em; border-bottom: 1px solid var(--line); }
.good, .good a { color: var(--good); } .bad, .bad a { color: var(--bad); font-weight: 600; }
.doubt, .doubt a { color: var(--doubt); } td[title] { cursor: help; text-decoration: underline dotted; }
"""


def fleet_page(fleet: Mapping[str, Mapping[str, HostVerdict]]) -> str:
    """A page of its own. `fleet` has verdicts by what the VM, and the host, are called."""
    hosts = list(next(iter(fleet.values())))
    pairs = [(vm, host, verdict) for vm, row in fleet.items() for host, verdict in row.items()]
    anchors = {(vm, host): f"p{position}" for position, (vm, host, _) in enumerate(pairs)}
    matrix = [
        f"<th>{escape(vm)}</th>" + "".join(_cell(verdict, anchors[vm, host]) for host, verdict in row.items())
        for vm, row in fleet.items()
    ]
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{_TITLE}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_TITLE}</h1><p>{escape(_INTRODUCTION)}</p>",
        _table(("a VM of", *(f"on {host}" for host in hosts)), matrix),
    ]
    for vm, host, verdict in pairs:
        if verdict.outcome > Outcome.TRAP:
            parts.append(f'<h2 id="{anchors[vm, host]}">{escape(vm)} on {escape(host)}</h2>')
            parts.append(f"<p>{escape(verdict.host.name)}; {escape(kernel_words(verdict))}</p>")
            for cluster in verdict.clusters:
                parts += _cluster(cluster, alone=len(verdict.clusters) == 1)
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _table(headings: tuple[str, ...], rows: list[str]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _kind(outcome: Outcome) -> str:
    if outcome <= Outcome.TRAP:
        return "good"
    return "bad" if outcome is Outcome.REFUSED else "doubt"


def _cell(verdict: HostVerdict, anchor: str) -> str:
    word = escape(can_run(verdict))
    if verdict.outcome > Outcome.TRAP:
        word = f'<a href="#{anchor}">{word}</a>'
    return f'<td class="{_kind(verdict.outcome)}">{word}</td>'


def _cluster(cluster: ClusterVerdict, *, alone: bool) -> Iterator[str]:
    if not alone:
        yield f"<h3>{escape(cluster.cluster)}</h3>"
    for side, places in cluster.sides.items():
        yield f"<p><b>{escape(side.value)}:</b> {escape(listed(places))}</p>"
    rows = [
        f"<td>{escape(row.place)}</td><td>{escape(number(row.either, row.either.guest))}</td>"
        f"<td>{escape(number(row.either, row.either.host))}</td>{_answer(row.kvm)}{_answer(row.contract)}"
        for row in by_place(cluster)
    ]
    if rows:
        yield _table(("field", "VM", "host", "KVM", "architecture"), rows)
    for why, places in unknown(cluster).items():
        yield f'<p class="doubt">unknown: {escape(listed(places))}: {escape(why)}</p>'


def _answer(finding: Finding | None) -> str:
    if finding is None:
        return "<td></td>"
    told = f'<td class="{_kind(finding.outcome)}" title="{escape(sentence(finding))}">'
    return f"{told}{escape(answer_words(finding))}</td>"
