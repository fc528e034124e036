"""What has landed, wherever it is by now: in the ODS or, if retention has dropped it, the lake."""

from collections.abc import Iterator

from streaming.errors import DroppedError
from streaming.lake_reader import LakeReader
from streaming.object_store import ObjectStore
from streaming.records import PartitionId, Record
from streaming.sinks.ods import OdsSink


def landed_records(
    ods: OdsSink, store: ObjectStore, where: PartitionId, start: int, end: int
) -> Iterator[Record]:
    """Yields what has landed in [start, end), as it came and in order.

    Args:
        ods: The ODS.
        store: The lake.
        where: The partition.
        start: The first offset.
        end: The offset after the last. All of it is read into memory at once.

    Raises:
        DroppedError: The lake does not have what retention has dropped.
        FatalError: The lake has lost something.
        OutageError: A system does not answer.
    """
    if start >= end:
        return
    try:
        yield from ods.read(where, start, end, end - start).records
    except DroppedError:
        for each in LakeReader(store).slices(where, start, end):
            yield from each.records
            start = each.next
        if start < end:  # retention drops nothing beyond the lake's end
            yield from ods.read(where, start, end, end - start).records
