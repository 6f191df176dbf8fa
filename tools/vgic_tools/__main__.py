"""Where the `vgic` command begins: `vgic`, `python -m vgic_tools` and `python -m vgic`."""

import gc
import os
import signal
import sys
from io import TextIOWrapper

__all__ = ["run"]

_INTERRUPTED = 130


def run() -> None:
    """Run the command; ends the process."""
    # Until there is something to tidy up, an interrupt ends the process at once: it may come while modules are
    # being loaded, where an exception would surface anywhere. A shell that runs the command in the background has
    # it ignore interrupts, which is to stay so.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    from vgic_tools.cli import main

    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character shows its escape sequence.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        main()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    finally:
        # What still lives ends with the process: to look for garbage in it takes a tenth of a short replay.
        gc.freeze()
        # Nothing is left to interrupt.
        if interruptible:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    run()
