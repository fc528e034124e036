"""Rule 10: three boots within half an hour, and what only looks like it."""

from dataclasses import replace

from sandbox.fleet.instants import HOUR, MINUTE, SECOND, Span
from sandbox.fleet.scenarios.scene import Act, Scenario, Stage
from sandbox.fleet.script import Script

RULE = "reboot_loop"
_TAKES = 20 * SECOND
_EVERY = 5 * MINUTE


def _restarts(first: int, count: int, every: int = _EVERY) -> tuple[Span, ...]:
    return tuple(
        Span(first + number * every, first + number * every + _TAKES) for number in range(count)
    )


def _loop(stage: Stage, third_boot: int, count: int) -> Act:
    """Restarts; the second of them brings the third boot at the instant."""
    off = _restarts(third_boot - _TAKES - _EVERY, count)
    return Act(
        device=stage.scripted(Script(off=off)),
        start=off[0].start,
        deciding=stage.window_of(third_boot),
        end=off[-1].end,
    )


def _past(stage: Stage) -> Act:
    return _loop(stage, stage.past(minutes_before_live=70), stage.rng.randint(2, 5))


def _forever(stage: Stage, third_boot: int) -> Act:
    return replace(_loop(stage, third_boot, count=24), end=None)


def _open_at_live(stage: Stage) -> Act:
    return _forever(stage, stage.live(-60 * stage.rng.uniform(7, 25)))


def _first_live_window(stage: Stage) -> Act:
    return _forever(stage, stage.window(1) - 80 * SECOND)


def _few(stage: Stage, off: tuple[Span, ...], *lost: Span) -> Act:
    return Act(
        device=stage.scripted(Script(off=off, offline=lost)),
        start=(*off, *lost)[0].start,
        deciding=stage.window_of((*off, *lost)[-1].end),
        end=(*off, *lost)[-1].end,
    )


def _one_restart(stage: Stage) -> Act:
    """Two boots."""
    return _few(stage, _restarts(stage.past(minutes_before_live=35), 1))


def _far_apart(stage: Stage) -> Act:
    """Three boots, of which no half an hour hears more than two."""
    first = stage.past(minutes_before_live=110)
    return _few(stage, _restarts(first, 3, every=32 * MINUTE))


def _uplink_flaps(stage: Stage) -> Act:
    """Its uplink comes and goes: it is one boot that speaks."""
    first = stage.past(minutes_before_live=40)
    lost = tuple(
        Span(first + number * _EVERY, first + number * _EVERY + 50 * SECOND) for number in range(5)
    )
    return _few(stage, (), *lost)


def _in_maintenance(stage: Stage) -> Act:
    act = _past(stage)
    return replace(act, maintenance=stage.at_work("unmanage", act.start, act.deciding + HOUR))


SCENARIOS = (
    *(Scenario("reboots", RULE, _past) for _ in range(3)),
    *(Scenario("reboots", RULE, _open_at_live) for _ in range(2)),
    Scenario("reboots", RULE, _first_live_window),
    *(
        Scenario(kind, RULE, write, lookalike=True)
        for kind, write, times in (
            ("two_boots", _one_restart, 4),
            ("boots_far_apart", _far_apart, 3),
            ("uplink_flaps", _uplink_flaps, 1),
            ("reboots_in_maintenance", _in_maintenance, 2),
        )
        for _ in range(times)
    ),
)
