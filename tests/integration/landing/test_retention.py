"""Days of landing are dropped once nobody needs them, and what is dropped is not lost."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from streaming.errors import DroppedError
from streaming.landed import landed_records
from streaming.parting import parting
from streaming.records import PartitionId, Record, Records, Slice
from streaming.sinks.ods import InLake, OdsSink
from tests.integration.landing.ods import ods_of, waits_for_a_lock
from tests.integration.landing.records import TOPIC, alert
from tests.integration.landing.scene import Scene

KEEP = {"LANDING__KEEP_DAYS": "7"}
OLD = datetime.now(UTC) - timedelta(days=10)
DAY = OLD.date()
WHERE = PartitionId(TOPIC, 0, 0)


@pytest.fixture
def landed(scene: Scene) -> Scene:
    """Two partitions with alerts of ten days ago, the last of them behind some of today."""
    for number in range(60):
        recent = number % 3 == 2 and number < 57
        at = stamp(datetime.now(UTC) if recent else OLD)
        payload = b'{"broken' if number % 10 == 4 else alert(at_ms=at)
        scene.produce(payload, partition=number % 2, timestamp=at, headers=[("n", b"\x00")])
    scene.flush()
    scene.land()
    return scene


def test_a_day_is_dropped_when_lake_and_insights_have_it_and_is_not_lost(landed: Scene) -> None:
    before = landed.in_ods()
    assert drop(landed) == [("held", "not yet left behind by insights")]
    finish_batch(landed)
    with landed.connect() as connection:
        connection.execute("update landing.offsets set lake_next = lake_next - 1")
    assert drop(landed) == [("held", "not yet in the lake")]
    with landed.connect() as connection:
        connection.execute("update landing.offsets set lake_next = lake_next + 1")
    assert listed(landed) == [("due", "")]
    assert landed.in_ods() == before

    assert drop(landed) == [("dropped", "")]

    with landed.connect() as connection:
        quarantined = {
            (TOPIC, *where)
            for where in connection.execute('select "partition", "offset" from landing.quarantine')
        }
        (gone,) = connection.execute(
            "select sum(records), sum((select sum(upper(r) - lower(r)) from unnest(offsets) r)),"
            " min(dropped_by) from landing.dropped where day = %s",
            [DAY],
        ).fetchall()
    kept = [each for each in before if each[0] in quarantined or each[1].timestamp > stamp(OLD)]
    assert landed.in_ods() == kept
    assert gone == (len(before) - len(kept), len(before) - len(kept), "Ada")
    assert landed.in_lake() == before
    assert drop(landed) == []
    assert verified(landed, "--deep") == {"sound": True, "dropped": gone[0]}

    # The last record of each partition was dropped, and still tells whether the log is the same.
    assert landed.call("epochs", "list", "--topic", TOPIC)[0] == 0
    with ods_of(landed) as ods:
        end = landed.ends()[TOPIC, 0]
        start = end - len([each for each in before if each[0][1] == 0])
        assert parting(landed.kafka, landed.admin, ods, landed.store, WHERE, start, end) == end
    landed.produce(alert())
    landed.flush()
    landed.land()
    with landed.connect() as connection:
        lost = connection.execute('delete from landing.alerts_raw returning "offset"').fetchall()
    code, words = landed.call("verify")
    assert code == 1
    assert f"ODS: missing {min(lost)[0]}" in words


def test_a_row_that_was_lost_before_its_day_was_dropped_is_missing_and_one_too_many_doubled(
    landed: Scene,
) -> None:
    finish_batch(landed)
    with landed.connect() as connection:
        [(lost, other)] = connection.execute(
            'select min("offset"), max("offset") from landing.alerts_raw'
            ' where "partition" = 0 and kafka_ts < %s',
            [OLD + timedelta(seconds=1)],
        ).fetchall()
        connection.execute(
            'delete from landing.alerts_raw where "partition" = 0 and "offset" = %s', [lost]
        )
        assert drop(landed) == [("dropped", "")]
        connection.execute(
            'insert into landing.alerts_raw (epoch, "partition", "offset", kafka_ts,'
            " kafka_ts_type) values (0, 0, %s, %s, 1)",
            [other, OLD],
        )

    code, words = landed.call("verify")

    assert code == 1
    assert f"ODS: missing {lost}, doubled {other}\n" in words


def test_what_the_lake_has_lost_is_not_dropped(landed: Scene) -> None:
    finish_batch(landed)
    before = landed.in_ods()
    for path in (landed.lake_folder / "raw").rglob("e0-p1-*.parquet"):
        path.unlink()

    code, words = landed.call("retention", "drop", **KEEP)

    assert code == 1
    assert "the lake has lost offset" in words
    assert landed.in_ods() == before


def test_what_was_dropped_is_read_from_the_lake_and_never_refilled(landed: Scene) -> None:
    with landed.connect() as connection:  # as if the consumer had died before it noted the claims
        connection.execute("update landing.offsets set lake_claim = null, lake_next = null")
    landed.land(until=lambda: noted(landed) == 2)
    finish_batch(landed)
    assert drop(landed) == [("dropped", "")]
    offsets = sorted(offset for _, partition, offset in landed.produced if partition == 0)

    with ods_of(landed) as ods:
        with pytest.raises(DroppedError, match="retention has dropped"):
            ods.read(WHERE, offsets[0], offsets[-1] + 1, 1)
        found = landed_records(ods, landed.store, WHERE, offsets[0], offsets[-1] + 1)
        assert [each.offset for each in found] == offsets


def test_a_late_record_of_a_day_that_was_dropped_lands_and_goes_the_next_time(
    scene: Scene,
) -> None:
    with ods_of(scene) as cached, ods_of(scene) as fresh:
        cached.open(WHERE, "id", 0)
        land(cached, 0)
        prove(scene, 1)
        assert drop_in_database(scene) == 1

        land(cached, 1)  # in the default partition: this sink takes the day for there
        assert offsets_in_landing(scene) == [1]
        prove(scene, 2)
        assert drop_in_database(scene) == 1
        assert offsets_in_landing(scene) == []

        land(fresh, 2)  # in the day's partition, made again
        prove(scene, 3)
        assert drop_in_database(scene) == 1
        assert offsets_in_landing(scene) == []
    with scene.connect() as connection:
        rows = connection.execute("select day, offsets::text from landing.dropped order by entry")
        assert rows.fetchall() == [(DAY, f"{{[{number},{number + 1})}}") for number in range(3)]


@pytest.mark.parametrize("redriven", [False, True])
def test_a_record_that_lands_while_its_day_is_dropped_is_kept(scene: Scene, redriven: bool) -> None:
    wait_for_locks(scene)
    with ods_of(scene) as ods, ThreadPoolExecutor(1) as pool:
        ods.open(WHERE, "id", 0)
        land(ods, 0)
        land(ods, 1, b'{"broken')
        prove(scene, 2)
        late = 1 if redriven else 2
        with scene.connect("consumer") as landing, landing.transaction():
            landing.execute(
                'insert into landing.alerts_raw (epoch, "partition", "offset", kafka_ts,'
                " kafka_ts_type, redrive) values (0, 0, %s, %s, 1, %s)",
                [late, OLD, 1 if redriven else None],
            )
            landing.execute("update landing.offsets set next_offset = 3")
            dropping = pool.submit(drop_in_database, scene)
            scene.wait_for(lambda: waits_for_a_lock(landing))
        with pytest.raises(psycopg.errors.LockNotAvailable, match="has come meanwhile"):
            dropping.result(20)
        assert offsets_in_landing(scene) == [0, late]


def test_who_waits_until_a_day_is_dropped_lands(scene: Scene) -> None:
    with ods_of(scene) as ods, ThreadPoolExecutor(1) as pool:
        ods.open(WHERE, "id", 0)
        land(ods, 0)
        prove(scene, 1)
        with scene.connect("orchestrator") as dropper:
            with dropper.transaction():
                assert drop_day(dropper) == 1
                landing = pool.submit(land, ods, 1)
                scene.wait_for(lambda: waits_for_a_lock(dropper))
            landing.result(20)
    assert offsets_in_landing(scene) == [1]


def test_of_two_who_drop_a_day_the_second_finds_nothing(scene: Scene) -> None:
    wait_for_locks(scene)
    with ods_of(scene) as ods, ThreadPoolExecutor(1) as pool:
        ods.open(WHERE, "id", 0)
        land(ods, 0)
        prove(scene, 1)
        with scene.connect("orchestrator") as dropper:
            with dropper.transaction():
                assert drop_day(dropper) == 1
                rival = pool.submit(drop_in_database, scene)
                scene.wait_for(lambda: waits_for_a_lock(dropper))
            assert rival.result(20) == 0


def test_nobody_drops_by_the_way_what_the_lake_does_not_have(scene: Scene) -> None:
    with ods_of(scene) as ods:
        ods.open(WHERE, "id", 0)
        land(ods, 0)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="do not have all"):
        drop_in_database(scene)
    prove(scene, 1)
    for role, statement in (
        ("consumer", "select landing.drop_day('alerts.raw', current_date, 'me')"),
        ("consumer", "delete from landing.alerts_raw"),
        ("orchestrator", "update landing.offsets set lake_next = 9"),
        ("orchestrator", "delete from landing.dropped"),
    ):
        with (
            scene.connect(role) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement)
    with scene.connect("orchestrator") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with (
            pytest.raises(psycopg.errors.InvalidTransactionState),
            connection.transaction(),  # in which nobody sees what lands meanwhile
        ):
            drop_day(connection)
    assert offsets_in_landing(scene) == [0]


def test_a_redriven_record_stays_until_the_lake_was_told(scene: Scene) -> None:
    with ods_of(scene) as ods:
        ods.open(WHERE, "id", 0)
        land(ods, 0, b'{"broken')
        prove(scene, 1)
    with scene.connect() as connection:
        connection.execute(
            'insert into landing.alerts_raw (epoch, "partition", "offset", kafka_ts,'
            " kafka_ts_type, redrive) values (0, 0, 0, %s, 1, 1)",
            [OLD],
        )
        connection.execute("update landing.redrives set last = 1")
        connection.execute("update landing.quarantine set state = 'redriven', redrive = 1")
        survey = "select not_in_lake, not_in_insights from landing.survey_day(%s, %s)"
        assert connection.execute(survey, [TOPIC, DAY]).fetchall() == [(1, 1)]
        connection.execute("update landing.quarantine set in_lake_at = now()")
        connection.execute("update control.batches set to_redrive = 1, from_redrive = 1")
        assert connection.execute(survey, [TOPIC, DAY]).fetchall() == [(0, 0)]


def test_a_replay_brings_back_what_is_kept_and_older_days_only_if_asked(
    landed: Scene, fresh_database: Callable[[], str]
) -> None:
    landed.produce(alert(at_ms=stamp(OLD)), partition=2, timestamp=stamp(OLD))
    landed.flush()
    landed.land()
    recent = {each for each, it in landed.produced.items() if it.timestamp > stamp(OLD)}
    oldest = {min(each for each in landed.produced if each[1] == number) for number in range(3)}
    landed.environment["FLEETPULSE_ODS__DATABASE"] = fresh_database()

    for _ in range(2):  # the second goes on where the first has ended
        code, words = landed.call("replay", "--topic", TOPIC, **KEEP)
        assert code == 0, words
    landed.land()

    there = {each for each, _ in landed.in_ods()}
    assert recent <= there  # and what else is in their files
    assert not oldest & there
    assert verified(landed) == {"sound": True, "dropped": 0}
    landed.environment["FLEETPULSE_ODS__DATABASE"] = fresh_database()
    long_ago = (OLD - timedelta(days=1)).isoformat()
    assert landed.call("replay", "--topic", TOPIC, "--from", long_ago, **KEEP)[0] == 0
    assert landed.in_ods() == sorted(landed.produced.items())


def test_without_a_setting_all_is_kept(scene: Scene) -> None:
    code, words = scene.call("retention", "drop")
    assert code == 1
    assert "FLEETPULSE_LANDING__KEEP_DAYS is not set" in words


def noted(scene: Scene) -> int:
    """Returns of how many partitions the ODS knows that the lake has all."""
    with scene.connect() as connection:
        [(count,)] = connection.execute(
            "select count(*) from landing.offsets where lake_next = next_offset and lake_next > 0"
        ).fetchall()
    return int(count)


def drop(scene: Scene) -> list[tuple[str, str]]:
    return days(scene, "drop", "--by", "Ada")


def listed(scene: Scene) -> list[tuple[str, str]]:
    return days(scene, "list")


def days(scene: Scene, *command: str) -> list[tuple[str, str]]:
    """Returns what a command says of each day, and why, without the numbers."""
    code, words = scene.call("retention", *command, "--json", **KEEP)
    found = [json.loads(line) for line in words.splitlines() if line.startswith("{")]
    assert {(each["topic"], each["day"]) for each in found} <= {(TOPIC, DAY.isoformat())}
    assert code == any(each["state"] == "held" for each in found)
    return [(each["state"], each["why"].partition(" are ")[2]) for each in found]


def verified(scene: Scene, *options: str) -> dict[str, Any]:
    code, words = scene.call("verify", "--json", *options)
    assert code == 0, words
    told = json.loads(words)
    return {name: told[name] for name in ("sound", "dropped")}


def finish_batch(scene: Scene) -> None:
    """Leaves behind two batches that are done, as dbt does: all that has landed is in the first."""
    with scene.connect() as connection:
        connection.execute(
            "insert into control.batches (batch_id, from_offsets, to_offsets, from_watermark,"
            " watermark, records, state, done_at)"
            " select coalesce((select max(batch_id) from control.batches), 0) + 1, at, at, now(),"
            " now(), 0, 'done', now() from (select json_agg(json_build_object('topic', topic,"
            " 'epoch', epoch, 'partition', \"partition\", 'offset', next_offset)) as at"
            " from landing.offsets) as landed"
        )


def stamp(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def prove(scene: Scene, below: int) -> None:
    """Says that the lake and the insights have all below an offset."""
    with ods_of(scene) as ods:
        ods.note_lake({WHERE: InLake(0, below)})
    finish_batch(scene)


def land(ods: OdsSink, offset: int, payload: bytes | None = None) -> None:
    at = stamp(OLD)
    record = Record(offset, at, 1, b"VM-000001", None, payload or alert(at_ms=at))
    ods.land(ods.pack([Slice(WHERE, offset, offset + 1, Records.of([record]), leader_epoch=0)]))


def drop_in_database(scene: Scene) -> int:
    with scene.connect("orchestrator") as connection:
        return drop_day(connection)


def drop_day(connection: psycopg.Connection[Any], day: date = DAY) -> int:
    [(records,)] = connection.execute(
        "select records from landing.drop_day(%s, %s, 'Ada')", [TOPIC, day]
    ).fetchall()
    return int(records)


def offsets_in_landing(scene: Scene) -> list[int]:
    with scene.connect() as connection:
        rows = connection.execute('select "offset" from landing.alerts_raw order by 1').fetchall()
    return [offset for (offset,) in rows]


def wait_for_locks(scene: Scene) -> None:
    """Has a drop wait for its locks for longer than three seconds: the machine may be busy."""
    with scene.connect() as connection:
        connection.execute("alter function landing.drop_day set lock_timeout = '30s'")
