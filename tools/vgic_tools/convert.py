"""`vgic convert`: a trace in another format."""

from pathlib import Path
from typing import Final

import click

from mmio.trace import NativeWriter, PackedWriter, TraceError
from vgic_tools.errors import UsageError
from vgic_tools.inputs import is_given_once, opened_trace
from vgic_tools.machines.machine import machine_document
from vgic_tools.machines.options import machine_files, machine_options
from vgic_tools.progress import progress
from vgic_tools.replay.versions import recorded_machine
from vgic_tools.terminal import complain, fail, note

__all__ = ["convert_command"]

PACKED_SUFFIX: Final = ".vgpk"


@click.command("convert", short_help="Write a trace in another format: packed, or JSON lines.")
@click.argument("trace", metavar="TRACE")
@click.argument("output", metavar="OUTPUT")
@machine_options
def convert_command(trace: str, output: str, **options: object) -> None:
    """Convert a trace to the packed format where OUTPUT ends in .vgpk, and to the native format elsewhere.

    The packed format is for fast replays: it keeps neither times nor the texts that a replay does not look at, and
    says how many it left out. The native format is JSON lines that lose nothing, compressed where OUTPUT ends in
    .gz. The options describe the machine that the trace was recorded on; a replay of OUTPUT then needs none.
    TRACE may be compressed; - is standard input.
    """
    try:
        is_given_once(trace, *machine_files(options))
        with opened_trace(trace) as reader:
            metadata: dict[str, object] = {"source": Path(reader.path).name}
            if any(options.values()) or "machine" in reader.metadata:
                metadata["machine"] = machine_document(recorded_machine(reader, options))
            packed = output.endswith(PACKED_SUFFIX)
            writer = PackedWriter(output, metadata) if packed else NativeWriter(output, metadata)
            with progress(Path(reader.path).name, reader.total_bytes, lambda: reader.bytes_read) as advance, writer:
                for count, event in enumerate(reader):
                    writer.write(event)
                    if not count & 0xFFF:
                        advance()
    except (TraceError, UsageError) as error:
        fail(error)
    except OSError as error:
        fail(UsageError(f"{output}: cannot be written: {error.strerror}"))
    for warning in reader.warnings:
        complain(warning)
    if isinstance(writer, PackedWriter):
        note(f"left out: {writer.times:,} times, {writer.texts:,} texts")
