"""Rule 4: 4 °C warmer than at the tenth previous sample, and what only looks like it.

The cabinet is first brought to rest, so each sample's difference is known to a tenth of a degree.
"""

from collections.abc import Callable

from sandbox.fleet.instants import MINUTE, Span
from sandbox.fleet.scenarios.over_temperature import RULE as OVER_TEMPERATURE
from sandbox.fleet.scenarios.scene import Act, Scenario, Stage
from sandbox.fleet.script import Ramp, Script

RULE = "rapid_warming"
_APPROACH = 15 * MINUTE
_REST = 15 * MINUTE
_RISE = 10 * MINUTE
_PLATEAU = 15 * MINUTE
_RETURN = 40 * MINUTE
_GOODS_LAST = 30 * MINUTE

_COLD = frozenset({"COLD-300"})
_COOLED = frozenset({"COLD-300", "FRESH-100"})
_UNCOOLED = frozenset({"SNACK-200", "COFFEE-50"})
_RISES_C = {True: (9.0, 5), False: (7.0, 6)}
"""By whether it cools: how far it warms, and the first sample at which that makes 4 °C."""


def _resting_c(stage: Stage, instant: int) -> float:
    model = stage.device.model
    if model.set_point_c is not None:
        return model.set_point_c
    return round(stage.device.site.ambient(instant) + model.above_ambient_c, 1)


def _ramps(stage: Stage, start: int, by_c: float, rise: int = _RISE) -> tuple[Ramp, ...]:
    """To rest, from there by so many degrees, a while as warm, and back."""
    rest = _resting_c(stage, start)
    # A millisecond later: what the sample on the instant says is not yet warmer.
    begins = start + 1
    top = begins + rise
    return (
        Ramp(Span(begins - _REST - _APPROACH, begins - _REST), rest),
        Ramp(Span(begins - _REST, begins), rest),
        Ramp(Span(begins, top), rest + by_c),
        Ramp(Span(top, top + _PLATEAU), rest + by_c),
        Ramp(Span(top + _PLATEAU, top + _PLATEAU + _RETURN), rest),
    )


def _fault(deciding: Callable[[Stage], int]) -> Callable[[Stage], Act]:
    """The cold is lost so fast that a sample near the instant decides."""

    def write(stage: Stage) -> Act:
        cools = stage.device.model.set_point_c is not None
        by_c, samples = _RISES_C[cools]
        start = stage.sample(deciding(stage)) - samples * MINUTE
        ramps = _ramps(stage, start, by_c)
        return Act(
            device=stage.scripted(Script(ramps=ramps, exact=True)),
            start=start,
            deciding=start + samples * MINUTE + stage.device.skew,
            end=start + _RISE,
            also=stage.also(OVER_TEMPERATURE) if cools else (),
            harm=start + samples * MINUTE + _GOODS_LAST if cools else None,
        )

    return write


def _past(stage: Stage) -> int:
    return stage.past(minutes_before_live=35)


def _live(seconds: float) -> Callable[[Stage], int]:
    return lambda stage: stage.live(seconds)


def _warmer(by_c: float, minutes: int, *, sparse: bool = False) -> Callable[[Stage], Act]:
    """Warmer by so much in so many minutes; sparse: with a fifth sample only now and then."""

    def write(stage: Stage) -> Act:
        start = stage.sample(stage.past(minutes_before_live=60))
        ramps = _ramps(stage, start, by_c, minutes * MINUTE)
        gaps = (Span(ramps[0].span.start, ramps[-1].span.end),) if sparse else ()
        return Act(
            device=stage.scripted(Script(ramps=ramps, sparse=gaps, exact=True)),
            start=start,
            deciding=start + _RISE,
            end=start + minutes * MINUTE,
        )

    return write


def _in_maintenance(stage: Stage) -> Act:
    act = _fault(_past)(stage)
    work = stage.at_work("unmanage", act.start, act.start + 40 * MINUTE)
    return Act(act.device, act.start, act.deciding, act.end, work)


def _no_sensor(stage: Stage) -> Act:
    start = stage.sample(_past(stage))
    script = Script(ramps=_ramps(stage, start, by_c=7.0), sensorless=True)
    return Act(stage.scripted(script), start, start + _RISE, start + _RISE)


SCENARIOS = (
    *(Scenario("cold_is_lost", RULE, _fault(_past), models=_UNCOOLED) for _ in range(3)),
    *(Scenario("cold_is_lost", RULE, _fault(_past), models=_COOLED) for _ in range(2)),
    Scenario("cold_is_lost", RULE, _fault(_live(-150)), models=_COOLED),
    Scenario("cold_is_lost", RULE, _fault(_live(-90)), models=_UNCOOLED),
    Scenario("cold_is_lost", RULE, _fault(_live(10)), models=_UNCOOLED),
    *(
        Scenario("warmer_by_3_9", RULE, _warmer(3.9, 10), lookalike=True, models=models)
        for models in (_COLD, _UNCOOLED, _UNCOOLED)
    ),
    *(
        Scenario("slowly_warmer", RULE, _warmer(7.0, 40), lookalike=True, models=_UNCOOLED)
        for _ in range(2)
    ),
    *(
        Scenario(
            "tenth_too_old", RULE, _warmer(6.0, 10, sparse=True), lookalike=True, models=_UNCOOLED
        )
        for _ in range(2)
    ),
    Scenario("colder", RULE, _warmer(-5.0, 10), lookalike=True, models=_UNCOOLED),
    Scenario("no_sensor", RULE, _no_sensor, lookalike=True, models=_UNCOOLED),
    *(
        Scenario("warming_in_maintenance", RULE, _in_maintenance, lookalike=True, models=_UNCOOLED)
        for _ in range(2)
    ),
)
