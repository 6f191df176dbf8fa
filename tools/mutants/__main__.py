"""The command behind `make mutants`."""

import shutil
import signal
import sys
from pathlib import Path
from typing import Final

import click

from mutants.campaign import copies_of, judged
from mutants.equivalents import equivalents
from mutants.errors import MutantsError
from mutants.mutations import Source
from mutants.reach import measured
from mutants.report import Judged, described, rate, summary, write
from mutants.results import Results
from mutants.sample import MODULES, modules_below, sample
from mutants.trial import Outcome
from vgic_tools.progress import progress
from vgic_tools.signals import SIGNALLED, ended_by_signals

ROOT: Final = Path(__file__).parents[2]

AIM: Final = 0.98
"""The share of mutants with an effect that the tests have to notice."""


def _size(context: click.Context, parameter: click.Parameter, text: str) -> int | None:
    """How many mutants; None is all."""
    if text == "all":
        return None
    if not (text.isascii() and text.isdecimal() and 0 < len(text) < 10 and int(text)):
        raise click.BadParameter(f"{text!r} is neither a number from 1 nor 'all'")
    return int(text)


@click.command()
@click.argument("modules", nargs=-1)
@click.option(
    "--sample", "size", default="300", callback=_size, show_default=True, metavar="N|all", help="How many."
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Which sample.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes beside each other."
)
@click.option("--results", type=click.Path(file_okay=False, path_type=Path), default=ROOT / "mutants-results")
@click.option(
    "--longest", type=click.FloatRange(min=0), metavar="SECONDS", help="Leave out tests that take longer."
)
@click.option("--fresh", is_flag=True, help="Forget what earlier runs found.")
def main(
    modules: tuple[str, ...],
    size: int | None,
    seed: int,
    jobs: int,
    results: Path,
    longest: float | None,
    fresh: bool,
) -> None:
    """Put small faults into copies of the code and see whether the tests notice.

    MODULES are files and folders of vgic and mmio; all of both if none is named.
    """
    files = modules_below(ROOT, modules or MODULES)
    if fresh:
        shutil.rmtree(results, ignore_errors=True)
    listed = equivalents()
    found: list[Judged] = []
    with copies_of(ROOT, jobs) as copies:
        sources = [Source(file, (copies[0] / file).read_bytes()) for file in files]
        drawn = sample(sources, size, seed)
        click.echo(f"{len(drawn)} mutants; measuring which tests execute which lines, where that is not known yet")
        reach = measured(copies[0], results / "reach.json.gz", jobs).up_to(longest)
        with progress("Mutants", len(drawn), lambda: len(found)) as shown:

            def tell(one: Judged) -> None:
                found.append(one)
                shown()
                if one.outcome == Outcome.SURVIVED:
                    click.echo("\n".join(described(one)))

            verdicts = judged(copies, drawn, reach, Results(results / "results.jsonl"), listed, tell)
    settings: dict[str, object] = {
        "modules": list(modules or MODULES),
        "sample": size or "all",
        "seed": seed,
        "longest": longest,
    }
    write(results, verdicts, settings)
    click.echo(f"{summary(verdicts)}\nIn {results / 'report.txt'}, and report.json beside it")
    if rate(verdicts) < AIM:
        click.echo(f"The aim is {100 * AIM:.0f} %", err=True)
        sys.exit(1)


def run() -> None:
    """Run the command; what the caller can mend is one line and exit status 2, Ctrl-C is 130."""
    try:
        with ended_by_signals():
            main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(SIGNALLED + signal.SIGINT)
    except MutantsError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    run()
