"""Rule 7: a fifth of a quarter-hour's vends fail, and what only looks like it.

Sales keep a minute and a half away from the quarter-hours: the samples that count them are then in
the same window.
"""

from sandbox.fleet.instants import HOUR, MINUTE, SECOND, Span
from sandbox.fleet.scenarios.scene import Act, Scenario, Stage
from sandbox.fleet.script import Sale, Script

RULE = "vend_failure_ratio"
_QUARTER = 15 * MINUTE
_MARGIN = 90 * SECOND
_BAD = (8, 4)
_GOOD = (8, 0)


def _quarter(stage: Stage, earlier: int) -> int:
    """Returns the end of a quarter-hour; 0 is the last one before live time begins."""
    return ((stage.config.start_ms - 1) // _QUARTER - earlier) * _QUARTER


def _past_quarter(stage: Stage, last: int) -> int:
    """Returns the end of a quarter-hour of history, `last` or more before the last one."""
    first = (stage.config.history.total_seconds() - 26 * 60) // 900 - 2
    return _quarter(stage, stage.rng.randint(last, int(first)))


def _sold(end: int, fine: int, failed: int) -> list[Sale]:
    """So many sales in the quarter-hour that ends then, evenly."""
    count = fine + failed
    step = (_QUARTER - 2 * _MARGIN) // max(count - 1, 1)
    first = end - _QUARTER + _MARGIN
    return [Sale(first + number * step, failed=number < failed) for number in range(count)]


def _selling(
    stage: Stage, end: int, quarters: list[tuple[int, int]], off: tuple[Span, ...] = ()
) -> Act:
    """Quarter-hours with so many fine and failed sales, the first of which ends then."""
    sales = [
        sale
        for number, (fine, failed) in enumerate(quarters)
        for sale in _sold(end + number * _QUARTER, fine, failed)
    ]
    bad = [number for number, (_, failed) in enumerate(quarters) if failed]
    return Act(
        device=stage.scripted(Script(sales=tuple(sales), off=off)),
        start=end - _QUARTER,
        deciding=end,
        end=end + bad[-1] * _QUARTER,
    )


def _past(stage: Stage) -> Act:
    quarters = [_BAD] * stage.rng.randint(1, 2) + [_GOOD, _GOOD]
    return _selling(stage, _past_quarter(stage, last=4), quarters)


def _after_a_boot(stage: Stage) -> Act:
    """The counters begin anew in the middle: what was counted before counts too."""
    end = _past_quarter(stage, last=4)
    boot = Span(end - 8 * MINUTE, end - 8 * MINUTE + 20 * SECOND)
    first = end - _QUARTER + _MARGIN
    bad = [
        *(Sale(first + number * 30 * SECOND, failed=number % 2 == 0) for number in range(6)),
        *(
            Sale(boot.end + (number + 1) * 30 * SECOND, failed=number % 2 == 0)
            for number in range(6)
        ),
    ]
    good = [*_sold(end + _QUARTER, *_GOOD), *_sold(end + 2 * _QUARTER, *_GOOD)]
    script = Script(sales=(*bad, *good), off=(boot,))
    return Act(stage.scripted(script), end - _QUARTER, end, end)


def _failing_since(stage: Stage, earlier: int) -> Act:
    """The motor fails and goes on failing."""
    act = _selling(stage, _quarter(stage, earlier), [_BAD] * 12)
    return Act(act.device, act.start, act.deciding, end=None)


def _open_at_live(stage: Stage) -> Act:
    return _failing_since(stage, stage.rng.randint(0, 1))


def _first_live_quarter(stage: Stage) -> Act:
    return _failing_since(stage, -1)


def _nine_vends(stage: Stage) -> Act:
    """Two of nine failed: more than a fifth, of too few."""
    return _selling(stage, _past_quarter(stage, last=1), [(7, 2)] * 2)


def _one_in_ten(stage: Stage) -> Act:
    return _selling(stage, _past_quarter(stage, last=1), [(9, 1)] * 3)


def _under_a_fifth(stage: Stage) -> Act:
    return _selling(stage, _past_quarter(stage, last=1), [(25, 6)] * 2)


def _over_two_windows(stage: Stage) -> Act:
    """Four of nine failed, twice: enough of them only for half an hour."""
    return _selling(stage, _past_quarter(stage, last=1), [(5, 4)] * 2)


def _boot_among_good(stage: Stage) -> Act:
    """The counters fall to nothing: no sale, and no failure, has been taken back."""
    end = _past_quarter(stage, last=1)
    boot = Span(end - 8 * MINUTE, end - 8 * MINUTE + 20 * SECOND)
    return _selling(stage, end, [(15, 1)] * 2, (boot,))


def _in_maintenance(stage: Stage) -> Act:
    act = _past(stage)
    work = stage.at_work("unmanage", act.start, act.deciding + HOUR)
    return Act(act.device, act.start, act.deciding, act.end, work)


SCENARIOS = (
    *(Scenario("vends_fail", RULE, _past) for _ in range(3)),
    Scenario("vends_fail_and_a_boot", RULE, _after_a_boot),
    *(Scenario("vends_fail", RULE, _open_at_live) for _ in range(2)),
    Scenario("vends_fail", RULE, _first_live_quarter),
    *(
        Scenario(kind, RULE, write, lookalike=True)
        for kind, write, times in (
            ("two_of_nine", _nine_vends, 3),
            ("one_in_ten", _one_in_ten, 2),
            ("under_a_fifth", _under_a_fifth, 2),
            ("few_in_each_window", _over_two_windows, 1),
            ("boot_among_good_vends", _boot_among_good, 1),
            ("failures_in_maintenance", _in_maintenance, 1),
        )
        for _ in range(times)
    ),
)
