"""What a partition remembers of leaders: the last record before a turn is asked for again."""

from streaming.consumer import Partition
from streaming.records import PartitionId, Record, Records


def records(*offsets: int) -> Records:
    return Records.of(Record(each, 1_772_366_400_000, 1, b"k", None, b"{}") for each in offsets)


def partition(last_record: tuple[int, int] | None = None) -> Partition:
    where = PartitionId("alerts.raw", 0, 1)
    return Partition(where, 10, 10, 10, None, last_record=last_record, handed_over=10)


def test_a_slice_carries_the_leader_epoch_of_its_last_record() -> None:
    each = partition()
    each.read(records(10, 11), 3)
    assert each.cut().slice.leader_epoch == 3


def test_as_long_as_one_leader_leads_nothing_is_asked_again() -> None:
    each = partition((9, 3))
    each.read(records(10, 11), 3)
    each.read(records(12), 3)
    assert each.cut().before_turn is None


def test_when_the_leader_has_changed_its_last_record_is_handed_over_once() -> None:
    each = partition((9, 3))
    each.read(records(10, 12), 3)
    each.position = 14  # over a marker
    each.read(records(14), 4)
    assert each.cut().before_turn == (12, 3)
    each.read(records(15), 4)
    assert each.cut().before_turn is None


def test_a_leader_that_changed_since_the_last_record_landed_counts_too() -> None:
    each = partition((9, 3))
    each.read(records(10), 4)
    assert each.cut().before_turn == (9, 3)


def test_what_lies_below_the_position_is_of_no_leader() -> None:
    each = partition((9, 3))
    each.read(records(7, 8), 4)
    assert each.cut().before_turn is None
