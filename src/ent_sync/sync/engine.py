"""Where work runs: in this process, or in worker processes that are composed as this one was.

Each worker has a pipe of its own. A full pipe makes it wait, so what is on its way stays bounded; a closed pipe makes
it end, so nothing outlives a run that was killed.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import multiprocessing.connection
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from ent_sync.core.errors import EntSyncError
from ent_sync.sync.parts import Parts

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 2  # tasks a worker is given beside the one it works on, so that it never waits for the next


class WorkerError(EntSyncError):
    """A worker process failed or died; nothing of its delivery is used."""


class StoppedError(EntSyncError):
    """Somebody asked the run to stop before it came to push anything."""

    exit_code = 3


class Stoppable:
    """Another engine whose work can be broken off: what was read until then is dropped, as when the run died."""

    def __init__(self, engine: Inline | Processes, stopping: Callable[[], bool]) -> None:
        self._engine = engine
        self._stopping = stopping

    def map(
        self, work: Callable[[Parts, Task], Iterable[Result]], tasks: Iterable[Task], *, small: bool = False
    ) -> Iterator[Result]:
        """See `ports.Engine`.

        Raises:
            StoppedError: somebody asked to stop.
        """
        with contextlib.closing(self._engine.map(work, tasks, small=small)) as results:
            for result in results:
                if self._stopping():
                    raise StoppedError("stopped by hand before anything was pushed")
                yield result

    def rest(self) -> None:
        """See `ports.Engine`."""
        self._engine.rest()

    def close(self) -> None:
        """Let go of what the other engine holds."""
        self._engine.close()


class Inline:
    """Works in this process, with the parts of the run itself."""

    def __init__(self, parts: Callable[[], Parts]) -> None:
        self._parts = parts

    def map(
        self, work: Callable[[Parts, Task], Iterable[Result]], tasks: Iterable[Task], *, small: bool = False
    ) -> Generator[Result, None, None]:
        """See `ports.Engine`."""
        del small
        for task in tasks:
            yield from work(self._parts(), task)

    def rest(self) -> None:
        """Nothing to let go of."""

    def close(self) -> None:
        """Nothing to let go of."""


class Processes:
    """Works in worker processes, each composed by `make(*arguments)`; little work is done in this one."""

    def __init__(self, count: int, make: Callable[..., Parts], arguments: tuple[object, ...], inline: Inline) -> None:
        self._count = count
        self._make = make
        self._arguments = arguments
        self._inline = inline
        self._workers: list[_Worker] = []

    def map(
        self, work: Callable[[Parts, Task], Iterable[Result]], tasks: Iterable[Task], *, small: bool = False
    ) -> Generator[Result, None, None]:
        """See `ports.Engine`."""
        if small or self._count < 2:
            yield from self._inline.map(work, tasks)
            return
        if not self._workers:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload([self._make.__module__])
            self._workers = [_Worker(context, self._make, self._arguments) for _ in range(self._count)]
        try:
            yield from self._spread(work, iter(tasks))
        except BaseException:
            self.close()
            raise

    def _spread(self, work: Callable[[Parts, Task], Iterable[Result]], tasks: Iterator[Task]) -> Iterator[Result]:
        by_pipe = {worker.pipe: worker for worker in self._workers}
        for worker in self._workers:
            worker.feed(work, tasks)
        while any(worker.busy for worker in self._workers):
            waiting = [worker.pipe for worker in self._workers if worker.busy]
            for pipe in multiprocessing.connection.wait(waiting):
                worker = by_pipe[pipe]
                kind, payload = worker.receive()
                if kind == "end":
                    worker.busy -= 1
                    worker.feed(work, tasks)
                elif kind == "failed":
                    raise payload
                else:
                    yield payload

    def rest(self) -> None:
        """See `ports.Engine`. Workers that wait for a push to end would only hold memory."""
        self.close()

    def close(self) -> None:
        """End the workers; what they were doing is dropped."""
        for worker in self._workers:
            worker.close()
        self._workers = []


class _Worker:
    """One worker process, as this side sees it."""

    def __init__(self, context: Any, make: Callable[..., Parts], arguments: tuple[object, ...]) -> None:
        self.pipe, theirs = context.Pipe()
        self.busy = 0
        self._process: BaseProcess = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def feed(self, work: Callable[[Parts, Task], Iterable[Result]], tasks: Iterator[Task]) -> None:
        """Give it as many tasks as it may have ahead."""
        while self.busy <= _AHEAD:
            try:
                task = next(tasks)
            except StopIteration:
                return
            try:
                self.pipe.send((work, task))
            except OSError:
                raise WorkerError("a worker process died; see the system's log for the reason (memory?)") from None
            self.busy += 1

    def receive(self) -> tuple[str, Any]:
        """Its next message."""
        try:
            message: tuple[str, Any] = self.pipe.recv()
        except (EOFError, OSError):
            raise WorkerError("a worker process died; see the system's log for the reason (memory?)") from None
        return message

    def close(self) -> None:
        """End it."""
        self.pipe.close()
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection[Any, Any], make: Callable[..., Parts], arguments: tuple[object, ...]) -> None:
    """The life of a worker process."""
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.SIG_IGN)  # the run decides what they mean, and closes the pipe
    try:
        parts = make(*arguments)
        spare_the_collector()
        while True:
            work, task = pipe.recv()
            for result in work(parts, task):
                pipe.send(("result", result))
            pipe.send(("end", None))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the run is gone
    except EntSyncError as error:
        pipe.send(("failed", WorkerError(str(error))))
    except Exception as error:  # noqa: BLE001 - a worker's end; the text may hold values, so only the kind is told
        pipe.send(("failed", WorkerError(f"a worker process failed with {type(error).__name__}{_place(error)}")))


def spare_the_collector() -> None:
    """Let the collector of cycles look rarely: rows and records make none, and it would look at each of them.

    Measured on the first load of 254,000 people: 7 % of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


def _place(error: BaseException) -> str:
    """The innermost line of a traceback: a place in our code, never a value."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" at {trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace else ""
