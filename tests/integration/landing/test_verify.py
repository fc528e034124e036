"""`fleetpulse verify` finds what is wrong, names the offset, and does not cry wolf."""

import json
import time
from typing import Any

import psycopg
import pytest

from streaming.lake_files import HOUR_MS
from tests.integration.landing.records import TOPIC, alert
from tests.integration.landing.scene import Scene

RECORDS = 40


@pytest.fixture
def landed(scene: Scene) -> Scene:
    """Forty alerts in one partition, in four files of an hour each; the consumer has gone."""
    began = int(time.time()) * 1000 - 5 * HOUR_MS
    for number in range(RECORDS):
        at = began + number // 10 * HOUR_MS
        scene.produce(alert(at_ms=at), timestamp=at)
    scene.flush()
    scene.land()
    with scene.connect() as connection:
        assert connection.execute("select count(*) from landing.quarantine").fetchone() == (0,)
    return scene


def first(scene: Scene) -> int:
    return min(offset for _, _, offset in scene.produced)


def objects(scene: Scene) -> list[str]:
    return sorted(path.as_posix() for path in (scene.lake_folder / "raw").rglob("*.parquet"))


def assert_found(scene: Scene, *words: str) -> None:
    code, output = scene.call("verify")
    assert code == 1
    assert [word for word in words if word not in output] == [], output


def test_a_sound_copy_is_called_sound(landed: Scene) -> None:
    code, output = landed.call("verify", "--json")
    assert code == 0, output
    counts = json.loads(output)
    assert counts["sound"] is True
    assert counts["produced"] == counts["landed"] == counts["lake"] == RECORDS
    assert len(objects(landed)) == 4


def test_what_has_not_landed_yet_is_behind_and_no_fault(landed: Scene) -> None:
    for _ in range(3):
        landed.produce(alert())
    landed.flush()
    assert sum(each.behind for each in landed.compare()) == 3
    assert all(each.sound for each in landed.compare())


def test_a_row_that_is_gone_is_missing(landed: Scene) -> None:
    gone = first(landed) + 7
    with landed.connect() as connection:
        connection.execute('delete from landing.alerts_raw where "offset" = %s', [gone])
    assert_found(landed, f"ODS: missing {gone}")


def test_a_row_that_is_also_on_another_day_is_doubled(landed: Scene) -> None:
    twice = first(landed) + 5
    with landed.connect() as connection:
        connection.execute(
            'insert into landing.alerts_raw (epoch, "partition", "offset", kafka_ts,'
            " kafka_ts_type) values (0, 0, %s, now() - interval '3 days', 1)",
            [twice],
        )
    assert_found(landed, f"ODS: doubled {twice}")


def test_a_row_in_landing_and_in_quarantine_is_doubled(landed: Scene) -> None:
    twice = first(landed) + 5
    with landed.connect() as connection:
        quarantine(connection, twice)
    assert_found(landed, f"ODS: doubled {twice}")


def test_a_row_beyond_the_next_offset_is_foreign(landed: Scene) -> None:
    beyond = first(landed) + RECORDS + 3
    with landed.connect() as connection:
        quarantine(connection, beyond)
    assert_found(landed, f"ODS: row out of range at {beyond}")


@pytest.mark.parametrize("number", [0, -1])
def test_an_object_that_is_gone_is_missing_the_newest_too(landed: Scene, number: int) -> None:
    keys = objects(landed)
    (landed.lake_folder / keys[number]).unlink()
    start = first(landed) + (0 if number == 0 else RECORDS - 10)
    assert_found(landed, f"lake: missing {start}", "absent raw/topic=alerts.raw")


def test_an_object_that_no_claim_names_is_found(landed: Scene) -> None:
    source = landed.lake_folder / objects(landed)[1]
    name = source.name.replace(f"{first(landed) + 10:020d}", f"{first(landed) + 12:020d}")
    (source.parent / name).write_bytes(source.read_bytes())
    assert_found(landed, "lake: unclaimed", name)


@pytest.mark.parametrize(
    "change",
    [
        "update landing.alerts_raw set payload = (payload::text || ' ')::json",
        "update landing.alerts_raw set headers = '[[\"name\", null]]'",
        "update landing.alerts_raw set key = key || 'x'",
        "update landing.alerts_raw set kafka_ts_type = 2",
    ],
)
def test_a_record_that_is_not_the_same_everywhere_is_altered(landed: Scene, change: str) -> None:
    assert landed.call("verify", "--deep")[0] == 0
    altered = first(landed) + 5
    with landed.connect() as connection:
        connection.execute(f'{change} where "offset" = %s', [altered])

    assert landed.call("verify")[0] == 0  # which looks at offsets alone
    code, output = landed.call("verify", "--deep")

    assert code == 1
    assert f"ODS: altered {altered}" in output


def test_of_two_sinks_that_differ_where_kafka_is_silent_one_is_altered(landed: Scene) -> None:
    landed.delete_records(landed.ends())
    assert landed.call("verify", "--deep")[0] == 0
    with landed.connect() as connection:
        connection.execute(
            "update landing.alerts_raw set key = 'x' where \"offset\" = %s", [first(landed)]
        )

    code, output = landed.call("verify", "--deep")

    assert code == 1
    assert f"lake: altered {first(landed)}" in output


def test_what_was_found_sound_is_not_read_again(landed: Scene) -> None:
    began = first(landed)
    assert landed.call("verify")[0] == 0
    with landed.connect() as connection:
        connection.execute('delete from landing.alerts_raw where "offset" = %s', [began])
    landed.produce(alert())
    landed.flush()
    landed.land()

    code, output = landed.call("verify", "--incremental", "--json")

    assert code == 0, output
    assert json.loads(output)["produced"] == 1
    assert_found(landed, f"ODS: missing {began}")  # which is all of it again
    assert landed.call("verify", "--incremental", "--deep")[0] == 1  # none was deep so far


def test_what_was_not_sound_is_read_again(landed: Scene) -> None:
    gone = first(landed) + 7
    with landed.connect() as connection:
        connection.execute('delete from landing.alerts_raw where "offset" = %s', [gone])
    for _ in range(2):
        code, output = landed.call("verify", "--incremental")
        assert code == 1
        assert f"ODS: missing {gone}" in output


def test_an_upload_that_never_ended_is_no_object_and_no_claim(landed: Scene) -> None:
    for path in [*landed.lake_folder.rglob("*.parquet"), *landed.lake_folder.rglob("o0*")]:
        path.with_name(f"{path.name}-b7914788-d21a-442d-bf8b-490e7abb2ef2").write_bytes(b"")
    code, output = landed.call("verify")
    assert code == 0, output


@pytest.mark.parametrize("number", [1, -1])
def test_a_claim_that_is_gone_is_named(landed: Scene, number: int) -> None:
    claims = sorted((landed.lake_folder / "_claims").rglob("o*"))
    claims[number].unlink()
    assert_found(landed, f"e0-p0/{claims[number].name}", "restore")


def test_a_topic_that_was_made_again_is_not_compared(landed: Scene) -> None:
    landed.recreate(TOPIC)
    assert_found(landed, "the topic alerts.raw was deleted and created again")


def test_it_may_run_while_records_land(scene: Scene) -> None:
    consumer = scene.consumer(LANDING__FLUSH_INTERVAL_S="0.02", LANDING__FILE_MAX_AGE_S="0.05")
    for seed in range(4):
        scene.produce_some(500, seed)
        assert [each for each in scene.compare() if not each.sound] == []
    scene.wait_until_landed()
    consumer.stop()


def quarantine(connection: psycopg.Connection[Any], offset: int) -> None:
    connection.execute(
        'insert into landing.quarantine (topic, epoch, "partition", "offset", kafka_ts,'
        " kafka_ms, kafka_ts_type, reason, detail)"
        " values ('alerts.raw', 0, 0, %s, now(), 0, 1, 'X', 'x')",
        [offset],
    )
