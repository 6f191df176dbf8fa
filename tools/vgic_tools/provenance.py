"""Where results come from: what someone needs to know who finds them a year later."""

import os
import platform
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

import vgic

__all__ = ["command_line", "provenance"]


def provenance(context: click.Context) -> dict[str, str]:
    """The command, the version, the date and the machine, by name."""
    core = "compiled" if vgic.COMPILED else "interpreted"
    return {
        "command": command_line(context),
        "version": f"vgic {vgic.__version__}, {core} core; Python {platform.python_version()}",
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{_processor()}; {platform.system()} {platform.release()}",
    }


def command_line(context: click.Context) -> str:
    """The command with every option that it had, defaults too: they may be others in another version."""
    return shlex.join(["vgic", *context.command_path.split()[1:], *_words(context)])


def _words(context: click.Context) -> Iterator[str]:
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if value is None:
            continue
        if not isinstance(parameter, click.Option):
            yield from map(str, value if parameter.nargs != 1 else [value])
        elif parameter.is_flag:
            yield from [parameter.opts[0]] if value else []
        elif parameter.multiple:
            for word in value:
                yield from (parameter.opts[0], str(word))
        else:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            yield from (parameter.opts[0], text)


def _processor() -> str:
    """The name of the processor, as far as it is known, and how many there are."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                name = f"{line.partition(':')[2].strip()} ({platform.machine()})"
                break
    return f"{name}, {os.cpu_count()} CPUs"
