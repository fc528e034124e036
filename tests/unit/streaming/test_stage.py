"""A stage does its steps in order, waits outages out, and ends with any other error."""

import threading
from collections.abc import Callable, Iterator

import pytest

from streaming.errors import FatalError, OutageError
from streaming.stage import Stage

PATIENCE_S = 5.0


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage("a test's")
    yield stage
    stage.end()
    stage.join(PATIENCE_S)


def test_steps_are_done_in_order_in_one_thread(stage: Stage) -> None:
    done: list[tuple[int, int]] = []
    futures = [
        stage.submit(lambda number=number: done.append((number, threading.get_ident())))
        for number in range(100)
    ]
    futures[-1].result(PATIENCE_S)
    numbers, threads = zip(*done, strict=True)
    assert numbers == tuple(range(100))
    assert set(threads) != {threading.get_ident()}
    assert len(set(threads)) == 1


def test_a_step_in_an_outage_is_repeated_until_it_succeeds(stage: Stage) -> None:
    seen: list[OutageError | None] = []

    def step() -> str:
        seen.append(stage.outage)
        if len(seen) < 3:
            raise OutageError(f"try {len(seen)}")
        return "landed"

    assert stage.submit(step).result(PATIENCE_S) == "landed"
    assert [str(outage) for outage in seen] == ["None", "try 1", "try 2"]
    assert stage.submit(lambda: stage.outage).result(PATIENCE_S) is None


def test_later_steps_wait_while_one_is_in_an_outage(stage: Stage) -> None:
    order: list[str] = []
    well = threading.Event()

    def step() -> None:
        if not well.is_set():
            raise OutageError("away")
        order.append("first")

    stage.submit(step)
    last = stage.submit(lambda: order.append("second"))
    wait_until(lambda: stage.outage is not None)
    assert stage.waiting == 1
    well.set()
    last.result(PATIENCE_S)
    assert order == ["first", "second"]


@pytest.mark.parametrize("error", [FatalError("a person decides"), ValueError("a bug")])
def test_any_other_error_ends_it_and_is_told(stage: Stage, error: Exception) -> None:
    def step() -> None:
        raise error

    failing, next_one = stage.submit(step), stage.submit(lambda: "never")
    assert failing.exception(PATIENCE_S) is error
    wait_until(next_one.cancelled)
    with pytest.raises(type(error), match=str(error)):
        stage.check()


def test_it_ends_within_an_outage_at_once(stage: Stage) -> None:
    def step() -> None:
        raise OutageError("away for ever")

    future = stage.submit(step)
    wait_until(lambda: stage.outage is not None)
    stage.end()
    stage.join(PATIENCE_S)
    assert isinstance(future.exception(0), OutageError)


def test_it_ticks_while_there_is_nothing_to_do() -> None:
    ticked = threading.Event()
    stage = Stage("a test's", ticked.set, tick_s=0.01)
    try:
        assert ticked.wait(PATIENCE_S)
    finally:
        stage.end()
        stage.join(PATIENCE_S)


def wait_until(condition: Callable[[], bool]) -> None:
    given_up = threading.Timer(PATIENCE_S, lambda: None)
    given_up.start()
    while not condition():
        assert given_up.is_alive(), "waited in vain"
        threading.Event().wait(0.005)
    given_up.cancel()
