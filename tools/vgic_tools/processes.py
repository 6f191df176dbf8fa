"""Processes that are never left behind by the one that has started them."""

import multiprocessing
import os
from multiprocessing.connection import wait
from threading import Thread

__all__ = ["end_with_the_parent"]


def end_with_the_parent() -> None:
    """In a process of `multiprocessing`: end at once when the parent has ended, however that came."""
    Thread(target=_wait_for_the_parent, daemon=True).start()


def _wait_for_the_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
