"""Small files become large ones; every record stays where readers find it, once."""

import json
import time

import duckdb
import pytest

from streaming.lake_files import HOUR_MS
from tests.integration.landing.records import TOPIC, Fingerprint, Identity, alert, fingerprint
from tests.integration.landing.scene import Scene

NO_GRACE = {"COMPACTION__GRACE_S": "0", "COMPACTION__SETTLE_S": "0"}


@pytest.fixture
def landed(scene: Scene) -> Scene:
    """Records in many small files of one hour that is over; one in five is broken."""
    land_some(scene, 60)
    land_some(scene, 40)
    assert len(raw(scene)) == 8
    return scene


def land_some(scene: Scene, count: int) -> None:
    at = (int(time.time()) * 1000 // HOUR_MS - 3) * HOUR_MS
    for number in range(count):
        device = f"VM-{number % 7:06}"
        scene.produce(
            alert(device, at_ms=at + number) if number % 5 else b'{"broken',
            device.encode(),
            partition=number % 4,
            headers=[("n", b"\x00"), ("n", None)],
            timestamp=at + number,
        )
    scene.flush()
    scene.land()


def compact(scene: Scene, **changes: str) -> dict[str, int]:
    code, words = scene.call("compact", "--topic", TOPIC, "--json", **changes)
    assert code == 0, words
    outcome: dict[str, int] = json.loads(words)  # of one hour
    return outcome


def raw(scene: Scene) -> list[str]:
    return sorted(path.name for path in (scene.lake_folder / "raw").rglob("*.parquet"))


def as_readers_see_it(scene: Scene) -> list[tuple[Identity, Fingerprint]]:
    """Reads with DuckDB what `fleetpulse lake files` names."""
    code, words = scene.call("lake", "files", "--topic", TOPIC, "--sql")
    assert code == 0, words
    source = words.replace(scene.environment["FLEETPULSE_LAKE__URL"], str(scene.lake_folder))
    columns = 'topic, "partition", "offset", epoch_ms(kafka_ts), key, headers, payload'
    with duckdb.connect() as connection:
        rows = connection.execute(f"select {columns} from {source}").fetchall()
    return sorted(
        (
            (topic, partition, offset),
            fingerprint(at, key, [(each["name"], each["value"]) for each in headers], payload),
        )
        for topic, partition, offset, at, key, headers, payload in rows
    )


def test_each_record_is_once_in_the_lake_before_while_and_after_it_is_compacted(
    landed: Scene,
) -> None:
    every = sorted(landed.produced.items())
    files = raw(landed)
    assert as_readers_see_it(landed) == every

    first = compact(landed)

    assert (first["merged"], first["made"], first["rows"]) == (len(files), 1, len(every))
    assert raw(landed) == files  # for those who are reading them
    assert as_readers_see_it(landed) == every
    assert all(each.sound for each in landed.compare())

    second = compact(landed, **NO_GRACE)

    last = {name.partition("-o")[0]: name for name in files}
    assert (second["merged"], second["deleted"]) == (0, len(files) - len(last))
    assert raw(landed) == sorted(last.values())
    assert as_readers_see_it(landed) == every
    assert all(each.sound for each in landed.compare())


def test_landing_goes_on_after_compaction_and_late_files_are_merged_too(landed: Scene) -> None:
    compact(landed, **NO_GRACE)
    compact(landed, **NO_GRACE)

    land_some(landed, 20)

    assert as_readers_see_it(landed) == sorted(landed.produced.items())
    assert compact(landed, **NO_GRACE)["rows"] == len(landed.produced)
    assert as_readers_see_it(landed) == sorted(landed.produced.items())
    assert all(each.sound for each in landed.compare())
    assert landed.in_ods() == sorted(landed.produced.items())


def test_a_merged_object_that_is_gone_is_missing_and_named(landed: Scene) -> None:
    compact(landed)
    compact(landed, **NO_GRACE)
    (merged,) = (landed.lake_folder / "compacted").rglob("*.parquet")
    merged.unlink()

    code, words = landed.call("verify")

    assert code == 1
    assert "lake: missing" in words
    assert f"absent compacted/topic={TOPIC}" in words
    assert landed.call("compact", "--topic", TOPIC, **NO_GRACE)[0] == 1
