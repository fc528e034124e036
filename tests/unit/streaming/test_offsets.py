"""Offset arithmetic: however a log is polled and cut, each record is in one slice, and no gap."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streaming.consumer import Partition
from streaming.records import PartitionId, Record, Records, Slice

WHERE = PartitionId("alerts.raw", 0, 1)
GAPS = st.lists(st.sampled_from([0, 0, 0, 1, 7]), min_size=1, max_size=40)


def log(start: int, gaps: list[int]) -> list[Record]:
    """Returns records with gaps before them, as transactions and compaction leave them."""
    records, offset = [], start
    for gap in gaps:
        offset += gap
        records.append(Record(offset, 0, 1, None, None, b"%d" % offset))
        offset += 1
    return records


class Reading(RuleBasedStateMachine):
    """A partition that is polled and cut at any moments, with records that come twice."""

    @initialize(start=st.integers(0, 2**62), gaps=GAPS, behind=st.integers(0, 5))
    def assign(self, start: int, gaps: list[int], behind: int) -> None:
        self.log = log(start, gaps)
        self.end = self.log[-1].offset + 1 + behind
        self.start = start
        self.partition = Partition(WHERE, start, start, start, None, handed_over=start)
        self.slices: list[Slice] = []

    @rule(count=st.integers(0, 10), again=st.integers(0, 5))
    def poll(self, count: int, again: int) -> None:
        already = sum(record.offset < self.partition.position for record in self.log)
        found = Records.of(self.log[max(0, already - again) : already + count])
        taken = self.partition.read(found, leader_epoch=0)
        assert (taken > 0) == (len(self.log[already : already + count]) > 0)

    @rule()
    def reach_the_end(self) -> None:
        last = self.log[-1].offset
        if self.partition.position > last:
            self.partition.position = max(self.partition.position, self.end)

    @rule()
    def cut(self) -> None:
        if self.partition.position > self.partition.handed_over:
            self.slices.append(self.partition.cut().slice)

    @invariant()
    def every_record_is_in_one_slice(self) -> None:
        if not hasattr(self, "log"):
            return
        cut_to = self.slices[-1].next if self.slices else self.start
        bounds = [self.start, *(each.next for each in self.slices)]
        assert [each.start for each in self.slices] == bounds[:-1]
        inside = [record for each in self.slices for record in each.records]
        assert inside == [record for record in self.log if record.offset < cut_to]
        rest = [each for each in self.log if cut_to <= each.offset < self.partition.position]
        assert list(self.partition.pending) == rest
        assert self.partition.handed_over == cut_to


TestReading = Reading.TestCase


@given(gaps=GAPS, cuts=st.lists(st.integers(0, 300), max_size=5))
def test_what_is_dropped_from_a_slice_is_what_lies_below(gaps: list[int], cuts: list[int]) -> None:
    records = log(10, gaps)
    each = Slice(WHERE, 10, records[-1].offset + 1, Records.of(records))
    reached = 10
    for offset in cuts:
        if offset <= each.next:
            each = each.since(offset)
            reached = max(reached, offset)
    assert (each.start, each.next) == (reached, records[-1].offset + 1)
    assert list(each.records) == [record for record in records if record.offset >= reached]
