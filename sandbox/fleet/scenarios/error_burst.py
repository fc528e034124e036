"""Rule 1: five alerts raised by one machine within 60 s, and what only looks like it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

from sandbox.fleet.instants import MINUTE, SECOND, Span
from sandbox.fleet.scenarios.scene import Act, Maintenance, Scenario, Stage
from sandbox.fleet.script import PlannedAlert, Script

RULE = "error_burst"
_FIFTH = 4
# Of all kinds but COIN_JAM: three of those with no clear between are rule 8's.
_ALERTS = (
    ("MOTOR_FAULT", "motor_a1"),
    ("MDB_TIMEOUT", "mdb_bus"),
    ("TEMP_SENSOR", "probe_1"),
    ("BILL_JAM", "bill_validator"),
    ("DOOR_FORCED", "door"),
)
# Four gaps make the fifth alert: slow ones take 28 to 40 s, quick ones 8 to 12 s. At either pace
# every 60 s hold at least five alerts until the burst ends.
_SLOW = (7 * SECOND, 10 * SECOND)
_QUICK = (2 * SECOND, 3 * SECOND)
_STEADY = (8 * SECOND, 9 * SECOND)
"""So that it is known to a few seconds when the fifth last alert leaves the window."""


def _raised(instants: Iterator[int] | list[int], copies: int = 1) -> tuple[PlannedAlert, ...]:
    return tuple(
        PlannedAlert(at, *_ALERTS[number % len(_ALERTS)], copies=copies)
        for number, at in enumerate(instants)
    )


def _burst(
    stage: Stage,
    first: int,
    last: int,
    opening: tuple[int, int] = _SLOW,
    going_on: tuple[int, int] = _SLOW,
) -> Act:
    """Alerts from `first` until shortly before `last`: the first five at one pace, then another."""
    instants = []
    at = first
    for number in count():
        if at > last:
            break
        instants.append(at)
        at += stage.rng.randint(*(opening if number < _FIFTH else going_on))
    alerts = _raised(instants)
    return Act(
        device=stage.scripted(Script(alerts=alerts)),
        start=first,
        deciding=alerts[_FIFTH].at + stage.device.skew,
        end=instants[-1],
    )


def _past(stage: Stage) -> Act:
    first = stage.past(minutes_before_live=25)
    return _burst(stage, first, first + stage.rng.randint(2 * MINUTE, 4 * MINUTE))


def _open_at_live(last: float, going_on: tuple[int, int] = _SLOW) -> Callable[[Stage], Act]:
    def write(stage: Stage) -> Act:
        first = stage.live(stage.rng.uniform(-150, -100))
        return _burst(stage, first, stage.live(last), going_on=going_on)

    return write


def _live(first: float, last: float) -> Callable[[Stage], Act]:
    def write(stage: Stage) -> Act:
        return _burst(stage, stage.live(first), stage.live(last), opening=_QUICK)

    return write


def _few(stage: Stage, first: int, gap: int, alerts: int) -> Act:
    """So many alerts, one each `gap`; none of them the fifth within 60 s."""
    instants = [first + number * gap for number in range(alerts)]
    return Act(
        device=stage.scripted(Script(alerts=_raised(instants))),
        start=first,
        deciding=instants[-1] + stage.device.skew,
        end=instants[-1],
    )


def _four_in_a_minute(stage: Stage) -> Act:
    return _few(stage, stage.live(8), gap=14 * SECOND, alerts=4)


def _five_in_61_seconds(stage: Stage) -> Act:
    return _few(stage, stage.past(minutes_before_live=10), gap=15_250, alerts=5)


def _fifth_on_the_minute(stage: Stage) -> Act:
    """The first alert lies exactly 60 s before the fifth: outside of (t - 60 s, t]."""
    return _few(stage, stage.live(3), gap=15 * SECOND, alerts=5)


def _raised_and_cleared(stage: Stage) -> Act:
    first = stage.live(12)
    alerts = tuple(
        PlannedAlert(first + number * 5 * SECOND, "COIN_JAM", "coin_mech", raised=number % 2 == 0)
        for number in range(8)
    )
    return Act(
        device=stage.scripted(Script(alerts=alerts)),
        start=first,
        deciding=alerts[_FIFTH].at + stage.device.skew,
        end=alerts[-1].at,
    )


def _four_in_the_past(stage: Stage) -> Act:
    return _few(stage, stage.past(minutes_before_live=10), gap=14 * SECOND, alerts=4)


def _five_cleared(stage: Stage) -> Act:
    """Five alerts within 40 s, each of which says that something is over."""
    first = stage.past(minutes_before_live=10)
    alerts = tuple(
        PlannedAlert(first + number * 10 * SECOND, code, component, raised=False)
        for number, (code, component) in enumerate(_ALERTS)
    )
    return Act(
        device=stage.scripted(Script(alerts=alerts)),
        start=first,
        deciding=alerts[_FIFTH].at + stage.device.skew,
        end=alerts[-1].at,
    )


def _sent_twice(stage: Stage) -> Act:
    """Three alerts, each sent twice with the same event id: three events."""
    instants = [stage.live(6 + 9 * number) for number in range(3)]
    return Act(
        device=stage.scripted(Script(alerts=_raised(instants, copies=2))),
        start=instants[0],
        deciding=instants[-1] + stage.device.skew,
        end=instants[-1],
    )


def _spooled(stage: Stage) -> Act:
    """Five alerts in 88 s that arrive within one second, from the spool."""
    lost = stage.past(minutes_before_live=10)
    back = lost + 110 * SECOND
    instants = [lost + (5 + 22 * number) * SECOND for number in range(5)]
    return Act(
        device=stage.scripted(Script(alerts=_raised(instants), offline=(Span(lost, back),))),
        start=instants[0],
        deciding=back,
        end=back,
    )


def _in_maintenance(stage: Stage) -> Act:
    first = stage.live(-20 * 60)
    act = _burst(stage, first, first + 3 * MINUTE)
    work = Maintenance(
        scope="device",
        subject=stage.device.device_id,
        mode="unmanage",
        start=first - 15 * MINUTE,
        end=first + 15 * MINUTE,
    )
    return replace(act, maintenance=(work,))


SCENARIOS = (
    *(Scenario("alert_burst", RULE, _past) for _ in range(3)),
    Scenario("alert_burst", RULE, _open_at_live(last=58, going_on=_STEADY)),
    Scenario("alert_burst", RULE, _open_at_live(last=400)),
    Scenario("alert_burst", RULE, _live(first=2, last=78)),
    Scenario("alert_burst", RULE, _live(first=5, last=600)),
    Scenario("alert_burst", RULE, _live(first=8, last=78)),
    Scenario("alert_burst", RULE, _live(first=11, last=900)),
    Scenario("four_in_a_minute", RULE, _four_in_a_minute, lookalike=True),
    Scenario("five_in_61_seconds", RULE, _five_in_61_seconds, lookalike=True),
    Scenario("fifth_on_the_minute", RULE, _fifth_on_the_minute, lookalike=True),
    Scenario("raised_and_cleared", RULE, _raised_and_cleared, lookalike=True),
    Scenario("sent_twice", RULE, _sent_twice, lookalike=True),
    Scenario("spooled_alerts", RULE, _spooled, lookalike=True),
    Scenario("burst_in_maintenance", RULE, _in_maintenance, lookalike=True),
)

MORE_LOOKALIKES = (
    *(Scenario("four_in_a_minute", RULE, _four_in_the_past, lookalike=True) for _ in range(2)),
    Scenario("five_cleared", RULE, _five_cleared, lookalike=True),
)
