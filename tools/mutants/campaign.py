"""A whole run: the copies, the workers, and what they find, in the order of the sample."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mutants.copies import copy_tree, digest
from mutants.equivalents import Change, change_of
from mutants.mentions import Mentions
from mutants.mutations import Mutation, Source
from mutants.reach import Reach
from mutants.report import Judged
from mutants.results import Kept, Results
from mutants.sample import MODULES, modules_below
from mutants.trial import runner, tried

__all__ = ["copies_of", "judged"]

_EVERYTHING = ("mmio", "vgic", "tests", "pyproject.toml")


@contextmanager
def copies_of(root: Path, number: int) -> Iterator[list[Path]]:
    """Copies of the tree, gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="vgic-mutants-"))
    try:
        copies = [folder.resolve() / str(index) for index in range(number)]
        for copy in copies:
            copy_tree(root, copy)
        yield copies
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def judged(
    copies: Sequence[Path],
    mutations: Sequence[Mutation],
    reach: Reach,
    results: Results,
    listed: dict[Change, str],
    found: Callable[[Judged], None],
) -> list[Judged]:
    """What becomes of each mutation; `found` hears of each as soon as it is known.

    What ends it, Ctrl-C for instance, ends what it has started.
    """
    originals = {file: Source(file, (copies[0] / file).read_bytes()) for file in {one.file for one in mutations}}
    files = {file: digest(copies[0], [file]) for file in originals}
    everything = digest(copies[0], _EVERYTHING)
    mentions = Mentions(copies[0], modules_below(copies[0], MODULES))
    outcomes: dict[Mutation, Judged] = {}

    def tell(mutation: Mutation, one: Judged) -> None:
        outcomes[mutation] = one
        found(one)

    waiting: list[tuple[Mutation, Change]] = []
    for mutation in mutations:
        change = change_of(originals[mutation.file], mutation)
        if why := listed.get(change):
            tell(mutation, Judged(mutation, change, None, why))
        elif verdict := results.known(mutation.name, files[mutation.file], everything):
            tell(mutation, Judged(mutation, change, verdict))
        else:
            waiting.append((mutation, change))
    waiting.reverse()

    async def work(copy: Path) -> None:
        async with runner(copy) as run:
            while waiting:
                mutation, change = waiting.pop()
                verdict = await tried(run, mutation, reach, mentions)
                results.add(mutation.name, Kept(verdict, files[mutation.file], everything))
                tell(mutation, Judged(mutation, change, verdict))

    async def work_all() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for copy in copies:
                    group.create_task(work(copy))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    if waiting:
        asyncio.run(work_all())
    return [outcomes[mutation] for mutation in mutations]
