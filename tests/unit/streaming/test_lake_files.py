"""Keys by their exact values, and files that give back what was put in."""

import io
from collections.abc import Sequence

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming import lake_files
from streaming.contracts import CONTRACTS
from streaming.errors import FatalError
from streaming.lake_files import Claim, FileWriter
from streaming.records import PartitionId, Record, Records

WHERE = PartitionId("telemetry.raw", 2, 3)
NOON_MS = 1_772_366_400_000  # 2026-03-01 12:00 UTC
RECORDS = [
    Record(10, NOON_MS, 1, b"VM-000001", [("n", b"\x00\xff"), ("n", None), ("", b"")], b"{}"),
    Record(11, NOON_MS + 1, 2, None, None, None),
    Record(15, -1, 0, b"", None, b""),
    Record(16, 2**63 - 1, 1, b"\xff", None, b"\x00" * 100),
]


def written(records: Sequence[Record]) -> bytes:
    """Returns a file of two row groups."""
    writer = FileWriter(WHERE)
    writer.write(Records.of(records[:2]))
    writer.write(Records.of(records[2:]))
    return writer.close()


def test_keys_have_these_values() -> None:
    assert lake_files.claim_key(WHERE, 42) == (
        "_claims/topic=telemetry.raw/e2-p3/o00000000000000000042"
    )
    assert lake_files.data_key(WHERE, 42, NOON_MS) == (
        "raw/topic=telemetry.raw/dt=2026-03-01/hr=12/e2-p3-o00000000000000000042.parquet"
    )


@pytest.mark.parametrize(
    ("greatest", "folder"),
    [
        (NOON_MS + 3_599_999, "dt=2026-03-01/hr=12"),
        (NOON_MS + 3_600_000, "dt=2026-03-01/hr=13"),
        (0, "dt=1970-01-01/hr=00"),
        (-1, "dt=1970-01-01/hr=00"),
        (2**63 - 1, "dt=9999-12-31/hr=23"),
    ],
)
def test_absurd_timestamps_have_a_folder_too(greatest: int, folder: str) -> None:
    assert f"/{folder}/" in lake_files.data_key(WHERE, 0, greatest)


def test_claims_sort_by_their_offset() -> None:
    offsets = [0, 9, 10, 999_999_999_999, 2**63 - 1]
    keys = [lake_files.claim_key(WHERE, offset) for offset in offsets]
    assert keys == sorted(keys)


OFFSETS = st.integers(0, 2**63 - 1)
PARTITIONS = st.builds(
    PartitionId, st.sampled_from([*CONTRACTS]), st.integers(0, 20), st.integers(0, 200)
)


@given(where=PARTITIONS, one=OFFSETS, other=OFFSETS)
def test_any_offset_comes_back_from_its_claims_key_and_keys_sort_as_offsets_do(
    where: PartitionId, one: int, other: int
) -> None:
    keys = [lake_files.claim_key(where, offset) for offset in (one, other)]
    assert [lake_files.claim_start(key) for key in keys] == [one, other]
    assert (keys[0] < keys[1]) == (one < other)


@given(
    one=PARTITIONS,
    other=PARTITIONS,
    offset=OFFSETS,
    later=OFFSETS,
    timestamps=st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1)),
)
def test_no_two_partitions_or_offsets_share_a_key(
    one: PartitionId, other: PartitionId, offset: int, later: int, timestamps: tuple[int, int]
) -> None:
    keys = [
        lake_files.data_key(where, start, timestamp)
        for where, start, timestamp in zip((one, other), (offset, later), timestamps, strict=True)
    ]
    names = {key.rsplit("/")[1] + key.rsplit("/")[-1] for key in keys}
    assert len(names) == len({(one, offset), (other, later)})
    inside = lake_files.claim_key(other, offset).startswith(lake_files.claims_prefix(one))
    assert inside == (one == other)


def test_a_claims_start_is_in_its_key() -> None:
    key = lake_files.claim_key(WHERE, 42)
    assert lake_files.claim_start(key) == 42
    # What a file system's store shows of an upload that has not ended.
    assert lake_files.claim_start(f"{key}-b7914788-d21a-442d-bf8b-490e7abb2ef2") is None


def test_a_file_gives_back_what_was_put_in() -> None:
    body = written(RECORDS)
    assert list(lake_files.decode(body)) == RECORDS
    columns = (table["offset"] for table in lake_files.tables(body, ("offset",)))
    assert [at for column in columns for at in column.to_pylist()] == [10, 11, 15, 16]


def test_a_file_has_the_schema_that_is_kept_beside_it_and_its_identity() -> None:
    table = pq.read_table(io.BytesIO(written(RECORDS)))
    assert table.schema.equals(lake_files.SCHEMA)
    for name, value in WHERE._asdict().items():
        assert set(table[name].to_pylist()) == {value}


def test_files_are_compressed_and_can_be_pruned_by_offset_and_time() -> None:
    metadata = pq.ParquetFile(io.BytesIO(written(RECORDS))).metadata
    assert metadata.num_row_groups == 2
    for number, bounds in enumerate([(10, 11), (15, 16)]):
        group = metadata.row_group(number)
        columns = [group.column(index) for index in range(metadata.num_columns)]
        by_name = {column.path_in_schema: column for column in columns}
        assert {column.compression for column in columns} == {"ZSTD"}
        statistics = by_name["offset"].statistics
        assert (statistics.min, statistics.max) == bounds
        assert by_name["kafka_ts"].is_stats_set


def test_a_claim_is_read_as_it_was_written() -> None:
    claim = Claim(10, 17, "raw/x.parquet")
    assert Claim.decode(claim.encode(), "key") == claim


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"start": 1}', b'{"start": 5, "next": 5, "key": "k"}',
     b'{"start": -1, "next": 5, "key": "k"}'],
)  # fmt: skip
def test_what_is_no_claim_is_refused_with_its_key(body: bytes) -> None:
    with pytest.raises(FatalError, match="the lake's claim _claims/x"):
        Claim.decode(body, "_claims/x")
