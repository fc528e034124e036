"""Rule 6: a door that nobody closes for 300 s, and what only looks like it."""

from collections.abc import Callable
from dataclasses import replace

from sandbox.fleet.instants import MINUTE, SECOND, Span
from sandbox.fleet.scenarios.over_temperature import RULE as OVER_TEMPERATURE
from sandbox.fleet.scenarios.rapid_warming import RULE as RAPID_WARMING
from sandbox.fleet.scenarios.scene import Act, Scenario, Stage
from sandbox.fleet.script import Script

RULE = "door_left_open"
TIMEOUT = 300 * SECOND
_COLD = frozenset({"COLD-300"})
# An open door warms what is cooled: that is for other rules to see too.
_UNCOOLED = frozenset({"SNACK-200", "COFFEE-50"})


def _open(stage: Stage, deciding: int, closed: int | None) -> Act:
    """Opened such that the time-out comes at about `deciding`."""
    opened = stage.sample(deciding - TIMEOUT)
    span = Span(opened) if closed is None else Span(opened, closed)
    return Act(
        device=stage.scripted(Script(open_doors=(span,))),
        start=opened,
        deciding=opened + TIMEOUT + stage.device.skew,
        end=closed,
    )


def _past(stage: Stage) -> Act:
    deciding = stage.past(minutes_before_live=30)
    return _open(stage, deciding, deciding + stage.rng.randint(2 * MINUTE, 12 * MINUTE))


def _cold_past(stage: Stage) -> Act:
    return replace(_past(stage), also=stage.also(RAPID_WARMING, OVER_TEMPERATURE))


def _open_at_live(stage: Stage) -> Act:
    return _open(stage, stage.live(-stage.rng.uniform(60, 600)), None)


def _live(decided: float, closed: float) -> Callable[[Stage], Act]:
    return lambda stage: _open(stage, stage.live(decided), stage.live(closed))


def _muted(stage: Stage) -> Act:
    """A technician has said that he comes, not that the door is not to be looked at."""
    act = _open(stage, stage.live(-600), stage.live(600))
    work = stage.at_work("mute", act.start, stage.live(600))
    return replace(act, maintenance=work, muted=True)


def _opened(stage: Stage, seconds: int, *lost: Span) -> Act:
    opened = stage.sample(stage.past(minutes_before_live=20))
    span = Span(opened, opened + seconds * SECOND)
    return Act(
        device=stage.scripted(Script(open_doors=(span,), offline=lost)),
        start=span.start,
        deciding=opened + TIMEOUT + stage.device.skew,
        end=span.end,
    )


def _for_299_s(stage: Stage) -> Act:
    """The sample that says so comes exactly 300 s after the one that has seen it open."""
    return _opened(stage, seconds=299)


def _short_visit(stage: Stage) -> Act:
    return _opened(stage, seconds=stage.rng.randint(60, 200))


def _closed_unheard(stage: Stage) -> Act:
    """The uplink is lost while the door is closed: the spool brings it after the 300 s."""
    act = _opened(stage, seconds=260)
    lost = Span(act.start + 250 * SECOND, act.start + 350 * SECOND)
    script = Script(open_doors=(Span(act.start, act.end or 0),), offline=(lost,))
    return replace(act, device=stage.scripted(script))


def _refilling(stage: Stage) -> Act:
    """Open three minutes of four, for half an hour."""
    start = stage.past(minutes_before_live=45)
    work = Span(start, start + 30 * MINUTE)
    return Act(stage.scripted(Script(doors=(work,))), start, start + TIMEOUT, work.end)


def _in_maintenance(stage: Stage) -> Act:
    act = _past(stage)
    end = act.deciding if act.end is None else act.end
    return replace(act, maintenance=stage.at_work("unmanage", act.start, end))


SCENARIOS = (
    *(Scenario("door_stays_open", RULE, _past, models=_UNCOOLED) for _ in range(2)),
    Scenario("door_stays_open", RULE, _cold_past, models=_COLD),
    *(Scenario("door_stays_open", RULE, _open_at_live, models=_UNCOOLED) for _ in range(2)),
    Scenario("door_stays_open", RULE, _live(decided=5, closed=140), models=_UNCOOLED),
    Scenario("door_stays_open", RULE, _live(decided=30, closed=900), models=_UNCOOLED),
    Scenario("door_open_and_muted", RULE, _muted, models=_UNCOOLED),
    *(
        Scenario(kind, RULE, write, lookalike=True, models=_UNCOOLED)
        for kind, write, times in (
            ("open_299_s", _for_299_s, 3),
            ("short_visit", _short_visit, 1),
            ("closing_spooled", _closed_unheard, 2),
            ("refilling", _refilling, 2),
            ("open_in_maintenance", _in_maintenance, 2),
        )
        for _ in range(times)
    ),
)
