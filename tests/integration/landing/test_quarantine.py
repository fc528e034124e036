"""Quarantined records: repaired, redriven once, dropped; never altered, never lost."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC
from itertools import chain
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from streaming import redrive
from streaming.database import Database
from streaming.errors import FatalError
from streaming.records import PartitionId, RecordId
from streaming.redrive import Outcome
from streaming.sinks.ods import OdsSink
from tests.integration.landing.records import TOPIC, alert
from tests.integration.landing.scene import Scene

KEY = b"VM-000001"
BROKEN = [
    alert(severity=6),
    alert(notes="ä\u20ac").replace(b'"seq"', b'"sqe"'),
    b"\xff\x00 nonsense",
]
HEADERS: list[tuple[str, bytes | None]] = [("schema_id", b"\x00\xff"), ("n", None)]


@pytest.fixture
def landed(scene: Scene) -> Scene:
    """Three broken alerts, each followed by a good one; the consumer has gone."""
    for payload in BROKEN:
        scene.produce(payload, KEY, headers=HEADERS)
        scene.produce(alert())
    scene.flush()
    scene.land()
    return scene


def held(scene: Scene) -> list[str]:
    """The broken records, in their order."""
    offsets = sorted(offset for _, _, offset in scene.produced)
    return [f"{TOPIC}/0/0/{offset}" for offset in offsets[::2]]


def quarantine(scene: Scene, *arguments: str) -> str:
    """Calls a command that must succeed."""
    code, output = scene.call("quarantine", *arguments)
    assert code == 0, output
    return output


def shown(scene: Scene, record: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(quarantine(scene, "show", record, "--json"))
    return answer


def repair(scene: Scene, folder: Path, record: str, payload: bytes, *options: str) -> str:
    file = folder / "repaired.json"
    file.write_bytes(payload)
    return quarantine(scene, "repair", record, "--payload-file", str(file), *options)


def read_for_the_lake(scene: Scene) -> list[bytes | None]:
    """What the lake would be filled with, were it empty."""
    with closing(OdsSink(scene.ods.url("consumer"))) as ods:
        found = ods.read(PartitionId(TOPIC, 0, 0), 0, 1_000_000, 1_000)
    return found.records.payloads


def row(scene: Scene, record: str) -> tuple[Any, ...] | None:
    """What the landing table has of a record."""
    with scene.connect() as connection:
        return connection.execute(
            "select convert_to(payload::text, 'UTF8'), key, headers, kafka_ts, device_id, severity,"
            " redrive from (select *, payload ->> 'severity' as severity from landing.alerts_raw) a"
            ' where "offset" = %s',
            [record.rsplit("/", 1)[1]],
        ).fetchone()


def test_a_repaired_record_lands_under_its_own_identity_and_keeps_its_original(
    landed: Scene, tmp_path: Path
) -> None:
    record = held(landed)[0]
    repair(landed, tmp_path, record, alert(severity=1), "--by", "ada")
    newest = alert(severity=2)
    repair(landed, tmp_path, record, newest, "--by", "bob", "--note", "firmware 1.2 counts from 0")

    quarantine(landed, "redrive", record, "--by", "eve")

    found = row(landed, record)
    assert found is not None
    payload, key, headers, kafka_ts, device, severity, number = found
    assert (payload, key, device, severity, number) == (newest, KEY, "VM-000001", "2", 1)
    told = shown(landed, record)
    assert (headers, kafka_ts.astimezone(UTC).isoformat()) == (
        told["headers_base64"],
        told["kafka_ts"],
    )
    assert told["state"] == "redriven"
    assert [(each["action"], each["by"]) for each in told["history"]] == [
        ("repair", "ada"),
        ("repair", "bob"),
        ("redrive", "eve"),
    ]
    assert told["history"][1]["note"] == "firmware 1.2 counts from 0"
    landed.check()  # each record once, with the bytes that Kafka has
    assert read_for_the_lake(landed)[::2] == BROKEN


def test_it_lands_once_whoever_redrives_it_again(landed: Scene, tmp_path: Path) -> None:
    record = held(landed)[0]
    repair(landed, tmp_path, record, alert())
    quarantine(landed, "redrive", record)

    code, output = landed.call("quarantine", "redrive", record)
    assert (code, "redriven before, with number 1" in output) == (1, True), output
    assert landed.call("quarantine", "repair", record, "--payload-file", "/dev/null")[0] == 1
    assert landed.call("quarantine", "drop", record, "--why", "late", "--yes")[0] == 1
    landed.check()


def test_of_two_who_redrive_at_the_same_time_one_wins(landed: Scene, tmp_path: Path) -> None:
    records = [RecordId.parse(each) for each in held(landed)]
    for each in records:
        repair(landed, tmp_path, str(each), alert())

    def redrive_all(_: int) -> list[Outcome]:
        with landed.connect("consumer") as connection:
            return redrive.redrive(connection, records, by="test", note=None)

    with ThreadPoolExecutor(3) as pool:
        outcomes = list(chain.from_iterable(pool.map(redrive_all, range(3))))

    numbers = [each.number for each in outcomes if each.number is not None]
    assert sorted(numbers) == [1, 2, 3]
    assert len(outcomes) == 9
    landed.check()


def test_what_is_still_broken_stays_held_and_says_why(landed: Scene, tmp_path: Path) -> None:
    record = held(landed)[0]
    assert "still breaks its contract: CONTRACT" in repair(
        landed, tmp_path, record, alert(severity=9)
    )

    code, output = landed.call("quarantine", "redrive", record)

    assert (code, "`int` <= 5 - at `$.severity`" in output) == (1, True), output
    assert shown(landed, record)["state"] == "held"
    assert row(landed, record) is None
    landed.check()


def test_all_of_a_reason_are_redriven_and_the_broken_ones_counted(
    landed: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redrive, "AT_ONCE", 1)  # so that there is more than one page
    repair(landed, tmp_path, held(landed)[1], alert())

    code, output = landed.call("quarantine", "redrive", "--all", "--reason", "CONTRACT", "--yes")

    assert (code, "1 landed, 1 not" in output) == (1, True), output
    states = [shown(landed, each)["state"] for each in held(landed)]
    assert states == ["held", "redriven", "held"]
    assert quarantine(landed, "list", "--state", "redriven", "--json").count('"record"') == 1
    landed.check()


def test_what_the_database_refuses_by_itself_hinders_no_other(
    landed: Scene, tmp_path: Path
) -> None:
    first, second, _ = held(landed)
    with landed.connect() as connection:
        connection.execute(
            "create function reject() returns trigger language plpgsql as $$ begin"
            " raise exception 'no, not this' using errcode = 'data_exception'; end $$;"
            " create trigger refusing before insert on landing.alerts_raw for each row"
            " when (new.site_id = 'SITE-REFUSED') execute function reject()"
        )
    repair(landed, tmp_path, first, alert(site_id="SITE-REFUSED"))
    repair(landed, tmp_path, second, alert())

    code, output = landed.call("quarantine", "redrive", "--all", "--yes")

    assert (code, "REFUSED: no, not this" in output) == (1, True), output
    found = row(landed, second)
    assert found is not None
    assert found[-1] == 1  # the numbers have no gap
    assert shown(landed, first)["state"] == "held"
    landed.check()


def test_a_dropped_record_stays_accounted_for_and_a_redrive_takes_it_back(
    landed: Scene, tmp_path: Path
) -> None:
    record = held(landed)[2]
    quarantine(landed, "drop", record, "--why", "line noise", "--by", "ada", "--yes")
    assert shown(landed, record)["state"] == "dropped"
    assert record not in quarantine(landed, "list")
    assert record in quarantine(landed, "list", "--state", "dropped")
    landed.check()

    repair(landed, tmp_path, record, alert())
    quarantine(landed, "redrive", record)
    assert shown(landed, record)["state"] == "redriven"
    landed.check()


def test_the_lake_may_be_away_is_told_of_each_redrive_later_and_never_otherwise(
    landed: Scene, tmp_path: Path
) -> None:
    repaired, loosened = held(landed)[:2]
    payload = alert()
    repair(landed, tmp_path, repaired, payload)
    nowhere = "file:///proc/no-such-lake"
    code, output = landed.call("quarantine", "redrive", repaired, LAKE__URL=nowhere)
    assert (code, "the lake is told later" in output) == (0, True), output
    assert "1 redriven records wait" in quarantine(landed, "list")
    with landed.connect() as connection:  # as if its contract had been loosened
        connection.execute(
            'update landing.quarantine set payload = %s where "offset" = %s',
            [alert(), loosened.rsplit("/", 1)[1]],
        )

    quarantine(landed, "redrive", loosened)

    where = PartitionId(TOPIC, 0, 0)
    first, second = (int(each.rsplit("/", 1)[1]) for each in (repaired, loosened))
    assert list(redrive.read_redriven(landed.store, TOPIC)) == [
        (where, first, 1, payload),
        (where, second, 2, None),
    ]
    [file, _] = sorted((landed.lake_folder / "redriven").rglob("*.json"))
    assert file.name == f"e0-p0-o{first:020d}.json"
    assert "wait" not in quarantine(landed, "list")

    with landed.connect() as connection:  # as if restored from a backup, and redriven again
        connection.execute(
            "update landing.quarantine set redrive = 7, in_lake_at = null where redrive = 1"
        )
    with (
        closing(Database(landed.ods.url("consumer"))) as database,
        pytest.raises(FatalError, match=f"another redrive in redriven/.*{first:020d}.json"),
    ):
        redrive.put_in_lake(database, landed.store)


@pytest.mark.parametrize(
    "statement",
    [
        "update landing.quarantine set payload = null",
        "delete from landing.quarantine",
        "update landing.quarantine_log set done_by = 'nobody'",
        "delete from landing.quarantine_log",
        "update landing.alerts_raw set payload = null",
        "delete from landing.redrives",
    ],
)
def test_who_redrives_can_alter_nothing_that_came_and_nothing_that_was_done(
    scene: Scene, statement: LiteralString
) -> None:
    with (
        scene.connect("consumer") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)
