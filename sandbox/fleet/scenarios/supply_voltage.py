"""Rule 11: a supply voltage that is not this machine's, and what only looks like it.

The third such sample of five decides. Steps are so large that each sample is far from the usual,
and often within ±10 % of the nominal voltage all the same.
"""

from collections.abc import Callable
from dataclasses import replace

from sandbox.fleet.instants import MINUTE, Span
from sandbox.fleet.scenarios.scene import Act, Scenario, Stage
from sandbox.fleet.script import Script
from sandbox.fleet.voltage import Disturbance, Kind

RULE = "supply_voltage_anomaly"
_THIRD = 2 * MINUTE
_LEARNING = 60 * MINUTE
"""How long a machine has been on before: of fewer samples nothing is usual."""


def _disturbed(
    stage: Stage,
    kind: Kind,
    volts: float,
    first: int,
    until: int | None,
    off: tuple[Span, ...] = (),
) -> Act:
    span = Span(first) if until is None else Span(first, until)
    return Act(
        device=stage.scripted(Script(disturbances=(Disturbance(kind, span, volts),), off=off)),
        start=first,
        deciding=first + _THIRD + stage.device.skew,
        end=until,
    )


def _learned(stage: Stage) -> int:
    """Returns a sample of history, of a machine whose voltage is known by then."""
    earliest = stage.config.begin_ms + _LEARNING
    return stage.sample(max(stage.past(minutes_before_live=60), earliest))


def _past(kind: Kind, volts: float) -> Callable[[Stage], Act]:
    def write(stage: Stage) -> Act:
        first = _learned(stage)
        until = first + stage.rng.randint(6 * MINUTE, 15 * MINUTE)
        return _disturbed(stage, kind, volts, first, until)

    return write


def _from(seconds: float, kind: Kind, volts: float) -> Callable[[Stage], Act]:
    """It goes on for two hours: until it would be usual."""

    def write(stage: Stage) -> Act:
        return _disturbed(stage, kind, volts, stage.sample(stage.live(seconds)), None)

    return write


def _some(kind: Kind, volts: float, minutes: int) -> Callable[[Stage], Act]:
    def write(stage: Stage) -> Act:
        first = _learned(stage)
        return _disturbed(stage, kind, volts, first, first + minutes * MINUTE)

    return write


def _replaced(stage: Stage) -> Act:
    """The supply is replaced, with the power off: what is usual begins anew."""
    first = _learned(stage)
    act = _disturbed(stage, "replaced", 12.0, first, None, (Span(first, first + 30_000),))
    return replace(act, end=first)


def _in_maintenance(stage: Stage) -> Act:
    act = _past("sag", -20.0)(stage)
    end = act.deciding if act.end is None else act.end
    return replace(act, maintenance=stage.at_work("unmanage", act.start, end + 10 * MINUTE))


SCENARIOS = (
    Scenario("sag", RULE, _past("sag", -20.0)),
    Scenario("surge", RULE, _past("surge", 18.0)),
    Scenario("flicker", RULE, _past("flicker", 20.0)),
    Scenario("sag", RULE, _from(-400, "sag", -18.0)),
    Scenario("surge", RULE, _from(-300, "surge", 20.0)),
    Scenario("sag", RULE, _from(-100, "sag", -25.0)),
    *(
        Scenario(kind, RULE, write, lookalike=True)
        for kind, write, times in (
            ("load_nearby", _some("load", -3.0, 25), 3),
            ("two_samples_low", _some("sag", -30.0, 2), 2),
            ("two_samples_high", _some("surge", 30.0, 2), 1),
            ("supply_replaced", _replaced, 2),
            ("sag_in_maintenance", _in_maintenance, 2),
        )
        for _ in range(times)
    ),
)
