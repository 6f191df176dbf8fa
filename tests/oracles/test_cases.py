"""What `vgic compare` once found: the model does now what the judge did then. No judge is asked."""

from pathlib import Path

import pytest

from vgic_tools.compare.cases import read_case
from vgic_tools.compare.ways import WAYS

CASES = sorted((Path(__file__).parent / "cases").glob("*.jsonl"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_model_does_as_the_judge_did(path: Path) -> None:
    case = read_case(path, tuple(WAYS))
    model = WAYS[case.way].model(case.version)
    model.start(case.machine)
    for number, (operation, told) in enumerate(zip(case.operations, case.told, strict=True), 2):
        got = model.perform_one(operation)
        assert told.agrees(got), f"{path.name}:{number}: {operation}: {got}, {case.judge} {told}"


def test_there_are_cases() -> None:
    assert CASES
