"""What `vgic host check` shows: verdicts by host, and by field what each engine says."""

from collections.abc import Mapping
from typing import Any, Final

from vgic.identity import ClusterVerdict, Finding, HostVerdict, Outcome
from vgic.identity.finding import worst
from vgic_tools.console import Output, Styled, Table, styled, table
from vgic_tools.hosts.verdict_words import (
    CAN_RUN,
    OUTCOMES,
    STYLES,
    answer_words,
    by_place,
    finding_document,
    kernel_words,
    listed,
    number,
    sentence,
    unknown,
)

__all__ = ["print_verdicts", "verdict_document"]


_LEAST_VALUE: Final = 9
_ANSWERS: Final = 36
"""Characters of the columns that say what the two engines answer, and of the spaces between columns."""


def print_verdicts(console: Output, verdicts: Mapping[str, HostVerdict]) -> None:
    """Verdicts of one VM by what hosts are called: all in a table, then each host with what stands in the way."""
    console.print(_summary(verdicts))
    for label, verdict in verdicts.items():
        if verdict.depends:
            console.print()
            words = ", ".join(f"{cluster.cluster} {CAN_RUN[cluster.outcome]}" for cluster in verdict.clusters)
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
                styled(CAN_RUN[cluster.outcome], f"bold {STYLES[cluster.outcome]}"),
                _word(worst(cluster.kvm)),
                _word(worst(cluster.contract)),
            )
    return shown


def _word(outcome: Outcome) -> Styled:
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
    rows = by_place(cluster)
    # Names of fields are never cut: what is left of the width is for the values, which may be wrapped.
    names = max((len(row.place) for row in rows), default=0)
    shown.least["field"] = names
    for side in ("VM", "host"):
        shown.most[side] = max(_LEAST_VALUE, (console.width - names - _ANSWERS) // 2)
    for row in rows:
        shown.add_row(
            row.place,
            number(row.either, row.either.guest),
            number(row.either, row.either.host),
            _answer(row.kvm, notes),
            _answer(row.contract, notes),
        )
    if shown.row_count:
        console.print(shown)
        console.print(_footnotes(notes))
    _print_unknown(console, cluster)


def _footnotes(notes: Mapping[str, int]) -> Table:
    shown = table("mark", "why", right=("mark",))
    shown.headed = False
    for why, mark in notes.items():
        shown.add_row(f"{mark}", why)
    return shown


def _print_contrasts(console: Output, cluster: ClusterVerdict) -> None:
    """The most useful line: what KVM alone is in the way of, and what it takes though nothing keeps it."""
    for side, places in cluster.sides.items():
        console.print(styled(f"{side.value}: {listed(places)}", "bold"))


def _answer(finding: Finding | None, notes: dict[str, int]) -> Styled:
    """A word, and the number of the sentence that says why."""
    if finding is None:
        return styled("", "")
    mark = notes.setdefault(sentence(finding), len(notes) + 1)
    return styled(f"{answer_words(finding)} ({mark})", STYLES[finding.outcome])


def _print_unknown(console: Output, cluster: ClusterVerdict) -> None:
    for why, places in unknown(cluster).items():
        console.print(f"unknown: {listed(places)}: {why}")


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
