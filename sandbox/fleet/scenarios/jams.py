"""Rule 8: three coin jams within ten minutes that nobody clears, and what only looks like it."""

from collections.abc import Callable
from dataclasses import replace

from sandbox.fleet.instants import MINUTE, SECOND, Span
from sandbox.fleet.scenarios.scene import Act, Scenario, Stage
from sandbox.fleet.script import PlannedAlert, Script

RULE = "jam_not_recovering"
_SPREAD = 10 * MINUTE
_JAM = ("COIN_JAM", "coin_mech")
_OTHER = ("BILL_JAM", "bill_validator")


def _jams(
    first: int, *minutes: float, cleared: tuple[float, ...] = (), copies: int = 1
) -> tuple[PlannedAlert, ...]:
    """Jams, and clears, so many minutes after the first."""
    told = [PlannedAlert(first + round(at * MINUTE), *_JAM, copies=copies) for at in minutes]
    told += [PlannedAlert(first + round(at * MINUTE), *_JAM, raised=False) for at in cleared]
    return tuple(sorted(told, key=lambda alert: alert.at))


def _third(stage: Stage, deciding: int, cleared: int | None) -> Act:
    """The third jam comes at the instant."""
    gaps = [stage.rng.randint(70 * SECOND, 200 * SECOND) for _ in range(2)]
    first = deciding - sum(gaps)
    jams = [PlannedAlert(at, *_JAM) for at in (first, first + gaps[0], deciding)]
    if cleared is not None:
        jams.append(PlannedAlert(cleared, *_JAM, raised=False))
    return Act(
        device=stage.scripted(Script(alerts=tuple(jams))),
        start=first,
        deciding=deciding + stage.device.skew,
        end=cleared,
    )


def _past(stage: Stage) -> Act:
    deciding = stage.past(minutes_before_live=35)
    return _third(stage, deciding, deciding + stage.rng.randint(3 * MINUTE, 20 * MINUTE))


def _given_up(stage: Stage) -> Act:
    """No clear ever: half an hour without a jam ends it."""
    deciding = stage.past(minutes_before_live=50)
    return replace(_third(stage, deciding, None), end=deciding)


def _open_at_live(stage: Stage) -> Act:
    return _third(stage, stage.live(-stage.rng.uniform(20, 420)), None)


def _live(third: float, cleared: float | None) -> Callable[[Stage], Act]:
    return lambda stage: _third(
        stage, stage.live(third), None if cleared is None else stage.live(cleared)
    )


def _muted(stage: Stage) -> Act:
    act = _third(stage, stage.live(-240), stage.live(400))
    return replace(act, maintenance=stage.at_work("mute", act.start, stage.live(400)), muted=True)


def _few(alerts: Callable[[int], tuple[PlannedAlert, ...]]) -> Callable[[Stage], Act]:
    def write(stage: Stage) -> Act:
        told = alerts(stage.past(minutes_before_live=25))
        return Act(
            device=stage.scripted(Script(alerts=told)),
            start=told[0].at,
            deciding=told[0].at + _SPREAD,
            end=told[-1].at,
        )

    return write


def _bill_jams(first: int) -> tuple[PlannedAlert, ...]:
    jams = _jams(first, 0, 2, cleared=(4,))
    return (*jams, PlannedAlert(first + 5 * MINUTE, *_OTHER))


def _spooled(stage: Stage) -> Act:
    """Two jams, a clear and a jam, all from the spool within a second."""
    act = _few(lambda first: _jams(first, 0, 0.4, 1.2, cleared=(0.8,)))(stage)
    lost = Span(act.start - 10 * SECOND, act.start + 90 * SECOND)
    script = act.device.script or Script()
    return replace(act, device=stage.scripted(replace(script, offline=(lost,))))


def _in_maintenance(stage: Stage) -> Act:
    act = _past(stage)
    end = act.deciding if act.end is None else act.end
    return replace(act, maintenance=stage.at_work("unmanage", act.start, end))


SCENARIOS = (
    *(Scenario("coin_jam", RULE, _past) for _ in range(2)),
    Scenario("coin_jam_given_up", RULE, _given_up),
    *(Scenario("coin_jam", RULE, _open_at_live) for _ in range(2)),
    Scenario("coin_jam", RULE, _live(third=8, cleared=150)),
    Scenario("coin_jam", RULE, _live(third=25, cleared=None)),
    Scenario("coin_jam_muted", RULE, _muted),
    *(
        Scenario(kind, RULE, write, lookalike=True)
        for kind, write, times in (
            ("two_jams", _few(lambda first: _jams(first, 0, 3)), 2),
            ("clear_between", _few(lambda first: _jams(first, 0, 2, 6, 8, cleared=(4,))), 2),
            ("third_after_ten_minutes", _few(lambda first: _jams(first, 0, 5, 10)), 2),
            ("two_sent_twice", _few(lambda first: _jams(first, 0, 3, copies=2)), 1),
            ("other_jams", _few(_bill_jams), 1),
            ("spooled_jams", _spooled, 1),
            ("jam_in_maintenance", _in_maintenance, 1),
        )
        for _ in range(times)
    ),
)
