"""What holds for every test, however the tests are started."""

import signal

# A shell has what it starts in the background ignore SIGINT, and nohup SIGHUP; commands that tests start would too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
