"""A thread that does one system's work, step by step, and waits its outages out."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import structlog

from streaming import metrics
from streaming.errors import OutageError

RETRY_S = (0.2, 5.0)
"""First and longest pause between tries in an outage."""

Result = TypeVar("Result")

log = structlog.get_logger()


class Stage:
    """Does steps in order. One that meets an outage is repeated until it succeeds.

    Any other error ends the stage: `check` raises it, and no later step is done.

    Args:
        system: What the steps work on, for the log.
        tick: A step that is done whenever there has been nothing else to do for `tick_s` seconds.
    """

    def __init__(
        self, system: str, tick: Callable[[], object] = lambda: None, tick_s: float = 60
    ) -> None:
        self.outage: OutageError | None = None
        self._system = system
        metrics.OUTAGE.labels(system).set(0)
        self._tick = tick
        self._tick_s = tick_s
        self._steps: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        # A daemon: a system that never answers must not keep the process from leaving.
        self._thread = threading.Thread(target=self._run, name=system, daemon=True)
        self._thread.start()

    def submit(self, step: Callable[[], Result]) -> Future[Result]:
        """Has a step done after all others; the future is cancelled where the stage has ended."""
        future: Future[Result] = Future()
        self._steps.put((step, future))
        return future

    @property
    def waiting(self) -> int:
        """How many steps wait for their turn."""
        return self._steps.qsize()

    def check(self) -> None:
        """Raises the error that has ended the stage, if any."""
        if self._failure is not None:
            raise self._failure

    def end(self) -> None:
        """Ends the stage: at once in an outage, else after the step that is being done."""
        self._ended.set()
        self._steps.put(None)

    def join(self, timeout_s: float) -> bool:
        """Waits for the end of the thread, up to a time; returns whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                item = self._steps.get(timeout=self._tick_s)
            except Empty:
                item = (self._tick, Future())
            if item is not None:
                self._do(*item)
        while not self._steps.empty():
            item = self._steps.get()
            if item is not None:
                item[1].cancel()

    def _do(self, step: Callable[[], Any], future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = self._wait_out(step)
        except BaseException as error:  # noqa: BLE001 - handled by who waits, in another thread
            self._failure = error
            self._ended.set()
            future.set_exception(error)
        else:
            future.set_result(result)

    def _wait_out(self, step: Callable[[], Result]) -> Result:
        pause, longest = RETRY_S
        since = time.monotonic()
        while True:
            try:
                result = step()
            except OutageError as error:
                if self.outage is None:
                    self._tell(error)
                self.outage = error
                if self._ended.wait(pause):
                    raise
                pause = min(pause * 2, longest)
            else:
                break
        if self.outage is not None:
            seconds = round(time.monotonic() - since, 1)
            log.info("outage over", system=self._system, seconds=seconds)
            metrics.OUTAGE.labels(self._system).set(0)
            self.outage = None
        return result

    def _tell(self, error: OutageError) -> None:
        told = "partitions pause when the buffer is full"
        log.error("outage", system=self._system, error=str(error), then=told)
        metrics.OUTAGE.labels(self._system).set(1)
