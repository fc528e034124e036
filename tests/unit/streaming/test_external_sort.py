"""Sorting on disk gives what sorting in memory gives."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming import external_sort
from streaming.errors import OutageError
from streaming.external_sort import Sorter, scratch

Row = tuple[bytes | None, int, bytes]


def table_of(rows: list[Row]) -> pa.Table:
    names, types = ("key", "offset", "payload"), (pa.binary(), pa.int64(), pa.binary())
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {name: pa.array(column, of) for name, column, of in zip(names, columns, types, strict=True)}
    )


@given(
    keys=st.lists(st.sampled_from([None, b"", b"a", b"b", b"\xff"]), max_size=60),
    max_bytes=st.sampled_from([1, 200, 10_000]),
    size=st.integers(1, 20),
    chance=st.randoms(use_true_random=False),
)
def test_rows_come_in_order_each_once(
    keys: list[bytes | None], max_bytes: int, size: int, chance: random.Random
) -> None:
    rows: list[Row] = [(key, at, b"x" * (at % 7)) for at, key in enumerate(keys)]
    chance.shuffle(rows)
    with TemporaryDirectory() as folder:
        sorter = Sorter(("key", "offset"), Path(folder), max_bytes)
        for start in range(0, len(rows), size):
            sorter.add(table_of(rows[start : start + size]))
        found = [tuple(row.values()) for table in sorter.sorted() for row in table.to_pylist()]
    assert found == sorted(rows, key=lambda row: (row[0] is None, row[0] or b"", row[1]))


def test_a_disk_that_is_full_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(external_sort.pa.ipc, "new_file", full)
    with pytest.raises(OutageError, match="No space left on device"), scratch() as folder:
        Sorter(("offset",), folder, 1).add(table_of([(None, 1, b"")]))
