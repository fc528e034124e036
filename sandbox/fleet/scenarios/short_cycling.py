"""Rule 5: a compressor that starts eight times within an hour, and what only looks like it.

For an hour before, the compressor is at rest: so the starts that a window holds are these alone.
"""

from collections.abc import Callable

from sandbox.fleet.instants import HOUR, MINUTE, SECOND, Span
from sandbox.fleet.scenarios.scene import Act, Scenario, Stage
from sandbox.fleet.script import Cycling, Script

RULE = "compressor_short_cycling"
_EIGHTH = 7
_EVERY = 6 * MINUTE
_RUN = 2 * MINUTE
_REST = 65 * MINUTE
_COLD = frozenset({"COLD-300"})


def _cycling(first: int, count: int, every: int = _EVERY, run: int = _RUN) -> Cycling:
    starts = tuple(first + number * every for number in range(count))
    return Cycling(Span(first - _REST, starts[-1] + HOUR), starts, run)


def _earliest(stage: Stage) -> int:
    """Returns a first start as early as history allows, that it may be over when live begins."""
    spare = stage.rng.randint(0, 20 * MINUTE)
    return stage.sample(stage.config.begin_ms + _REST + MINUTE + spare)


def _fault(first: int, count: int, stage: Stage) -> Act:
    cycling = _cycling(first, count)
    forever = cycling.starts[-1] > stage.config.start_ms
    return Act(
        device=stage.scripted(Script(cyclings=(cycling,))),
        start=first,
        deciding=stage.window_of(cycling.starts[_EIGHTH]),
        end=None if forever else cycling.starts[-1],
    )


def _past(stage: Stage) -> Act:
    return _fault(_earliest(stage), stage.rng.randint(9, 11), stage)


def _decided(at: Callable[[Stage], int]) -> Callable[[Stage], Act]:
    """It goes on and on; the eighth start comes shortly before the instant."""

    def write(stage: Stage) -> Act:
        eighth = stage.sample(at(stage) - 70 * SECOND)
        return _fault(eighth - _EIGHTH * _EVERY, 60, stage)

    return write


def _open_at_live(stage: Stage) -> int:
    return stage.window(stage.rng.randint(-6, -1))


def _first_live_window(stage: Stage) -> int:
    return stage.window(1)


def _lookalike(cycling: Cycling, stage: Stage, *lost: Span) -> Act:
    return Act(
        device=stage.scripted(Script(cyclings=(cycling,), offline=lost)),
        start=cycling.starts[0],
        deciding=stage.window_of(cycling.starts[-1]),
        end=cycling.starts[-1],
    )


def _seven_an_hour(stage: Stage) -> Act:
    """Nine minutes apart: each window of an hour holds seven at most."""
    return _lookalike(_cycling(_earliest(stage), 12, every=9 * MINUTE), stage)


def _seven_spooled(stage: Stage) -> Act:
    """Seven starts, some of which arrive late, when the uplink is back."""
    cycling = _cycling(_earliest(stage), 7, every=7 * MINUTE)
    lost = (Span(at - 20 * SECOND, at + 80 * SECOND) for at in cycling.starts[2:5])
    return _lookalike(cycling, stage, *lost)


def _between_samples(stage: Stage) -> Act:
    """Twelve starts of 20 s each, which no sample meets."""
    first = _earliest(stage) + 10 * SECOND
    return _lookalike(_cycling(first, 12, every=5 * MINUTE, run=20 * SECOND), stage)


def _long_run(stage: Stage) -> Act:
    """One start, and an hour without rest."""
    return _lookalike(_cycling(_earliest(stage), 1, run=HOUR), stage)


def _in_maintenance(stage: Stage) -> Act:
    act = _fault(_earliest(stage), 9, stage)
    work = stage.at_work("unmanage", act.start, act.deciding + HOUR)
    return Act(act.device, act.start, act.deciding, act.end, work)


SCENARIOS = (
    *(Scenario("short_cycling", RULE, _past, models=_COLD) for _ in range(4)),
    *(Scenario("short_cycling", RULE, _decided(_open_at_live), models=_COLD) for _ in range(2)),
    Scenario("short_cycling", RULE, _decided(_first_live_window), models=_COLD),
    *(
        Scenario("seven_an_hour", RULE, _seven_an_hour, lookalike=True, models=_COLD)
        for _ in range(4)
    ),
    *(
        Scenario("seven_spooled", RULE, _seven_spooled, lookalike=True, models=_COLD)
        for _ in range(2)
    ),
    Scenario("between_samples", RULE, _between_samples, lookalike=True, models=_COLD),
    Scenario("one_long_run", RULE, _long_run, lookalike=True, models=_COLD),
    *(
        Scenario("cycling_in_maintenance", RULE, _in_maintenance, lookalike=True, models=_COLD)
        for _ in range(2)
    ),
)
