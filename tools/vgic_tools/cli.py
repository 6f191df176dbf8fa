"""The `vgic` command: which commands there are, and how each of them ends.

A command is imported when it is asked for: `vgic --version` loads no model, and a replay no benchmark.
"""

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from typing import Final

import click

from vgic_tools import __version__
from vgic_tools.terminal import BAD_INPUT, INTERRUPTED, UNREAD, ClosedOutput, abandon, complain, note

__all__ = ["Commands", "main"]

COMMANDS: Final = {
    "affinity": "vgic_tools.affinity.command:affinity_group",
    "bench": "vgic_tools.bench.command:bench_command",
    "boot": "vgic_tools.guests.command:boot_command",
    "compare": "vgic_tools.compare.command:compare_command",
    "convert": "vgic_tools.convert:convert_command",
    "decode": "vgic_tools.decode.command:decode_command",
    "exits": "vgic_tools.exits.command:exits_command",
    "host": "vgic_tools.hosts.command:host_group",
    "its": "vgic_tools.its:its_command",
    "map": "vgic_tools.machines.map:map_command",
    "replay": "vgic_tools.replay.command:replay_command",
    "rules": "vgic_tools.rules.command:rules_command",
    "state": "vgic_tools.state:state_group",
}
"""Where each command is: module and name."""

_COMPLETION: Final = "_VGIC_COMPLETE"
"""What click's shell completion puts into the environment."""

_ONE_COMPILED: Final = "vgic_tools.bench.core_loop"
"""A module of the compiled core that is found without loading any other: all are compiled, or none."""


# What a group raises that is given no command: its help. Releases before 8.2 print that themselves.
_NO_ARGUMENTS: Final = getattr(click.exceptions, "NoArgsIsHelpError", ())


class Commands(click.Group):
    """A group whose commands are imported when they are asked for, and whose end is told by one exit status."""

    def __init__(self, places: Mapping[str, str], **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]  # click's own options
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        return sorted(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, None where there is none."""
        if cmd_name not in self._places:
            return None
        module, _, name = self._places[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    # click's own would end with 1 where it is interrupted, and 1 is a verdict here.
    def main(self, args: Sequence[str] | None = None, *_: object, **extra: object) -> None:  # type: ignore[override]
        """Run the command that the arguments name, and end the process with a status of `vgic_tools.terminal`."""
        if _COMPLETION in os.environ:
            super().main(args, "vgic")
        if sys.stdout is None:
            sys.stdout = ClosedOutput()
        sys.exit(self._status(list(sys.argv[1:] if args is None else args)))

    def _status(self, args: list[str]) -> int:
        try:
            try:
                status = self._run(args)
            finally:
                sys.stdout.flush()
        except KeyboardInterrupt:
            return INTERRUPTED
        except OSError as error:
            # What goes wrong with an input has a message of its own where it is read: this is the output.
            abandon(sys.stdout)
            if error.errno == errno.EPIPE:
                return UNREAD
            complain(f"standard output cannot be written: {error.strerror}")
            return BAD_INPUT
        return status

    def _run(self, args: list[str]) -> int:
        try:
            with self.make_context("vgic", args) as context:
                self.invoke(context)
        except click.exceptions.Exit as end:
            return end.exit_code
        except click.UsageError as error:
            if isinstance(error, _NO_ARGUMENTS):
                click.echo(error.format_message(), err=True)
                return BAD_INPUT
            if error.ctx is not None:
                for line in error.ctx.get_usage().splitlines():
                    note(line)
                note(f"Try '{error.ctx.command_path} --help' for help.")
                note("")
            note(f"Error: {error.format_message()}")
            return BAD_INPUT
        except click.ClickException as error:
            complain(error.format_message())
            return BAD_INPUT
        except SystemExit as end:
            return int(end.code or 0)
        return 0


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        spec = find_spec(_ONE_COMPILED)
        compiled = spec is not None and str(spec.origin).endswith(tuple(EXTENSION_SUFFIXES))
        click.echo(f"vgic {__version__}, {'compiled' if compiled else 'interpreted'}")
        context.exit()


main = Commands(
    COMMANDS,
    name="vgic",
    help="""A virtual Arm GICv3: replay the traces of real guests, decode registers, look at a machine.

    \b
    vgic replay trace.log.gz --qemu-cmdline cmd.txt
    vgic decode GICD_ISENABLER1 0x400
    vgic map --dtb board.dtb
    """,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help="Show the version, and whether the core is compiled.",
        )
    ],
)
"""The `vgic` command."""

if __name__ == "__main__":
    main()
