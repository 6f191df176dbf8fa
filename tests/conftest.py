"""What holds for every test, however the tests are started."""

import signal

from hypothesis import settings

# A shell has what it starts in the background ignore SIGINT, and nohup SIGHUP; commands that tests start would too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes says how busy the machine is, and a run that fails is to fail again.
settings.register_profile("reproducible", deadline=None, derandomize=True)
settings.load_profile("reproducible")


def pytest_runtest_setup() -> None:
    # Some libraries change this when they are loaded: then a write to a process that has ended would end ours, too.
    assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
