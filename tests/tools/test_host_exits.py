"""`vgic replay --host-a3v`: what a host whose A3V bit differs costs on a real trace."""

import json

import pytest
from click.testing import CliRunner, Result

from recorded_guests import TRACES
from vgic_tools.cli import main


def replay(*arguments: str) -> Result:
    recording = TRACES / "linux_smp4_noits"
    fixed = [str(recording / "trace.core.log.gz"), "--qemu-cmdline", str(recording / "cmd.txt")]
    return CliRunner().invoke(main, ["replay", *fixed, *arguments])


@pytest.mark.parametrize(
    ("host", "guest", "exits"),
    [
        ("1", (), {}),
        (
            "0",
            (),
            {"read of ICC_CTLR": 21, "write of ICC_PMR": 21, "read of ICC_PMR": 14, "write of ICC_CTLR": 7},
        ),
    ],
    ids=["the guest's", "another"],
)
def test_exits_are_counted_by_access(host: str, guest: tuple[str, ...], exits: dict[str, int]) -> None:
    result = replay("--host-a3v", host, "--json", *guest)
    assert result.exit_code == 0
    assert json.loads(result.output)["exits"] == exits


def test_the_summary_says_what_they_cost() -> None:
    assert "the host traps 63 of 8,772 ICC accesses (0.72%)" in replay("--host-a3v", "0").output
    assert "the host traps none of the 8,772 ICC accesses" in replay("--host-a3v", "1").output
    assert "host" not in replay().output.replace("ghost", "")


def test_without_the_option_nothing_is_counted() -> None:
    assert json.loads(replay("--json").output)["exits"] is None
