"""Which mutants there are, and a random sample of them that a seed determines."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mutants.errors import MutantsError
from mutants.mutations import Mutation, Source
from mutants.operators import mutations

__all__ = ["MODULES", "modules_below", "sample"]

MODULES: Final = ("vgic", "mmio")
"""What is mutated if nothing else is said."""


def modules_below(root: Path, names: Sequence[str]) -> list[str]:
    """The Python files that are named, or are below a folder that is."""
    found: dict[str, None] = {}
    for name in names:
        path = (root / name).resolve()
        if not any(path.is_relative_to(root.resolve() / module) for module in MODULES):
            raise MutantsError(f"{name}: not in {' or '.join(MODULES)}")
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        if not files or not all(file.is_file() and file.suffix == ".py" for file in files):
            raise MutantsError(f"{name}: no Python file, and no folder with any")
        found |= dict.fromkeys(str(file.relative_to(root.resolve())) for file in files)
    return list(found)


def sample(sources: Sequence[Source], size: int | None, seed: int) -> list[Mutation]:
    """Up to `size` mutations, at most one of each operator at each place; all of them without a size.

    The places are drawn with equal chances, so that a number, which can become one more or one less, counts once. A
    larger sample contains the smaller one of the same seed.
    """
    if size is None:
        return [mutation for source in sources for mutation in mutations(source)]
    places: dict[tuple[str, int, int, str], list[Mutation]] = {}
    for source in sources:
        for mutation in mutations(source):
            place = mutation.file, mutation.start, mutation.end, mutation.operator
            places.setdefault(place, []).append(mutation)
    draw = random.Random(seed)
    drawn = list(places.values())
    draw.shuffle(drawn)
    return [draw.choice(choices) for choices in drawn[:size]]
