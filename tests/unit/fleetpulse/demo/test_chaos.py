"""When the demo kills its consumer, and what it then says was not acknowledged."""

import json
import signal
from collections.abc import Callable
from typing import cast

import pytest

from fleetpulse.demo.chaos import KILLS, Chaos
from fleetpulse.demo.programs import Program


class Consumer:
    """A consumer whose log grows by one look; it remembers the signals."""

    def __init__(self, *positions: int) -> None:
        self.signals: list[signal.Signals] = []
        self.starts = 0
        self._positions = list(positions)
        self._log = ""

    def check(self) -> None: ...

    def signal(self, number: signal.Signals) -> None:
        self.signals.append(number)

    def start(self) -> None:
        self.starts += 1

    def output(self) -> str:
        if self._positions:
            line = {"event": "polled", "positions": self._positions.pop(0)}
            self._log += f"not json\n{json.dumps(line)}\n"
        return self._log


def chaos(
    consumer: Consumer, acknowledged: Callable[[], int], *, seed: int = 1, end: float = 100
) -> Chaos:
    return Chaos(
        cast(Program, consumer),
        consumer.start,
        acknowledged,
        connected=lambda: False,
        begin=0,
        end=end,
        seed=seed,
    )


def test_it_strikes_three_times_in_order_and_then_no_more() -> None:
    consumer = Consumer(10)
    murderer = chaos(consumer, lambda: 4)

    struck = [second for second in range(200) if murderer.strike_if_due(second) is not None]

    assert len(struck) == len(murderer.kills) == consumer.starts == KILLS
    assert all(third * 33 <= second <= third * 33 + 18 for third, second in enumerate(struck))
    assert [kill.unacknowledged for kill in murderer.kills] == [6] * KILLS


def test_a_consumer_with_nothing_unacknowledged_goes_on_until_it_has_something() -> None:
    consumer = Consumer(10, 10, 13)

    kill = chaos(consumer, lambda: 10).strike_if_due(99)

    assert kill is not None
    assert kill.unacknowledged == 3
    stop, go_on, die = signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL
    assert consumer.signals == [stop, go_on, stop, go_on, stop, die]


def test_a_transaction_that_came_through_after_all_is_no_kill_worth_telling() -> None:
    consumer = Consumer(10)
    answers = iter([4, 10])
    murderer = chaos(consumer, lambda: next(answers))

    assert murderer.strike_if_due(99) is None
    assert murderer.kills == []
    assert consumer.starts == 1


@pytest.mark.parametrize("seed", range(5))
def test_the_seed_decides_the_moments(seed: int) -> None:
    def moments(seed: int) -> list[int]:
        murderer = chaos(Consumer(10), lambda: 4, seed=seed)
        return [second for second in range(100) if murderer.strike_if_due(second) is not None]

    assert moments(seed) == moments(seed)
    assert moments(seed) != moments(seed + 100)
