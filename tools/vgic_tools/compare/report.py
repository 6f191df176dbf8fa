"""What a comparison came to, for people and for machines."""

from pathlib import Path

from mmio import RegisterLayout
from vgic_tools.compare.describe import describe, outcome_text, register_of, says
from vgic_tools.compare.run import Finding, Result
from vgic_tools.console import Output, styled, table
from vgic_tools.fields import difference_table
from vgic_tools.judges.protocol import Load, Mrs, Msr, Store

__all__ = ["as_json", "print_finding", "print_report"]


def print_report(console: Output, result: Result, written: dict[str, Path]) -> None:
    """The counts, and every kind of divergence with the shortest way to it."""
    for judge in result.judges:
        console.print(f"asked {judge}")
    console.print(
        f"{result.operations:,} operations on {result.machines:,} machines in {result.seconds:.0f} s;"
        f" after {result.changes:,} of them a vCPU was offered or signalled something else"
    )
    for reason in result.again:
        console.print(styled("asked again:", "yellow"), reason)
    if result.excused:
        shown = table("freedom", "differences", right=("differences",))
        for rule, count in sorted(result.excused.items()):
            shown.add_row(rule, f"{count:,}")
        console.print(shown)
    for kind, finding in result.findings.items():
        console.print()
        times = f", {finding.count:,} times" if finding.count > 1 else ""
        console.print(styled(kind, "bold red"), times, sep="")
        print_finding(console, finding)
        if kind in written:
            console.print(f"`vgic compare --case {written[kind]}` repeats it")
    console.print()
    if result.findings:
        kinds = len(result.findings)
        console.print(styled("diverged", "bold red"), f": {kinds} kind{'s' if kinds > 1 else ''}", sep="")
    else:
        console.print(styled("no divergence", "bold green"))


def print_finding(console: Output, finding: Finding) -> None:
    """A divergence: every operation up to it with what it says, and both outcomes."""
    case, (_, operation, told, got), gic = finding.case, finding.divergence, finding.gic
    for number, step in enumerate(case.operations, 1):
        here = number == len(case.operations)
        console.print(f"  {number:>4}  {describe(step, gic)}", styled("<- here", "red") if here else "")
        if isinstance(step, Store | Msr):
            for sentence in says(step, gic, step.value):
                console.print(f"        {sentence}")
    console.print(f"  {case.judge} {case.version}: {outcome_text(told, got)}")
    console.print(f"  the model: {outcome_text(got, told)}")
    found = register_of(operation, gic)
    if isinstance(operation, Load | Mrs) and found is not None and isinstance(found.layout, RegisterLayout):
        kept = (1 << found.layout.width) - 1
        fields = difference_table(found.layout, told.value << found.shift & kept, got.value << found.shift & kept)
        if fields.row_count:
            console.print(fields)
    console.print(f"  rules concerned: {', '.join(case.rules)}")


def as_json(result: Result, written: dict[str, Path]) -> dict[str, object]:
    """The result as plain data."""
    return {
        "judges": result.judges,
        "operations": result.operations,
        "machines": result.machines,
        "changes": result.changes,
        "seconds": round(result.seconds, 1),
        "freedoms": result.excused,
        "asked_again": result.again,
        "divergences": [
            {
                "kind": kind,
                "count": finding.count,
                "operations": len(finding.case.operations),
                "rules": list(finding.case.rules),
                "case": str(written[kind]) if kind in written else None,
            }
            for kind, finding in result.findings.items()
        ],
    }
