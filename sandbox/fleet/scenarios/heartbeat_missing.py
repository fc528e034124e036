"""Rule 2: no heartbeat for 180 s, and what only looks like it.

Each scenario is written backwards from the time-out: the machine is commissioned such that one of
its beats falls 180 s before, and falls silent a second after that beat.
"""

from collections.abc import Callable
from dataclasses import replace

from sandbox.fleet.instants import FOREVER, HOUR, MINUTE, SECOND, Span
from sandbox.fleet.registry import BEAT_INTERVAL
from sandbox.fleet.scenarios.scene import Act, Maintenance, Scenario, Stage
from sandbox.fleet.script import Script

RULE = "heartbeat_missing"
TIMEOUT = 3 * BEAT_INTERVAL
_AFTER_THE_BEAT = SECOND

Write = Callable[[Stage], Act]
When = Callable[[Stage], int]


def _live(seconds: float) -> When:
    return lambda stage: stage.live(seconds)


def _before_live(low: float, high: float) -> When:
    """An instant between so many minutes before live time."""
    return lambda stage: stage.live(-60 * stage.rng.uniform(low, high))


def _past(stage: Stage) -> int:
    return stage.past(minutes_before_live=35)


def _last_beat(stage: Stage, deciding: int) -> int:
    """Returns the true time of the beat whose device time is 180 s before the time-out."""
    return deciding - TIMEOUT - stage.device.skew


def _silence(stage: Stage, deciding: int, end: int | None, script: Callable[[Span], Script]) -> Act:
    last = _last_beat(stage, deciding)
    silent = Span(last + _AFTER_THE_BEAT, FOREVER if end is None else end)
    return Act(
        device=replace(stage.beating_at(last), script=script(silent)),
        start=silent.start,
        deciding=deciding,
        end=end,
    )


def _power_loss(deciding: When, back: When) -> Write:
    """Nothing at all is sent; then the machine boots and beats twice within 10 s."""
    return lambda stage: _silence(
        stage, deciding(stage), back(stage), lambda silent: Script(off=(silent,))
    )


def _uplink_lost(deciding: When, back: When) -> Write:
    """The machine goes on and spools. What it sends late counts as life when it arrives."""
    return lambda stage: _silence(
        stage, deciding(stage), back(stage), lambda silent: Script(offline=(silent,))
    )


def _agent_hangs(deciding: When) -> Write:
    """Heartbeats stop for good; telemetry goes on."""
    return lambda stage: _silence(
        stage, deciding(stage), None, lambda silent: Script(beatless=(silent,))
    )


def _past_silence(script: Callable[[Span], Script]) -> Write:
    def write(stage: Stage) -> Act:
        deciding = _past(stage)
        back = deciding + stage.rng.randint(3 * MINUTE, 9 * MINUTE)
        return _silence(stage, deciding, back, script)

    return write


def _never_seen(deciding: When) -> Write:
    """Registered and never switched on: the silence counts from commissioning."""

    def write(stage: Stage) -> Act:
        known = deciding(stage)
        commissioned = known - TIMEOUT
        device = replace(
            stage.device, commissioned=commissioned, script=Script(off=(Span(commissioned),))
        )
        return Act(device, start=commissioned, deciding=known, end=None)

    return write


def _short_silence(stage: Stage) -> Act:
    return _silent_170_s(stage, stage.live(-100))


def _short_power_dip(stage: Stage) -> Act:
    return _silent_170_s(stage, _past(stage))


def _silent_170_s(stage: Stage, last: int) -> Act:
    """170 s between the last beat and the first after a boot."""
    back = last + TIMEOUT - 10 * SECOND
    return Act(
        device=replace(
            stage.beating_at(last), script=Script(off=(Span(last + _AFTER_THE_BEAT, back),))
        ),
        start=last + _AFTER_THE_BEAT,
        deciding=last + TIMEOUT,
        end=back,
    )


def _short_spool(stage: Stage) -> Act:
    return _spooled_110_s(stage, stage.live(-50))


def _past_spool(stage: Stage) -> Act:
    return _spooled_110_s(stage, _past(stage))


def _spooled_110_s(stage: Stage, last: int) -> Act:
    """Beats that are spooled for up to 110 s and arrive in time."""
    lost = Span(last + _AFTER_THE_BEAT, last + 111 * SECOND)
    return Act(
        device=replace(stage.beating_at(last), script=Script(offline=(lost,))),
        start=lost.start,
        deciding=last + TIMEOUT,
        end=lost.end,
    )


def _decommissioned(deciding: When) -> Write:
    """Unplugged, and taken out of the registry 20 s later."""

    def write(stage: Stage) -> Act:
        known = deciding(stage)
        last = _last_beat(stage, known)
        off = Span(last + _AFTER_THE_BEAT)
        device = replace(
            stage.beating_at(last),
            decommissioned=off.start + 20 * SECOND,
            script=Script(off=(off,)),
        )
        return Act(device, start=off.start, deciding=known, end=None)

    return write


def _in_maintenance(stage: Stage) -> Act:
    """The heartbeat's process is stopped for announced work, and started before its end."""
    deciding = stage.live(20)
    act = _silence(stage, deciding, deciding + HOUR, lambda silent: Script(beatless=(silent,)))
    work = Maintenance(
        scope="device",
        subject=stage.device.device_id,
        mode="unmanage",
        start=act.start - 10 * MINUTE,
        end=deciding + HOUR + 10 * MINUTE,
    )
    return replace(act, maintenance=(work,))


SCENARIOS = (
    Scenario("power_loss", RULE, _past_silence(lambda silent: Script(off=(silent,)))),
    Scenario("uplink_lost", RULE, _past_silence(lambda silent: Script(offline=(silent,)))),
    Scenario("agent_hangs", RULE, _past_silence(lambda silent: Script(beatless=(silent,)))),
    Scenario("power_loss", RULE, _power_loss(_before_live(5, 15), _live(76)), dark=True),
    Scenario("never_seen", RULE, _never_seen(_before_live(20, 50)), dark=True),
    Scenario("agent_hangs", RULE, _agent_hangs(_before_live(5, 20))),
    Scenario("agent_hangs", RULE, _agent_hangs(_live(6))),
    Scenario("agent_hangs", RULE, _agent_hangs(_live(13))),
    Scenario("uplink_lost", RULE, _uplink_lost(_live(15), _live(98)), dark=True),
    Scenario("power_loss", RULE, _power_loss(_live(18), _live(96)), dark=True),
    Scenario("never_seen", RULE, _never_seen(_live(22)), dark=True),
    Scenario("agent_hangs", RULE, _agent_hangs(_live(185))),
    Scenario("silence_of_170_s", RULE, _short_silence, lookalike=True, dark=True),
    Scenario("short_spool", RULE, _short_spool, lookalike=True),
    Scenario("decommissioned", RULE, _decommissioned(_past), lookalike=True),
    Scenario("decommissioned", RULE, _decommissioned(_live(10)), lookalike=True),
    Scenario("silence_in_maintenance", RULE, _in_maintenance, lookalike=True),
)

MORE_LOOKALIKES = (
    *(Scenario("silence_of_170_s", RULE, _short_power_dip, lookalike=True) for _ in range(2)),
    *(Scenario("short_spool", RULE, _past_spool, lookalike=True) for _ in range(2)),
    Scenario("decommissioned", RULE, _decommissioned(_past), lookalike=True),
)
