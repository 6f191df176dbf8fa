"""A machine that is saved goes on, here or through KVM's device attributes, as the one that saved it did."""

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

pytest.importorskip("unicorn")

from vgic_tools.cli import main
from vgic_tools.guests.programs import NAMES, kept

SPARSE = "0.0.0.0,1.1.2.3,128.0.7.15,255.255.255.15"


def boot(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["boot", *map(str, arguments)])


def events(trace: Path) -> list[str]:
    """The lines of a trace, without the one about it all."""
    return trace.read_text().splitlines()[1:]


def summary(result: Result) -> list[str]:
    """What was counted: all but when it was saved, and the host's time."""
    return [line for line in result.stderr.splitlines()[:-1] if not line.startswith("saved")]


QUICK = ("sgis", "lpis")


@pytest.mark.parametrize(
    ("name", "way"),
    [
        *(pytest.param(name, ["--through-kvm"], marks=[pytest.mark.slow] * (name not in QUICK)) for name in NAMES),
        pytest.param("timers", [], marks=pytest.mark.slow),
    ],
)
def test_a_program_goes_on_as_if_nothing_had_been(name: str, way: list[str], tmp_path: Path) -> None:
    program, saved = tmp_path / "program.elf", tmp_path / "saved.zip"
    whole, rest = tmp_path / "whole.jsonl", tmp_path / "rest.jsonl"
    program.write_bytes(kept(name))
    options = ("--kernel", program, "--affinities", SPARSE, "--its", "--ram", "16M")
    alone = boot(*options, "--json")
    middle = json.loads(alone.stdout)["seconds"] / 2
    once = boot(*options, "--record", whole, "--save-at", middle, saved)
    assert once.exit_code == 0, once.output
    resumed = boot("--resume", saved, "--record", rest, *way)
    assert resumed.exit_code == 0, resumed.output
    assert f"PASS {name}" in resumed.stdout
    assert once.stdout.endswith(resumed.stdout)
    assert summary(resumed) == summary(once)
    left = events(rest)
    assert left
    assert events(whole)[-len(left) :] == left


def test_the_same_state_is_the_same_file(tmp_path: Path) -> None:
    program = tmp_path / "program.elf"
    program.write_bytes(kept("timers"))
    files = [tmp_path / "first.zip", tmp_path / "second.zip"]
    for file in files:
        boot("--kernel", program, "--cpus", 2, "--ram", "16M", "--save-at", 0.01, file)
    with zipfile.ZipFile(files[0]) as first, zipfile.ZipFile(files[1]) as second:
        for name in ("machine.json", "gic.state", "ram"):
            assert first.read(name) == second.read(name)
