"""Our consumer as a contender: a process that lands a number of records, and ends.

Its settings come by the environment, as the consumer's do; its argument says which sinks work.
"""

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence

from fleetpulse import logs, settings
from fleetpulse.consume import spare_the_garbage_collector
from streaming.consumer import Consumer
from streaming.epochs import Epoch
from streaming.object_store import open_store
from streaming.records import PartitionId, Records, Slice
from streaming.sinks.lake import LakeSink
from streaming.sinks.ods import Landed, OdsSink
from streaming.sinks.ods_rows import Packed


class Counting(OdsSink):
    """The ODS, until it has landed a number of records."""

    def __init__(self, url: str, records: int) -> None:
        super().__init__(url)
        self.consumer: Consumer | None = None
        self.began: tuple[float, float] | None = None
        self._left = records

    def land(self, packed: Packed) -> int:
        """See `OdsSink`; stops the consumer at the end."""
        quarantined = self._keep(packed)
        self._left -= sum(len(each.records) for each in packed.slices)
        if self._left <= 0 and self.consumer is not None:
            self.consumer.stop()
        return quarantined

    def open(self, partition: PartitionId, topic_id: str, log_start: int) -> Landed:
        """See `OdsSink`."""
        self.began = self.began or (time.perf_counter(), time.process_time())
        return self._begin(partition, topic_id, log_start)

    def _keep(self, packed: Packed) -> int:
        return super().land(packed)

    def _begin(self, partition: PartitionId, topic_id: str, log_start: int) -> Landed:
        return super().open(partition, topic_id, log_start)


class NoOds(Counting):
    """An ODS that is always there and keeps nothing: the lake alone."""

    def epoch(self, topic: str, topic_id: str) -> int:
        """See `OdsSink`."""
        return 0

    def epochs(self, topic: str) -> list[Epoch]:
        """See `OdsSink`."""
        return []

    def pack(self, slices: Sequence[Slice]) -> Packed:
        """See `OdsSink`."""
        return Packed(slices)

    def read(self, partition: PartitionId, start: int, end: int, limit: int) -> Slice:
        """See `OdsSink`."""
        return Slice(partition, start, max(start, end), Records())

    def note_lake(self, claims: Mapping[PartitionId, int]) -> None:
        """See `OdsSink`."""

    def _keep(self, packed: Packed) -> int:
        return 0

    def _begin(self, partition: PartitionId, topic_id: str, log_start: int) -> Landed:
        return Landed(log_start, log_start, None, None)


class NoLake(LakeSink):
    """A lake that takes everything and keeps nothing: the ODS alone."""

    def take(self, slices: Iterable[Slice]) -> None:
        """See `LakeSink`."""


def main() -> None:
    """Lands, and prints what it took from the first partition that was opened on."""
    sinks, records = sys.argv[1], int(sys.argv[2])
    tree = settings.load()
    logs.configure(tree.log_level)
    kind = NoOds if sinks == "lake" else Counting
    ods = kind(settings.require(tree.ods, "ods").url("consumer"), records)
    store = open_store(settings.require(tree.lake, "lake"))
    lake = (NoLake if sinks == "ods" else LakeSink)(store, tree.landing)
    ods.consumer = Consumer(
        settings.require(tree.kafka, "kafka"), tree.landing, lambda: ods, lambda: lake
    )
    spare_the_garbage_collector()
    ods.consumer.run()
    began = ods.began or (0, 0)
    ended = (time.perf_counter(), time.process_time())
    seconds, cpu_s = (end - begin for end, begin in zip(ended, began, strict=True))
    print(json.dumps({"seconds": seconds, "client_cpu_s": cpu_s}))


if __name__ == "__main__":
    main()
