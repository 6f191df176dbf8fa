"""How every command talks to its user: what may reach a terminal, errors, and what the shell is told.

Texts come from anywhere: files and their names, command lines, device trees, the messages of errors. So no text is
written as it is: `visible` is the only way out. Tables and colours are in `vgic_tools.console`, which commands
load when they have something to show.
"""

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOBase
from typing import Final, NoReturn, TextIO

import click

__all__ = [
    "BAD_INPUT",
    "DIFFERENT",
    "INTERRUPTED",
    "UNREAD",
    "ClosedOutput",
    "OutputError",
    "abandon",
    "complain",
    "fail",
    "note",
    "pass_on",
    "print_json",
    "print_line",
    "visible",
    "written",
]

DIFFERENT: Final = 1
"""Exit status: the input is fine, and the answer is no."""

BAD_INPUT: Final = 2
"""Exit status: the input cannot be used, or the output cannot be written."""

INTERRUPTED: Final = 130
"""Exit status: the user stopped the command."""

UNREAD: Final = 141
"""Exit status: whoever read the output wants no more of it. A shell shows the same of other commands (SIGPIPE)."""

_LONGEST: Final = 2000
"""Characters of a text that are shown; more are nothing to read on a terminal."""


def visible(text: str) -> str:
    r"""The text with everything that is no printable character written as its escape sequence, and not too long.

    These are control characters, C1 ones too, line ends and tabs among them; characters that turn the direction of
    writing or have no width; and bytes of a file name that are no text.

    >>> visible("\x1b[31mred\x1b[0m \u202eover\x9b")
    '\\x1b[31mred\\x1b[0m \\u202eover\\x9b'
    """
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}... ({len(text):,} characters)"
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    # How Python keeps a byte of a file name that is no text.
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


class OutputError(OSError):
    """Standard output cannot be written: nothing that a command does helps."""


@contextmanager
def written() -> Iterator[None]:
    """What goes wrong within is the output's fault, and nobody takes it for that of a file. Raises OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(error.errno, error.strerror) from error


def print_line(text: str) -> None:
    """A line on standard output."""
    with written():
        click.echo(visible(text))


def print_json(document: object) -> None:
    """The document on standard output, as JSON of ASCII characters."""
    # The one control character that `json` lets through.
    text = json.dumps(document, indent=2).replace("\x7f", "\\u007f")
    with written():
        click.echo(text)


def pass_on(data: bytes, raw: bool = False) -> None:
    """Bytes that a guest sends to its console, on standard output.

    `raw` is for a user who works on that console, as on a serial line: the terminal gets all of it. Otherwise a
    terminal gets no control characters but line ends and tabs; a file or a pipe gets the bytes as they are.
    """
    if not raw and sys.stdout.isatty():
        text = data.decode("utf-8", "replace")
        data = "".join(each if each in "\n\t" or each.isprintable() else "" for each in text).encode()
    with written():
        sys.stdout.buffer.write(data)
        sys.stdout.flush()


def note(text: str) -> None:
    """A line on standard error, where there is one that takes it."""
    try:
        click.echo(visible(text), err=True)
    except OSError:
        abandon(sys.stderr)


def complain(text: str) -> None:
    """A line on standard error that names the command: what is wrong, or missing."""
    note(f"vgic: {text}")


def fail(error: Exception) -> NoReturn:
    """End the command with one line on standard error and `BAD_INPUT`."""
    complain(str(error))
    sys.exit(BAD_INPUT)


def abandon(stream: TextIO) -> None:
    """Have what is still to be written to a stream go nowhere: the interpreter would try again at its end."""
    # A stream of a test or of an embedder may have no file.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class ClosedOutput(TextIOBase):
    """Stands for a standard output that was closed before the command began; Python would drop what goes there."""

    def write(self, text: str) -> int:
        """Refuse."""
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def writable(self) -> bool:
        """True, as far as anybody may try."""
        return True
