"""Sorts more rows than may be in memory: sorted runs on disk, merged batch by batch."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from streaming.errors import OutageError

_RUN = "run"
"""Column that says from which run a row is, while runs are merged."""


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for runs, which goes when it is left.

    Raises:
        OutageError: There is no room on the disk.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="fleetpulse-") as folder:
            yield Path(folder)
    except OSError as error:
        raise OutageError(
            f"the disk of temporary files ({tempfile.gettempdir()}) does not serve us: {error}; "
            "free some room, or name another one in TMPDIR"
        ) from error


class Sorter:
    """Takes tables of one schema, then gives their rows in order.

    Args:
        by: The columns to sort by, ascending; no two rows have the same values in them.
        folder: Where runs are put when memory is full.
        max_bytes: About what may be held; merging takes a small part of it for each run.
    """

    def __init__(self, by: Sequence[str], folder: Path, max_bytes: int) -> None:
        self._keys = [(name, "ascending") for name in by]
        self._folder = folder
        self._max_bytes = max_bytes
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self._runs: list[_Run] = []

    def add(self, table: pa.Table) -> None:
        """Takes some rows."""
        self._held.append(table)
        self._held_bytes += table.nbytes
        if self._held_bytes >= self._max_bytes:
            self._spill()

    def sorted(self) -> Iterator[pa.Table]:
        """Yields all rows in order, in tables of bounded size. To be called once."""
        if not self._runs:
            if self._held:
                table = self._sort(pa.concat_tables(self._held))
                rows = _rows_in(table, self._max_bytes // 8)
                for start in range(0, len(table), rows):
                    yield table.slice(start, rows)
            return
        if self._held:
            self._spill()
        yield from self._merge()

    def _spill(self) -> None:
        table = self._sort(pa.concat_tables(self._held))
        self._held, self._held_bytes = [], 0
        number = len(self._runs)
        table = table.append_column(_RUN, pa.repeat(pa.scalar(number, pa.int32()), len(table)))
        path = self._folder / f"run-{number}.arrow"
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_file(path, table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=_rows_in(table, self._max_bytes // 64))
        self._runs.append(_Run(number, pa.ipc.open_file(path)))

    def _merge(self) -> Iterator[pa.Table]:
        """Merges the runs.

        Of each run some rows are loaded. All rows up to the first "last loaded row" of a run that
        has more are complete, for what is still on disk comes after them.
        """
        loaded = self._runs[0].schema.empty_table()
        while True:
            loaded = pa.concat_tables([loaded, *self._load(loaded)])
            order = self._order(loaded)
            runs = loaded[_RUN].take(order)
            ends = [_last(runs, run.number) for run in self._runs if not run.is_done]
            complete = min(ends, default=len(loaded) - 1) + 1
            table = loaded.take(order.slice(0, complete))
            if len(table):
                yield table.drop_columns([_RUN])
            if not ends:
                return
            loaded = loaded.take(order.slice(complete))

    def _load(self, loaded: pa.Table) -> Iterator[pa.Table]:
        """Loads the next batch of each run of which less than one is left."""
        counts = pc.value_counts(loaded[_RUN]).to_pylist()
        left = {each["values"]: each["counts"] for each in counts}
        for run in self._runs:
            if not run.is_done and left.get(run.number, 0) < run.batch_rows:
                yield run.next_batch()

    def _sort(self, table: pa.Table) -> pa.Table:
        return table.take(self._order(table))

    def _order(self, table: pa.Table) -> pa.Array:
        return pc.sort_indices(table, sort_keys=self._keys)


class _Run:
    """Sorted rows on disk."""

    def __init__(self, number: int, file: pa.ipc.RecordBatchFileReader) -> None:
        self.number = number
        self._file = file
        self._next = 0
        self.batch_rows = 1

    @property
    def is_done(self) -> bool:
        """Whether all of it has been loaded."""
        batches: int = self._file.num_record_batches
        return self._next == batches

    @property
    def schema(self) -> pa.Schema:
        return self._file.schema

    def next_batch(self) -> pa.Table:
        """Loads the next rows."""
        batch = self._file.get_batch(self._next)
        self._next += 1
        self.batch_rows = len(batch)
        return pa.Table.from_batches([batch])


def _rows_in(table: pa.Table, wanted_bytes: int) -> int:
    """Returns how many rows take about so many bytes."""
    size: int = table.nbytes
    return max(1, wanted_bytes * len(table) // max(size, 1))


def _last(runs: pa.ChunkedArray, number: int) -> int:
    """Returns the position of a run's last row."""
    position: int = pc.indices_nonzero(pc.equal(runs, number))[-1].as_py()
    return position
