"""Replays many traces on a Dask cluster that there is: its scheduler has the queue, its workers replay.

The workers must see the files under the names that they have here, and have this version of vgic.
"""

import asyncio
import json
import logging
import os
import warnings
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vgic import __version__
from vgic_tools.errors import UsageError
from vgic_tools.replay.batch import FILES, Row, Task, replay_one
from vgic_tools.terminal import complain

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["replay_on"]

_PATIENCE: Final = 10
"""Seconds for the scheduler to answer."""

_LOOK: Final = 5
"""Seconds between two looks for workers."""


def replay_on(address: str, tasks: Sequence[Task]) -> Generator[Row]:
    """The row of each task as it comes from the cluster whose scheduler has this address. Close it: that lets go.

    A task whose workers die, one after the other, costs its own row alone: Dask gives up on it after some. Raises
    UsageError where distributed is not installed, the scheduler cannot be reached or goes away, or has another
    version of vgic, as its workers may.
    """
    if not tasks:
        return
    with _silence():
        try:
            import distributed
        except ImportError as error:
            raise UsageError("--dask needs Dask's scheduler: pip install 'vgic[dask]'") from error
        del distributed
        with asyncio.Runner() as runner:
            coming = _rows(address, tasks)

            async def following() -> Row | None:
                return await anext(coming, None)

            # However this ends, the runner ends what still runs in it, and closes what is open.
            while (row := runner.run(following())) is not None:
                yield row


@contextmanager
def _silence() -> Iterator[None]:
    """Dask tells of lost connections and other versions in logs and warnings of its own; we say what matters."""
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


async def _rows(address: str, tasks: Sequence[Task]) -> AsyncGenerator[Row]:
    from distributed import as_completed

    async with _connected(address) as client:
        await _require_this_version(client, address)
        folder = Path.cwd()
        sent = [_anywhere(task, folder) for task in tasks]
        futures = client.map(_replayed_there, sent, version=__version__, pure=False, retries=0)
        asked = {future.key: task for future, task in zip(futures, tasks, strict=True)}
        watch = asyncio.create_task(_tell_of_no_workers(client, address))
        try:
            async for future in as_completed(futures, loop=client.loop):
                task = asked.pop(future.key)
                if future.status == "finished":
                    row = await future
                elif future.status == "error":
                    row = _lost(task, await future.exception())
                else:
                    raise UsageError(f"the Dask scheduler at {address} has gone away; --results keeps what is done")
                # The cluster need not keep it until the last one is done.
                futures.remove(future)
                yield _as_named_here(row, task, folder)
        finally:
            watch.cancel()


@asynccontextmanager
async def _connected(address: str) -> AsyncGenerator["Client"]:
    from distributed import Client

    client = None
    try:
        try:
            client = Client(address, asynchronous=True, set_as_default=False, timeout=_PATIENCE)
            await client
        except (OSError, ValueError, TypeError) as error:
            raise UsageError(f"--dask {address}: {error}") from error
        yield client
    finally:
        if client is not None:
            await client.close()


async def _require_this_version(client: "Client", address: str) -> None:
    """Raise UsageError where the scheduler or one of its workers has another version of vgic."""
    found = await client.get_versions(packages=["vgic"])
    others = {f"the scheduler at {address}": found["scheduler"]}
    others |= {f"the worker at {place}": about for place, about in found["workers"].items()}
    for who, about in others.items():
        version = about["packages"]["vgic"]
        if version != __version__:
            has = "has no vgic" if version is None else f"has vgic {version}"
            raise UsageError(f"--dask: {who} {has}, and this is {__version__}")


async def _tell_of_no_workers(client: "Client", address: str) -> None:
    told = False
    while True:
        none = not await client.nthreads()
        if none and not told:
            complain(f"the Dask scheduler at {address} has no worker: waiting for one")
        told = none
        await asyncio.sleep(_LOOK)


def _lost(task: Task, error: BaseException) -> Row:
    """The row of a task that did not come back."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        why = "the worker that replayed it died, and so did those that tried again"
    else:
        why = f"a worker could not replay it: {type(error).__name__}: {error}"
    return Row(task.trace, task.key, "unusable", why)


def _anywhere(task: Task, folder: Path) -> Task:
    """The task with names that mean the same in every process: a worker has another working directory."""
    files = {name: folder / str(task.options[name]) for name in FILES if task.options.get(name)}
    return replace(task, trace=str(folder / task.trace), options={**task.options, **files})


def _as_named_here(row: Row, task: Task, folder: Path) -> Row:
    """The row as a process of ours would have made it."""
    text = json.dumps({**asdict(row), "trace": task.trace, "key": ""})
    for name in [task.trace, *(str(task.options[name]) for name in FILES if task.options.get(name))]:
        text = text.replace(_in_json(folder / name), _in_json(name))
    return replace(Row(**json.loads(text)), key=task.key)


def _in_json(name: str | os.PathLike[str]) -> str:
    return json.dumps(os.fspath(name))[1:-1]


# On the workers.


def _replayed_there(task: Task, version: str) -> Row:
    """Replay a trace, where this is the version that wants it: a worker may have come late."""
    if version != __version__:
        why = f"its worker has vgic {__version__}, and this is {version}"
        return Row(task.trace, task.key, "unusable", why)
    return replay_one(task)
