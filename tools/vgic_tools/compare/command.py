"""`vgic compare`: ask another GIC the same as the model, at random, and make short what differs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from vgic_tools.compare.areas import AREAS
from vgic_tools.errors import UsageError
from vgic_tools.judges.errors import JudgeError
from vgic_tools.progress import progress
from vgic_tools.terminal import BAD_INPUT, DIFFERENT, complain, fail, print_json

# What compares is loaded when something is to be compared.
if TYPE_CHECKING:
    from vgic_tools.compare.engine import Comparison
    from vgic_tools.compare.run import Result
    from vgic_tools.compare.ways import Way

    Asked = list[tuple[Way, Comparison, frozenset[str]]]

__all__ = ["compare_command"]

DEFAULT_OPERATIONS: Final = 20_000
WITHOUT_END: Final = 1 << 60


@click.command("compare", short_help="Ask QEMU or KVM the same as the model, and make short what differs.")
@click.argument("judge", metavar="[qemu|kvm]", required=False)
@click.option("--case", "case", type=click.Path(path_type=Path), help="Repeat a case file.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Of the random operations.")
@click.option(
    "--operations",
    type=click.IntRange(min=1),
    help=f"How many to perform; {DEFAULT_OPERATIONS:,} unless told, or without end where --seconds is.",
)
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="How long to go on.")
@click.option("--areas", metavar="AREA,...", help=f"What to be about: {', '.join(AREAS)}; all that can be asked.")
@click.option("--cpus", type=click.IntRange(1, 8), help="vCPUs of every machine; else 1 to 4.")
@click.option("--secure", is_flag=True, help="Machines with both Security states, asked at every Exception level.")
@click.option("--virtualization", is_flag=True, help="Machines with EL2: a hypervisor there, and its guest at EL1.")
@click.option("--nmi", is_flag=True, help="Machines with NMIs, which QEMU has since 9.1.")
@click.option("--keep-going", is_flag=True, help="Sort every divergence into kinds.")
@click.option("--cases", type=click.Path(path_type=Path), default=Path(), help="The folder for case files; here.")
@click.option(
    "--qemu",
    metavar="PATH",
    help="The QEMU to ask, unless that on PATH; newer: one of Debian's backports, which is fetched.",
)
@click.option("--kernel", metavar="NAME|PATH", help="The kernel whose KVM to ask: 6.1, 6.12, newest, or a file.")
@click.option("--json", "as_data", is_flag=True, help="Print the result as JSON.")
def compare_command(
    judge: str | None,
    case: Path | None,
    seed: int,
    operations: int | None,
    seconds: float | None,
    areas: str | None,
    cpus: int | None,
    secure: bool,
    virtualization: bool,
    nmi: bool,
    keep_going: bool,
    cases: Path,
    qemu: str | None,
    kernel: str | None,
    as_data: bool,
) -> None:
    """Perform random operations on a JUDGE, another GIC, and on the model at once, and compare what they come to.

    At the first divergence it is made as short as possible, shown with its registers decoded, and written to a case
    file. Exits with 0 where both always agree, 1 where they do not, 2 where the judge cannot be asked.

    \b
    vgic compare qemu --seed 7 --operations 100000
    vgic compare qemu --areas mmio,lines --seconds 60 --keep-going
    vgic compare qemu --secure
    vgic compare qemu --virtualization
    vgic compare qemu --nmi
    vgic compare qemu --virtualization --nmi
    vgic compare kvm --kernel 6.1
    vgic compare --case vgic-case-7.jsonl
    """
    try:
        if (judge is None) == (case is None):
            raise UsageError("name either a judge or --case FILE")
        if (qemu and judge == "kvm") or (kernel and judge == "qemu"):
            raise UsageError("--qemu is for the judge qemu, and --kernel for kvm")
        named = {"secure": secure, "virtualization": virtualization, "nmi": nmi}
        extras = [name for name, wanted in named.items() if wanted]
        has, options = " and ".join(extras), " and ".join(f"--{name}" for name in extras)
        if has and judge != "qemu":
            raise UsageError(f"{options} {'are' if len(extras) > 1 else 'is'} for the judge qemu")
        if len(extras) > 1 and not _is_asked(has):
            raise UsageError(f"{options} are asked about one after the other")
        if case is not None:
            _repeat(case, qemu or kernel, as_data)
        assert judge is not None
        from vgic_tools.compare.run import compare

        most = operations or (DEFAULT_OPERATIONS if seconds is None else WITHOUT_END)
        with _asked(judge, _areas(judge, areas, has), has, qemu or kernel) as asked, _bar(most, seconds) as tick:
            result = compare(
                asked, seed=seed, most=most, seconds=seconds, cpus=cpus, keep_going=keep_going, tick=tick
            )
        written = _write(result, cases, seed)
    except UsageError as error:
        fail(error)
    except JudgeError as error:
        complain(f"no verdict: {error}")
        sys.exit(BAD_INPUT)
    _show(result, written, as_data)


def _is_asked(has: str) -> bool:
    """True where there are machines that have this all at once."""
    from vgic_tools.compare.ways import WAYS

    return any(way.has == has for way in WAYS.values())


def _areas(judge: str, text: str | None, has: str) -> frozenset[str]:
    from vgic_tools.compare.ways import areas_of

    known = areas_of(judge, has)
    if text is None:
        return known
    named = frozenset(part.strip() for part in text.split(","))
    for name in sorted(named):
        if name not in AREAS:
            raise UsageError(f"there is no area {name!r}; there are {', '.join(AREAS)}")
    return named


@contextmanager
def _asked(judge: str, areas: frozenset[str], has: str, which: str | None) -> "Iterator[Asked]":
    """The comparisons with a judge, one for each way to ask it."""
    from vgic_tools.compare.ways import ways_for

    with ExitStack() as stack:
        asked = []
        for way, mine in ways_for(judge, areas, has):
            comparison = way.open(which)
            stack.enter_context(comparison.judge)
            asked.append((way, comparison, mine))
        yield asked


@contextmanager
def _bar(most: int, seconds: float | None) -> "Iterator[Callable[[Result], None]]":
    """What shows how far a comparison is."""
    done = 0
    total = most if most < WITHOUT_END else round((seconds or 0) * 1000)
    with progress("operations", total, lambda: done) as advance:

        def tick(result: "Result") -> None:
            nonlocal done
            done = result.operations if most < WITHOUT_END else round(result.seconds * 1000)
            advance()

        yield tick


def _write(result: "Result", folder: Path, seed: int) -> dict[str, Path]:
    """Write a case file for each kind."""
    from vgic_tools.compare.cases import write_case

    written = {}
    for number, (kind, finding) in enumerate(result.findings.items()):
        path = folder / f"vgic-case-{seed}{f'-{number}' if number else ''}.jsonl"
        write_case(finding.case, path)
        written[kind] = path
    return written


def _repeat(path: Path, which: str | None, as_data: bool) -> None:
    """Repeat a case and end."""
    from vgic import VgicError
    from vgic_tools.compare.cases import read_case
    from vgic_tools.compare.run import Result, finding_of
    from vgic_tools.compare.ways import WAYS

    case = read_case(path, tuple(WAYS))
    way = WAYS[case.way]
    for number, operation in enumerate(case.operations, 2):
        if not isinstance(operation, way.performs):
            raise UsageError(f"{path}:{number}: {way.judge}, {way.name}, cannot perform {operation}")
    comparison = way.open(which)
    with comparison.judge as judge:
        try:
            divergence = comparison.repeat(case.machine, case.operations)
        except (VgicError, ValueError, IndexError) as error:
            raise UsageError(f"{path} is no case that can be performed: {error}") from error
        result = Result([f"{judge.name} {judge.version}, {way.name}"], len(case.operations), 1)
        if divergence is not None:
            operations = case.operations[: divergence.at + 1]
            result.findings[str(path)] = finding_of(way, comparison, case.machine, operations, divergence)
        _show(result, {}, as_data)


def _show(result: "Result", written: dict[str, Path], as_data: bool) -> None:
    if as_data:
        from vgic_tools.compare.report import as_json

        print_json(as_json(result, written))
    else:
        from vgic_tools.compare.report import print_report
        from vgic_tools.console import stdout

        print_report(stdout(), result, written)
    sys.exit(DIFFERENT if result.findings else 0)
