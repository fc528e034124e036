"""Rule 9: a cashless reader that is offline for ten minutes, and what only looks like it."""

from collections.abc import Callable
from dataclasses import replace

from sandbox.fleet.instants import MINUTE, SECOND, WINDOW, Span
from sandbox.fleet.scenarios.heartbeat_missing import RULE as HEARTBEAT_MISSING
from sandbox.fleet.scenarios.scene import Act, Scenario, Stage
from sandbox.fleet.script import Script

RULE = "cashless_down"
_SIZE = 10 * MINUTE


def _decided(stage: Stage, first: int) -> int:
    """Returns the end of the first window without the sample before the first offline one."""
    last_online = first - MINUTE
    return stage.window_of(last_online + _SIZE, MINUTE)


def _down(stage: Stage, first: int, back: int | None) -> Act:
    span = Span(first) if back is None else Span(first, back)
    return Act(
        device=stage.scripted(Script(cashless_down=(span,))),
        start=first,
        deciding=_decided(stage, first),
        end=back,
    )


def _past(stage: Stage) -> Act:
    first = stage.sample(stage.past(minutes_before_live=45))
    return _down(stage, first, first + stage.rng.randint(12 * MINUTE, 25 * MINUTE))


def _open_at_live(stage: Stage) -> Act:
    return _down(stage, stage.sample(stage.live(-60 * stage.rng.uniform(13, 30))), None)


def _live(first: float, back: float | None) -> Callable[[Stage], Act]:
    return lambda stage: _down(
        stage, stage.sample(stage.live(first)), None if back is None else stage.live(back)
    )


def _offline(stage: Stage, spans: list[Span], *lost: Span, sparse: bool = False) -> Act:
    """Times without the reader, in a sum that would be long enough."""
    window = spans[0].start // WINDOW * WINDOW
    gaps = (Span(window, spans[-1].end + WINDOW),) if sparse else ()
    return Act(
        device=stage.scripted(Script(cashless_down=tuple(spans), offline=lost, sparse=gaps)),
        start=spans[0].start,
        deciding=_decided(stage, spans[0].start),
        end=spans[-1].end,
    )


def _first(stage: Stage) -> int:
    return stage.sample(stage.past(minutes_before_live=50))


def _one_online(stage: Stage) -> Act:
    """For half an hour one sample of nine is online."""
    first = _first(stage)
    every = 9 * MINUTE
    starts = [first + number * every for number in range(3)]
    return _offline(stage, [Span(at, at + every - MINUTE) for at in starts])


def _four_samples(stage: Stage) -> Act:
    """Two samples come every five minutes: none online, and too few."""
    first = _first(stage)
    return _offline(stage, [Span(first, first + 8 * WINDOW)], sparse=True)


def _eight_minutes(stage: Stage) -> Act:
    first = _first(stage)
    return _offline(stage, [Span(first, first + 8 * MINUTE)])


def _no_uplink(stage: Stage) -> Act:
    """Where nothing is heard of the machine, its spool tells of that and not of the reader.

    A sample from before the uplink is back says that the reader is.
    """
    first = _first(stage)
    down = Span(first, first + 15 * MINUTE)
    lost = Span(first - 90 * SECOND, down.end + 70 * SECOND)
    return replace(_offline(stage, [down], lost), also=stage.also(HEARTBEAT_MISSING))


def _in_maintenance(stage: Stage) -> Act:
    act = _past(stage)
    end = act.deciding if act.end is None else act.end
    return replace(act, maintenance=stage.at_work("unmanage", act.start, end + 5 * MINUTE))


SCENARIOS = (
    *(Scenario("reader_offline", RULE, _past) for _ in range(3)),
    *(Scenario("reader_offline", RULE, _open_at_live) for _ in range(2)),
    Scenario("reader_offline", RULE, _live(first=-9.5 * 60, back=190)),
    Scenario("reader_offline", RULE, _live(first=-8.9 * 60, back=None)),
    *(
        Scenario(kind, RULE, write, lookalike=True)
        for kind, write, times in (
            ("one_online", _one_online, 3),
            ("four_samples", _four_samples, 2),
            ("eight_minutes", _eight_minutes, 2),
            ("no_uplink", _no_uplink, 2),
            ("reader_in_maintenance", _in_maintenance, 1),
        )
        for _ in range(times)
    ),
)
