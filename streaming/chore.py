"""Work that is done beside landing, again and again: landing never waits for it."""

import threading
from collections.abc import Callable

import structlog

from streaming import metrics
from streaming.errors import StreamingError

JOIN_S = 2.0

log = structlog.get_logger()


class Chore:
    """Does some work every few seconds, in a thread of its own, while the context lasts.

    What hinders it is logged once, and when it is over; each time is a new try. A defect ends the
    thread with its traceback, and nothing else.

    Args:
        name: What the work is called in the log.
        work: What is to be done.
        every_s: Seconds between two times.
    """

    def __init__(self, name: str, work: Callable[[], object], every_s: float = 2.0) -> None:
        self._name = name
        self._work = work
        self._every_s = every_s
        self._problem: str | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> "Chore":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        while not self._ended.wait(self._every_s):
            self.do()

    def do(self) -> None:
        """Tries once."""
        problem = self._try()
        if problem is None and self._problem is not None:
            log.info("chore goes on", chore=self._name)
        elif problem != self._problem:
            log.error("chore hindered", chore=self._name, error=problem, then="landing goes on")
        metrics.CHORE_HINDERED.labels(self._name).set(problem is not None)
        self._problem = problem

    def _try(self) -> str | None:
        try:
            self._work()
        except StreamingError as error:
            return str(error)
        return None
