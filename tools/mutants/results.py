"""What is known of each mutant, written as it becomes known, so that a run that was stopped goes on."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mutants.trial import Outcome, Verdict

__all__ = ["Kept", "Results"]


@dataclass(frozen=True)
class Kept:
    """A verdict, with digests of the mutated file and of everything that was run."""

    verdict: Verdict
    file: str
    everything: str


class Results:
    """The verdicts in one file, a line each; the last one of a mutant counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, Kept] = dict(_read(path)) if path.exists() else {}

    def known(self, name: str, file: str, everything: str) -> Verdict | None:
        """A verdict that still holds.

        What was noticed is noticed as long as the mutated file is the same; what survived is tried again after any
        change, for instance of the tests.
        """
        kept = self._kept.get(name)
        if kept is None or kept.file != file:
            return None
        if kept.verdict.outcome == Outcome.SURVIVED and kept.everything != everything:
            return None
        return kept.verdict

    def add(self, name: str, kept: Kept) -> None:
        """Write a verdict."""
        self._kept[name] = kept
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps({"mutant": name} | asdict(kept)) + "\n")


def _read(path: Path) -> Iterable[tuple[str, Kept]]:
    for line in path.read_text().splitlines():
        # The last line may be cut where the run was stopped.
        try:
            entry: Mapping[str, object] = json.loads(line)
            verdict = entry["verdict"]
            assert isinstance(verdict, dict)
            known = Verdict(**(verdict | {"outcome": Outcome(verdict["outcome"])}))
            yield str(entry["mutant"]), Kept(known, str(entry["file"]), str(entry["everything"]))
        except (ValueError, KeyError, TypeError):
            continue
