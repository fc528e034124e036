"""A day of the past judged again in Dagster: what is asked for, and what its page says."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from orchestration.backfill import insights_backfill, told
from orchestration.resources import Differences, Wanted
from orchestration.resources.backfills import reach
from streaming.backfill.differences import Finding
from streaming.backfill.episodes import Episode

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)
FOUND = Differences(
    backfill_id=7,
    compared_with=40,
    findings=[
        Finding("added", "error_burst", "1", "VM-1", "", NOON, None, None, 6, 5),
        Finding("added", "error_burst", "1", "VM-2", "", NOON, None, None, 7, 5),
        Finding("gone", "door_left_open", "1", "VM-1", "", NOON, 300, 300, None, None),
    ],
    others=4,
    episodes=[
        Episode("added", None, "error_burst", "VM-1", "", None, None, NOON, None, None),
    ],
    unsettled=1,
)


class Backfills:
    """Remembers what was wanted, and finds nothing."""

    def __init__(self) -> None:
        self.wanted: list[Wanted] = []

    def run(self, wanted: Wanted, tell: Callable[[str], None]) -> Differences:
        self.wanted.append(wanted)
        tell("judging")
        return FOUND


def test_a_partition_is_a_day_of_utc_and_changes_nothing_unless_it_is_configured() -> None:
    backfills = Backfills()

    done = insights_backfill.execute_in_process(
        partition_key="2026-03-29", resources={"backfills": backfills}
    )

    day = datetime(2026, 3, 29, tzinfo=UTC)
    assert done.success
    assert backfills.wanted == [Wanted(day, day + timedelta(days=1), "Dagster", [])]


def test_what_differs_is_on_the_runs_page_by_rule() -> None:
    page = told(FOUND)

    assert str(page["differences"].value).splitlines()[2:] == [  # type: ignore[union-attr]
        "| door_left_open | gone | 1 | 0 |",
        "| error_burst | added | 2 | 1 |",
    ]
    assert page["merged_by_batch"] == "none"


def test_the_lake_is_read_for_the_longest_window_and_not_for_what_is_learned() -> None:
    metas = [{"reach_s": seconds} for seconds in (60, 3600, 28 * 86_400)]
    assert reach(metas) == timedelta(hours=1)
    assert reach(metas[2:]) == timedelta(0)
