"""What is done beside landing: what hinders it is told once; it is tried again; defects show."""

from collections.abc import Iterator
from threading import Semaphore

import pytest
from structlog.testing import capture_logs

from streaming.chore import Chore
from streaming.errors import FatalError, OutageError


class Work:
    """Fails as it is told."""

    def __init__(self, *results: Exception | None) -> None:
        self._results: Iterator[Exception | None] = iter(results)

    def __call__(self) -> None:
        if (error := next(self._results)) is not None:
            raise error


def test_what_hinders_it_is_told_when_it_begins_changes_and_ends() -> None:
    outage, refusal = OutageError("no answer"), FatalError("no topic")
    chore = Chore("chore", Work(None, outage, outage, refusal, None, None))
    with capture_logs() as logs:
        for _ in range(6):
            chore.do()
    assert [(each["event"], each.get("error")) for each in logs] == [
        ("chore hindered", "no answer"),
        ("chore hindered", "no topic"),
        ("chore goes on", None),
    ]


def test_a_defect_is_not_taken_for_a_hindrance() -> None:
    with pytest.raises(ZeroDivisionError):
        Chore("chore", Work(ZeroDivisionError())).do()


def test_it_is_done_again_and_again_while_the_context_lasts() -> None:
    done = Semaphore(0)
    with Chore("chore", done.release, every_s=0.001):
        for _ in range(3):
            assert done.acquire(timeout=30)
