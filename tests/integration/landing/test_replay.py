"""An ODS that is lost comes back from the lake as it was, whatever has been compacted."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streaming.lake_files import HOUR_MS
from tests.integration.landing.records import TOPIC, alert
from tests.integration.landing.scene import Scene

AS_IT_WAS = {
    "alerts_raw": "*",
    "quarantine": 'topic, epoch, "partition", "offset", kafka_ts, kafka_ts_type, key, headers,'
    " payload, reason, detail, device_id, arrival_ts, kafka_ms, state, redrive",
    "redrives": "*",
    "offsets": 'topic, epoch, "partition", topic_id, start_offset, next_offset, lake_claim,'
    " max_event_ts",
}


@pytest.fixture
def landed(scene: Scene) -> Scene:
    """Records of three hours, of all kinds, twice; the first hour is compacted."""
    began = int(time.time()) * 1000 // HOUR_MS * HOUR_MS - 5 * HOUR_MS
    for start in (0, 60):
        for number in range(start, start + 60):
            at = began + number // 20 * HOUR_MS + number
            device = f"VM-{number % 7:06}"
            payload = [alert(device, at_ms=at), b'{"broken', None, b"\x00\xff"][number % 4 % 3]
            key = device.encode() if number % 10 else None
            scene.produce(payload, key, partition=number % 2, timestamp=at, headers=[("n", None)])
        scene.flush()
        scene.land()
    hour = f"{datetime.fromtimestamp(began / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    for _ in range(2):
        compact = ("compact", "--topic", TOPIC, "--hour", hour)
        assert scene.call(*compact, COMPACTION__GRACE_S="0")[0] == 0
    return scene


def content(scene: Scene) -> dict[str, list[tuple[Any, ...]]]:
    """Returns the rows of the ODS as text, but for the moments of landing."""
    found = {}
    with scene.connect() as connection:
        for table, columns in AS_IT_WAS.items():
            where = "where next_offset > start_offset" if table == "offsets" else ""
            rows = connection.execute(f"select {columns} from landing.{table} {where}").fetchall()
            found[table] = sorted(map(repr, rows))
    return found


def redrive_one(scene: Scene, file: Path) -> None:
    """Repairs a record that no JSON was, and redrives it."""
    with scene.connect() as connection:
        [(key, at, record)] = connection.execute(
            "select convert_from(key, 'UTF8'), kafka_ms,"
            ' concat_ws(\'/\', topic, epoch, "partition", "offset") from landing.quarantine'
            ' where payload = \'{"broken\' and key is not null order by "offset" limit 1'
        )
    file.write_bytes(alert(key, at_ms=at))
    assert scene.call("quarantine", "repair", record, "--payload-file", str(file))[0] == 0
    assert scene.call("quarantine", "redrive", record)[0] == 0


def test_an_empty_ods_is_landed_as_it_was_and_the_consumer_goes_on(
    landed: Scene, fresh_database: Callable[[], str], tmp_path: Path
) -> None:
    redrive_one(landed, tmp_path / "repaired.json")
    before = content(landed)
    landed.environment["FLEETPULSE_ODS__DATABASE"] = fresh_database()

    code, words = landed.call("replay", "--topic", TOPIC)

    assert (code, words.strip()) == (0, f"replayed 120 records of {TOPIC}, 1 redriven")

    assert content(landed) == before
    assert landed.call("replay", "--topic", TOPIC)[1].strip() == f"replayed 0 records of {TOPIC}"
    landed.produce(alert())
    landed.flush()
    landed.land()
    assert landed.in_ods() == sorted(landed.produced.items())


def test_a_replay_never_leaves_a_hole_in_an_ods_that_has_landed_something(landed: Scene) -> None:
    before = content(landed)
    since = (datetime.now(UTC) - timedelta(hours=4)).isoformat()

    code, words = landed.call("replay", "--topic", TOPIC, "--from", since)

    assert code == 1
    assert "FLEETPULSE_ODS__DATABASE" in words
    assert content(landed) == before


def test_a_table_gets_exactly_the_records_of_a_range_once(
    landed: Scene, fresh_database: Callable[[], str]
) -> None:
    stamps = sorted(each.timestamp for each in landed.produced.values())
    since, until = (datetime.fromtimestamp(stamps[at] / 1000, UTC).isoformat() for at in (30, 90))
    into = f"{landed.environment['FLEETPULSE_ODS__DATABASE']}.public.some"
    replay = ("replay", "--topic", TOPIC, "--from", since, "--to", until, "--into", into)
    before = content(landed)

    code, words = landed.call(*replay)

    assert (code, words.strip()) == (0, f"replayed 60 records of {TOPIC}")
    with landed.connect() as connection:
        rows = connection.execute(
            'select "partition", "offset" from public.some'
            ' union all select "partition", "offset" from public.some_quarantine'
        ).fetchall()
        columns = '"partition", "offset", kafka_ts, key, payload::text, device_id, event_ts'
        other = connection.execute(
            f"select {columns} from public.some except select {columns} from landing.alerts_raw"
        )
        assert other.fetchall() == []
    wanted = [
        (p, o) for (_, p, o), each in landed.produced.items() if each.timestamp in stamps[30:90]
    ]
    assert sorted(rows) == sorted(wanted)
    code, words = landed.call(*replay)
    assert (code, "has records of this range already" in words) == (1, True)
    assert content(landed) == before
