"""What breaks a log is accepted by a person; then landing goes on in an epoch of its own."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streaming import batches, watermark
from streaming.epochs import Epoch
from streaming.errors import FatalError, FencedError
from streaming.records import PartitionId, Record, Records, Slice
from streaming.settings import InsightsSettings
from streaming.sinks import epoch_rows
from tests.integration.landing.broken_logs import older_log_afterwards
from tests.integration.landing.ods import ods_of, waits_for_a_lock
from tests.integration.landing.records import TOPIC, Fingerprint, Identity, alert
from tests.integration.landing.scene import Scene

LATER = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHERE = PartitionId(TOPIC, 0, 0)


def test_a_topic_that_was_made_again_goes_on_in_a_new_epoch(scene: Scene) -> None:
    scene.produce_some(100, seed=1)
    scene.land()
    before = scene.in_ods()
    scene.recreate(TOPIC)
    scene.produced.clear()
    scene.produce_some(100, seed=2)
    assert states(scene) == {"recreated"}
    with pytest.raises(FatalError, match=r"alerts.raw was deleted and created again"):
        scene.land(until=never)
    code, words = scene.call("epochs", "begin", TOPIC)  # and nobody answers
    assert code == 1
    assert "Begin epoch 1 of alerts.raw?" in words
    assert begun(scene) == []
    assert scene.in_ods() == before

    code, words = scene.call("epochs", "begin", TOPIC, "--yes", "--by", "Ada")

    assert code == 0, words
    assert f"{TOPIC} is in epoch 1" in words
    assert begun(scene) == [(1, "Ada", "recreated")]
    scene.land()
    assert_landed(scene, before, scene.produced)
    code, words = scene.call("epochs", "begin", TOPIC, "--yes")
    assert code == 1
    assert "nothing has happened to alerts.raw" in words


def test_a_log_that_was_cut_is_refused_and_goes_on_where_the_logs_part(
    scene: Scene, tmp_path: Path
) -> None:
    scene.produce_some(200, seed=1)
    consumer = scene.consumer()
    scene.wait_until_landed()
    cut_at = scene.ends()[TOPIC, 0]
    with older_log_afterwards(scene, TOPIC, 0, tmp_path):
        scene.produce_some(100, seed=2)
        scene.wait_until_landed()
        before = scene.in_ods()
        ended_at = scene.ends()[TOPIC, 0]
        consumer.send(signal.SIGSTOP)
    scene.renew_producer()
    scene.produced.clear()
    scene.produce_some(400, seed=3)
    assert scene.ends()[TOPIC, 0] > ended_at  # by its offsets it looks healthy again
    consumer.send(signal.SIGCONT)
    assert consumer.wait(30) == 1
    assert "alerts.raw[0]" in consumer.output
    assert f"`fleetpulse epochs begin {TOPIC}`" in consumer.output
    with pytest.raises(FatalError, match=r"alerts.raw\[0\] epoch 0 was cut and has grown"):
        scene.land(until=never)
    assert states(scene) == {"ok", "truncated"}
    with scene.connect() as connection:
        landed = connection.execute(
            'select next_offset from landing.offsets where topic = %s and "partition" = 0', [TOPIC]
        ).fetchone()
    assert landed == (ended_at,)

    code, words = scene.call("epochs", "begin", TOPIC, "--yes", "--by", "Ada")

    assert code == 0, words
    assert begun(scene) == [(1, "Ada", f"partition 0 truncated at {cut_at}")]
    scene.land()
    assert_landed(scene, before, scene.produced)
    assert states(scene) == {"ok", "ended"}


def test_a_log_that_ends_too_early_or_has_another_record_at_our_last_one_is_refused(
    scene: Scene,
) -> None:
    for _ in range(10):
        scene.produce(alert())
    scene.flush()
    scene.land()
    last = scene.ends()[TOPIC, 0] - 1
    with scene.connect() as connection:
        connection.execute("update landing.offsets set next_offset = next_offset + 5")
    with pytest.raises(FatalError, match=r"was cut: it ends at \d+, and what lies below \d+ has"):
        scene.land(until=never)
    with scene.connect() as connection:
        connection.execute("update landing.offsets set next_offset = next_offset - 5")
        connection.execute(
            "update landing.alerts_raw set payload = '{}' where \"offset\" = %s", [last]
        )
    scene.produce_some(100)
    with pytest.raises(FatalError, match=r"alerts.raw\[0\] epoch 0 was cut and has grown"):
        scene.land(until=never)
    assert states(scene) == {"ok", "truncated"}

    assert scene.call("epochs", "begin", TOPIC, "--yes", "--by", "Ada")[0] == 0

    assert begun(scene) == [(1, "Ada", f"partition 0 truncated at {last}")]
    scene.land()
    with scene.connect() as connection:
        rows = connection.execute(
            "select epoch, payload::text = '{}' from landing.alerts_raw"
            ' where "partition" = 0 and "offset" = %s order by epoch',
            [last],
        ).fetchall()
    assert rows == [(0, True), (1, False)]


def test_what_retention_took_can_be_accepted_and_the_others_just_go_on(scene: Scene) -> None:
    scene.produce_some(100, seed=1)
    scene.land()
    next_offset = scene.ends()[TOPIC, 0]
    for _ in range(3):
        scene.produce(alert())
    scene.flush()
    scene.delete_records({(TOPIC, 0): next_offset + 2})
    consumer = scene.consumer()
    assert consumer.wait(30) == 1
    assert "error: Kafka has dropped records of alerts.raw[0]" in consumer.output
    assert f"offsets {next_offset} to {next_offset + 1} are gone" in consumer.output
    code, words = scene.call("epochs", "list", "--topic", TOPIC)
    assert code == 1
    assert "alerts.raw[0] epoch 0" in words
    assert "overtaken: 2 offsets are gone" in words

    code, words = scene.call("epochs", "begin", TOPIC, "--yes")

    assert code == 0, words
    assert f"overtaken: 2 offsets are gone, {next_offset} to {next_offset + 1}" in words
    scene.produce_some(100, seed=2)
    scene.land()
    for gone in (next_offset, next_offset + 1):
        del scene.produced[TOPIC, 0, gone]
    scene.check()


def test_a_consumer_that_runs_goes_on_in_the_new_epoch(scene: Scene) -> None:
    consumer = scene.consumer(LANDING__FILE_MAX_AGE_S="3600")
    scene.produce_some(200, seed=1)
    ends = scene.ends()
    scene.wait_for(lambda: scene.ods_has(ends))
    assert scene.in_lake() == []
    with ods_of(scene) as ods:
        ods.begin(epoch_1({}, topic_id(scene)), {})

    scene.produce_some(200, seed=2)
    scene.wait_for(lambda: bool(consumer.events("fenced")))
    ends = scene.ends()
    scene.wait_for(lambda: scene.ods_has(ends))

    consumer.stop()
    scene.check()  # also what only the ODS had when the first epoch ended


def test_who_lands_in_an_epoch_that_has_ended_is_fenced(scene: Scene) -> None:
    with ods_of(scene) as ods:
        ods.open(WHERE, "id", 0)
        with scene.connect("consumer") as rival, ThreadPoolExecutor(1) as pool:
            with rival.transaction():
                epoch_rows.begin(rival, epoch_1({0: 7}), {})
                landing = pool.submit(ods.land, ods.pack([slice_of(0)]))
                scene.wait_for(lambda: waits_for_a_lock(rival))
            with pytest.raises(FencedError, match="another epoch has begun"):
                landing.result(20)
        with pytest.raises(FencedError, match="another epoch has begun"):
            ods.open(WHERE._replace(partition=5), "id", 0)
    assert scene.in_ods() == []


def test_an_epoch_begins_after_what_is_being_landed(scene: Scene) -> None:
    with ods_of(scene) as ods:
        ods.open(WHERE, "id", 0)
        with scene.connect() as other, ThreadPoolExecutor(1) as pool:
            with other.transaction():
                other.execute("select from landing.offsets for no key update")
                beginning = pool.submit(ods.begin, epoch_1({}), {})
                scene.wait_for(lambda: waits_for_a_lock(other))
                other.execute("update landing.offsets set next_offset = 9")
            assert beginning.result(20).starts == {0: 9}
        with pytest.raises(FencedError, match="has moved on"):
            ods.begin(epoch_1({}), {})


@pytest.mark.parametrize(("in_backup", "kafka_has_all"), [(200, True), (200, False), (0, False)])
def test_an_ods_from_a_backup_catches_up_without_a_gap_or_a_double(
    scene: Scene, in_backup: int, kafka_has_all: bool
) -> None:
    if in_backup:
        scene.produce_some(in_backup, seed=1)
        scene.land()
    backup = scene.back_up()
    scene.produce_some(300, seed=2)
    scene.produce(None, headers=[("n", b"\x00"), ("n", None)])
    scene.flush()
    scene.land()
    if not kafka_has_all:
        scene.delete_records(scene.ends())
    scene.produce_some(100, seed=3)

    scene.restore(backup)
    scene.land()

    scene.check()


def test_an_ods_from_a_backup_learns_of_epochs_that_began_since(scene: Scene) -> None:
    scene.produce_some(100, seed=1)
    scene.land()
    backup = scene.back_up()
    scene.produce_some(100, seed=2)
    scene.land()
    before = scene.in_ods()
    scene.recreate(TOPIC)
    old, scene.produced = scene.produced, {}
    assert scene.call("epochs", "begin", TOPIC, "--yes", "--by", "Ada")[0] == 0
    scene.produce_some(100, seed=3)
    scene.land()

    scene.restore(backup)
    scene.produce_some(10, seed=4)
    ends = scene.ends()
    scene.land(until=lambda: bool(begun(scene)) and scene.ods_has(ends))

    assert sorted(old.items()) == before
    assert begun(scene) == [(1, "Ada", "recreated")]
    assert_landed(scene, before, scene.produced)

    # As after a replay: it brings the rows, and knows nothing of epochs.
    with scene.connect() as connection:
        connection.execute("delete from landing.epochs")
    scene.produce_some(10, seed=5)
    scene.land()
    assert begun(scene) == [(1, "Ada", "recreated")]
    assert_landed(scene, before, scene.produced)


def test_an_epoch_that_has_ended_holds_up_neither_the_watermark_nor_batches(scene: Scene) -> None:
    now = datetime.now(UTC)
    ended, current = now - timedelta(hours=1), now - timedelta(seconds=1)
    with scene.connect() as connection:
        connection.execute(
            "insert into reference.devices values ('VM-000001', 'SITE-0001', 'COLD-300',"
            " '2026-01-01Z', null, null, null, '2026-01-01Z')"
        )
        connection.cursor().executemany(
            'insert into landing.offsets (topic, epoch, "partition", topic_id, start_offset,'
            " next_offset, max_event_ts) values (%s, %s, %s, 'id', 0, %s, %s)",
            # The new topic has one partition less.
            [(TOPIC, 0, 0, 10, ended), (TOPIC, 0, 1, 10, ended), (TOPIC, 1, 0, 5, current)],
        )
    with scene.connect("orchestrator") as connection:
        state = watermark.advance(connection, {(TOPIC, 0): 9}, now, timedelta(seconds=5))
        assert state.watermark == current - timedelta(seconds=5)
        batch = batches.cut(connection, InsightsSettings(), state.watermark, now)
        assert batch is not None
        assert batch.records == 25  # what only the old epoch had is in a batch as well
        assert batches.waiting(connection, batch) == 0


def never() -> bool:
    return False


def assert_landed(
    scene: Scene,
    before: list[tuple[Identity, Fingerprint]],
    after: dict[Identity, Fingerprint],
) -> None:
    """Asserts that both sinks have what landed before, and what was produced since, once."""
    assert all(each.sound for each in scene.compare())
    assert scene.in_ods() == sorted([*before, *after.items()])
    assert scene.in_lake() == scene.in_ods()


def states(scene: Scene) -> set[str]:
    """Returns what `epochs list` says of the topic's partitions."""
    _, words = scene.call("epochs", "list", "--topic", TOPIC, "--json")
    return {json.loads(line)["state"] for line in words.splitlines()}


def begun(scene: Scene) -> list[tuple[int, str, str]]:
    with scene.connect() as connection:
        return connection.execute("select epoch, begun_by, why from landing.epochs").fetchall()


def epoch_1(starts: dict[int, int], topic_id: str = "id") -> Epoch:
    return Epoch(TOPIC, 1, topic_id, starts, LATER, "Ada", "why not")


def topic_id(scene: Scene) -> str:
    with scene.connect() as connection:
        (row,) = connection.execute(
            "select distinct topic_id from landing.offsets where topic = %s", [TOPIC]
        ).fetchall()
    return str(row[0])


def slice_of(start: int) -> Slice:
    now = int(datetime.now(UTC).timestamp() * 1000)
    records = [Record(start, now, 1, b"VM-000001", None, alert())]
    return Slice(WHERE, start, start + 1, Records.of(records), leader_epoch=0)
