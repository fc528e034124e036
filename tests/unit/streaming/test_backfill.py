"""Which past can be judged again, in which parts."""

from datetime import UTC, datetime, timedelta

import pytest

from streaming.backfill.base import Base, check, chosen
from streaming.backfill.chunks import MOST_RECORDS, Chunk, cut
from streaming.errors import BackfillError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
BASE = Base(batch_id=7, watermark=NOON + 9 * HOUR, redrive=0, known_from=NOON)
FEW = MOST_RECORDS // 4


def test_hours_with_few_events_are_judged_together() -> None:
    assert list(cut({0: FEW, 1: FEW, 2: FEW}, NOON, NOON + 3 * HOUR)) == [
        Chunk(NOON, NOON + 3 * HOUR, 3 * FEW)
    ]


def test_no_chunk_has_more_than_the_most_unless_it_is_an_hour() -> None:
    counts = {0: FEW, 1: 5 * MOST_RECORDS, 2: FEW, 3: 3 * FEW, 4: 1}
    assert list(cut(counts, NOON, NOON + 5 * HOUR)) == [
        Chunk(NOON, NOON + HOUR, FEW),
        Chunk(NOON + HOUR, NOON + 2 * HOUR, 5 * MOST_RECORDS),
        Chunk(NOON + 2 * HOUR, NOON + 4 * HOUR, MOST_RECORDS),
        Chunk(NOON + 4 * HOUR, NOON + 5 * HOUR, 1),
    ]


def test_the_last_chunk_ends_with_the_range_and_a_range_without_events_is_one() -> None:
    until = NOON + 90 * timedelta(minutes=1)
    assert list(cut({}, NOON, until)) == [Chunk(NOON, until, 0)]


def test_all_that_is_known_can_be_judged_again() -> None:
    check(BASE, BASE.known_from, BASE.watermark)


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        (NOON, NOON, "give a later --to"),
        (NOON + HOUR, NOON, "give a later --to"),
        (NOON - HOUR, NOON + HOUR, "nothing is known of the time before 2026-03-01 12:00"),
        (NOON, NOON + 10 * HOUR, "have come to 2026-03-01 21:00"),
    ],
)
def test_a_range_beyond_what_is_known_is_refused_with_how_far_it_may_go(
    since: datetime, until: datetime, words: str
) -> None:
    with pytest.raises(BackfillError, match=words):
        check(BASE, since, until)


def test_without_a_rule_all_are_chosen_and_an_unknown_one_is_refused() -> None:
    known = ["reboot_loop", "error_burst"]
    assert chosen(known, []) == ["error_burst", "reboot_loop"]
    assert chosen(known, ["reboot_loop", "reboot_loop"]) == ["reboot_loop"]
    with pytest.raises(BackfillError, match="no rule eror_burst; there are error_burst, reboot"):
        chosen(known, ["eror_burst"])
