"""How every command talks to its user: output, errors, and what the shell is told."""

import sys
from typing import Final, NoReturn

import click
from rich.console import Console

__all__ = ["BAD_INPUT", "DIFFERENT", "INTERRUPTED", "fail", "stdout"]

DIFFERENT: Final = 1
"""Exit status: the input is fine, and the answer is no."""

BAD_INPUT: Final = 2
"""Exit status: the input cannot be used."""

INTERRUPTED: Final = 130
"""Exit status: the user stopped the command."""

_WIDE: Final = 100_000


def stdout() -> Console:
    """Standard output. Elsewhere than on a terminal, nobody wants lines broken."""
    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=_WIDE)


def fail(error: Exception) -> NoReturn:
    """End the command with one line on standard error and `BAD_INPUT`."""
    click.echo(f"vgic: {error}", err=True)
    sys.exit(BAD_INPUT)
