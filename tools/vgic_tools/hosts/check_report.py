"""What `vgic host check` shows: verdicts by host, and by field what each engine says."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from vgic.identity import ClusterVerdict, Finding, HostVerdict, Outcome
from vgic.identity.check import Side
from vgic.identity.finding import worst
from vgic_tools.console import Output, styled, table
from vgic_tools.hosts.verdict_words import (
    COSTS,
    OUTCOMES,
    STYLES,
    answer_words,
    finding_document,
    kernel_words,
    listed,
    number,
)

__all__ = ["print_verdicts", "verdict_document"]

_QUIET: Final = (Outcome.SAME, Outcome.WEAKER, Outcome.UNKNOWN)
"""What takes no line of its own."""


def print_verdicts(console: Output, verdicts: Mapping[str, HostVerdict]) -> None:
    """Verdicts of one VM by what hosts are called: all in a table, then each host with what stands in the way."""
    console.print(_summary(verdicts))
    for label, verdict in verdicts.items():
        if verdict.depends:
            console.print()
            words = ", ".join(f"{cluster.cluster} {_can(cluster.outcome)}" for cluster in verdict.clusters)
            console.print(f"{label}: the cluster that the VMM starts on decides: {words}")
    for label, verdict in verdicts.items():
        for cluster in verdict.clusters:
            if cluster.outcome > Outcome.WEAKER:
                console.print()
                _print_cluster(console, label, verdict, cluster)


def _summary(verdicts: Mapping[str, HostVerdict]) -> Table:
    several = any(len(verdict.clusters) > 1 for verdict in verdicts.values())
    headings = ("host", *(("cluster",) if several else ()), "can run", "KVM", "architecture")
    shown = table(*headings)
    for label, verdict in verdicts.items():
        for position, cluster in enumerate(verdict.clusters):
            name = "" if position else label
            shown.add_row(
                name,
                *((cluster.cluster if len(verdict.clusters) > 1 else "",) if several else ()),
                _can(cluster.outcome),
                _word(worst(cluster.kvm)),
                _word(worst(cluster.contract)),
            )
    return shown


def _can(outcome: Outcome) -> Text:
    words = {Outcome.REFUSED: "no", Outcome.UNKNOWN: "unknown", Outcome.LEAK: "leaks", Outcome.CHANGED: "changes"}
    return styled(words.get(outcome, "yes"), f"bold {STYLES[outcome]}")


def _word(outcome: Outcome) -> Text:
    return styled(OUTCOMES[outcome], STYLES[outcome])


def _print_cluster(console: Output, label: str, verdict: HostVerdict, cluster: ClusterVerdict) -> None:
    where = f", {cluster.cluster}" if len(verdict.clusters) > 1 else ""
    console.print(styled(f"{label}{where}", "bold"), f": {verdict.host.name}", sep="")
    console.print(kernel_words(verdict))
    for note in verdict.host.notes:
        console.print(f"note: {note}")
    _print_contrasts(console, cluster)
    notes: dict[str, int] = {}
    shown = table("field", "VM", "host", "KVM", "architecture", right=("VM", "host"))
    rows = _by_place(cluster)
    # Numbers may be wrapped, names may not.
    shown.columns[0].min_width = max((len(either.place) for either, _, _ in rows), default=0)
    for either, kvm, contract in rows:
        shown.add_row(
            either.place,
            number(either, either.guest),
            number(either, either.host),
            _answer(kvm, notes),
            _answer(contract, notes),
        )
    if shown.row_count:
        console.print(shown)
        for sentence, mark in notes.items():
            console.print(f"{mark:>3} {sentence}")
    _print_unknown(console, cluster)


def _print_contrasts(console: Output, cluster: ClusterVerdict) -> None:
    """The most useful line: what KVM alone is in the way of, and what it takes though nothing keeps it."""
    for side in Side:
        places = [contrast.kvm.place for contrast in cluster.contrasts if contrast.side is side]
        if places:
            console.print(styled(f"{side.value}: {listed(places)}", "bold"))


def _by_place(cluster: ClusterVerdict) -> list[tuple[Finding, Finding | None, Finding | None]]:
    """The findings of both engines side by side, and one that is there, where one of them is worth a line."""
    rows = []
    for either in {finding.place: finding for finding in (*cluster.contract, *cluster.kvm)}.values():
        kvm, contract = _find(cluster.kvm, either.place), _find(cluster.contract, either.place)
        if any(one is not None and one.outcome not in _QUIET for one in (kvm, contract)):
            rows.append((either, kvm, contract))
    return rows


def _find(findings: Iterable[Finding], place: str) -> Finding | None:
    return next((finding for finding in findings if finding.place == place), None)


def _answer(finding: Finding | None, notes: dict[str, int]) -> Text:
    """A word, and the number of the sentence that says why."""
    if finding is None:
        return Text("")
    mark = notes.setdefault(_sentence(finding), len(notes) + 1)
    return styled(f"{answer_words(finding)} ({mark})", STYLES[finding.outcome])


def _sentence(finding: Finding) -> str:
    words = finding.why
    if finding.traps:
        cost = COSTS[finding.cost]
        words += f"; {', '.join(finding.traps)}" + (f", {cost}" if cost else "")
    if finding.remedy:
        words += f"; what helps: {finding.remedy}"
    return f"{words} [{finding.rule}]"


def _print_unknown(console: Output, cluster: ClusterVerdict) -> None:
    sentences: dict[str, list[str]] = {}
    for finding in (*cluster.kvm, *cluster.contract):
        if finding.outcome is Outcome.UNKNOWN:
            sentences.setdefault(_sentence(finding), []).append(finding.place)
    for sentence, places in sentences.items():
        console.print(f"unknown: {listed(places)}: {sentence}")


def verdict_document(label: str, verdict: HostVerdict) -> dict[str, Any]:
    """A verdict as JSON has it."""
    return {
        "vm": verdict.contract.name,
        "host": label,
        "name": verdict.host.name,
        "kernels": [kernel.name for kernel in verdict.kernels],
        "outcome": verdict.outcome.name.lower(),
        "depends_on_cluster": verdict.depends,
        "clusters": [
            {
                "cluster": cluster.cluster,
                "outcome": cluster.outcome.name.lower(),
                "contrasts": [
                    {"side": contrast.side.name.lower(), "place": contrast.kvm.place}
                    for contrast in cluster.contrasts
                ],
                "kvm": [finding_document(finding) for finding in cluster.kvm],
                "contract": [finding_document(finding) for finding in cluster.contract],
            }
            for cluster in verdict.clusters
        ],
    }
