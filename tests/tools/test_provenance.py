"""Where results come from, as pages say it."""

import click
from click.testing import CliRunner

from vgic_tools.provenance import command_line


def test_a_command_is_written_so_that_a_shell_takes_it_again():
    said = []

    @click.command("some")
    @click.argument("files", nargs=-1)
    @click.option("--each", multiple=True)
    @click.option("--quick", is_flag=True)
    @click.option("--slow", is_flag=True)
    @click.option("--numbers", callback=lambda _, __, text: text.split(","), default="1,2")
    @click.option("--unset")
    @click.pass_context
    def some(context: click.Context, **_: object) -> None:
        said.append(command_line(context))

    @click.group()
    def program() -> None: ...

    program.add_command(some)
    CliRunner().invoke(
        program, ["some", "a b", "c", "--each", "x", "--each", "y", "--quick"], catch_exceptions=False
    )
    assert said == ["vgic some 'a b' c --each x --each y --quick --numbers 1,2"]
