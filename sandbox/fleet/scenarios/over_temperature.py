"""Rule 3: a 5-min window with every sample above the model's limit, and what only looks like it.

The cabinet crosses its limit in the middle of a window, so that window holds samples of both sides
and the next ones of one side only: which windows are breaches is known beforehand, exactly.
"""

from sandbox.fleet.instants import FOREVER, HOUR, MINUTE, SECOND, WINDOW, Span
from sandbox.fleet.registry import MODELS
from sandbox.fleet.scenarios.scene import Act, Scenario, Stage
from sandbox.fleet.script import Drift, Script

RULE = "cabinet_over_temperature"
# Slow and straight enough that no ten minutes warm by the 4 °C of rule 4.
_WARMING = 16 * MINUTE
_COOLING = 3 * MINUTE
_SETTLING = 40 * MINUTE
_PLATEAU_C = 12.0
_MIDDLE = WINDOW // 2

_COOLED = frozenset(model.name for model in MODELS if model.set_point_c is not None)
_SNACK = frozenset({"SNACK-200"})


def _limit(stage: Stage) -> float:
    limit = stage.device.model.max_cabinet_c
    if limit is None:
        raise ValueError(f"{stage.device.model.name} has no limit to cross")
    return limit


def _set_point(stage: Stage) -> float:
    set_point = stage.device.model.set_point_c
    if set_point is None:
        raise ValueError(f"{stage.device.model.name} does not cool")
    return set_point


def _excursion(
    stage: Stage, up: int, down: int | None, plateau_c: float = _PLATEAU_C
) -> tuple[Drift, ...]:
    """The compressor fails; the limit is crossed at `up` and, after a repair, at `down`."""
    limit = _limit(stage)
    repaired = FOREVER if down is None else down - _COOLING
    warming = Drift(Span(up - _WARMING, repaired), limit + plateau_c, limit, up)
    if down is None:
        return (warming,)
    cooling = Drift(Span(repaired, down + _SETTLING), _set_point(stage), limit, down)
    return (warming, cooling)


def _compressor_fails(stage: Stage, first: int, last: int | None) -> Act:
    """Every window from the one that ends at `first` to the one that ends at `last` is a breach."""
    down = None if last is None else last + _MIDDLE
    drifts = _excursion(stage, up=first - WINDOW - _MIDDLE, down=down)
    return Act(
        device=stage.scripted(Script(drifts=drifts)),
        start=drifts[0].span.start,
        deciding=first,
        end=None if down is None else drifts[1].span.start,
    )


def _past(stage: Stage) -> Act:
    first = stage.past_window(minutes_before_live=45)
    return _compressor_fails(stage, first, first + stage.rng.randint(1, 3) * WINDOW)


def _open_at_live(stage: Stage) -> Act:
    return _compressor_fails(stage, stage.window(stage.rng.randint(-3, -1)), None)


def _repaired_live(stage: Stage) -> Act:
    return _compressor_fails(stage, stage.window(-2), stage.window(2))


def _first_live_window(stage: Stage) -> Act:
    return _compressor_fails(stage, stage.window(1), None)


def _second_live_window(stage: Stage) -> Act:
    return _compressor_fails(stage, stage.window(2), None)


def _seven_minutes(stage: Stage) -> Act:
    """Above the limit for 5 min 40 s, which no window lies in."""
    end = stage.past_window(minutes_before_live=30)
    drifts = _excursion(stage, up=end - 170 * SECOND, down=end + 170 * SECOND)
    return Act(
        stage.scripted(Script(drifts=drifts)), drifts[0].span.start, end, drifts[1].span.start
    )


def _under_five_minutes(stage: Stage) -> Act:
    """Above the limit for 4 min 59 s, half of them in each of two windows."""
    end = stage.past_window(minutes_before_live=30)
    drifts = _excursion(stage, up=end - 150 * SECOND, down=end + 149 * SECOND)
    return Act(
        stage.scripted(Script(drifts=drifts)), drifts[0].span.start, end, drifts[1].span.start
    )


def _warm_for_good(stage: Stage, script: Script) -> Act:
    """A cabinet that stays warm, seen through a script that keeps every window from deciding."""
    return Act(
        device=stage.scripted(script),
        start=script.drifts[0].span.start,
        deciding=script.drifts[0].at // WINDOW * WINDOW + 2 * WINDOW,
        end=None,
    )


def _one_sample_below(stage: Stage) -> Act:
    # No warmer: from a sample below the limit to one above is no 4 °C, which are rule 4's.
    drifts = _excursion(stage, up=stage.window(-8) + _MIDDLE, down=None, plateau_c=3.0)
    return _warm_for_good(stage, Script(drifts=drifts, dips=(Span(drifts[0].at - WINDOW),)))


def _two_samples(stage: Stage) -> Act:
    drifts = _excursion(stage, up=stage.window(-6) + _MIDDLE, down=None)
    return _warm_for_good(stage, Script(drifts=drifts, sparse=(drifts[0].span,)))


def _no_sensor(stage: Stage) -> Act:
    drifts = _excursion(stage, up=stage.window(-5) + _MIDDLE, down=None)
    return _warm_for_good(stage, Script(drifts=drifts, sensorless=True))


def _warm_door(stage: Stage) -> Act:
    """A technician works with the door open; the cabinet warms to just below its limit."""
    opened = stage.live(-20 * 60)
    closed = opened + 33 * MINUTE
    limit = _limit(stage)
    drifts = (
        Drift(Span(opened, closed), limit - 0.4, limit - 0.8, opened + _WARMING),
        Drift(Span(closed, closed + HOUR), _set_point(stage), limit - 2, closed + 10 * MINUTE),
    )
    return Act(
        device=stage.scripted(Script(drifts=drifts, doors=(Span(opened, closed),))),
        start=opened,
        deciding=(opened + _WARMING) // WINDOW * WINDOW + 2 * WINDOW,
        end=closed,
    )


def _warm_snacks(stage: Stage) -> Act:
    """30 °C: far above what the other models may have, and below this one's limit."""
    start = stage.live(-80 * 60)
    drifts = (Drift(Span(start), toward=33.0, value=29.5, at=start + HOUR),)
    return _warm_for_good(stage, Script(drifts=drifts))


SCENARIOS = (
    *(Scenario("compressor_fails", RULE, _past, models=_COOLED) for _ in range(3)),
    *(Scenario("compressor_fails", RULE, _open_at_live, models=_COOLED) for _ in range(2)),
    Scenario("compressor_fails", RULE, _repaired_live, models=_COOLED),
    Scenario("compressor_fails", RULE, _first_live_window, models=_COOLED),
    Scenario("compressor_fails", RULE, _second_live_window, models=_COOLED),
    Scenario("between_two_windows", RULE, _seven_minutes, lookalike=True, models=_COOLED),
    Scenario("one_sample_below", RULE, _one_sample_below, lookalike=True, models=_COOLED),
    Scenario("two_samples", RULE, _two_samples, lookalike=True, models=_COOLED),
    Scenario("no_sensor", RULE, _no_sensor, lookalike=True, models=_COOLED),
    Scenario("door_open_below_limit", RULE, _warm_door, lookalike=True, models=_COOLED),
    Scenario("other_models_limit", RULE, _warm_snacks, lookalike=True, models=_SNACK),
)

MORE_LOOKALIKES = (
    *(
        Scenario("warm_for_4_min_59_s", RULE, _under_five_minutes, lookalike=True, models=_COOLED)
        for _ in range(2)
    ),
    Scenario("one_sample_below", RULE, _one_sample_below, lookalike=True, models=_COOLED),
    Scenario("two_samples", RULE, _two_samples, lookalike=True, models=_COOLED),
)
