"""Rule 12: fewer than 40 % of a site are heard from in five minutes, and what only looks like it.

A whole site plays. Its machines that fall silent are each rightly seen by rule 2, whose tickets the
site's suppresses.
"""

from collections.abc import Callable
from dataclasses import replace

from sandbox.fleet.instants import FOREVER, MINUTE, SECOND, WINDOW, Span
from sandbox.fleet.registry import Device
from sandbox.fleet.scenarios.heartbeat_missing import RULE as HEARTBEAT_MISSING
from sandbox.fleet.scenarios.scene import Act, Also, Maintenance, Scenario, Stage
from sandbox.fleet.script import Script

RULE = "site_outage"
_BEGINS = 70 * SECOND
"""After a window has begun: all are heard in it, since all beat every minute."""

Silence = Callable[[Span], Script]


def _no_power(span: Span) -> Script:
    return Script(off=(span,))


def _no_uplink(span: Span) -> Script:
    return Script(offline=(span,))


def _machines(stage: Stage) -> tuple[Device, ...]:
    return (stage.device, *stage.others)


def _act(
    stage: Stage,
    silence: Silence,
    span: Span,
    deciding: int,
    *,
    dark: int | None = None,
    suppressed: bool = False,
) -> Act:
    """The first `dark` machines, or all, are silent; the others play nothing."""
    machines = _machines(stage)
    silent = machines[:dark]
    first, *others = [
        replace(device, script=silence(span) if device in silent else Script())
        for device in machines
    ]
    return Act(
        device=first,
        start=span.start,
        deciding=deciding,
        end=None if span.end == FOREVER else span.end,
        others=tuple(others),
        also=tuple(
            Also(HEARTBEAT_MISSING, device.device_id, ticketed=not suppressed) for device in silent
        ),
    )


def _outage(stage: Stage, silence: Silence, deciding: int, back: int | None) -> Act:
    """The window that ends at `deciding` is the first without anybody."""
    start = deciding - 2 * WINDOW + _BEGINS
    span = Span(start) if back is None else Span(start, back)
    return _act(stage, silence, span, deciding, suppressed=True)


def _past(silence: Silence) -> Callable[[Stage], Act]:
    def write(stage: Stage) -> Act:
        deciding = stage.past_window(minutes_before_live=45)
        back = deciding + stage.rng.randint(2 * MINUTE, 12 * MINUTE)
        return _outage(stage, silence, deciding, back)

    return write


def _open_at_live(stage: Stage) -> Act:
    return _outage(stage, _no_power, stage.window(-2), None)


def _first_live_window(stage: Stage) -> Act:
    return _outage(stage, _no_power, stage.window(1), None)


def _gateway_restarts(begin: Callable[[Stage], int]) -> Callable[[Stage], Act]:
    """For 90 s nothing arrives; then what the machines have kept does."""

    def write(stage: Stage) -> Act:
        start = begin(stage)
        span = Span(start, start + 90 * SECOND)
        return replace(_act(stage, _no_uplink, span, stage.window_of(span.end)), also=())

    return write


def _some_time(stage: Stage) -> int:
    return stage.past(minutes_before_live=10)


def _after_live_begins(stage: Stage) -> int:
    return stage.live(10)


def _part(stage: Stage) -> Act:
    """As many are silent as may be: 40 % are heard, which is not below 40 %."""
    machines = len(_machines(stage))
    deciding = stage.past_window(minutes_before_live=45)
    span = Span(deciding - 2 * WINDOW + _BEGINS, deciding + 4 * MINUTE)
    return _act(stage, _no_power, span, deciding, dark=machines - -(-machines * 2 // 5))


def _between_windows(stage: Stage) -> Act:
    """Dark for seven minutes, and yet heard in each window."""
    end = stage.past_window(minutes_before_live=45)
    span = Span(end - WINDOW + _BEGINS, end + WINDOW - 100 * SECOND)
    return _act(stage, _no_power, span, end + WINDOW)


def _in_maintenance(stage: Stage) -> Act:
    """The electricians had said that they come."""
    act = _past(_no_power)(stage)
    start, end = act.start - 10 * MINUTE, (act.end or 0) + 10 * MINUTE
    work = Maintenance("site", act.device.site.site_id, "unmanage", start, end)
    return replace(act, maintenance=(work,), also=())


def _left(stage: Stage, keep: int) -> tuple[Act, int]:
    """All but some machines leave the registry, within a minute of being unplugged."""
    leave = stage.past(minutes_before_live=100)
    machines = [
        replace(
            device,
            script=Script(off=(Span(leave),)),
            decommissioned=leave + 40 * SECOND,
        )
        if number >= keep
        else replace(device, script=Script())
        for number, device in enumerate(_machines(stage))
    ]
    first, *others = machines
    deciding = stage.window_of(leave) + WINDOW
    return Act(first, leave, deciding, end=None, others=tuple(others)), leave


def _closed(stage: Stage) -> Act:
    return _left(stage, keep=0)[0]


def _two_left(stage: Stage) -> Act:
    """Of a site of two nobody can say that it is out."""
    act, leave = _left(stage, keep=2)
    dark = Span(leave + 20 * MINUTE, leave + 35 * MINUTE)
    first, second, *gone = (act.device, *act.others)
    silent = [replace(device, script=_no_power(dark)) for device in (first, second)]
    return replace(
        act,
        device=silent[0],
        others=(silent[1], *gone),
        start=dark.start,
        deciding=stage.window_of(dark.start) + WINDOW,
        end=dark.end,
        also=tuple(Also(HEARTBEAT_MISSING, device.device_id) for device in silent),
    )


SCENARIOS = (
    *(Scenario("no_power", RULE, _past(_no_power), of_site=True) for _ in range(2)),
    *(Scenario("no_uplink", RULE, _past(_no_uplink), of_site=True) for _ in range(2)),
    Scenario("no_power", RULE, _open_at_live, of_site=True),
    Scenario("no_power", RULE, _first_live_window, of_site=True),
    *(
        Scenario(kind, RULE, write, lookalike=True, of_site=True)
        for kind, write, times in (
            ("gateway_restarts", _gateway_restarts(_some_time), 3),
            ("gateway_restarts", _gateway_restarts(_after_live_begins), 1),
            ("three_in_five_silent", _part, 2),
            ("between_two_windows", _between_windows, 1),
            ("site_in_maintenance", _in_maintenance, 1),
            ("site_closed", _closed, 1),
            ("two_machines_left", _two_left, 1),
        )
        for _ in range(times)
    ),
)
